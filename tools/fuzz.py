"""Throw spoiled files at a reader: only an answer or a FormatError may come out, in little memory and time.

    python tools/fuzz.py --reader pprof --inputs 1000000 --seed 1

Each input is a seed, a real file or a small one made from it, with a few mutations: bits flipped, bytes set to values
that are often wrong (0, 127, 128, 255), pieces cut out, doubled, moved or taken from another seed, the end cut off,
numbers written as varints or digits replaced by extreme ones.  The same ``--seed`` gives the same inputs.  Anything
else than an answer or a ``FormatError`` is told with the input's number, and the exit status is 1.

The work is done in a child process whose address space is bounded (``--memory`` MB above what it has at the start); an
input that takes longer than ``--seconds`` is told too.  In between, every 1,000th input is looked at by tracemalloc,
and its peak must keep to ten times its size plus 100 MB.

To add a reader: a function that returns (seeds, read), in ``READERS``.  ``read`` is called with bytes.
"""

import argparse
import gzip
import io
import random
import re
import resource
import signal
import sys
import time
import tracemalloc
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import fuzz_traces

from mheaplab.errors import FormatError

ROOT = Path(__file__).resolve().parent.parent
REAL = ROOT / "data" / "histograms"
SPARE = 100 << 20
"""Bytes that a reader may take beside ten times the file."""
OFTEN_WRONG = (0, 1, 0x0A, 0x7F, 0x80, 0x8A, 0xFF)
EXTREMES = (0, 1, 127, 128, (1 << 31) - 1, 1 << 32, (1 << 53) + 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
WORDS = (b"null", b"-1", b"1e999", b"NaN", b"Infinity", b'"+Inf"', b"[]", b"{}", b'""', b"true", b"0.5", b",", b"\n")
MOST_MUTATIONS = 4


# ---------------------------------------------------------------------------------------------- mutations


def flip(data, pick, _seeds):
    """Flip a bit."""
    data[pick.randrange(len(data))] ^= 1 << pick.randrange(8)


def put(data, pick, _seeds):
    """Set a byte to a value that is often wrong."""
    data[pick.randrange(len(data))] = pick.choice(OFTEN_WRONG)


def cut_end(data, pick, _seeds):
    """Cut off the end."""
    del data[pick.randrange(len(data)) :]


def piece_of(data, pick):
    """Return a random slice, mostly short."""
    start = pick.randrange(len(data))
    return slice(start, start + 1 + int(len(data) * pick.random() ** 4))


def cut_out(data, pick, _seeds):
    """Cut out a piece."""
    del data[piece_of(data, pick)]


def double(data, pick, _seeds):
    """Put a copy of a piece somewhere."""
    at = pick.randrange(len(data))
    data[at:at] = data[piece_of(data, pick)]


def splice(data, pick, seeds):
    """Put a piece of another seed over what is there."""
    other = pick.choice(seeds)
    part = other[piece_of(other, pick)]
    at = pick.randrange(len(data))
    data[at : at + pick.choice((0, len(part)))] = part


def as_varint(number):
    """Return ``number`` as protobuf and Go's traces write it."""
    found = bytearray()
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def edit_varint(data, pick, _seeds):
    """Replace what may be a varint (a length, a count) by an extreme one, or by one beside it."""
    at = stop = pick.randrange(len(data))
    while stop < len(data) - 1 and data[stop] >= 0x80 and stop - at < 9:
        stop += 1
    near = (data[at] + pick.choice((-1, 1))) % 128
    data[at : stop + 1] = as_varint(pick.choice((*EXTREMES, near)))


def edit_digits(data, pick, _seeds):
    """Replace a number in digits."""
    near = pick.randrange(len(data))
    found = re.compile(rb"-?\d+").search(data, near)
    if found:
        data[found.start() : found.end()] = str(pick.choice(EXTREMES) * pick.choice((1, 1, -1))).encode()


def insert_word(data, pick, _seeds):
    """Put in a word that means something in JSON or CSV."""
    at = pick.randrange(len(data))
    data[at : at + pick.choice((0, 1, 4))] = pick.choice(WORDS)


MUTATIONS = (flip, put, cut_end, cut_out, double, splice, edit_varint, edit_digits, insert_word)


def mutated(seeds, pick):
    """Return a seed with a few mutations."""
    data = bytearray(pick.choice(seeds))
    for _ in range(min(pick.randint(1, MOST_MUTATIONS) for _ in range(2))):
        if data:
            pick.choice(MUTATIONS)(data, pick, seeds)
    return bytes(data)


# ---------------------------------------------------------------------------------------------- readers


def small_profile(data, samples):
    """Return a profile with the first ``samples`` samples that count something, and without places in the program."""
    from mheaplab.histograms.protobuf import fields

    def counts(start, stop):
        values = [data[item[2] : item[3]] for item in fields(data, start, stop) if item[0] == 2]
        return any(any(value) for value in values)

    kept = bytearray()
    for field, _, value, stop, start in fields(data, 0, len(data)):
        counted = field == 2 and counts(value, stop)
        samples -= counted
        if field not in (2, 3, 4, 5) or (counted and samples >= 0):
            kept += data[start:stop]
    return bytes(kept)


def pprof_reader():
    """Profiles, packed and not; small ones, so that a mutation hits something that is read."""
    from mheaplab.histograms.pprof import read_pprof

    whole = [gzip.decompress(path.read_bytes()) for path in sorted(REAL.glob("*.pb.gz"))]
    small = [small_profile(data, samples) for data in whole for samples in (1, 4, 16)]
    packed = [gzip.compress(data, mtime=0) for data in small[:2]]
    return small * 3 + packed, lambda data: [
        read_pprof(io.BytesIO(data), len(data), "input", what) for what in ("allocated", "in use")
    ]


def json_reader():
    """Metrics and MemStats, whole and with fewer buckets."""
    import json

    from mheaplab.histograms.readers import histogram_of_json
    from mheaplab.histograms.strict_json import parse_json

    seeds = [b'{"Counts":[0,3,1],"Buckets":[null,1,9,"+Inf"]}', b'{"counts":[2],"buckets":[1.0,9.0]}']
    for path in sorted(REAL.glob("*.json")):
        found = json.loads(path.read_bytes())
        found.pop("PauseNs", None), found.pop("PauseEnd", None)
        for metric in found.values():
            if isinstance(metric, dict):
                metric["buckets"], metric["counts"] = metric["buckets"][:6] + ["+Inf"], metric["counts"][:6]
        if "BySize" in found:
            found["BySize"] = found["BySize"][:6]
        seeds.append(json.dumps(found).encode())

    def read(data):
        found = parse_json(data, "input")
        return [histogram_of_json(found, "input", what) for what in ("allocated", "in use")]

    return seeds, read


def csv_reader():
    """Tables with and without names of columns."""
    from mheaplab.histograms.csv_table import read_csv

    seeds = [
        b"16,3\n48,1\n64,20\n", b"size,count\n16,3\n32768,1\n\n# more\n24,7\n", b'"slot","count"\r\n"16","3"\r\n',
        b"\xef\xbb\xbfsize,count,noscan\n8,100,50\n16,4,4\n8,1,0\n", b"slot,count,lower\n16,3,9\n32,1,25\n",
    ]  # fmt: skip
    return seeds, lambda data: [read_csv(io.BytesIO(data), "input")]


READERS = {"pprof": pprof_reader, "json": json_reader, "csv": csv_reader} | fuzz_traces.READERS
"""Name to a function that returns (seeds, read)."""


# ---------------------------------------------------------------------------------------------- the run


def verdict(read, data):
    """Return "answer" or "refused", or the words of what should not have happened."""
    try:
        read(data)
    except FormatError as err:
        return "refused" if str(err) and "\n" not in str(err) else f"a message that is not one line: {err}"
    except Exception as err:
        return f"{type(err).__name__}: {err}"
    return "answer"


def too_slow(*_):
    """Tell that an input took too long."""
    raise TimeoutError("no answer in time")


def measured(read, data):
    """Return what ``verdict`` does, or how much memory was too much."""
    tracemalloc.start()
    found = verdict(read, data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found if peak <= 10 * len(data) + SPARE else f"{peak >> 20} MiB for a file of {len(data)} bytes"


def run(reader, inputs, seed, memory, seconds):
    """Try ``inputs`` inputs and print what came of them; return how many should not have happened."""
    seeds, read = READERS[reader]()
    for data in seeds:
        assert verdict(read, data) in ("answer", "refused"), verdict(read, data)
    pick = random.Random(f"{reader} {seed}")
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + (memory << 20), resource.RLIM_INFINITY))
    signal.signal(signal.SIGALRM, too_slow)
    counts, begun = {"answer": 0, "refused": 0, "wrong": 0}, time.monotonic()
    for number in range(inputs):
        data = mutated(seeds, pick)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        found = (verdict if number % 1000 else measured)(read, data)
        signal.setitimer(signal.ITIMER_REAL, 0)
        if found not in counts:
            counts["wrong"] += 1
            begins = f"{len(data)} bytes: {data[:40]!r} ..."
            print(f"input {number} of {reader}, seed {seed}: {found}\n  {begins}", flush=True)
        else:
            counts[found] += 1
    words = ", ".join(f"{n:,} {word}" for word, n in counts.items())
    print(f"{reader}, seed {seed}: {inputs:,} inputs in {time.monotonic() - begun:.0f} s: {words}", flush=True)
    return counts["wrong"]


def child(*options):
    """Run, and end with the status that tells of it."""
    sys.exit(min(run(*options), 1))


def main():
    """Parse the command line and run in a child."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--reader", choices=sorted(READERS), required=True)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memory", type=int, default=512, help="MB that the child may take beside what it starts with")
    parser.add_argument("--seconds", type=float, default=5.0, help="longest time for one input")
    options = parser.parse_args()
    process = get_context("spawn").Process(target=child, args=tuple(vars(options).values()))
    process.start()
    process.join()
    if process.exitcode:
        print(f"{options.reader}: the child ended with status {process.exitcode}")
    return min(abs(process.exitcode), 1)


if __name__ == "__main__":
    sys.exit(main())

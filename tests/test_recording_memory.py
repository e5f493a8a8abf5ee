"""Opening a recording takes at most ten times its bytes and 100 MB, whatever is in it.

Each recording is made here from few records, repeated: objects of 16 bytes in a span of 512, in 6 bytes each, which is
the least that real recordings have.  A process of its own opens it, so that its highest memory is that of nobody else.
"""

import os
import subprocess
import sys

import numpy as np
import pytest

import mheaplab as mh
from mheaplab.recording import BLOCK_BYTES, block_total
from mheaplab.runtime import recording_bytes as rb

HEAD = mh.data_path("recordings/go119-goroutines.mhrec").read_bytes()[:128]
OBJECTS, SIZE, SPANCLASS = 512, 16, 4
FIRST_BASE = 0xC000000000
SPARE = 100_000_000
MEASURE = """
import resource, sys
import mheaplab as mh

def read(path):
    if sys.argv[1] == "case":
        mh.load_case(path)
    else:
        assert sum(len(events.kind) for events in mh.read_trace(path).batches()) > 0

def most():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) << 10

read(sys.argv[2])
before = most()
try:
    read(sys.argv[3])
except mh.FormatError as err:
    assert "times the file" in str(err)
    print("refused", end=" ")
print(most() - before)
"""


def number(value):
    """Return ``value`` as a record has it: seven bits to a byte."""
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def record(kind, spanclass, distance, second, third=None, flags=0):
    """Return a record on P 0; ``distance`` is that to the last address of its sort."""
    address = number(1 + (distance << 1 if distance >= 0 else (-distance << 1) - 1))
    last = b"" if third is None else number(third)
    return bytes([kind | (0 if third is None else 0x80), 0, flags, spanclass]) + address + number(second) + last


def span_of_objects(base, last_base, last_object):
    """Return the records of a span that is taken and filled, and how many they are."""
    objects = record(rb.ALLOCATED, SPANCLASS, base - last_object, SIZE)
    objects += record(rb.ALLOCATED, SPANCLASS, SIZE, SIZE) * (OBJECTS - 1)
    span = record(rb.SPAN_ALLOCATED, SPANCLASS, base - last_base, 1, 0)
    return span + record(rb.REFILLED, SPANCLASS, 0, 0) + objects, OBJECTS + 2


def recording(path, parts):
    """Write a recording of ``parts``, pairs of records and how many they are, each of them a block."""
    before = 0
    with path.open("wb") as out:
        out.write(HEAD)
        for which, (records, count) in enumerate(parts):
            out.write(block(b"MHRB", before, count, which, records))
            before += count
        out.write(block(b"MHRE", before, 0, which + 1, (1).to_bytes(4, "little") + bytes(4)))


def block(magic, before, count, which, records):
    """Return a block with its sum."""
    head = magic + len(records).to_bytes(4, "little") + before.to_bytes(8, "little")
    head += count.to_bytes(4, "little") + which.to_bytes(4, "little") + bytes(8)
    total = block_total(np.frombuffer(head + records, np.uint8), 0, len(records))
    return head[: BLOCK_BYTES - 8] + total.to_bytes(8, "little") + records


def living_and_dead(spans):
    """Yield blocks of a program that fills ``spans`` spans with objects, which then all die at once."""
    last_base = last_object = 0
    for k in range(spans):
        base = FIRST_BASE + (k << 13)
        yield span_of_objects(base, last_base, last_object)
        last_base, last_object = base, base + SIZE * (OBJECTS - 1)
    yield record(rb.SWEEPGEN, 255, 0, 0), 1
    first = record(rb.SWEPT, SPANCLASS, FIRST_BASE - last_base, OBJECTS, OBJECTS, rb.FORM_ALL << 1)
    other = record(rb.SWEPT, SPANCLASS, 1 << 13, OBJECTS, OBJECTS, rb.FORM_ALL << 1)
    yield first + other * (spans - 1), spans


def only_spans(blocks):
    """Yield blocks of spans for the runtime's own use, which no program takes in such numbers."""
    for k in range(blocks):
        first = record(rb.SPAN_ALLOCATED, 255, 0 if k else FIRST_BASE, 1, 0, 1)
        yield first + record(rb.SPAN_ALLOCATED, 255, 0, 1, 0, 1) * 139_999, 140_000


def kept_by_finalizers(sweeps):
    """Yield blocks in which a span is swept again and again, and each time all its objects wait for finalizers."""
    yield span_of_objects(FIRST_BASE, 0, 0)
    yield record(rb.SWEEPGEN, 255, 0, 0), 1
    keeps = record(rb.RECLAIMS, 255, 0, 0)
    swept = record(rb.SWEPT, SPANCLASS, 0, OBJECTS, 0, rb.FORM_NONE << 1)
    yield keeps + swept * sweeps, 1 + sweeps


def memory(what, path):
    """Return what the measuring process prints."""
    small = str(mh.data_path("recordings/go119-goroutines.mhrec"))
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", MEASURE, what, small, str(path)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=100).stdout.split()


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux's account of a process")
@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="millions of records need compiled code")
@pytest.mark.parametrize("what", ["case", "trace"])
@pytest.mark.parametrize(
    ("made", "many", "refused"),
    [(living_and_dead, 6500, False), (kept_by_finalizers, 100_000, True), (only_spans, 20, True)],
    ids=["all alive at once", "finalizers", "spans"],
)
def test_memory_keeps_to_ten_times_the_file(tmp_path, what, made, many, refused):
    path = tmp_path / "made.mhrec"
    recording(path, made(many))
    *words, peak = memory(what, path)
    assert words == ["refused"] * refused
    assert int(peak) <= 10 * path.stat().st_size + SPARE


def test_what_is_made_up_here_is_a_recording(tmp_path):
    path = tmp_path / "made.mhrec"
    recording(path, living_and_dead(3))
    case = mh.load_case(path)
    assert len(case) == 3 * OBJECTS + 1
    assert case.events.dead.tolist() == list(range(3 * OBJECTS))
    assert (case.events.ref[:-1] == -1).all()
    assert len(np.unique(case.truth["addr"][:-1])) == 3 * OBJECTS
    kinds = mh.read_trace(path).count()
    assert kinds[0] == kinds[1] == 3 * OBJECTS

"""exectrace_batches: numbers, batches, tables, and what is refused of them."""

import numpy as np
import pytest
from exectraces import (
    ALLOC,
    NO_M,
    batch,
    clock,
    event,
    generation,
    header,
    ids,
    parse,
    runs,
    samples,
    stacks,
    strings,
    varint,
)
from runtime.entry import entry

from mheaplab.errors import FormatError
from mheaplab.runtime import exectrace_structs as x
from mheaplab.runtime.exectrace_batches import OVERFLOWS, TRUNCATED
from mheaplab.runtime.exectrace_batches import varint as read_varint
from mheaplab.traces.go_trace import AllocFreeInfo, GoTraceReader, GoType


@entry
def read_number(t, at, end):
    """Read a number."""
    return read_varint(t, at, end)


def number(data, at=0, end=None):
    """Return (number, next offset) from ``data``, which is followed by bytes that must not be looked at."""
    end = len(data) if end is None else end
    t, table = np.zeros(1, x.EXECTRACE)[0], np.frombuffer(data + b"\xff" * x.PADDING, np.uint8).copy()
    t["data_at"], t["data_cap"], t["data_len"] = table.ctypes.data, len(table), len(table)
    return tuple(int(n) for n in read_number(t, np.int64(at), np.int64(end)))


def test_numbers():
    for bits in range(65):
        for n in {0, (1 << bits) - 1, 1 << bits >> 1, 0xA5A5A5A5A5A5A5A5 & ((1 << bits) - 1)}:
            data = varint(n)
            assert number(data) == (n, len(data))
            assert number(b"\x00" + data + b"\x01", 1) == (n, 1 + len(data))
            for end in range(len(data)):
                assert number(data, 0, end)[1] == TRUNCATED


def test_numbers_may_be_padded_and_must_fit():
    assert number(b"\x81\x80\x00") == (1, 3)
    assert number(b"\xff" * 9 + b"\x01") == ((1 << 64) - 1, 10)
    for bad in (b"\xff" * 9 + b"\x02", b"\x80" * 10 + b"\x00", b"\xff" * 20):
        assert number(bad)[1] == OVERFLOWS
    assert number(b"\x01", OVERFLOWS)[1] == OVERFLOWS


def alloc(i):
    return event(ALLOC, 1, i, 0)


def test_a_generation(tmp_path):
    """Tables may come before and after what refers to them, in any number of batches, and be of any thread."""
    name = batch(5, 1, 100, runs(1, 0, 1) + event(x.EV_GO_LABEL, 1, 8) + alloc(1) + event(x.EV_GO_BLOCK, 1, 9, 3))
    frames = [(1, 7, 8, 9), (2, 0, 9, 1)]
    table = strings(5, {7: "f", 8: "a" * 1024}), strings(5, {9: ""}), stacks(5, {3: frames, 4: []})
    unknown = batch(5, 3, 1, b"anything", experiment=2)
    for order in ((name, *table, unknown), (unknown, *table, name), (table[2], name, unknown, table[0], table[1])):
        assert ids(tmp_path, header() + generation(5, *order)) == [1]


def test_info_and_types(tmp_path):
    info = bytes([x.INFO_BATCH]) + b"".join(varint(n) for n in (0xC000000000, 8192, 8, 2048))
    types = bytes([x.TYPES_BATCH]) + event(1, 0x4A0000, 24, 8, 5) + b"*main" + event(2, 1, 2, 0, 0)
    more = bytes([x.TYPES_BATCH]) + event(3, 9, 9, 9, 2) + "é".encode()
    given = [batch(1, NO_M, 1, data, experiment=1) for data in (info, types, more)]
    path = tmp_path / "made.trace"
    path.write_bytes(header() + generation(1, *given, batch(1, 1, 1, runs(1, 0, 1) + alloc(1))))
    reader = GoTraceReader(path)
    for _ in reader.batches():
        assert reader.info == AllocFreeInfo(0xC000000000, 8192, 8, 2048)
        assert reader.types() == [
            GoType(1, 0x4A0000, 24, 8, "*main"),
            GoType(2, 1, 2, 0, ""),
            GoType(3, 9, 9, 9, "é"),
        ]


def test_units_of_time(tmp_path):
    """Times are the batch's and the events' in ns, each cut to whole ones; events never share one."""
    events = batch(1, 1, 1000, runs(1, 0, 1) + alloc(1) + event(ALLOC, 0, 2, 0) + event(ALLOC, 7, 3, 0))
    data = header() + events + clock(1, hertz=3 * 10**8) + bytes([x.EV_END_OF_GENERATION])
    # 1000 / 0.3 is 3333.3 ns; 1 unit is 3.3 ns and 7 are 23.3.
    assert [row[2] for row in parse(tmp_path, data)] == [3336, 3337, 3359]


def test_samples_take_a_time(tmp_path):
    events = batch(1, 1, 100, runs(1, 0, 1) + event(ALLOC, 0, 1, 0) + event(ALLOC, 9, 2, 0))
    without = parse(tmp_path, header() + generation(1, events))
    assert [row[2] for row in without] == [102, 109]
    # Two samples of 99 are at 99 and 100, which moves the three events behind them; that of 109 comes after the last.
    sampled = parse(tmp_path, header() + generation(1, events, samples(1, [99, 50, 98, 99, 109, 300])))
    assert [row[2] for row in sampled] == [103, 109]


@pytest.mark.parametrize("version", x.VERSIONS)
def test_generations(tmp_path, version):
    """Generations end with their mark, or where the next one begins; the program goes on."""
    first = generation(1, batch(1, 1, 10, runs(1, 0, 1) + alloc(1)), version=version)
    second = generation(2, batch(2, 1, 20, runs(1, 0, 1) + alloc(2)), version=version)
    assert ids(tmp_path, header(version) + first + second) == [1, 2]


E = event
BASE = runs(1, 0, 1)
REFUSED = {
    "empty": (b"", r"offset 0: begins with b''"),
    "other": (b"PAR1" * 20, r"offset 0: begins with b'PAR1"),
    "v1": (b"go 1.11 trace\0\0\0" + b"x" * 9, "offset 0: .*expected one of 'go 1.22 trace'"),
    "future": (b"go 1.29 trace\0\0\0", "offset 0"),
    "short header": (b"go 1.26 trace\0", "offset 0"),
    "nothing": (header(), "offset 16: the file ends, expected a generation"),
    "no batch": (header() + b"\x63", r"offset 16: event 99, expected a batch"),
    "mark of 1.26 in 1.25": (header(25) + bytes([x.EV_END_OF_GENERATION]), "offset 16: event 52"),
    "no clock": (header() + bytes([x.EV_END_OF_GENERATION]), "offset 17: no frequency"),
    "no snapshot": (
        header(25) + batch(1, 1, 1, bytes([x.EV_SYNC]) + E(x.EV_FREQUENCY, 9)), "no snapshot of the clocks"
    ),
    "generation 0": (header() + batch(0, 1, 1, b""), "offset 16: generation 0"),
    "generations mixed": (header() + clock(1) + clock(2), r"a batch of generation 2, expected one of"),
    "generation left out": (header(23) + clock(1, 23) + clock(3, 23), "a batch of generation 3"),
    "long batch": (
        header() + bytes([x.EV_EVENT_BATCH, 1, 1, 1]) + varint(65537), "a batch of 65537 bytes, expected at most"
    ),
    "endless number": (header() + bytes([x.EV_EVENT_BATCH]) + b"\xff" * 12, "offset 16: a number of more than 64"),
    "open end": (header() + generation(1)[:-1], "the file ends within a generation"),
    "cut batch": (header() + batch(1, 1, 1, b"xxxx")[:-1], "offset 24: the file ends within a batch"),
    "two frequencies": (header() + generation(1, clock(1)), "a second frequency"),
    "0 Hz": (header() + clock(1, hertz=0), "0 Hz"),
    "two snapshots": (
        header() + batch(1, 1, 1, bytes([x.EV_SYNC]) + 2 * E(x.EV_CLOCK_SNAPSHOT, 1, 2, 3, 4)), "a second snapshot"
    ),
    "snapshot in 1.23": (header(23) + batch(1, 1, 1, E(x.EV_FREQUENCY, 1) + E(x.EV_CLOCK_SNAPSHOT, 1, 2, 3, 4)), "51"),
    "cut frequency": (header() + batch(1, 1, 1, bytes([x.EV_SYNC, x.EV_FREQUENCY])), "reaches beyond its batch"),
    "string twice": (header() + strings(1, {4: "a"}) + strings(1, {4: "a"}), "string 4 is there already"),
    "string 0": (header() + strings(1, {0: "a"}), "string 0 is there already"),
    "long string": (header() + strings(1, {1: "a" * 1025}), "a string of 1025 bytes"),
    "string beyond": (
        header() + batch(1, 1, 1, bytes([x.EV_STRINGS, x.EV_STRING, 1, 9]) + b"abc"), "offset 22: a string of 9 bytes"
    ),
    "no string": (header() + batch(1, 1, 1, bytes([x.EV_STRINGS, 77])), "offset 22: event 77, expected a string"),
    "stack twice": (header() + stacks(1, {4: []}) + stacks(1, {4: []}), "stack 4 is there already"),
    "long stack": (header() + stacks(1, {4: [(1, 1, 1, 1)] * 129}), "a stack of 129 frames"),
    "no stack": (header() + batch(1, 1, 1, bytes([x.EV_STACKS, 78])), "event 78, expected a stack"),
    "frame": (header() + generation(1, stacks(1, {4: [(1, 0, 5, 1)]})), "a frame's string 5 is not in"),
    "no sample": (header() + batch(1, 1, 1, bytes([x.EV_CPU_SAMPLES, 79])), "event 79, expected a sample"),
    "cut sample": (header() + batch(1, 1, 1, bytes([x.EV_CPU_SAMPLES, x.EV_CPU_SAMPLE, 1])), "reaches beyond"),
    "cut info": (header() + batch(1, 1, 1, bytes([x.INFO_BATCH, 1, 2]), experiment=1), "reaches beyond"),
    "type's name": (header() + batch(1, 1, 1, bytes([x.TYPES_BATCH, 1, 2, 3, 4, 5]), experiment=1), "name of 5 bytes"),
    "structure among events": (header() + generation(1, batch(1, 1, 1, BASE + b"\x05")), "event 5 in a thread's batch"),
    "no such event": (header() + generation(1, batch(1, 1, 1, BASE + b"\xf0")), "event 240 in a thread's batch"),
    "cut event": (header() + generation(1, batch(1, 1, 1, BASE + bytes([ALLOC, 1]))), "offset 30: a number reaches"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path, case):
    data, message = REFUSED[case]
    with pytest.raises(FormatError, match=f"made.trace: .*{message}"):
        parse(tmp_path, data)


def test_many_threads(tmp_path):
    """Tables grow with the threads, all of which may have to wait for one."""
    first = batch(1, 999, 500, event(x.EV_GO_STATUS, 0, 5, 0, x.GO_WAITING))
    for n in (30, 200, 1000):
        many = b"".join(batch(1, m, 1, event(x.EV_GO_UNBLOCK, 1, 5, 1, 0)) for m in range(n, 0, -1))
        with pytest.raises(FormatError, match=f"none of {n - 1} threads may go on"):
            parse(tmp_path, header() + generation(1, first, many))


def test_every_prefix_and_every_piece(tmp_path):
    """Cut anywhere, a trace is refused, or has the events of whole generations; any piece gives the same."""
    for version in (23, 26):
        parts = [
            generation(
                gen,
                batch(gen, 1, 10 * gen, runs(1, 0, 1) + alloc(gen)),
                strings(gen, {1: "abc"}),
                batch(gen, 1, 10 * gen + 5, alloc(gen + 10)),
                version=version,
            )
            for gen in (1, 2)
        ]
        data = header(version) + b"".join(parts)
        whole = parse(tmp_path, data)
        assert [row[3] for row in whole] == [1, 11, 2, 12]
        for piece in (1, 2, 3, 5, 17):
            assert parse(tmp_path, data, piece) == whole
        for end in range(len(data)):
            try:
                found = parse(tmp_path, data[:end])
            except FormatError as err:
                assert "made.trace: offset " in str(err)
            else:
                assert found == whole[: len(found)] and end >= len(header()) + len(parts[0]) - 1

"""Made-up execution traces, event by event."""

from mheaplab.runtime import exectrace_structs as x
from mheaplab.traces.go_trace import GoTraceReader

ALLOC = x.EV_MEMORY + x.MEMORY_NAMES.index("HeapObjectAlloc")
FREE = x.EV_MEMORY + x.MEMORY_NAMES.index("HeapObjectFree")
NO_M = (1 << 64) - 1


def varint(n):
    """Return ``n`` as a number of the format."""
    found = bytearray()
    while n >= 0x80:
        found.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes(found) + bytes([n])


def event(kind, *numbers):
    """Return an event: time since the last one, and arguments."""
    return bytes([kind]) + b"".join(varint(int(n)) for n in numbers)


def batch(gen, m, time, data, experiment=None):
    """Return a batch."""
    head = bytes([x.EV_EVENT_BATCH]) if experiment is None else bytes([x.EV_EXPERIMENTAL_BATCH, experiment])
    return head + varint(gen) + varint(m) + varint(time) + varint(len(data)) + data


def strings(gen, table):
    """Return a batch of strings by number."""
    entries = (event(x.EV_STRING, key, len(text)) + text.encode() for key, text in table.items())
    return batch(gen, NO_M, 1, bytes([x.EV_STRINGS]) + b"".join(entries))


def stacks(gen, table):
    """Return a batch of stacks by number: lists of frames (pc, function, file, line)."""
    entries = (event(x.EV_STACK, key, len(frames), *sum(frames, ())) for key, frames in table.items())
    return batch(gen, NO_M, 1, bytes([x.EV_STACKS]) + b"".join(entries))


def samples(gen, times):
    """Return a batch of samples of the CPU profiler."""
    entries = (event(x.EV_CPU_SAMPLE, time, 1, 0, 1, 0) for time in times)
    return batch(gen, NO_M, 1, bytes([x.EV_CPU_SAMPLES]) + b"".join(entries))


def clock(gen, version=26, hertz=10**9):
    """Return the batch with the frequency, by default one unit of time each ns."""
    data = event(x.EV_FREQUENCY, hertz)
    if version >= 25:
        data = bytes([x.EV_SYNC]) + data + event(x.EV_CLOCK_SNAPSHOT, 1, 2, 3, 4)
    return batch(gen, NO_M, 1, data)


def generation(gen, *batches, version=26):
    """Return a generation of the batches given and a clock."""
    end = bytes([x.EV_END_OF_GENERATION]) if version >= 26 else b""
    return b"".join(batches) + clock(gen, version) + end


def header(version=26):
    """Return the first 16 bytes of a trace."""
    return b"go 1.%d trace\0\0\0" % version


def runs(m, p, g):
    """Return the events that a thread's first batch begins with if it runs goroutine ``g`` on P ``p``."""
    return event(x.EV_PROC_STATUS, 0, p, x.PROC_RUNNING) + event(x.EV_GO_STATUS, 0, g, m, x.GO_RUNNING)


def parse(folder, data, piece=1 << 16):
    """Return the memory events of ``data`` as (name, P, time, id) rows."""
    path = folder / "made.trace"
    path.write_bytes(data)
    rows = []
    for events in GoTraceReader(path, piece).batches():
        columns = (events.name.tolist(), events.p.tolist(), events.time.tolist(), events.id.tolist())
        rows += zip(*columns, strict=True)
    return rows


def ids(folder, data, piece=1 << 16):
    """Return the ids of the memory events of ``data``, in order."""
    return [row[3] for row in parse(folder, data, piece)]

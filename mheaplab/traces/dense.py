"""What is alive in a trace, batch by batch: events checked, ids made dense.

``DenseTable`` serves traces that promise dense ids, ``HashTable`` all others.  Both keep what is alive and nothing
else, and raise one ``FormatError`` that names the trace, the event and what was expected of it.
"""

import numpy as np

from ..errors import FormatError
from ..runtime import trace_ids as k
from ..runtime.trace_events import TRACE_KIND_NAMES

FIRST_ROOM = 1 << 12
REASONS = {
    k.BAD_KIND: "unknown kind {kind}, expected 0 to 5",
    k.BAD_P: "P {p}, expected 0 to 254",
    k.BAD_NOSCAN: "noscan {noscan}, expected 0 or 1",
    k.BAD_SIZE: "size {size}, expected 1 to 2**47 bytes",
    k.BAD_STACK: "stack of {size} bytes, expected a power of two from 2048 to 2**31",
    k.BAD_GC: "size {size}, expected 0 (runtime.GC) or 1 (debug.FreeOSMemory)",
    k.BAD_PHASE: "phase {size}, expected 0 to 65535",
    k.BAD_TIME: "time {time} ns is before {latest} ns, the time of an earlier event; expected times that do not fall",
    k.BORN_TWICE: "object {id} is alive already, expected an id that is not in use",
    k.NOT_BORN: "death of object {id}, which was not born",
    k.OTHER_KIND: "{id} is {other}",
    k.OTHER_SIZE: "stack {id} of {size} bytes has another size, expected that of its allocation",
    k.NOT_DENSE: "id {id} though no more than {peak} were alive at once: the trace's ids are not dense",
}


class LiveTable:
    """What is alive in a trace at some event.

    Parameters
    ----------
    name : str
        Of the trace, for messages.
    """

    def __init__(self, name):
        self.name = name
        self.state = np.zeros(1, k.TRACE_IDS)[0]
        self.tables = {}
        self.seen = 0

    def _set(self, name, array):
        """Let table ``name`` of the kernel's record be ``array``."""
        self.tables[name] = array
        self.state[f"{name}_at"] = array.ctypes.data
        self.state[f"{name}_cap"] = self.state[f"{name}_len"] = len(array)

    @property
    def peak(self):
        """Most objects and stacks that were alive at once so far."""
        return int(self.state["peak"])

    def process(self, events):
        """Check ``events``, which follow those of the last call, and return them with dense ids."""
        events = self._prepare(events)
        at = self._run(events, 0)
        while at < len(events.kind) and self.state["fault"] == k.NEEDS_ROOM:
            self._grow()
            at = self._run(events, at)
        if at < len(events.kind):
            self._refuse(events, at)
        self.seen += len(events.kind)
        return events

    def _prepare(self, events):
        return events

    def _refuse(self, events, at):
        """Raise for row ``at`` of ``events``."""
        row = {name: int(column[at]) for name, column in events._asdict().items()}
        kind = row["kind"]
        other = "a stack, expected an object" if kind == 1 else "an object, expected a stack"
        reason = REASONS[int(self.state["fault"])]
        if kind in (2, 3):
            reason = reason.replace("death of object", "end of stack").replace("object {id} is", "{id} is")
        reason = reason.format(**row, other=other, latest=int(self.state["latest"]), peak=self.peak)
        name = TRACE_KIND_NAMES[kind] if kind < len(TRACE_KIND_NAMES) else "?"
        raise FormatError(f"{self.name}: event {self.seen + at} ({name}): {reason}")


class DenseTable(LiveTable):
    """For ids that are dense already: a table by id."""

    def __init__(self, name):
        super().__init__(name)
        self._set("table", np.zeros(FIRST_ROOM, np.uint64))

    def _run(self, events, at):
        return k.check_dense(self.state, events, at)

    def _grow(self):
        old = self.tables["table"]
        self._set("table", np.concatenate((old, np.zeros(len(old), old.dtype))))


class HashTable(LiveTable):
    """For ids of any kind: they are replaced by dense ones."""

    def __init__(self, name):
        super().__init__(name)
        self._set("slots", np.zeros(2 * FIRST_ROOM, k.ID_SLOT))
        self._set("free_ids", np.zeros(FIRST_ROOM, np.uint32))

    def _prepare(self, events):
        return events._replace(id=events.id.copy())

    def _run(self, events, at):
        return k.renumber(self.state, events, at)

    def _grow(self):
        slots, free = self.tables["slots"], self.tables["free_ids"]
        self._set("slots", np.zeros(2 * len(slots), k.ID_SLOT))
        k.rehash(self.state, slots)
        self._set("free_ids", np.concatenate((free, np.zeros(len(free), free.dtype))))

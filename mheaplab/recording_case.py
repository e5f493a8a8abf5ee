"""recording_case: a recording as a case, with its truth, and so as everything that a case can be.

``mh.load_case`` and ``mh.read_trace`` open recordings too, once this module is there.  With GOMAXPROCS=1 a replay of
such a case is to agree with its truth in every address.  With more it mostly does not: what one P did between two
records of another has no order of its own (``docs/recording.md``).
"""

import numpy as np

from .case import COLUMNS, LATER_LISTS, LISTS, REVIVED_LISTS, TRUTH, Case, check_events, make_events
from .case import register_reader as register_case_reader
from .errors import FormatError
from .recording import Recording, is_recording
from .runtime import recording_bytes as rb
from .runtime import recording_events as rv
from .runtime.mksizeclasses import make_classes
from .runtime.structs import SCAVENGE

EMITTED = (rb.ALLOCATED, rb.SCAVENGED, rb.SWEEPGEN, rb.MCACHE_FLUSHED, rb.PCACHE_FLUSHED, rb.ENSURES_SWEPT)
"""Kinds of records of which each is one event."""
SPAN_TYPE = 7
"""The bits of a span's flags that say what it is for."""
INLINE_MARKS = (16, 512)
"""Bytes of the smallest and the largest object whose span keeps its marks inline, later than Go 1.19."""
FIRST_ROOM = 1 << 13
FAULTS = {
    rv.BAD_SPAN: "{first:#x}, {second} pages, class {spanclass}: not a span",
    rv.NO_SPAN: "there is no such span at {first:#x}",
    rv.BAD_CLASS: "span class {spanclass} is not that of the span",
    rv.NO_REFILL: "P {p} has no span of class {spanclass}",
    rv.OUTSIDE: "{first:#x} is outside the span that P {p} allocates from",
    rv.TWICE: "{first:#x} is no slot, or one that is taken",
    rv.NOT_TINY: "{first:#x} is in no block of tiny objects",
    rv.NO_COLLECTION: "no collection has ended yet",
    rv.NO_OBJECT: "among the dead of the span at {first:#x} is one that was not allocated",
    rv.OTHER_COUNT: "of the span at {first:#x} are not as many dead as it counts, {third}",
}


def _events(recording):
    """Return how many events a recording comes to."""
    counts = recording.counts
    types = np.arange(256) & SPAN_TYPE
    manual = counts[rb.SPAN_ALLOCATED, types != 0].sum() + counts[rb.SPAN_FREED, 1:].sum()
    asked = recording.count(rb.SWEEPS_ONE) - counts[rb.SWEEPS_ONE, rv.BY_CREDIT]
    return int(sum(map(recording.count, EMITTED)) + manual + asked + counts[rb.PHASE, rv.MARKING])


def _room(recording):
    """Return the arrays that a conversion fills."""
    events, spans = _events(recording), recording.count(rb.SPAN_ALLOCATED)
    rows = {name: events for name in (*COLUMNS, "addr", "scav", "needzero")}
    rows |= {name: spans for name in TRUTH if name.startswith("span_")}
    lists = {"dead": recording.count(rb.ALLOCATED), "page_marked": recording.count(rb.PAGE_MARKED), "revived": FIRST_ROOM}
    for name, most in lists.items():
        rows |= {name: most, f"{name}_offsets": recording.count(rb.SWEEPGEN) + 1}
    types = COLUMNS | LISTS | REVIVED_LISTS | LATER_LISTS | TRUTH
    return rv.Made(**{name: np.zeros(rows[name], types[name]) for name in rv.Made._fields})


class _Conversion:
    """One conversion: what is made, what is kept meanwhile, and how far it is."""

    def __init__(self, recording):
        self.recording = recording
        self.made = _room(recording)
        spans = len(self.made.span_base)
        self.going = rv.Going(
            keys=np.zeros(FIRST_ROOM, np.uint64),
            values=np.zeros(FIRST_ROOM, np.int64),
            elem_size=make_classes()[0],
            refilled=np.full((rv.ALL_PS, rv.SPAN_CLASSES), -1, np.int64),
            waiting=np.full(rv.ALL_PS, -1, np.int64),
            waits_behind=np.full(spans, -1, np.int64),
            span_type=np.zeros(spans, np.uint8),
            last_object=np.full(spans, -1, np.int64),
            doing=np.zeros((rv.ALL_PS, 5), np.int64),
            later=np.zeros((rv.ALL_PS, rv.MAX_LATER), np.uint64),
        )
        self.going.doing[:, rv.LAST_SWEEPONE] = -1
        self.at = np.zeros(1, rv.PROGRESS)[0]
        if recording.go != "go1.19":
            self.at["inline_low"], self.at["inline_high"] = INLINE_MARKS
        self.bytes = rb.new_bytes(recording.data)
        self.record = np.zeros(1, rb.RECORD)[0]

    def run(self):
        """Convert all blocks."""
        for first, stop in self.recording.blocks:
            at = first
            while at < stop:
                with np.errstate(over="ignore"):
                    at = rv.convert_block(self.bytes, at, stop, self.record, self.at, self.made, self.going)
                if self.at["fault"] == rv.NEEDS_ROOM:
                    self._grow()
                elif self.at["fault"] != rv.FINE:
                    raise self._refused(at)

    def _refused(self, at):
        """Return why the record at byte ``at`` is refused."""
        row = {name: int(self.record[name]) for name in self.record.dtype.names}
        reason = FAULTS[int(self.at["fault"])].format(**row)
        return FormatError(f"{self.recording.path}: byte {at} ({rb.RECORD_NAMES[row['kind']]}): {reason}")

    def _grow(self):
        """Make whatever is nearly full twice as large."""
        if len(self.made.revived) < self.at["kept"] + rb.MAX_SLOTS:
            self.made = self.made._replace(revived=np.append(self.made.revived, np.zeros_like(self.made.revived)))
        keys, values = self.going.keys, self.going.values
        if 2 * self.at["used"] + 2 > len(keys):
            room = 2 * len(keys)
            self.going = self.going._replace(keys=np.zeros(room, np.uint64), values=np.zeros(room, np.int64))
            with np.errstate(over="ignore"):
                rv.rehash_entries(self.going, keys, values)

    def case(self, truth):
        """Return the case; a span whose allocation was not recorded any more is left out."""
        made, at = self.made, self.at
        n, k = int(at["event"]), int(at["collection"])
        arrays = {name: getattr(made, name)[:n] for name in COLUMNS}
        for name, rows in (("dead", at["dead"]), ("page_marked", at["marked"]), ("revived", at["kept"])):
            offsets = getattr(made, f"{name}_offsets")[: k + 1]
            offsets[k] = rows
            arrays[name], arrays[f"{name}_offsets"] = getattr(made, name)[: int(rows)], offsets
        for first, stop in zip(made.dead_offsets[:k], made.dead_offsets[1:], strict=False):
            made.dead[first:stop].sort()
        go = self.recording.go
        if go == "go1.19":
            arrays = {name: array for name, array in arrays.items() if name not in LATER_LISTS}
        else:
            scavenge = arrays["kind"] == SCAVENGE
            arrays["given_addr"] = np.where(scavenge, made.addr[:n], 0).astype(np.uint64)
            arrays["given_pages"] = np.where(scavenge, made.scav[:n], 0).astype(np.uint64)
        events = make_events(arrays)
        check_events(events, self.recording.path, go)
        return Case(self.recording.path.stem, go, events, self._truth(n) if truth else None)

    def _truth(self, n):
        done = self.made.span_event[: int(self.at["span"])] >= 0
        found = {name: getattr(self.made, name)[:n] for name in ("addr", "scav", "needzero")}
        found |= {name: getattr(self.made, name)[: len(done)][done] for name in TRUTH if name.startswith("span_")}
        for array in found.values():
            array.flags.writeable = False
        return found


def recording_case(recording, truth=True):
    """Return a recording as a case.

    Parameters
    ----------
    recording : Recording
    truth : bool
        Whether the case has what Go did beside it.

    Returns
    -------
    Case

    Raises
    ------
    FormatError
        If a record contradicts those before it; the message names the file, the byte and the reason.
    """
    conversion = _Conversion(recording)
    conversion.run()
    return conversion.case(truth)


register_case_reader(is_recording, lambda path, truth: recording_case(Recording(path), truth))

"""recording_case: a recording as a case, with its truth, and so as everything that a case can be.

``mh.load_case`` and ``mh.read_trace`` open recordings too, once this module is there.  With GOMAXPROCS=1 a replay of
such a case is to agree with its truth in every address.  With more it mostly does not: what one P did between two
records of another has no order of its own (``docs/recording.md``).
"""

import numpy as np

from .case import COLUMNS, LATER_LISTS, TRUTH, Case, check_events, make_events
from .case import register_reader as register_case_reader
from .case_lives import Lives
from .case_trace import lives_trace
from .errors import FormatError
from .recording import Recording, is_recording
from .runtime import recording_bytes as rb
from .runtime import recording_events as rv
from .runtime.recording_tables import COLUMNS as MADE
from .runtime.recording_tables import MOST_EVENTS, ROW, RecordingState, entries_for
from .runtime.structs import PAGE_SIZE, SCAVENGE
from .traces import register_reader

EMITTED = (rb.ALLOCATED, rb.SCAVENGED, rb.SWEEPGEN, rb.MCACHE_FLUSHED, rb.PCACHE_FLUSHED, rb.ENSURES_SWEPT)
"""Kinds of records of which each is one event."""
SPAN_TYPE = 7
"""The bits of a span's flags that say what it is for."""
INLINE_MARKS = (16, 512)
"""Bytes of the smallest and the largest object whose span keeps its marks inline, later than Go 1.19."""
FIRST_ROOM = 1 << 13
OS_PAGE = 4096
COLLECTION_BYTES = 128
"""What is kept of a collection in passing, beside its columns."""
TIMES, SPARE = 10, 64 << 20
"""A case takes no more than ten times the recording's bytes, plus these; the rest of 100 MB is for what is passing."""
MOST_PROCS = 256
"""Ps that a record can name, "no P" included."""
FAULTS = {
    rv.BAD_SPAN: "{first:#x}, {second} pages, class {spanclass}: not a span",
    rv.NO_SPAN: "there is no such span at {first:#x}",
    rv.BAD_CLASS: "span class {spanclass} is not that of the span",
    rv.NO_REFILL: "P {on_p} has no span of class {spanclass}",
    rv.OUTSIDE: "{first:#x} is outside the span that P {on_p} allocates from",
    rv.TWICE: "{first:#x} is no slot, or one that is taken",
    rv.NOT_TINY: "{first:#x} is in no block of tiny objects",
    rv.NO_COLLECTION: "no collection has ended yet",
    rv.NO_OBJECT: "among the dead of the span at {first:#x} is one that was not allocated",
    rv.OTHER_COUNT: "of the span at {first:#x} are not as many dead as it counts, {third}",
}


def _manual_spans(recording):
    """Return how many spans of the runtime's own are allocated."""
    return int(recording.counts[rb.SPAN_ALLOCATED, np.arange(256) & SPAN_TYPE != 0].sum())


def _events(recording):
    """Return how many events a recording comes to, at most: each P may be in the middle of an allocation at its end."""
    counts = recording.counts
    manual = _manual_spans(recording) + counts[rb.SPAN_FREED, 1:].sum()
    asked = recording.count(rb.SWEEPS_ONE) - counts[rb.SWEEPS_ONE, rv.BY_CREDIT]
    return int(sum(map(recording.count, EMITTED)) + manual + asked + counts[rb.PHASE, rv.MARKING]) + MOST_PROCS


def _rows(recording):
    """Return how many rows each column of a conversion needs."""
    events, spans = _events(recording), recording.count(rb.SPAN_ALLOCATED)
    rows = {name: events for name in (*COLUMNS, "addr", "scav", "needzero")}
    rows |= {name: spans for name in TRUTH if name.startswith("span_")}
    lists = {
        "dead": min(recording.count(rb.ALLOCATED), recording.dead),
        "page_marked": recording.count(rb.PAGE_MARKED),
        "revived": FIRST_ROOM,
    }
    for name, most in lists.items():
        rows |= {name: most, f"{name}_offsets": recording.count(rb.SWEEPGEN) + 1}
    return rows


def _bytes_needed(recording, rows):
    """Return the memory that a conversion and the case take at most, without its revived objects."""
    spans, scavenges = recording.count(rb.SPAN_ALLOCATED), recording.count(rb.SCAVENGED)
    manual = _manual_spans(recording)
    written = {"credit": int(recording.counts[rb.SWEEPS_ONE, rv.BY_CREDIT]), "scav": manual + scavenges,
               "needzero": manual}  # fmt: skip
    nbytes = {name: rows[name] * np.dtype(dtype).itemsize for name, dtype in MADE.items()}
    # Pages that nobody writes to take no memory.
    nbytes |= {name: min(nbytes[name], times * OS_PAGE) for name, times in written.items()}
    made = sum(nbytes.values()) + len(recording.data) + spans * ROW.itemsize
    made += COLLECTION_BYTES * (recording.count(rb.SWEEPGEN) + recording.count(rb.PHASE))
    converts = 8 * entries_for(spans + recording.most_live)
    given = 0 if recording.go == "go1.19" else 2 * min(8 * rows["kind"], scavenges * OS_PAGE)
    # When the hash table has gone, the spans are put in order, column by column, and the deaths are checked.
    return made + max(converts, given + 3 * 8 * spans + rows["kind"])


class _Conversion:
    """One conversion."""

    def __init__(self, recording):
        self.recording = recording
        rows = _rows(recording)
        self.needed = _bytes_needed(recording, rows)
        self._keep_to(self.needed)
        self.state = RecordingState(recording.data)
        self.state.make_tables(rows, recording.count(rb.SPAN_ALLOCATED), recording.most_live)
        self.at = self.state.record
        if recording.go != "go1.19":
            self.at["inline_low"], self.at["inline_high"] = INLINE_MARKS

    def _keep_to(self, nbytes):
        """Refuse what needs more memory than a file of this length may; no program's own recording does."""
        size = len(self.recording.data)
        if nbytes > TIMES * size + SPARE or self.recording.records > MOST_EVENTS:
            mib = 1 << 20
            raise FormatError(
                f"{self.recording.path}: {self.recording.records} records in {size / mib:.3g} MiB come to a case of"
                f" {nbytes / mib:.3g} MiB, expected at most {TIMES} times the file and {SPARE / mib:.3g} MiB"
            )

    def run(self):
        """Convert all blocks."""
        for first, stop in self.recording.blocks:
            at = first
            while at < stop:
                with np.errstate(over="ignore"):
                    at = rv.convert_block(self.at, at, stop)
                if self.at["fault"] == rv.NEEDS_ROOM:
                    # Finalizers keep few objects; the room for them doubles.
                    self.needed += self.state.tables["revived"].nbytes * 2
                    self._keep_to(self.needed)
                    self.state.grow_column("revived")
                elif self.at["fault"] != rv.FINE:
                    raise self._refused(at)

    def _refused(self, at):
        """Return why the record at byte ``at`` is refused."""
        row = {name: int(self.at[name]) for name in ("op", "on_p", "spanclass", "first", "second", "third")}
        reason = FAULTS[int(self.at["fault"])].format(**row)
        return FormatError(f"{self.recording.path}: byte {at} ({rb.RECORD_NAMES[row['op']]}): {reason}")

    def _column(self, name, rows):
        return self.state.tables[name][: int(rows)]

    def _lists(self):
        """Return the lists that belong to collections, and their offsets; of the dead of each, the earliest first."""
        arrays, k = {}, int(self.at["collection"])
        for name, rows in (("dead", "died"), ("page_marked", "marked"), ("revived", "kept")):
            arrays[name] = self._column(name, self.at[rows])
            arrays[f"{name}_offsets"] = offsets = self._column(f"{name}_offsets", k + 1)
            offsets[k] = self.at[rows]
        for first, stop in zip(arrays["dead_offsets"], arrays["dead_offsets"][1:], strict=False):
            arrays["dead"][first:stop].sort()
        return arrays

    def case(self, truth):
        """Return the case."""
        n, go = int(self.at["event"]), self.recording.go
        self.state.forget_entries()
        arrays = {name: self._column(name, n) for name in COLUMNS} | self._lists()
        if go == "go1.19":
            arrays = {name: array for name, array in arrays.items() if name not in LATER_LISTS}
        else:
            scavenge = np.flatnonzero(arrays["kind"] == SCAVENGE)
            for given, found in (("given_addr", "addr"), ("given_pages", "scav")):
                arrays[given] = np.zeros(n, np.uint64)  # pages that nobody writes to take no memory
                arrays[given][scavenge] = self._column(found, n)[scavenge]
        events = make_events(arrays)
        check_events(events, self.recording.path, go)
        return Case(self.recording.path.stem, go, events, self._truth(n) if truth else None)

    def unswept_spans(self):
        """Return (base, end), addresses in bytes, of the spans not swept at the end, by address."""
        rows = self._column("rows", self.at["span"])
        wait = np.flatnonzero((rows["use"] == 0) & (rows["swept"] < self.at["collection"]))
        base = self._column("span_base", self.at["span"])[wait].astype(np.int64)
        end = base + self._column("span_npages", self.at["span"])[wait].astype(np.int64) * int(PAGE_SIZE)
        order = np.argsort(base, kind="stable")
        return base[order], end[order]

    def _truth(self, n):
        """Return what Go did; of spans, in the order of their events, since that is when the twin allocates them.

        A span whose allocation was never recorded, since the program ended, is left out.
        """
        event = self._column("span_event", self.at["span"])
        order = np.argsort(event, kind="stable")
        order = order[self._column("size", n)[event[order]] > 0]
        found = {name: self._column(name, n) for name in TRUTH if not name.startswith("span_")}
        for name in (name for name in TRUTH if name.startswith("span_")):
            found[name] = self.state.tables.pop(name)[order]
        for array in found.values():
            array.flags.writeable = False
        return found


class RecordedLives(Lives):
    """What a recording says of the lives of its objects: where they lay it says itself, and nobody need predict it.

    Parameters
    ----------
    recording : Recording
    look : {"begin", "end"}
    spend : bool
        Whether nobody will read the recording again, so that its bytes may go.
    """

    def __init__(self, recording, look, spend=False):
        conversion = _Conversion(recording)
        conversion.run()
        # Base and end of the spans that were not swept when the recording ended.
        self._unswept = conversion.unswept_spans()
        self.case = conversion.case(truth=True)
        del conversion  # it holds what this object lets go, as early as it can
        if spend:
            recording.data = recording.data[:0].copy()
        self._learn(look)

    def _heap(self):
        return self.case.truth["addr"].view(np.int64), self._unswept

    def _done_with_case(self):
        e = self.case.events
        kept = {name: getattr(e, name) for name in ("kind", "p", "flags", "size")}
        nothing = {name: getattr(e, name)[:0].copy() for name in e._fields if name not in kept}
        self.case = Case(self.case.name, self.case.go, e._replace(**nothing))


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


def recording_trace(recording, *, seed=0, look="begin"):
    """Return a recording as a :class:`Trace`: what the program allocated, and when each object died.

    Parameters
    ----------
    recording : Recording
    seed : int
        Of the draws of deaths; the same seed gives the same trace.
    look : {"begin", "end"}
        As for ``case_trace``.

    Returns
    -------
    Trace

    Raises
    ------
    FormatError
        If a record contradicts those before it.

    Notes
    -----
    Nothing is replayed, so this is as good with several Ps as with one.
    """
    return lives_trace(RecordedLives(recording, look), seed, _origin(recording))


def _origin(recording):
    return f"recording {recording.path.name}"


def _open_trace(path, seed):
    """Return the trace of a recording that nobody else has open."""
    recording = Recording(path)
    return lives_trace(RecordedLives(recording, "begin", spend=True), seed, _origin(recording))


register_case_reader(is_recording, lambda path, truth: recording_case(Recording(path), truth))
register_reader("a recording", lambda _, head: is_recording(head), _open_trace)

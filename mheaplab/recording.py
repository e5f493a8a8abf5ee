"""recording: what a Go program recorded about its own heap, opened as a case or a trace.

A recording (``X.mhrec``) is written by a program built with ``tools/record_go``; ``docs/recording.md`` describes the
file.  It is a header, blocks of records and an end mark, each with a sum over all its bytes.  Reading goes through it
twice: once to check every block and to count, so that each array is made once and of the right size, and once to
convert (``runtime/recording_events.py``).  What comes out is checked like any case.

A recording without its end mark is refused: its program was killed, or is still running.  ``close_recording`` makes one
that ends after the last whole block.
"""

from pathlib import Path

import numpy as np

from .errors import FormatError
from .runtime import recording_bytes as rb
from .runtime.recording_tables import RecordingState
from .runtime.structs import PAGE_SIZE
from .whole_file import whole_file

MAGIC = b"mheaplab record\0"
FORMAT = 1
HEADER_BYTES = 128
BLOCK_BYTES = 32
MAX_BLOCK = 1 << 20
"""Bytes of a block's records; the recorder's buffer is a quarter of it."""
BLOCK_MAGIC, END_MAGIC = b"MHRB", b"MHRE"
MINORS = (19, 27)
"""Go versions that can be recorded."""
ARENA_BYTES = 64 << 20
KILLED = 4
ENDS = {1: "exit", 2: "fatal error", 3: "signal", KILLED: "killed"}


def block_total(data, at, nbytes):
    """Return the sum of the block at byte ``at`` of array ``data``, with ``nbytes`` bytes of records."""
    with np.errstate(over="ignore"):
        head = np.uint64(rb.block_sum(data, at, 24, np.uint64(0)))
        return int(rb.block_sum(data, at + BLOCK_BYTES, nbytes, head))


def is_recording(head):
    """Whether a file that begins with ``head`` is a recording."""
    return head[: len(MAGIC)] == MAGIC


class Recording:
    """A recording whose every block has been checked.

    Parameters
    ----------
    path : str or os.PathLike
    whole : bool
        Whether to insist on the end mark.

    Attributes
    ----------
    go : str
        "go1.19" or "go1.27".
    go_version : str
        As the program's own runtime calls it.
    procs : int
        GOMAXPROCS; the highest, if the program changed it.
    records : int
    most_live : int
        Objects that are alive at once, at most, as far as the records are right.
    dead : int
        Objects that its sweeps count as dead.
    blocks : list of (int, int)
        Where the records of each block begin and end, in bytes.
    end : str
        How the program ended: "exit 0", "signal 15", ...; "" if there is no end mark.
    left : int
        Bytes after the last whole block; not 0 only if ``whole`` is false.
    counts : numpy.ndarray
        Records of each kind (rows) with each flags (columns).

    Raises
    ------
    FormatError
        Naming the file and the offset.
    """

    def __init__(self, path, whole=True):
        self.path = Path(path)
        try:
            self.data = np.fromfile(self.path, np.uint8)
        except FileNotFoundError as err:
            raise FormatError(f"{path}: no such file") from err
        except OSError as err:
            raise FormatError(f"{path}: cannot be read ({err.strerror})") from err
        self._header()
        self.blocks, self.records, self.procs, self.end, self.left = [], 0, 0, "", 0
        self.most_live = self.dead = 0
        self.counts = np.zeros((rb.RECORD_KINDS, 256), np.int64)
        self._walk(whole)

    def _fail(self, at, reason):
        return FormatError(f"{self.path}: byte {at}: {reason}")

    def _header(self):
        head = self.data[:HEADER_BYTES].tobytes()
        if not is_recording(head):
            raise self._fail(0, f"begins with {head[:8]!r}, expected {MAGIC!r}")
        if len(head) < HEADER_BYTES:
            raise self._fail(len(head), "the file ends in its header")
        words = np.frombuffer(head, "<u8")
        with np.errstate(over="ignore"):
            total = int(rb.block_sum(self.data, 0, HEADER_BYTES - 8, np.uint64(0)))
        if int(words[-1]) != total:
            raise self._fail(HEADER_BYTES - 8, "the sum of the header is another one: it is damaged")
        version, minor = int(words[2]) & 0xFFFFFFFF, int(words[2]) >> 32
        if version != FORMAT:
            raise self._fail(16, f"format {version}, expected {FORMAT}")
        if minor not in MINORS:
            raise self._fail(20, f"recorded with go1.{minor}, expected " + " or ".join(f"go1.{m}" for m in MINORS))
        if int(words[3]) != int(PAGE_SIZE) or int(words[4]) != ARENA_BYTES:
            raise self._fail(24, f"pages of {words[3]} B in arenas of {words[4]} B, expected 8 KiB and 64 MiB")
        self.go = f"go1.{minor}"
        self.go_version = head[40:104].split(b"\0")[0].decode("ascii", "replace")

    def _walk(self, whole):
        """Check block after block."""
        tables = RecordingState(self.data)  # its arrays live as long as it does
        state = tables.record
        at = HEADER_BYTES
        while not self.end:
            found = self._block(at)
            if isinstance(found, str):
                if whole:
                    raise self._fail(
                        at, f"{found}; was the program killed, or does it still run? See docs/recording.md"
                    )
                self.left = len(self.data) - at
                return
            magic, nbytes, records = found
            first = at + BLOCK_BYTES
            at = first + nbytes
            if magic == END_MAGIC:
                why, code = self.data[first:at].view("<u4").tolist() if nbytes == 8 else (0, 0)
                if why not in ENDS or at != len(self.data):
                    raise self._fail(first, f"an end mark of {nbytes} bytes, expected 8 at the end of the file")
                self.end = ENDS[why] if why == KILLED else f"{ENDS[why]} {code}"
            else:
                self._scan(state, first, at, records)
                self.blocks.append((first, at))
                self.records, self.procs = int(state["records"]), int(state["most_procs"])
                self.most_live, self.dead = int(state["most_live"]), int(state["dead_counted"])

    def _block(self, at):
        """Return (magic, bytes, records) of the block at byte ``at``, or what is missing of it, in words."""
        head = self.data[at : at + BLOCK_BYTES]
        if len(head) < BLOCK_BYTES:
            return "the file ends before its end mark"
        magic, nbytes = head[:4].tobytes(), int(head[4:8].view("<u4")[0])
        words = head[8:].view("<u8")
        if magic not in (BLOCK_MAGIC, END_MAGIC) or nbytes > MAX_BLOCK:
            raise self._fail(at, f"{magic!r}, {nbytes} bytes: not a block")
        if at + BLOCK_BYTES + nbytes > len(self.data):
            return f"the file ends in a block of {nbytes} bytes"
        if block_total(self.data, at, nbytes) != int(words[2]):
            raise self._fail(at, "the sum of the block is another one: it is damaged")
        records, number = int(words[1]) & 0xFFFFFFFF, int(words[1]) >> 32
        if int(words[0]) != self.records or number != len(self.blocks):
            raise self._fail(at, f"block {number} after {int(words[0])} records, expected {len(self.blocks)} after"
                             f" {self.records}")  # fmt: skip
        return magic, nbytes, records

    def _scan(self, state, first, stop, expected):
        """Count the records of a block, which must be whole and as many as it says."""
        with np.errstate(over="ignore"):
            why = rb.scan_block(state, first, stop, self.counts)
        if why != rb.FINE:
            reason = {rb.TOO_LONG: "a record does not end in its block", rb.BAD_FORM: "a sweep of an unknown form"}
            raise self._fail(first, reason.get(why, f"a record of unknown kind {int(state['op'])}"))
        found = int(state["records"]) - self.records
        if found != expected:
            raise self._fail(first, f"{found} records in the block, expected {expected}")

    def count(self, kind):
        """Return how many records of ``kind`` there are."""
        return int(self.counts[kind].sum())


def close_recording(path, output):
    """Copy a recording up to its last whole block, and end it there.

    Parameters
    ----------
    path, output : str or os.PathLike
        The end mark says how the program ended; the copy's says "killed".

    Returns
    -------
    blocks, records, left : int
        What the copy holds, and how many bytes of ``path`` after that it does not.

    Raises
    ------
    FormatError
        If ``path`` is no recording, or one of its whole blocks is damaged.
    """
    recording = Recording(path, whole=False)
    if recording.end:
        raise FormatError(f"{path}: has its end mark ({recording.end}); there is nothing to close")
    stop = recording.blocks[-1][1] if recording.blocks else HEADER_BYTES
    mark = bytearray(BLOCK_BYTES + 8)
    mark[:4], mark[4:8] = END_MAGIC, (8).to_bytes(4, "little")
    mark[8:16] = recording.records.to_bytes(8, "little")
    mark[20:24] = len(recording.blocks).to_bytes(4, "little")
    mark[32:36] = KILLED.to_bytes(4, "little")
    mark[24:32] = block_total(np.frombuffer(bytes(mark), np.uint8), 0, 8).to_bytes(8, "little")
    with whole_file(output) as out:
        out.write(recording.data[:stop])
        out.write(mark)
    return len(recording.blocks), recording.records, recording.left

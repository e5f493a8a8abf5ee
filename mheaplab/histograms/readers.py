"""read_histogram: whatever says how large objects were, opened by what it is.

Readers are those of ``mheaplab.traces.readers``: a name, a function that recognises a file by path and first bytes, one
that opens it, here with ``what`` beside the path.  The first that recognises a file has it; what none knows may be a
trace.
"""

from dataclasses import replace

from ..errors import FormatError
from ..traces.readers import Reader, open_first, read_trace, trace_readers
from .csv_table import BOM, is_csv, open_csv
from .histogram import Histogram, check_what
from .memstats_json import histogram_of_memstats, memstats_in
from .metrics_json import histogram_of_metrics, is_metrics
from .pprof import is_pprof, open_pprof
from .strict_json import read_json


def is_json(path, head):
    """Return whether a file begins as a JSON object does."""
    return head.removeprefix(BOM).lstrip()[:1] == b"{"


def open_json(path, what):
    """Return the histogram of Go's metrics or MemStats at ``path``."""
    return histogram_of_json(read_json(path), str(path), what)


def histogram_of_json(found, name, what):
    """Return the histogram in parsed JSON."""
    stats = memstats_in(found)
    if stats is not None:
        return histogram_of_memstats(stats, name, what)
    if is_metrics(found):
        return histogram_of_metrics(found, name, what)
    raise FormatError(f"{name}: neither MemStats with BySize nor /gc/heap/allocs-by-size:bytes, expected one of them")


def is_trace(path, head):
    """Return whether ``read_trace`` would open a file."""
    return any(reader.recognises(path, head) for reader in trace_readers())


def open_trace(path, what):
    """Return the histogram of the trace at ``path``."""
    found = Histogram.of_trace(read_trace(path), what)
    return replace(found, meta=found.meta._replace(origin=str(path)))


_readers = [
    Reader("a pprof heap profile", is_pprof, open_pprof),
    Reader("runtime/metrics or MemStats in JSON", is_json, open_json),
    Reader("a CSV table of size and count", is_csv, open_csv),
    Reader("a trace or recorded case", is_trace, open_trace),
]


def read_histogram(path, what="allocated"):
    """Open whatever tells the sizes of a program's objects.

    Parameters
    ----------
    path : str or os.PathLike
        A pprof heap or allocs profile, runtime/metrics or MemStats as JSON, a CSV table, or what
        :func:`mheaplab.read_trace` opens.
    what : {"allocated", "in use"}
        All objects since the program's start, or those not yet freed (in a trace: still alive at its end).

    Returns
    -------
    Histogram
        Its ``meta`` says what the sizes are and how far they are known.

    Raises
    ------
    FormatError
        If there is no such file, it is of no known kind, or it is not what it claims to be.
    ValueError
        If ``what`` is neither word, or the file cannot tell what is in use.

    Examples
    --------
    >>> h = mh.read_histogram("heap.pb.gz", what="in use")     # doctest: +SKIP
    """
    check_what(what)
    return open_first(_readers, path, what)

"""read_program: whatever a Go user has of a program, as something to simulate.

A trace or a recording is that already.  A profile or a table of sizes says what was allocated, but neither in what
order nor for how long: the order is drawn, and objects live as long as the file itself suggests.  In a heap that is in
balance what lives is what is allocated during one mean lifetime (Little's law, with bytes allocated as the clock), so
the mean lifetime is the bytes in use, where the file knows them.
"""

from pathlib import Path

from .histograms import read_histogram
from .histograms.readers import is_trace
from .traces import read_trace
from .traces.readers import first_bytes
from .workloads import Exponential

LEAST_HEAP = 4 << 20
"""Bytes that live where nothing is known: what a heap has at GOGC=100 before its first collection."""
HEADER = 8
"""Bytes of the malloc header (Go 1.22 and later) of objects with pointers above 512 bytes."""
MOST_OBJECTS = 1 << 21
"""Objects that a program made from a histogram allocates, unless told otherwise: a second or less to simulate."""


def read_program(path, *, lifetime=None, objects=None, seed=0):
    """Open what there is of a program, as a trace.

    Parameters
    ----------
    path : str or os.PathLike
        What :func:`mheaplab.read_trace` opens (a Go execution trace, a recording, a case, Parquet) or what
        :func:`mheaplab.read_histogram` opens (a pprof profile, runtime/metrics or MemStats as JSON, a CSV of sizes).
    lifetime : object, optional
        For a histogram: one of ``mh.workloads``, such as ``Exponential(1 << 20)``.  Default: exponential, with the
        bytes in use that the file tells as mean, or Go's least heap of 4 MiB.
    objects : int, optional
        For a histogram: how many to allocate.  Default: as many as were counted, 2,097,152 at most.
    seed : int
        Where random numbers begin: the order and the lifetimes of a histogram, the deaths of a trace.

    Returns
    -------
    Trace

    Raises
    ------
    FormatError
        If there is no such file, it is of no known kind, or it is not what it claims to be.
    ValueError
        If an argument is illegal.

    Examples
    --------
    >>> run = mh.simulate(mh.read_program("heap.pb.gz"), mh.HeapParams.go127(gogc=50))     # doctest: +SKIP
    """
    path = Path(path)
    if is_trace(path, first_bytes(path)):
        return read_trace(path, seed=seed)
    histogram = read_histogram(path)
    if lifetime is None:
        lifetime = Exponential(float(in_use_bytes(path) or LEAST_HEAP))
    if objects is None:
        objects = min(histogram.objects, MOST_OBJECTS)
    header = HEADER if histogram.meta.sizes == "slot" and has_headers(histogram.meta.go) else 0
    trace = histogram.workload(lifetime, objects=objects, header=header).trace(seed=seed)
    deaths = f"assumed: {lifetime.KIND} lifetimes, order drawn with seed {seed}"
    return trace.described(path.name, origin=str(path), program=path.name, go=histogram.meta.go, deaths=deaths)


def in_use_bytes(path):
    """Return the bytes in use by the histogram at ``path``, None if it cannot tell."""
    try:
        return read_histogram(path, "in use").bytes
    except ValueError:
        return None


def has_headers(go):
    """Return whether objects with pointers have a malloc header in the Go version ``go``; so if it is not known."""
    numbers = go.removeprefix("go").split(".")[:2]
    known = len(numbers) == 2 and all(n.isdigit() for n in numbers)
    return not known or [int(n) for n in numbers] >= [1, 22]

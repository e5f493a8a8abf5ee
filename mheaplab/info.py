"""info: what a file holds, as lines of a name and a value: the command ``mheaplab info``, as a function."""

from pathlib import Path

import numpy as np

from .case import EVENTS_SUFFIX, load_case
from .histograms import describe, read_histogram
from .histograms.readers import is_trace
from .results import load_result
from .runtime.structs import KIND_NAMES, MALLOC
from .traces import read_trace
from .traces.readers import first_bytes
from .traces.summary import summarise

KINDS_IN_WORDS = {
    "ALLOC": "objects allocated", "DEATH": "objects that die", "STACK_ALLOC": "stacks", "STACK_FREE": "stacks freed",
    "FORCED_GC": "calls of the collector", "PHASE": "phases",
}  # fmt: skip
UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def size_words(nbytes):
    """Return bytes in the largest binary unit that leaves a number of at least 1."""
    k = min((max(int(nbytes), 1).bit_length() - 1) // 10, len(UNITS) - 1)
    return f"{nbytes:,} B" if k == 0 else f"{nbytes / (1 << 10 * k):.4g} {UNITS[k]}"


def info(path, progress=None):
    """Return what a file holds.

    Parameters
    ----------
    path : str or os.PathLike
        A case, a trace of any kind that ``read_trace`` opens, a table of sizes that ``read_histogram`` opens, or the
        folder of a result.
    progress : callable, optional
        Called while a trace is read, with the number of events so far and of all, None if that is not known.

    Returns
    -------
    dict of str to str
        Lines to show; the first says what it is.

    Raises
    ------
    FormatError
        If it is none of these, or not what it claims to be.
    """
    path = Path(path)
    if (path / "run.json").is_file():
        return result_info(load_result(path))
    if path.name.endswith(EVENTS_SUFFIX) or Path(f"{path}{EVENTS_SUFFIX}").is_file():
        return case_info(load_case(path))
    if is_trace(path, first_bytes(path)):
        return trace_info(read_trace(path), progress)
    return histogram_info(read_histogram(path))


def histogram_info(histogram):
    """Return the lines of a table of sizes."""
    lines = {}
    for name, value in describe(histogram).items():
        number = f"{value:,}" if isinstance(value, int) else value
        lines[name] = size_words(value) if name.endswith("bytes") else number
    return lines


def case_info(case):
    """Return the lines of a recorded case."""
    events = case.events
    counts = np.bincount(events.kind, minlength=len(KIND_NAMES))
    kinds = {name: f"{n:,}" for name, n in zip(KIND_NAMES, counts.tolist(), strict=False) if n}
    allocated = int(events.size[events.kind == MALLOC].sum())
    truth = "none" if case.truth is None else f"addresses of all events, {len(case.truth['span_base']):,} spans"
    return {
        "case": case.name, "go": case.go, "events": f"{len(case):,}", **kinds,
        "bytes allocated": size_words(allocated), "truth": truth,
    }  # fmt: skip


def trace_info(trace, progress=None):
    """Return the lines of a trace, which is read to its end."""
    found = summarise(trace, progress)
    meta = {name: str(value) for name, value in trace.meta.items() if value and name not in ("ids", "origin")}
    kinds = {KINDS_IN_WORDS[kind]: f"{n:,}" for kind, n in found.counts.items() if n}
    share = f", {found.noscan / found.allocated:.1%} without pointers" if found.allocated else ""
    return {
        "trace": trace.name, **meta, "events": f"{found.events:,}", **kinds,
        "bytes allocated": size_words(found.allocated) + share,
        "largest object": size_words(found.largest),
        "reachable at most": f"{size_words(found.live_peak)} at once, {found.objects_peak:,} objects at once",
        "reachable at the end": f"{size_words(found.live)} in {found.objects:,} objects",
        "stacks at most": size_words(found.stacks_peak),
        "Ps": f"{found.procs}",
        "time": f"{found.seconds:.6g} s" if found.seconds else "not known",
        "sha256": trace.digest,
    }  # fmt: skip


def result_info(result):
    """Return the lines of a saved run."""
    facts = result.provenance
    last = result.samples[-1] if len(result.samples) else None
    lines = {
        "result": result.name, "go": result.params.go,
        "changed parameters": ", ".join(f"{k}={v}" for k, v in result.params.changes().items()) or "none",
        "events": f"{facts['events_done']:,} of {facts['events_total']:,}",
        "collections": f"{len(result.cycles):,}", "samples": f"{len(result.samples):,}",
    }  # fmt: skip
    if last is not None:
        lines["heap in use"] = f"{size_words(int(result.samples['heap_in_use'].max()))} at most"
        lines["mapped"] = f"{size_words(int(last['mapped']))} at the end"
    return lines

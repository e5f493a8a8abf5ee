"""Metrics: a run in a dozen numbers, each with its unit and its meaning.

What is compared, optimised or put into a table is registered here first.  A mean over a run is taken over its events,
each sample counting for the events around it; a share of time is a share of what all Ps had.
"""

from dataclasses import dataclass

import numpy as np

PERCENTILE = 0.99


@dataclass(frozen=True)
class Metric:
    """A number that a run has.

    Attributes
    ----------
    name : str
        How code calls it.
    label : str
        What a table calls it.
    unit : {"bytes", "share", "pages", "ns", ""}
        "share" is 0 to 1; "" is a count.
    text : str
        What it means, in a sentence.
    of : callable
        Returns the number of a ``Result``.
    """

    name: str
    label: str
    unit: str
    text: str
    of: object


def mean_over_events(result, values):
    """Return the mean of ``values``, one per sample, over the events of a run."""
    events = result.samples["event"]
    if len(events) == 0:
        return 0.0
    span = float(events[-1] - events[0])
    return float(np.trapezoid(values, events)) / span if span > 0 else float(values[-1])


def backed(samples):
    """Return the bytes that the OS backs with memory: mapped and not released."""
    return samples["mapped"] - samples["released"]


def waste_share(samples):
    """Return the share of the heap's backed memory, stacks aside, that holds no live object."""
    waste = sum(samples[name] for name in ("garbage", "free_slots", "tail", "free"))
    return waste / np.maximum(waste + samples["live"], 1)


def huge_share(samples):
    """Return the share of pages in use that lie in huge pages of which every page is in use."""
    used = samples["heap_in_use"] + samples["stacks"] + samples["other_spans"]
    return samples["huge"] / np.maximum(used, 1)


def _last(result, *names):
    """Return the sum of columns in the last sample."""
    return float(sum(result.samples[name][-1] for name in names)) if len(result.samples) else 0.0


def _time_share(result, *names):
    """Return the share of all Ps' time that went into something."""
    total = _last(result, "time_ns") * max(result.params.procs, 1)
    return _last(result, *names) / total if total > 0 else 0.0


def tail_counts(histogram):
    """Return (values, counts): how many of a histogram's members are at least 1, 2, 4, 8, ...

    Parameters
    ----------
    histogram : numpy.ndarray of int64
        Bin 0 counts values of 0, bin k values from 2**(k-1) up to 2**k.
    """
    counts = np.cumsum(histogram[::-1])[::-1]
    return np.exp2(np.arange(len(histogram) - 1)), counts[1:]


def percentile(histogram, share=PERCENTILE):
    """Return the least 2**k - 1 that at least ``share`` of a histogram's members do not exceed; 0 if it is empty."""
    total = int(histogram.sum())
    if total == 0:
        return 0
    k = int(np.searchsorted(np.cumsum(histogram), share * total))
    return (1 << k) - 1


def _peak(values):
    return int(values.max(initial=0))


METRICS = (
    Metric("collections", "collections", "", "collections that ended", lambda r: len(r.cycles)),
    Metric("peak_in_use", "peak in use", "bytes", "most memory in heap spans (HeapInuse) at a sample",
           lambda r: _peak(r.samples["heap_in_use"])),
    Metric("peak_backed", "peak backed", "bytes", "most memory that the OS backed at a sample: mapped, not released",
           lambda r: _peak(backed(r.samples))),
    Metric("peak_mapped", "peak mapped", "bytes", "most memory mapped, backed or not",
           lambda r: _peak(r.samples["mapped"])),
    Metric("mean_live", "mean live", "bytes", "slots of objects that the program could reach, mean over the events",
           lambda r: mean_over_events(r, r.samples["live"])),
    Metric("mean_backed", "mean backed", "bytes", "memory that the OS backed, mean over the events",
           lambda r: mean_over_events(r, backed(r.samples))),
    Metric("mean_waste", "mean waste", "share",
           "part of backed memory, stacks aside, that held no live object: garbage, free slots, tails, free pages",
           lambda r: mean_over_events(r, waste_share(r.samples))),
    Metric("mean_huge", "mean in whole huge pages", "share",
           "part of the pages in use that lie in huge pages without a free page, mean over the events",
           lambda r: mean_over_events(r, huge_share(r.samples))),
    Metric("gc_share", "collector's time", "share", "part of all Ps' time spent marking, by workers and in assists",
           lambda r: _time_share(r, "assist_ns", "mark_ns")),
    Metric("assist_share", "assist time", "share", "part of all Ps' time in which allocations had to mark",
           lambda r: _time_share(r, "assist_ns")),
    Metric("stall_share", "stall time", "share",
           "part of all Ps' time that allocations took beyond their own: sweeping, scavenging, assisting",
           lambda r: _time_share(r, "stall_ns")),
    Metric("swept_p99", "pages swept, p99", "pages",
           "of allocations that had to sweep, 99 of 100 swept at most so many pages",
           lambda r: percentile(r.histograms["swept_pages"])),
    Metric("stall_p99", "stall, p99", "ns", "of allocations that were held up, 99 of 100 for at most so long",
           lambda r: percentile(r.histograms["stall_ns"])),
    Metric("scavenged", "given back", "bytes", "memory returned to the OS in the whole run",
           lambda r: int(_last(r, "scavenged_background", "scavenged_allocation", "scavenged_all"))),
)  # fmt: skip
"""All metrics, in the order of a table."""


def metric(name):
    """Return the metric of that name.

    Raises
    ------
    ValueError
        If there is none.
    """
    for found in METRICS:
        if found.name == name:
            return found
    raise ValueError(f"metric = {name!r} is outside its legal range: one of {', '.join(m.name for m in METRICS)}")


def summary(result):
    """Return all metrics of a result as a dict by name.

    Parameters
    ----------
    result : Result

    Returns
    -------
    dict of str to int or float
        Units and meanings are in ``METRICS``.
    """
    return {m.name: m.of(result) for m in METRICS}

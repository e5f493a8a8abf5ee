"""compare: a prediction beside what Go did, kind by kind, with the first differences in context."""

from dataclasses import dataclass, field

import numpy as np

from .errors import FormatError
from .replay import SPAN_NAMES
from .runtime.structs import MALLOC, SCAVENGE, SPAN_ALLOC, STACK_ALLOC, SWEEPONE

SHOWN = 5
"""Differences listed per kind."""
EVENT_PARTS = (
    ("objects", MALLOC, ("addr",)),
    ("manual spans", SPAN_ALLOC, ("addr", "scav", "needzero")),
    ("stacks", STACK_ALLOC, ("addr",)),
    ("sweeps", SWEEPONE, ("addr",)),
    ("scavenges", SCAVENGE, ("addr", "scav")),
)


@dataclass(frozen=True)
class Agreement:
    """How far a prediction agrees with the truth.

    Attributes
    ----------
    matched, total : dict of str to int
        Per kind: "objects", "manual spans", "stacks", "sweeps", "scavenges", "spans" (all six columns equal).
    differences : list of str
        The first few differences of each kind, with their context.
    """

    matched: dict
    total: dict
    differences: list = field(repr=False)

    @property
    def exact(self):
        """Whether everything agrees."""
        return self.matched == self.total

    def __str__(self):
        rows = []
        for kind, total in self.total.items():
            share = 100.0 if total == 0 else 100.0 * self.matched[kind] / total
            rows.append(f"{kind:>12}: {self.matched[kind]:>10,} of {total:>10,}  {share:8.3f}%")
        return "\n".join(rows + self.differences)


def _compare_events(case, pred, truth, part):
    name, kind, columns = part
    rows = np.flatnonzero(case.events.kind == kind)
    same = np.ones(len(rows), bool)
    for column in columns:
        same &= getattr(pred, column)[rows] == truth[column][rows]
    notes = []
    for i in rows[~same][:SHOWN].tolist():
        found = ", ".join(
            f"{c} {int(getattr(pred, c)[i]):#x} instead of {int(truth[c][i]):#x}" for c in columns
        )
        notes.append(f"{name}: {case.describe(i)}: {found}")
    return int(same.sum()), len(rows), notes


def _compare_spans(case, pred, truth):
    ours, theirs = len(pred.spans), len(truth["span_base"])
    n = min(ours, theirs)
    same = np.ones(n, bool)
    for column in SPAN_NAMES:
        same &= pred.spans[column][:n].astype(np.int64) == truth[column][:n].astype(np.int64)
    notes = []
    for k in np.flatnonzero(~same)[:SHOWN].tolist():
        found = ", ".join(
            f"{c[5:]} {int(pred.spans[c][k]):#x} instead of {int(truth[c][k]):#x}"
            for c in SPAN_NAMES
            if int(pred.spans[c][k]) != int(truth[c][k])
        )
        event = int(truth["span_event"][k])
        during = case.describe(event) if 0 <= event < len(case) else "after the last event"
        notes.append(f"spans: span {k} (during {during}): {found}")
    if ours != theirs:
        notes.append(f"spans: {ours} predicted, Go allocated {theirs}")
    return int(same.sum()), max(ours, theirs), notes


def compare(pred, truth):
    """Compare a prediction with what Go did.

    Parameters
    ----------
    pred : Prediction
    truth : dict of str to numpy.ndarray
        ``case.truth``.

    Returns
    -------
    Agreement

    Raises
    ------
    FormatError
        If there is no truth, or it has another number of events.
    """
    case = pred.case
    if truth is None:
        raise FormatError(f"{case.name}: there is no truth file to compare with")
    if len(truth["addr"]) != len(pred.addr):
        raise FormatError(f"{case.name}: {len(truth['addr'])} events in the truth, {len(pred.addr)} predicted")
    matched, total, notes = {}, {}, []
    for part in EVENT_PARTS:
        matched[part[0]], total[part[0]], more = _compare_events(case, pred, truth, part)
        notes += more
    matched["spans"], total["spans"], more = _compare_spans(case, pred, truth)
    return Agreement(matched, total, notes + more)

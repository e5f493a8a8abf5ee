"""generate_phases: what is held, evicted and dropped, on workloads so small that one can say what must come out."""

import pytest

from mheaplab.workloads import Fixed, Held, Immortal, Phase, Stream, UntilPhaseEnds, Workload
from mheaplab.workloads.plan import Plan


def events(streams, phases, seed=0):
    """Return all events as (kind, size, id)."""
    generator = Plan(Workload("w", streams, phases), 1.0).start(seed)
    found = generator.next_events(1000)
    assert generator.done
    return list(zip(found.kind.tolist(), found.size.tolist(), found.id.tolist(), strict=True))


def test_the_oldest_goes_first():
    found = events([Stream("c", Fixed(10), Held(30))], [Phase("p", {"c": 1}, allocs=6)])
    assert found[:5] == [(5, 0, 0), (0, 10, 0), (0, 10, 1), (0, 10, 2), (0, 10, 3)]
    # The fourth object is one too many: 0 dies, its id is used again, then 1, and so on.
    assert found[5:] == [(1, 0, 0), (0, 10, 0), (1, 0, 1), (0, 10, 1), (1, 0, 2)]


@pytest.mark.parametrize("replacement", ["oldest", "random", "second chance"])
def test_never_more_than_may_be_held(replacement):
    held = Held(100, replacement, 0.9)
    found = events([Stream("c", Fixed(30), held)], [Phase("p", {"c": 1}, allocs=200)], seed=4)
    live = 0
    for i, (kind, size, _) in enumerate(found):
        live += {0: size, 1: -30}.get(kind, 0)
        assert live <= 100 or found[i + 1][0] == 1
    assert live == 90


def test_a_phase_may_hold_less():
    streams = [Stream("c", Fixed(10), Held(1000)), Stream("k", Fixed(8), Immortal())]
    phases = [Phase("one", {"c": 1}, allocs=5), Phase("two", {"k": 1}, allocs=1, hold={"c": 20})]
    found = events(streams, phases)
    assert found[6:] == [(5, 1, 0), (1, 0, 0), (1, 0, 1), (1, 0, 2), (0, 8, 2)]


def test_the_end_of_a_phase():
    streams = [Stream("u", Fixed(8), UntilPhaseEnds()), Stream("k", Fixed(16), Immortal())]
    phases = [
        Phase("one", {"u": 1}, allocs=3, collect_end="free"),
        Phase("two", {"k": 1}, bytes=17, drop={"k": 1.0}, collect_end="gc"),
        Phase("three", {"k": 1}, allocs=1),
    ]
    found = events(streams, phases)
    assert [kind for kind, _, _ in found] == [5, 0, 0, 0, 1, 1, 1, 4, 5, 0, 0, 1, 1, 4, 5, 0]
    assert sorted(name for kind, _, name in found[4:7]) == [0, 1, 2]
    assert (found[7], found[13]) == ((4, 1, 0), (4, 0, 0))


def test_collections_by_volume():
    found = events([Stream("k", Fixed(10), Immortal())], [Phase("p", {"k": 1}, allocs=7, collect_every=25)])
    assert [kind for kind, _, _ in found] == [5, 0, 0, 0, 4, 0, 0, 0, 4, 0]

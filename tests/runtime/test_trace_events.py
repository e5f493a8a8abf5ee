"""trace_events: columns of the types that the simulation and the files agree on."""

from mheaplab.runtime.trace_events import TRACE_KIND_NAMES, TRACE_TYPES, new_trace_events, slice_trace_events


def test_columns():
    events = new_trace_events(5)
    assert [c.dtype.str[1:] for c in events] == list(TRACE_TYPES)
    assert all(len(c) == 5 and not c.any() for c in events)
    part = slice_trace_events(events, 2, 4)
    part.size[:] = 7
    assert events.size.tolist() == [0, 0, 7, 7, 0]


def test_names():
    import mheaplab.runtime.trace_events as module

    assert len(TRACE_KIND_NAMES) == module.KINDS
    assert all(getattr(module, name) == i for i, name in enumerate(TRACE_KIND_NAMES))

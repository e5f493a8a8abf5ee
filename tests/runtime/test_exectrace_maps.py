"""exectrace_maps: against a dict."""

import numpy as np
from runtime.entry import entry

from mheaplab.runtime.exectrace_maps import map_fill, map_get, map_has_room, map_put, map_remove
from mheaplab.runtime.exectrace_structs import MAP, MAP_SLOT

PUT, REMOVE, GET = range(3)


@entry
def drive(m, ops, got):
    """Do rows (kind, key, word)."""
    for i in range(len(ops)):
        kind = ops[i, 0]
        if kind == PUT:
            map_put(m, ops[i, 1], ops[i, 2])
        elif kind == REMOVE:
            map_remove(m, ops[i, 1])
        else:
            got[i] = map_get(m, ops[i, 1])
    return map_has_room(m, 1)


def new_map(size):
    """Return (record, slots) of an empty map."""
    m, slots = np.zeros(1, MAP)[0], np.zeros(size, MAP_SLOT)
    m["slots_at"], m["slots_cap"], m["slots_len"] = slots.ctypes.data, size, size
    return m, slots


def test_as_a_dict(rng):
    m, slots = new_map(64)
    twin = {}
    keys = rng.integers(0, 1 << 63, 60, dtype=np.uint64)
    keys[0] = 0
    for step in range(40):
        rows, want = [], []
        for _ in range(20):
            kind, key, word = int(rng.integers(3)), int(rng.choice(keys)), int(rng.integers(1, 100))
            if kind == PUT and len(twin) < 47:
                twin[key] = word
            elif kind == REMOVE:
                twin.pop(key, None)
            else:
                kind = GET
            rows.append((kind, key, word))
            want.append(twin.get(key, 0) if kind == GET else 0)
        got = np.zeros(20, np.uint64)
        drive(m, np.array(rows, np.uint64), got)
        assert got.tolist() == want, step
        assert m["used"] == len(twin) == np.count_nonzero(slots["word"])
    larger, kept = new_map(256)
    map_fill(larger, slots)
    assert dict(zip(kept["key"].tolist(), kept["word"].tolist(), strict=True)).items() >= twin.items()
    assert larger["used"] == len(twin)


def test_room():
    m, _ = new_map(4)
    none = np.zeros((0, 3), np.uint64)
    assert drive(m, none, np.zeros(0, np.uint64))
    m["used"] = 3
    assert not drive(m, none, np.zeros(0, np.uint64))

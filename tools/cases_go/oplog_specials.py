#!/usr/bin/env python3
"""Let the runtime log more than the oracle's overlay does: specials, stacks and what sweeping did about finalizers.

Usage: oplog_specials.py GOROOT FOLDER        (FOLDER holds the overlay.json that oplog_go119.py wrote for GOROOT)

The oracle's overlay logs heap spans and objects; stacks appear in it as spans only, and finalizers not at all.  This
adds, to the copies in FOLDER, records of the causes, so that a case may hold these instead of their effects.  GOROOT is
only read, and only the inserted lines are ours.

Records added (the format is the oracle's: u8 op, u8 p, u16 flags, u32 aux, u64 a, b, c):

    op                   flags                      a           b
    ADD_SPECIAL     14   kind                       object      -           before addspecial sweeps the span
    REMOVE_SPECIAL  15   kind                       object      -           before removespecial sweeps the span
    FREE_SPECIAL    30   kind                       object      slot size   sweeping took it off an unmarked object
    STACK_ALLOC     31   1: passed by the P's cache stack       bytes       done
    STACK_FREE      32   the same                   stack       bytes       about to begin
    FREE_STACKS     33   -                          -           -           freeStackSpans is about to begin
    CLEAR_STACKS    34   -                          -           -           stackcache_clear is about to begin

That marking begins is the oracle's own record GCPHASE (17) with flags 1.
"""

import json
import sys
from pathlib import Path

ADD_SPECIAL, REMOVE_SPECIAL, FREE_SPECIAL = 14, 15, 30
STACK_ALLOC, STACK_FREE, FREE_STACKS, CLEAR_STACKS = 31, 32, 33, 34


# For each file: a text that is there once, and what it becomes.
PATCHES = {
    "mheap.go": [
        (
            "func addspecial(p unsafe.Pointer, s *special) bool {\n",
            "func addspecial(p unsafe.Pointer, s *special) bool {\n"
            f"\toplog({ADD_SPECIAL}, uint16(s.kind), 0, uint64(uintptr(p)), 0, 0)\n",
        ),
        (
            "func removespecial(p unsafe.Pointer, kind uint8) *special {\n",
            "func removespecial(p unsafe.Pointer, kind uint8) *special {\n"
            f"\toplog({REMOVE_SPECIAL}, uint16(kind), 0, uint64(uintptr(p)), 0, 0)\n",
        ),
        (
            "func freeSpecial(s *special, p unsafe.Pointer, size uintptr) {\n",
            "func freeSpecial(s *special, p unsafe.Pointer, size uintptr) {\n"
            f"\toplog({FREE_SPECIAL}, uint16(s.kind), 0, uint64(uintptr(p)), uint64(size), 0)\n",
        ),
    ],
    "stack.go": [
        (
            "\treturn stack{uintptr(v), uintptr(v) + uintptr(n)}\n}\n\n// stackfree frees",
            f"\toplog({STACK_ALLOC}, oplogB2i(thisg.m.p == 0 || thisg.m.preemptoff != \"\"), 0,"
            " uint64(uintptr(v)), uint64(n), 0)\n"
            "\treturn stack{uintptr(v), uintptr(v) + uintptr(n)}\n}\n\n// stackfree frees",
        ),
        (
            "\tif n&(n-1) != 0 {\n\t\tthrow(\"stack not a power of 2\")\n\t}\n",
            f"\toplog({STACK_FREE}, oplogB2i(gp.m.p == 0 || gp.m.preemptoff != \"\"), 0,"
            " uint64(uintptr(v)), uint64(n), 0)\n"
            "\tif n&(n-1) != 0 {\n\t\tthrow(\"stack not a power of 2\")\n\t}\n",
        ),
        ("func freeStackSpans() {\n", f"func freeStackSpans() {{\n\toplog({FREE_STACKS}, 0, 0, 0, 0, 0)\n"),
        (
            "func stackcache_clear(c *mcache) {\n",
            f"func stackcache_clear(c *mcache) {{\n\toplog({CLEAR_STACKS}, 0, 0, 0, 0, 0)\n",
        ),
    ],
}


def patched(name, text):
    """Return the text of runtime file ``name`` with our lines; SystemExit if it is not what we know."""
    for anchor, new in PATCHES[name]:
        if text.count(anchor) != 1:
            raise SystemExit(f"{name}: found {text.count(anchor)} times, expected once: {anchor!r}")
        text = text.replace(anchor, new)
    return text


def main(goroot, folder):
    """Patch the overlay in ``folder``."""
    runtime, folder = Path(goroot) / "src" / "runtime", Path(folder).resolve()
    overlay = json.loads((folder / "overlay.json").read_text())
    for name in PATCHES:
        copy = Path(overlay["Replace"].get(str(runtime / name), runtime / name))
        text = patched(name, copy.read_text())
        (folder / name).write_text(text)
        overlay["Replace"][str(runtime / name)] = str(folder / name)
    (folder / "overlay.json").write_text(json.dumps(overlay, indent=1))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])

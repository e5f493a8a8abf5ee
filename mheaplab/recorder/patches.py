"""patches: where our lines go in the runtime of each Go version: the recorder's, and those that say MemStats at exit.

A patch names a file of the runtime, a function (or none) and a text of it that stands there once; our lines go before
or after that text, or in its place.  Go's own source is read when a program is built and written, with our lines, to
the folder of the overlay: what is here of it is just enough to find the places.  If a text is not found, or twice, the
message names the file and the text, and nothing is built.
"""

from typing import NamedTuple

from ..errors import GoError

BEFORE, AFTER, INSTEAD = "before", "after", "instead of"


class Patch(NamedTuple):
    """Lines of ours at one place of the runtime."""

    file: str
    where: str
    """BEFORE, AFTER or INSTEAD of ``text``."""
    text: str
    ours: str
    function: str = ""
    """The text is looked for from this beginning of a function to the brace that ends it; "": in the whole file."""


def _sweepone(file, before, after, who):
    """Let one caller of sweepone say who it is."""
    return Patch(file, INSTEAD, f"{before}sweepone(){after}", f"{before}recSweeponeFor({who}){after}")


def _exit(file, function, text, why):
    """Write the end mark before the process exits."""
    return Patch(file, BEFORE, text, f"\trecEnd({why})\n", function)


RELEASED = "\tmp.mallocing = 0\n\treleasem(mp)\n"
BLACK = "recB2i(gcphase != _GCoff)<<2"
SPAN = (
    "\trecPut3(recSpanAlloc, uint8(typ)|uint8(s.needzero)<<3, recSpanSort(typ, spanclass),"
    " uint64(s.base()), uint64(npages), uint64(scav))\n"
)
FREED = "\trecPut(recSpanFree, uint8(typ), 0, uint64(s.base()), uint64(s.npages))\n"

COMMON = [
    Patch("mheap.go", BEFORE, "\th.setSpans(s.base(), npages, s)\n\n\tif !typ.manual() {", SPAN),
    Patch(
        "mheap.go",
        AFTER,
        "func (h *mheap) reclaim(npage uintptr) {\n",
        "\trecPut(recReclaim, 0, 0, 0, uint64(npage))\n",
    ),
    Patch(
        "mpagecache.go",
        BEFORE,
        "\tci := chunkIndex(c.base)\n\tpi := chunkPageIndex(c.base)\n\n\t// This method",
        "\trecPcacheFlushed(c)\n",
    ),
    Patch(
        "mgcscavenge.go",
        AFTER,
        "\t\t\tp.chunkOf(ci).scavenged.setRange(base, npages)\n",
        "\t\t\trecPut3(recScavenge, 0, 0, uint64(addr), uint64(npages), uint64(maxPages))\n",
    ),
    Patch("mgcsweep.go", AFTER, "\tnalloc := uint16(s.countAlloc())\n", "\trecSwept(s, preserve, nalloc)\n"),
    Patch(
        "mgcsweep.go",
        AFTER,
        "func (s *mspan) ensureSwept() {\n",
        "\trecPut(recEnsureSwept, 0, 0, uint64(s.base()), 0)\n",
    ),
    _sweepone("mgcsweep.go", "\t\tif ", " == ^uintptr(0) {\n", 1),
    _sweepone("mgcsweep.go", "\t\tfor ", " != ^uintptr(0) {\n", 2),
    _sweepone("mgcsweep.go", "\n\tfor ", " != ^uintptr(0) {\n", 3),
    _sweepone("mgc.go", "\tfor trigger.test() && ", " != ^uintptr(0) {\n", 5),
    _sweepone("mgc.go", "\t\tfor ", " != ^uintptr(0) {\n", 6),
    Patch("mgc.go", AFTER, "func setGCPhase(x uint32) {\n", "\trecPut(recPhase, uint8(x), 0, 0, 0)\n"),
    Patch("mcache.go", AFTER, "func (c *mcache) releaseAll() {\n", "\trecMcacheFlushed(c)\n"),
    Patch("mcache.go", BEFORE, "\tc.alloc[spc] = s\n", "\trecPut(recRefill, 0, uint8(spc), uint64(s.base()), 0)\n"),
    Patch(
        "proc.go",
        AFTER,
        "func procresize(nprocs int32) *p {\n",
        "\trecPut(recProcs, 0, 0, 0, uint64(nprocs))\n",
    ),
    _exit("proc.go", "func main() {\n", "\texit(0)\n", "1, 0"),
    _exit("runtime.go", "func syscall_Exit(code int) {\n", "\texit(int32(code))\n", "1, int32(code)"),
    _exit("panic.go", "func fatalpanic(", "\t\texit(2)\n", "2, 2"),
    _exit("signal_unix.go", "func dieFromSignal(sig uint32) {\n", "\tunblocksig(sig)\n", "3, int32(sig)"),
]

GO119 = [
    *COMMON,
    Patch("mheap.go", BEFORE, "\th.pages.free(s.base(), s.npages, false)\n", FREED),
    Patch(
        "malloc.go",
        AFTER,
        "\t\t\t\tc.tinyAllocs++\n",
        "\t\t\t\trecPut(recMalloc, 1|recB2i(needzero)<<1|8, uint8(tinySpanClass),"
        " uint64(uintptr(x)), uint64(userSize))\n",
    ),
    Patch(
        "malloc.go",
        AFTER,
        "\tspan.freeIndexForScan = span.freeindex\n",
        f"\trecPut(recMalloc, recB2i(noscan)|recB2i(needzero)<<1|{BLACK}, uint8(span.spanclass),"
        " uint64(uintptr(x)), uint64(userSize))\n",
        "func mallocgc(",
    ),
    _sweepone("mgc.go", "\tfor atomic.Load(&work.cycles) == n+1 && ", " != ^uintptr(0) {", 4),
    Patch("mgc.go", AFTER, "\tmheap_.sweepgen += 2\n", "\trecPut(recSweepgen, 0, 0, 0, 0)\n"),
    _exit("panic.go", "func fatalthrow(", "\t\texit(2)\n", "2, 2"),
    _exit("signal_unix.go", "func sighandler(", "\texit(2)\n", "2, 2"),
    Patch("proc.go", AFTER, "\n\tgoenvs()\n", "\trecDecide()\n", "func schedinit() {\n"),
]


def _malloc127(function, flags, size="recordedSize"):
    """Record what one of Go 1.27's functions allocates, just before the P is released."""
    return Patch(
        "malloc.go",
        BEFORE,
        RELEASED,
        f"\trecPut(recMalloc, {flags}|{BLACK}, uint8(span.spanclass), uint64(uintptr(x)), uint64({size}))\n",
        f"func {function}(",
    )


def _keep_size(function, end):
    """Keep the size that was asked for, which the function rounds up."""
    return Patch("malloc.go", AFTER, f"typ *_type{end}) (unsafe.Pointer, uintptr) {{\n", "\trecordedSize := size\n",
                 f"func {function}(")  # fmt: skip


# Green Tea: of the spans that keep marks inline, whose page mark is set.
PAGE_MARKS = """\
	for _, s := range mheap_.allspans {
		if s.state.get() == mSpanInUse && gcUsesSpanInlineMarkBits(s.elemsize) {
			arena, pageIdx, pageMask := pageIndexOf(s.base())
			if arena.pageMarks[pageIdx]&pageMask != 0 {
				recPut(recPageMarked, 0, 0, uint64(s.base()), 0)
			}
		}
	}
"""

GO127 = [
    *COMMON,
    Patch("mheap.go", BEFORE, "\th.pages.free(s.base(), s.npages)\n", FREED),
    Patch(
        "malloc.go",
        AFTER,
        "\t\tc.tinyAllocs++\n",
        "\t\trecPut(recMalloc, 1|8, uint8(tinySpanClass), uint64(uintptr(x)), uint64(size))\n",
        "func mallocgcTiny(",
    ),
    _malloc127("mallocgcTiny", "1", "size"),
    _keep_size("mallocgcSmallNoscan", ", needzero bool"),
    _malloc127("mallocgcSmallNoscan", "1|recB2i(needzero)<<1"),
    _keep_size("mallocgcSmallScanNoHeader", ""),
    _malloc127("mallocgcSmallScanNoHeader", "2"),
    _keep_size("mallocgcSmallScanHeader", ""),
    _malloc127("mallocgcSmallScanHeader", "2|16"),
    _keep_size("mallocgcLarge", ", needzero bool"),
    _malloc127("mallocgcLarge", "recB2i(typ == nil || !typ.Pointers())|recB2i(needzero)<<1"),
    _sweepone("mgc.go", "\tfor work.cycles.Load() == n+1 && ", " != ^uintptr(0) {", 4),
    Patch("mgc.go", AFTER, "\tmheap_.sweepgen += 2\n", "\trecPut(recSweepgen, 0, 0, 0, 0)\n" + PAGE_MARKS),
    _exit("panic.go", "func fatalthrow(", "\n\t\texit(2)\n", "2, 2"),
    _exit("signal_unix.go", "func sighandler(", "\texit(2)\n", "2, 2"),
    Patch("proc.go", AFTER, "\n\tcheckfds()\n", "\trecDecide()\n", "func schedinit() {\n"),
]


MEMSTATS = [
    Patch("proc.go", BEFORE, "\texit(0)\n", "\tmemstatsAtExit()\n", "func main() {\n"),
    Patch("runtime.go", BEFORE, "\texit(int32(code))\n", "\tmemstatsAtExit()\n", "func syscall_Exit(code int) {\n"),
]


class Version(NamedTuple):
    """What one Go release needs."""

    minor: int
    patches: list
    atomic: str
    """Import path of the runtime's atomic operations."""
    experiments: str
    """GOEXPERIMENT of the build: nothing that the twin has no model for."""


VERSIONS = {
    "go1.19": Version(19, GO119, "runtime/internal/atomic", ""),
    "go1.27": Version(27, GO127, "internal/runtime/atomic", "nosizespecializedmalloc,norandomizedheapbase64"),
}


def apply_patch(patch, source, path):
    """Return the text ``source`` of file ``path`` with the lines of ``patch``; GoError if its place is not there."""
    low, high = 0, len(source)
    if patch.function:
        low = source.find("\n" + patch.function) + 1
        if low == 0:
            raise GoError(f"{path}: there is no function that begins {patch.function.strip()!r}")
        high = source.find("\n}\n", low) + 1
    body = source[low:high]
    if body.count(patch.text) != 1:
        within = f" in {patch.function.split('(')[0]}" if patch.function else ""
        raise GoError(
            f"{path}: looked for {patch.text.strip()!r}{within}, expected it once,"
            f" found it {body.count(patch.text)} times"
        )
    parts = {BEFORE: patch.ours + patch.text, AFTER: patch.text + patch.ours, INSTEAD: patch.ours}
    return source[:low] + body.replace(patch.text, parts[patch.where]) + source[high:]

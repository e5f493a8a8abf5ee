"""What docs/coverage.md lists: every named thing of Go's mheap.go, in the order of Go's file by kind.

``module`` is one of mheaplab/runtime/ (or a file, with the class before the name); ``test`` is module::function, in
tests/runtime/ where no folder is named; ``simplified`` is what differs from Go beyond the language.
"""

from typing import NamedTuple

KINDS = {"variable": "Variables", "type": "Types", "function": "Functions"}


class Entry(NamedTuple):
    """One named thing: kind, name in Go, where it is here, the test that holds it, and where mh.Heap shows it."""

    kind: str
    go: str
    module: str
    name: str
    test: str
    heap: str = ""
    simplified: str = ""
    first_words: str = ""


def _entry(kind, go, here, test, heap="", simplified="", first_words=""):
    module, name = here.split(":")
    return Entry(kind, go, module, name, test, heap, simplified, first_words or f"{go}:")


VARIABLES = [
    _entry(
        "variable",
        "mheap_",
        "structs:HEAP",
        "test_state::test_two_heaps",
        simplified="a value: many heaps may exist",
    ),
    _entry("variable", "mSpanStateNames", "structs:SPAN_STATE_NAMES", "test_mspan::test_state_names", heap="span_of"),
    _entry(
        "variable",
        "gcBitsArenas",
        "structs:HEAP",
        "test_mheap_gcbits::test_epochs",
        simplified="one per heap; without its lock",
    ),
]
TYPES = [
    _entry("type", "mheap", "structs:HEAP", "test_state::test_new_heap", simplified="without locks"),
    _entry(
        "type",
        "heapArena",
        "structs:HEAP_ARENA",
        "test_mheap_arena::test_heap_arena",
        heap="page_index_of",
        simplified="without pointer bitmaps and checkmarks; per-page bitmaps are words, Go's are bytes",
    ),
    _entry(
        "type",
        "arenaHint",
        "structs:ARENA_HINT",
        "test_mheap_grow::test_arena_hints_init",
        heap="arena_hints",
        simplified="a stack of rows in place of a list of records",
    ),
    _entry("type", "mSpanState", "structs:SPAN_DEAD", "test_mspan::test_state_names"),
    _entry(
        "type",
        "mSpanStateBox",
        "structs:MSPAN",
        "test_mspan::test_state_box",
        simplified="one thread: a field in place of an atomic box",
    ),
    _entry("type", "mSpanList", "structs:SPAN_LIST", "test_mspan::test_lists_against_python_lists"),
    _entry(
        "type",
        "mspan",
        "structs:MSPAN",
        "test_mspan::test_init",
        heap="spans",
        simplified="without locks and what only marking needs",
    ),
    _entry("type", "spanClass", "mspan:make_span_class", "test_mspan::test_span_class"),
    _entry(
        "type",
        "arenaIdx",
        "mheap_arena:arena_index",
        "test_mheap_arena::test_arena_index_and_base",
        heap="arena_index",
    ),
    _entry("type", "spanAllocType", "structs:SPAN_ALLOC_HEAP", "test_mspan::test_span_alloc_type_manual"),
    _entry(
        "type",
        "special",
        "structs:SPECIAL",
        "test_mheap_specials::test_records_of_a_kind",
        heap="specials",
        simplified="one record for all kinds, with a number as payload",
    ),
    _entry(
        "type",
        "specialfinalizer",
        "structs:SPECIAL_FINALIZER",
        "test_mheap_specials::test_span_whose_only_object_has_a_finalizer",
        heap="add_finalizer",
        simplified="the function is a number",
    ),
    _entry(
        "type",
        "specialprofile",
        "structs:SPECIAL_PROFILE",
        "test_mheap_specials::test_two_collections",
        heap="set_profile_bucket",
        simplified="the bucket is a number",
    ),
    _entry(
        "type",
        "specialReachable",
        "structs:SPECIAL_REACHABLE",
        "test_mheap_specials::test_reachable",
        heap="add_special",
    ),
    _entry(
        "type",
        "specialsIter",
        "mheap_specials:new_specials_iter",
        "test_mheap_specials::test_iterator_next",
        simplified="a pair of indexes",
    ),
    _entry(
        "type",
        "gcBits",
        "tables:GC_BITS",
        "test_mheap_gcbits::test_bits",
        heap="span_of",
        simplified="named by the index of its first word",
    ),
    _entry("type", "gcBitsHeader", "structs:GC_BITS_HEADER_WORDS", "test_mheap_gcbits::test_gc_bits_header"),
    _entry(
        "type",
        "gcBitsArena",
        "structs:GC_BITS_CHUNK_WORDS",
        "test_mheap_gcbits::test_arena_is_filled_to_the_last_word",
        simplified="a stretch of one table",
    ),
]
FUNCTIONS = [
    _entry(
        "function",
        "mSpanStateBox.set",
        "mspan:mspan_state_box_set",
        "test_mspan::test_state_box_refuses_other_values",
        simplified="a plain store",
    ),
    _entry(
        "function",
        "mSpanStateBox.get",
        "mspan:mspan_state_box_get",
        "test_mspan::test_state_box",
        simplified="a plain load",
    ),
    _entry("function", "mSpanList.init", "mspan:mspan_list_init", "test_mspan::test_list_init_and_is_empty"),
    _entry("function", "mSpanList.remove", "mspan:mspan_list_remove", "test_mspan::test_lists"),
    _entry("function", "mSpanList.isEmpty", "mspan:mspan_list_is_empty", "test_mspan::test_list_init_and_is_empty"),
    _entry("function", "mSpanList.insert", "mspan:mspan_list_insert", "test_mspan::test_lists"),
    _entry("function", "mSpanList.insertBack", "mspan:mspan_list_insert_back", "test_mspan::test_lists"),
    _entry("function", "mSpanList.takeAll", "mspan:mspan_list_take_all", "test_mspan::test_lists"),
    _entry("function", "mspan.base", "mspan:mspan_base", "test_mspan::test_base", heap="span_of"),
    _entry("function", "mspan.layout", "mspan:mspan_layout", "test_mspan::test_layout", heap="span_of"),
    _entry("function", "mspan.init", "mspan:mspan_init", "test_mspan::test_init"),
    _entry("function", "mspan.inList", "mspan:mspan_in_list", "test_mspan::test_in_list", heap="span_of"),
    _entry("function", "makeSpanClass", "mspan:make_span_class", "test_mspan::test_span_class"),
    _entry(
        "function", "spanClass.sizeclass", "mspan:span_class_sizeclass", "test_mspan::test_span_class", heap="span_of",
    ),
    _entry("function", "spanClass.noscan", "mspan:span_class_noscan", "test_mspan::test_span_class", heap="span_of"),
    _entry(
        "function",
        "arenaIndex",
        "mheap_arena:arena_index",
        "test_mheap_arena::test_arena_index_and_base",
        heap="arena_index",
    ),
    _entry(
        "function",
        "arenaBase",
        "mheap_arena:arena_base",
        "test_mheap_arena::test_arena_index_and_base",
        heap="arena_base",
    ),
    _entry(
        "function",
        "arenaIdx.l1",
        "mheap_arena:arena_idx_l1",
        "test_mheap_arena::test_arena_idx_in_two_levels",
        heap="arena_l1",
    ),
    _entry(
        "function",
        "arenaIdx.l2",
        "mheap_arena:arena_idx_l2",
        "test_mheap_arena::test_arena_idx_in_two_levels",
        heap="arena_l2",
    ),
    _entry(
        "function", "spanAllocType.manual", "mspan:span_alloc_type_manual", "test_mspan::test_span_alloc_type_manual",
    ),
    _entry(
        "function",
        "newSpecialsIter",
        "mheap_specials:new_specials_iter",
        "test_mheap_specials::test_iterator_next",
    ),
    _entry(
        "function",
        "specialsIter.valid",
        "mheap_specials:specials_iter_valid",
        "test_mheap_specials::test_iterator_next",
    ),
    _entry(
        "function", "specialsIter.next", "mheap_specials:specials_iter_next", "test_mheap_specials::test_iterator_next",
    ),
    _entry(
        "function",
        "specialsIter.unlinkAndNext",
        "mheap_specials:specials_iter_unlink_and_next",
        "test_mheap_specials::test_iterator_unlink_and_next",
    ),
    _entry(
        "function",
        "gcBits.bytep",
        "mheap_gcbits:gc_bits_bytep",
        "test_mheap_gcbits::test_bytes_and_bits",
        simplified="gives the byte, not its address",
    ),
    _entry(
        "function",
        "gcBits.bitp",
        "mheap_gcbits:gc_bits_bitp",
        "test_mheap_gcbits::test_bytes_and_bits",
        simplified="gives the byte and the mask",
    ),
    _entry(
        "function",
        "gcBitsArena.tryAlloc",
        "mheap_gcbits:gc_bits_arena_try_alloc",
        "test_mheap_gcbits::test_try_alloc",
        simplified="not atomic",
    ),
    _entry(
        "function",
        "recordspan",
        "mfixalloc:recordspan",
        "test_mfixalloc::test_recordspan",
        simplified="allspans is its length and capacity: entry k is record k + 1",
    ),
    _entry("function", "inheap", "mheap_arena:in_heap", "test_mheap_arena::test_what_an_address_tells", heap="in_heap"),
    _entry(
        "function",
        "inHeapOrStack",
        "mheap_arena:in_heap_or_stack",
        "test_mheap_arena::test_what_an_address_tells",
        heap="in_heap_or_stack",
    ),
    _entry("function", "spanOf", "mheap_arena:span_of", "test_mheap_arena::test_what_an_address_tells", heap="span_of"),
    _entry(
        "function",
        "spanOfUnchecked",
        "mheap_arena:span_of_unchecked",
        "test_mheap_arena::test_what_an_address_tells",
        heap="span_of_unchecked",
    ),
    _entry(
        "function",
        "spanOfHeap",
        "mheap_arena:span_of_heap",
        "test_mheap_arena::test_what_an_address_tells",
        heap="span_of_heap",
    ),
    _entry(
        "function",
        "pageIndexOf",
        "mheap_arena:page_index_of",
        "test_mheap_arena::test_page_index_of",
        heap="page_index_of",
    ),
    _entry("function", "mheap.init", "state:mheap_init", "test_state::test_new_heap", simplified="plain Python"),
    _entry(
        "function",
        "mheap.reclaim",
        "mgcsweep:mheap_reclaim",
        "test_mgcsweep::test_credit_pays_for_the_next_spans",
        heap="collect",
        simplified="one claimer at a time",
    ),
    _entry(
        "function",
        "mheap.reclaimChunk",
        "mgcsweep:mheap_reclaim_chunk",
        "test_mgcsweep::test_reclaim_frees_exactly_the_unmarked_spans",
        heap="collect",
        simplified="whole words",
    ),
    _entry(
        "function",
        "mheap.alloc",
        "mgcsweep:mheap_alloc",
        "test_mgcsweep::test_no_reclaim_once_swept",
        heap="malloc_large",
    ),
    _entry(
        "function",
        "mheap.allocManual",
        "mheap:mheap_alloc_manual",
        "test_mheap::test_alloc_manual_of_the_heap_type",
        heap="alloc_manual",
    ),
    _entry("function", "mheap.setSpans", "mheap_arena:mheap_set_spans", "test_mheap_arena::test_set_spans"),
    _entry(
        "function",
        "mheap.allocNeedsZero",
        "mheap_arena:mheap_alloc_needs_zero",
        "test_mheap_arena::test_alloc_needs_zero",
        heap="span_of",
        simplified="not atomic",
    ),
    _entry(
        "function", "mheap.tryAllocMSpan", "mheap:mheap_try_alloc_mspan", "test_mheap_records::test_try_alloc_mspan",
    ),
    _entry(
        "function",
        "mheap.allocMSpanLocked",
        "mheap:mheap_alloc_mspan_locked",
        "test_mheap_records::test_alloc_mspan_locked_refills_by_half",
    ),
    _entry(
        "function",
        "mheap.freeMSpanLocked",
        "mheap:mheap_free_mspan_locked",
        "test_mheap_records::test_free_mspan_locked_is_last_in_first_out",
    ),
    _entry(
        "function",
        "mheap.allocSpan",
        "mheap:mheap_alloc_span",
        "test_mheap::test_page_cache",
        heap="malloc_large",
        simplified="without the limiter of scavenging and physical-page alignment of stacks",
    ),
    _entry(
        "function",
        "mheap.initSpan",
        "mheap:mheap_init_span",
        "test_mheap_classes::test_init_span_of_every_class",
        heap="span_of",
        simplified="in 1.19 a part of allocSpan",
        first_words="The part of mheap.allocSpan that later Go calls initSpan",
    ),
    _entry("function", "mheap.grow", "mheap_grow:mheap_grow", "test_mheap_grow::test_grow"),
    _entry("function", "mheap.freeSpan", "mheap:mheap_free_span", "test_mheap::test_free_span", heap="collect"),
    _entry(
        "function", "mheap.freeManual", "mheap:mheap_free_manual", "test_mheap::test_free_manual", heap="free_manual",
    ),
    _entry("function", "mheap.freeSpanLocked", "mheap:mheap_free_span_locked", "test_mheap::test_wrong_frees"),
    _entry(
        "function",
        "mheap.scavengeAll",
        "mgcscavenge:mheap_scavenge_all",
        "test_mgcscavenge::test_scavenge_all",
        heap="scavenge_all",
    ),
    _entry(
        "function",
        "runtime_debug_freeOSMemory",
        "mheaplab/heap.py:Heap.free_os_memory",
        "tests/test_heap_reclaim::test_scavenge_all_and_free_os_memory",
        heap="free_os_memory",
        simplified="what lives is an argument",
    ),
    _entry(
        "function",
        "spanHasSpecials",
        "mheap_arena:span_has_specials",
        "test_mheap_arena::test_span_has_specials",
        heap="add_special",
    ),
    _entry(
        "function",
        "spanHasNoSpecials",
        "mheap_arena:span_has_no_specials",
        "test_mheap_arena::test_span_has_specials",
        heap="remove_special",
    ),
    _entry(
        "function",
        "addspecial",
        "mfinal:addspecial",
        "test_mfinal::test_add_keeps_the_list_sorted",
        heap="add_special",
    ),
    _entry("function", "removespecial", "mfinal:removespecial", "test_mfinal::test_remove", heap="remove_special"),
    _entry(
        "function",
        "freeSpecial",
        "mheap_specials:free_special",
        "test_mheap_specials::test_free_special",
        heap="collect",
        simplified="what is to be run is a row of a queue",
    ),
    _entry(
        "function",
        "addfinalizer",
        "mfinal:addfinalizer",
        "test_mfinal::test_finalizer",
        heap="add_finalizer",
        simplified="marks nothing: what lives is an argument",
    ),
    _entry(
        "function",
        "removefinalizer",
        "mfinal:removefinalizer",
        "test_mfinal::test_removefinalizer_leaves_the_other_kinds",
        heap="remove_finalizer",
    ),
    _entry(
        "function",
        "setprofilebucket",
        "mfinal:setprofilebucket",
        "test_mfinal::test_setprofilebucket",
        heap="set_profile_bucket",
    ),
    _entry(
        "function",
        "newMarkBits",
        "mheap_gcbits:new_mark_bits",
        "test_mheap_gcbits::test_first_bitmaps_lie_one_behind_the_other",
    ),
    _entry("function", "newAllocBits", "mheap_gcbits:new_alloc_bits", "test_mheap_gcbits::test_new_alloc_bits"),
    _entry(
        "function",
        "nextMarkBitArenaEpoch",
        "mheap_gcbits:next_mark_bit_arena_epoch",
        "test_mheap_gcbits::test_epochs",
        heap="gc_start",
        simplified="in a replay it turns when sweeping starts",
    ),
    _entry(
        "function",
        "newArenaMayUnlock",
        "mheap_gcbits:new_arena_may_unlock",
        "test_mheap_gcbits::test_new_arena_from_the_free_list",
    ),
]
ENTRIES = VARIABLES + TYPES + FUNCTIONS

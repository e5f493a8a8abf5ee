"""The kernel: Go's page heap in numba, one module per file of the Go runtime.

Reading order, from the leaves up (each module imports only those above it in this list):

========================  ==============================================================================
module                    Go file, and what it owns
========================  ==============================================================================
``_inner``                how inner functions are compiled
``_once``                 one process compiles, the others wait
``_jit``                  the decorators and the compile cache
``intrinsics``            bit counts; records and words at an address
``records``               how a record type is made
``mgcpacer_structs``      mgcpacer.go: the pacer's record and constants
``sim_structs``           the records of a run of the twin's own: clock, samples, collections
``trace_events``          the events of a trace, as columns
``gofloat``               Go's conversions of floats to integers
``structs``               all other record types, and constants
``splitmix``              random numbers and hashes of ids
``generate_structs``      record types of the workload generator
``chunk_lists``           the generator's lists
``timing_wheel``          deaths in order of time
``generate_draw``         chance, and rows of events
``generate_phases``       phases of a workload, and what its caches hold
``generate``              events of a workload
``trace_ids``             events of a trace checked, ids made dense
``trace_summary``         what a trace amounts to
``recording_tables``      what reading a program's own recording works on
``recording_bytes``       records, as the recorded program encoded them
``recording_events``      records become events of a case, and the truth about them
``case_rows``             events of a case and deaths become rows of a trace
``exectrace_structs``     Go's execution traces: the format, and the records of its parser
``exectrace_maps``        the parser's maps by id
``exectrace_numbers``     numbers of any length
``exectrace_tables``      internal/trace/generation.go: strings, stacks, samples, the clock
``exectrace_batches``     internal/trace/batch.go, generation.go: a generation cut into batches
``exectrace_cursors``     internal/trace/batchcursor.go: one thread's events
``exectrace_sort``        batchcursor.go, slices: the threads by time
``exectrace_world``       internal/trace/order.go: threads, Ps and goroutines, and what they are doing
``exectrace_procs``       internal/trace/order.go: events of Ps
``exectrace_gos``         internal/trace/order.go: events of goroutines
``exectrace_ranges``      internal/trace/order.go: events that begin or end what takes time
``exectrace_order``       internal/trace/order.go: which event may come
``exectrace_merge``       internal/trace/reader.go: all threads' events in one order
``gotrace_structs``       a program's heap as its execution trace tells it, as records
``gotrace_heap``          memory events turned into allocations, stacks, objects found dead
``gotrace_weave``         deaths put between them
``mksizeclasses``         mksizeclasses.go: the size-class table by rule (plain Python)
``tables``                access to the growable tables
``mpallocbits``           mpallocbits.go: bitmaps of one 512-page chunk and their summaries
``mranges``               mranges.go: address ranges in use
``mgcscavenge_index``     mgcscavenge.go: which chunks may be worth scavenging
``mpagealloc``            mpagealloc.go: the page allocator's five-level tree
``mplacement``            not in Go (any more): best fit and next fit
``mgcpacer``              mgcpacer.go: heap goal and trigger
``mgcpacer_cycle``        mgcpacer.go: a cycle's workers, assists and cons/mark
``mgcpacer_pace``         mgcsweep.go, mgcscavenge.go: the pace of sweeping, the scavenger's goals
``mgclimit``              mgclimit.go: when collecting takes too much time
``mpagecache``            mpagecache.go: 64 pages per P
``mem``                   mem.go, mem_linux.go: the simulated OS
``mgcscavenge``           mgcscavenge.go: scavengeOne and what repeats it
``mgcscavenge_background``  mgcscavenge.go: the scavenger beside the program
``mspanset``              mspanset.go: FIFO queues of spans
``mheap_gcbits``          mheap.go: arenas of mark and alloc bitmaps
``mbitmap``               mbitmap.go: freeindex, allocCache, counting marks
``mfixalloc``             mfixalloc.go: records of spans and specials, allspans
``mspan``                 mheap.go: spans, span classes, lists of spans
``mheap_arena``           mheap.go: arenas, and what an address tells
``mheap_grow``            malloc.go, mheap.go: arena hints, sysAlloc, grow
``mheap_specials``        mheap.go: records hung on objects
``mheap_tiny``            tiny blocks that the program can reach, counted
``mhuge``                 not in Go: huge pages in full use
``mheap``                 mheap.go: spans allocated and freed
``stack``                 stack.go: goroutine stacks
``mgcsweep``              mgcsweep.go and mheap.reclaim: sweeping
``mfinal``                mheap.go: adding and removing specials
``mcentral``              mcentral.go: spans of one class
``mcache``                mcache.go: a P's spans
``malloc``                malloc.go: mallocgc
``mgc``                   mgc.go: the ends of a collection
``mgcmark_pace``          mgcmark.go: marking as time, and assists
``mstats``                mstats.go: MemStats
``sim_objects``           what the program of a run can reach, and what has died
``sim_samples``           rows of samples and collections
``verify_lists``          recounts of bitmap arenas, stacks, specials, address space
``verify``                recounts, by numbered invariants
``verify_sim``            recounts of a run of the twin's own
``state``                 the arrays of one heap and how they grow (plain Python)
``run``                   run_events, the entry
``mgc_cycle``             mgc.go: a collection that the twin decides on, and the background
``simulate``              run_trace, the entry of a run of the twin's own
``byhand``                entries for one heap driven by hand
``probe``                 entries that measure one layer alone
========================  ==============================================================================

Compiled functions take the heap as ``h``, a ``HEAP`` record; there is no global state.
"""

"""The size-class laboratory: what a table of size classes costs a program, and which one would be best.

>>> import mheaplab as mh
>>> counts = [0] * 101
>>> counts[100] = 1000                                   # a thousand objects of 100 bytes
>>> go = mh.sizeclasses.go_table("go1.19")
>>> round(mh.sizeclasses.evaluate(go, counts).share, 4)  # 112 bytes and a 73rd of a tail for each
0.1222
>>> best = mh.sizeclasses.optimal(counts, classes=4)
>>> mh.HeapParams.go119(size_classes=best.classes()).size_classes[2]
(112, 7)

Reading order: ``rules`` (what a Go stands on), ``table``, ``demand``, ``evaluate``, ``partition`` (the algorithm),
``optimal``, ``edit`` (by hand), ``others`` (jemalloc, TCMalloc, mimalloc), ``go_source`` and ``overlay`` (a Go with
another table).
"""

from .demand import count_sizes, counts_of
from .edit import fixed_sizes, legal_sizes, moved, table_of, with_class, without_class
from .evaluate import CAUSES, Evaluation, evaluate
from .go_source import to_go
from .optimal import optimal, optimal_mixture, optimal_near, optimal_near_each
from .others import OTHERS, jemalloc_table, mimalloc_table, pow2_table, tcmalloc_table
from .overlay import Overlay, overlay, version_of
from .table import SizeClassTable, go_table, rule_table

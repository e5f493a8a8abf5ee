"""Widgets: controls that ask the library and show what it answers.  Nothing is computed here."""

from .address_box import AddressBox, address_box
from .case_explorer import CaseExplorer, case_explorer
from .class_explorer import ClassExplorer, class_explorer
from .explorer import Explorer
from .heap_explorer import HeapExplorer, heap_explorer
from .live import ExportButtons, LiveFigure
from .program_explorer import ProgramExplorer, program_explorer
from .run_explorer import RunExplorer, run_explorer
from .save_row import SaveRow
from .sweep_explorer import SweepExplorer, sweep_explorer
from .time_explorer import TimeExplorer, time_explorer

__all__ = [
    "AddressBox", "CaseExplorer", "ClassExplorer", "ExportButtons", "Explorer", "HeapExplorer", "LiveFigure",
    "ProgramExplorer", "RunExplorer", "SaveRow", "SweepExplorer", "TimeExplorer", "address_box", "case_explorer",
    "class_explorer", "heap_explorer", "program_explorer", "run_explorer", "sweep_explorer", "time_explorer",
]  # fmt: skip

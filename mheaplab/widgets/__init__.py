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
from .study_explorer import StudyExplorer, study_explorer
from .study_progress import StudyProgress, study_progress
from .sweep_explorer import SweepExplorer, sweep_explorer
from .time_explorer import TimeExplorer, time_explorer

__all__ = [
    "AddressBox", "CaseExplorer", "ClassExplorer", "ExportButtons", "Explorer", "HeapExplorer", "LiveFigure",
    "ProgramExplorer", "RunExplorer", "SaveRow", "StudyExplorer", "StudyProgress", "SweepExplorer", "TimeExplorer",
    "address_box", "case_explorer", "class_explorer", "heap_explorer", "program_explorer", "run_explorer",
    "study_explorer", "study_progress", "sweep_explorer", "time_explorer",
]  # fmt: skip

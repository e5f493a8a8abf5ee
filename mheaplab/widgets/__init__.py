"""Widgets: controls that ask the library and show what it answers.  Nothing is computed here."""

from .case_explorer import CaseExplorer, case_explorer
from .explorer import Explorer
from .live import ExportButtons, LiveFigure

__all__ = ["CaseExplorer", "ExportButtons", "Explorer", "LiveFigure", "case_explorer"]

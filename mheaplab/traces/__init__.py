"""Traces: what programs asked of their heaps, as streams of events that can be read again and again."""

from .go_source import open_go_trace
from .readers import read_trace, register_reader
from .store import write_trace
from .trace import Trace

"""Imported once by the process from which local workers are forked, which begin with the kernel and the code known."""

from .keys import code_stamp
from .run_one import warm

warm()
code_stamp()

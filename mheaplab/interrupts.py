"""Ctrl-C as a wish that is looked at when it suits: a run stops between two batches, with all it has done.

An exception out of nowhere could come while a table moves to a larger array, and leave the heap in two pieces.  A
second Ctrl-C is an ordinary KeyboardInterrupt: whoever presses twice wants out.
"""

import signal
import threading


class Interrupts:
    """A context in which ``asked`` says whether Ctrl-C came.

    Outside the main thread, where Python delivers no signals, it never does.
    """

    def __init__(self):
        self.asked = False
        self._before = None

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def _note(self, number, frame):
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def __exit__(self, *exception):
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

"""Settle: do something once a control has come to rest.

A slider says where it is, never that the mouse has let go.  So whoever follows it asks again at each move, and what was
asked for happens when no move has come for a while.  In Jupyter that is a timer of the kernel's event loop.  Where no
event loop runs, as in a script or a test, there is nothing to wait for, and it happens at once.
"""

import asyncio

REST = 0.25
"""Seconds without a move after which a control has come to rest."""


class Settle:
    """One thing to do later.

    Parameters
    ----------
    action : callable
        Called without arguments.
    rest : float
        Seconds to wait.
    """

    def __init__(self, action, rest=REST):
        self._action, self.rest = action, rest
        self._timer = None

    @property
    def waiting(self):
        """Whether it is still to be done."""
        return self._timer is not None

    def ask(self):
        """Do it when ``rest`` seconds have passed without another call of this."""
        self.cancel()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no event loop: nothing that could come later
            self._action()
            return
        self._timer = loop.call_later(self.rest, self._fire)

    def cancel(self):
        """Do it no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self):
        self._timer = None
        self._action()

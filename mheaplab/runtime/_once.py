"""One process compiles an entry point, the others wait for it and load what it made; whoever waits is told why.

Without this, two processes that begin with an empty cache, such as ``mheaplab warmup`` beside a notebook, or two
workers of a study, both compile for the better part of a minute and take each other's processor.

The lock is a file beside the compiled code, locked with ``flock``, which the system takes back from a process that
ends.  Where there is no ``flock`` (Windows) or the file system refuses it, everybody compiles, as before.
"""

import contextlib
import sys
import threading

try:
    import fcntl
except ImportError:
    fcntl = None

PATIENCE = 2.0
"""Seconds of compiling or waiting after which it is announced."""
WORDS = "compiling the kernel, once for this version of it: up to a minute"

_inside = threading.local()
"""Whether this thread holds a lock: it must not wait for a second one, as numba has one of its own between the two."""


def announce():
    """Say what takes so long: on a terminal, or in a notebook's cell."""
    stream = sys.stderr
    if stream is not None and (stream.isatty() or "ipykernel" in type(stream).__module__):
        print(WORDS, file=stream, flush=True)


@contextlib.contextmanager
def announced():
    """Announce what is done under this if it takes long."""
    timer = threading.Timer(PATIENCE, announce)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextlib.contextmanager
def locked(path):
    """Hold the lock of a file, if there can be one."""
    with contextlib.ExitStack() as stack:
        if fcntl is not None:
            with contextlib.suppress(OSError):  # no room, no right or no locks there: everybody compiles
                fcntl.flock(stack.enter_context(open(path, "ab")), fcntl.LOCK_EX)
        yield


def compile_once(dispatcher, path):
    """Make a numba function be compiled by one process at a time; the others then find it in the cache.

    Parameters
    ----------
    dispatcher : numba.core.dispatcher.Dispatcher
        A function that is cached on disk.
    path : pathlib.Path
        The lock's file.
    """
    compile_now = dispatcher.compile

    def compile_in_turn(signature):
        if getattr(_inside, "lock", False):
            return compile_now(signature)
        _inside.lock = True
        try:
            with announced(), locked(path):
                return compile_now(signature)
        finally:
            _inside.lock = False

    dispatcher.compile = compile_in_turn

"""locks: a file that one process at a time has; the system lets go of it when that process ends, however it ends."""

import contextlib
import os


@contextlib.contextmanager
def locked(path, wait):
    """Hold the lock of the file ``path``, which is made if it is not there.

    Parameters
    ----------
    path : str or os.PathLike
    wait : bool
        Whether to wait for another process that has it.

    Raises
    ------
    BlockingIOError
        If another process has it and there is to be no waiting.
    """
    with open(path, "a", encoding="ascii") as file:
        if os.name == "nt":
            import msvcrt

            try:
                msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
            except OSError as err:
                raise BlockingIOError(f"{path}: another process has this lock") from err
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield

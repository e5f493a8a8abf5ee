"""whole_file: a file that is there whole or not at all."""

import contextlib
import os
import tempfile
from pathlib import Path


@contextlib.contextmanager
def whole_file(path, durable=False):
    """Open a file to write bytes to; it takes the place of ``path`` once the block has ended without an error.

    Until then it has a temporary name in the same folder, and after an error it is gone.

    Parameters
    ----------
    path : str or os.PathLike
    durable : bool
        Whether it is on the disk, its name too, when the block has ended: then it outlives a loss of power.

    Yields
    ------
    io.BufferedWriter
    """
    path = Path(path)
    handle, temporary = tempfile.mkstemp(prefix=path.name, suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            yield out
            if durable:
                out.flush()
                os.fsync(out.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        if durable:
            _sync_folder(path.parent)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _sync_folder(folder):
    """Bring the names in ``folder`` to the disk, where folders can be opened (not on Windows)."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

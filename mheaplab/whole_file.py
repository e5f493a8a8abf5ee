"""whole_file: a file that is there whole or not at all."""

import contextlib
import os
import tempfile
from pathlib import Path


@contextlib.contextmanager
def whole_file(path):
    """Open a file to write bytes to; it takes the place of ``path`` once the block has ended without an error.

    Until then it has a temporary name in the same folder, and after an error it is gone.

    Parameters
    ----------
    path : str or os.PathLike

    Yields
    ------
    io.BufferedWriter
    """
    path = Path(path)
    handle, temporary = tempfile.mkstemp(prefix=path.name, suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            yield out
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise

"""The recorder: lines of ours in Go's runtime, with which any program writes down what its heap does.

Go's own files are read from GOROOT, get our lines, and are laid over the originals by ``go build -overlay``; nothing is
written into GOROOT, and the program's source stays as it is.  Three sorts of lines:

* ``mheaplab_record.go`` records every heap operation (``docs/recording.md``), if ``MHEAPLAB_RECORD`` names a file;
* ``mheaplab_memstats.go`` writes MemStats when the program ends, if ``MHEAPLAB_MEMSTATS`` names a file;
* ``rounding`` lets ``append`` round by Go's own table in a program that has another.

Reading order: ``patches`` (where the lines go), ``rounding``, ``build``, ``memstats``.
"""

from .build import PLATFORM, VARIABLE, Go, build_program, find_go, runtime_overlay
from .memstats import MEMSTATS_VARIABLE, MOMENTS, read_exit_memstats

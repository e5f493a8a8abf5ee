"""page_frame: where a picture of the heap has which page.

A row has 128 pages, 1 MiB; an arena of 64 MiB has 64 rows and is one band.  A heap never gives an arena back, so the
``MapFrame`` of a run's last snapshot has room for all earlier ones, and pictures of one run drawn in one frame can be
laid upon each other.
"""

from dataclasses import dataclass

import numpy as np

from ..snapshot import PAGE_RESERVED

PAGE_BYTES = 8192
ROW_PAGES = 128
ROW_BYTES = ROW_PAGES * PAGE_BYTES
CHUNK_ROWS = 4
"""Rows of 4 MiB, the unit in which the heap grows."""
BAND_GAP = 4
"""Empty columns between bands that stand side by side."""
LABELLED_BANDS = 36


@dataclass(frozen=True)
class MapFrame:
    """Which arenas a heap map draws, and where.

    Attributes
    ----------
    arena_bytes : int
    arenas : tuple of int
        Base addresses, rising.
    rows : int
        Rows drawn of each arena, from its start.
    columns : int
        Bands side by side.
    gap : int
        Empty rows above each band, room for its label.
    row_pixels : float
        Height of a row in the picture.
    skipped : int
        Rows of a single arena that are not drawn before ``rows``: Go 1.26 and later begin somewhere in it.
    """

    arena_bytes: int
    arenas: tuple
    rows: int
    columns: int
    gap: int
    row_pixels: float
    skipped: int = 0

    @property
    def band_rows(self):
        """Number of bands on top of each other."""
        return -(-len(self.arenas) // self.columns)

    @property
    def shape(self):
        """Height and width of the grid in pages."""
        width = self.columns * (ROW_PAGES + BAND_GAP) - BAND_GAP
        return max(self.band_rows * (self.rows + self.gap), 1), width

    @property
    def labelled(self):
        """Whether each band has its own label (else its rows have one on the axis)."""
        return 1 < len(self.arenas) <= LABELLED_BANDS

    @property
    def cropped(self):
        """Bytes of each arena that are not drawn."""
        return self.arena_bytes - self.rows * ROW_BYTES

    def origin(self, k):
        """Return row and column of the first page of arena ``k``."""
        down, across = divmod(k, self.columns)
        return down * (self.rows + self.gap) + self.gap, across * (ROW_PAGES + BAND_GAP)


def map_frame(snapshot):
    """Return the frame in which to draw ``snapshot`` and all earlier ones of its run.

    A single arena is cropped to what the heap has ever grown to, in steps of 4 MiB; several arenas are drawn whole,
    in as many columns as make the picture wider than high.
    """
    count = len(snapshot.arenas)
    rows = snapshot.arena_bytes // ROW_BYTES
    arenas = tuple(int(a) for a in snapshot.arenas)
    if count <= 1:
        grown = np.flatnonzero(snapshot.pages != PAGE_RESERVED)
        first, last = (int(grown[k]) // (CHUNK_ROWS * ROW_PAGES) for k in (0, -1)) if len(grown) else (0, 0)
        rows = min(rows, (last + 1) * CHUNK_ROWS) - first * CHUNK_ROWS
        return MapFrame(snapshot.arena_bytes, arenas, rows, 1, 0, min(26.0, 420 / rows), first * CHUNK_ROWS)
    columns = 1
    while columns < 16 and -(-count // columns) * (rows + 6) > 0.8 * columns * (ROW_PAGES + BAND_GAP) and count > 2:
        columns += 1
    down = -(-count // columns)
    pixels = min(max(520 / (down * rows), 0.5), 8.0)
    gap = int(np.ceil(15 / pixels)) if count <= LABELLED_BANDS else 1 + rows // 16
    return MapFrame(snapshot.arena_bytes, arenas, rows, columns, gap, min(pixels, 900 / (down * (rows + gap))))


def place(frame, snapshot, values, nothing):
    """Return ``values`` (a row per arena of ``snapshot``) laid out on the grid of ``frame``, elsewhere ``nothing``."""
    grid = np.full(frame.shape, nothing, values.dtype)
    drawn = slice(frame.skipped * ROW_PAGES, (frame.skipped + frame.rows) * ROW_PAGES)
    row_of = {int(base): k for k, base in enumerate(snapshot.arenas)}
    for k, base in enumerate(frame.arenas):
        if base in row_of:
            y, x = frame.origin(k)
            block = values[row_of[base], drawn].reshape(frame.rows, ROW_PAGES)
            grid[y : y + frame.rows, x : x + ROW_PAGES] = block
    return grid

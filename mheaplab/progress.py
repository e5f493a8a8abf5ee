"""ProgressBar: a line on a terminal for work that takes longer than two seconds."""

import sys
import time

BAR_WIDTH = 30


def done_words(done, total, elapsed):
    """Return how much of ``total`` is done after ``elapsed`` seconds, and how long the rest will take."""
    left = f"{elapsed * (total - done) / done:.0f} s left" if 0 < done < total else f"{elapsed:.0f} s"
    return f"{done:,} of {total:,}, {left}"


class ProgressBar:
    """A bar on stderr for work that takes longer than two seconds; nothing where stderr is not a terminal."""

    def __init__(self, label, stream=None, patience=2.0):
        self.label = label
        self.stream = stream or sys.stderr
        self.begin = time.monotonic()
        self.patience = patience
        self.shown = False

    def __call__(self, done, total):
        """Show that ``done`` of ``total`` is done; ``total`` may be None, where nobody knows it."""
        elapsed = time.monotonic() - self.begin
        if not self.stream.isatty() or (elapsed < self.patience and not self.shown):
            return
        self.shown = True
        self.stream.write(f"\r{self.label} {self._words(done, total, elapsed)}  ")
        self.stream.flush()

    def _words(self, done, total, elapsed):
        if total is None:
            return f"{done:,}, {elapsed:.0f} s"
        full = BAR_WIDTH * done // max(total, 1)
        return f"[{'#' * full + '.' * (BAR_WIDTH - full)}] {done_words(done, total, elapsed)}"

    def close(self):
        """End the line of the bar."""
        if self.shown:
            self.stream.write("\n")

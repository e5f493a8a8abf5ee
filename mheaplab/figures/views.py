"""Views of a run by name, for whoever offers a choice of them."""

from dataclasses import dataclass

from .arenas import arenas_picture
from .cycles import cycles_picture
from .memory import memory_picture
from .sweeping import sweep_picture
from .waste import fragmentation_picture


@dataclass(frozen=True)
class View:
    """A figure of one run.

    Attributes
    ----------
    picture : callable
        Makes it as a Picture.
    function : str
        The public function in ``mheaplab.figures`` that makes the figure.
    options : frozenset of str
        Which of ``x`` and ``pinned`` it understands, beside ``theme``.
    """

    picture: object
    function: str
    options: frozenset = frozenset({"x"})

    def draw(self, result, **options):
        """Return the Picture; options that it does not understand are left out."""
        return self.picture(result, **{k: v for k, v in options.items() if k == "theme" or k in self.options})

    def code(self, **options):
        """Return the call that makes the figure of ``result``, with options that are code."""
        known = {k: v for k, v in options.items() if v is not None and (k == "theme" or k in self.options)}
        return f"mh.figures.{self.function}({', '.join(['result', *(f'{k}={v}' for k, v in known.items())])})"


VIEWS = {
    "memory": View(memory_picture, "memory_over_time", frozenset({"x", "pinned"})),
    "cycles": View(cycles_picture, "cycles_figure", frozenset()),
    "sweep": View(sweep_picture, "sweep_figure"),
    "fragmentation": View(fragmentation_picture, "fragmentation"),
    "arenas": View(arenas_picture, "arenas_figure"),
}

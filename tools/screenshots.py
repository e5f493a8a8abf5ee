#!/usr/bin/env python
"""Photograph every notebook in a real JupyterLab, to be looked at: narrow and wide, light and dark.

    python tools/screenshots.py -o shots [--notebooks 01,03] [--widths 1280,1920] [--themes light,dark]

Each notebook is run once and then scrolled through; a picture is NOTEBOOK-WIDTH-THEME-NUMBER.png.
"""

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from browser import jupyter_lab, opened  # noqa: E402

from mheaplab.figures.export import chrome  # noqa: E402

HEIGHT = 1000
STEP = 860
MOST = 40
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
PANEL = "document.querySelector('.jp-WindowedPanel-outer')"
IDLE = "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"


DRAWN = "() => [...document.querySelectorAll('.jp-RenderedPlotly')].every((p) => p.querySelector('.main-svg'))"


def ran(page):
    """Wait until no cell waits or runs, and every figure is drawn."""
    waiting = "() => ![...document.querySelectorAll('.jp-InputPrompt')].some((p) => p.textContent.includes('*'))"
    for _ in range(3):
        page.wait_for_timeout(1500)
        page.wait_for_function(IDLE)
        page.wait_for_function(waiting)
        page.wait_for_function(DRAWN)


def photograph(page, stem, folder):
    """Scroll through a notebook; yield the paths of the pictures."""
    page.evaluate(f"{PANEL}.scrollTop = 0")
    for number in range(MOST):
        page.wait_for_timeout(1200)
        path = folder / f"{stem}-{number:02d}.png"
        page.screenshot(path=path)
        yield path
        before = page.evaluate(f"{PANEL}.scrollTop")
        page.evaluate(f"{PANEL}.scrollTop += {STEP}")
        if page.evaluate(f"{PANEL}.scrollTop") == before:
            break


def main():
    """Photograph them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("shots"))
    parser.add_argument("--notebooks", help="numbers, such as 01,03; default: all")
    parser.add_argument("--widths", default="1280,1920", type=lambda s: [int(w) for w in s.split(",")])
    parser.add_argument("--themes", default="light,dark", type=lambda s: s.split(","))
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    paths = sorted((ROOT / "notebooks").glob("*.ipynb"))
    chosen = None if args.notebooks is None else args.notebooks.split(",")
    with tempfile.TemporaryDirectory() as folder, jupyter_lab(Path(folder)) as address:
        for path in paths:
            if chosen is not None and path.stem[:2] not in chosen:
                continue
            with opened(f"{address}{path.name}", chrome()) as page:
                ran(page)
                for theme in args.themes:
                    page.evaluate(
                        "(theme) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })",
                        THEMES[theme],
                    )
                    for width in args.widths:
                        # Plain figures that were there when the theme changed have no height until the window has
                        # another width, which is JupyterLab's doing.
                        page.set_viewport_size({"width": width + 40, "height": HEIGHT})
                        page.wait_for_timeout(1000)
                        page.set_viewport_size({"width": width, "height": HEIGHT})
                        pictures = list(photograph(page, f"{path.stem[:2]}-{width}-{theme}", args.output))
                        print(f"{path.name}, {width} wide, {theme}: {len(pictures)} pictures", flush=True)


if __name__ == "__main__":
    main()

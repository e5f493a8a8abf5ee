#!/usr/bin/env python3
"""Make figures and numbers of the pages in docs/questions, or with --check compare them.

    question_pages.py [--check] [--text] [PAGE ...]

A page has one block of Python, which a reader may run as it stands.  What it prints belongs into the block of text
after it, and what it calls ``figure`` into docs/pictures under the page's name, as SVG, for which a Chrome is needed;
--text leaves figures alone.  A picture that is in step is not drawn again: a Chrome never draws the same bytes twice.
"""

import argparse
import contextlib
import hashlib
import io
import json
import re
import sys
from pathlib import Path

from page_pictures import PICTURES, WIDTH, in_step

import mheaplab as mh
from mheaplab.whole_file import whole_file

PAGES = Path(__file__).resolve().parent.parent / "docs" / "questions"
BLOCKS = re.compile(r"```python\n(.*?)```\n\n```text\n(.*?)```", re.S)


def names():
    """Return the names of all pages."""
    return sorted(path.stem for path in PAGES.glob("*.md") if path.stem != "README")


def run(code):
    """Run the Python of a page; return (what it printed, its figure)."""
    printed, scope = io.StringIO(), {}
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "page", "exec"), scope)
    return printed.getvalue(), scope["figure"]


def answer(name):
    """Return (the page as it should be, its figure, the figure's digest)."""
    text = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    found = BLOCKS.search(text)
    if found is None or f"../pictures/{name}.svg" not in text:
        raise SystemExit(f"{name}.md: expected ```python, then ```text, and the picture {name}.svg")
    printed, figure = run(found[1])
    page = text[: found.start(2)] + printed + text[found.end(2) :]
    return page, figure, digest(figure)


def digest(figure):
    """Return the digest of what a figure shows, without its stamp, which names versions of Python too."""
    shown = json.loads(figure.to_json())
    shown["layout"].pop("meta", None)
    return hashlib.sha256(json.dumps(shown).encode()).hexdigest()


def wrong(name):
    """Return what of a page is out of step: a list of words."""
    page, _, sha256 = answer(name)
    stale = [f"{name}.md"] if page != (PAGES / f"{name}.md").read_text(encoding="utf-8") else []
    return stale + ([] if in_step(name, sha256) else [f"{name}.svg"])


def write(name, draw):
    """Write the numbers into a page, and draw its figure."""
    page, figure, sha256 = answer(name)
    with whole_file(PAGES / f"{name}.md") as out:
        out.write(page.encode())
    if draw and not in_step(name, sha256):
        mh.figures.export(figure, PICTURES / name, "svg", about={"page": f"{name}.md", "sha256": sha256}, width=WIDTH)


def main(argv=None):
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if something is out of step")
    parser.add_argument("--text", action="store_true", help="draw nothing")
    parser.add_argument("pages", nargs="*", metavar="PAGE", help=f"of {', '.join(names())}; default: all")
    args = parser.parse_args(argv)
    unknown = [name for name in args.pages if name not in names()]
    if unknown:
        parser.error(f"PAGE = {unknown[0]!r} is none of {', '.join(names())}")
    chosen = args.pages or names()
    if not args.check:
        for name in chosen:
            write(name, not args.text)
        return 0
    found = [what for name in chosen for what in wrong(name)]
    if found:
        print(f"out of step: {', '.join(found)}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

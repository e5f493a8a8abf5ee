#!/usr/bin/env python3
"""Write the answers of docs/size-class-questions.md and their figures, or with --check compare them.

    size_class_answers.py [--check] [--text] [QUESTION ...]

QUESTION is one of the names in QUESTIONS; without any, all are answered, in a minute or two.  Figures go to
docs/pictures as SVG, for which a Chrome is needed; --text leaves them alone.  A picture says in its metadata what it
was drawn from: one that is in step is not drawn again (a Chrome never draws the same bytes twice), and --check compares
that and draws nothing.
"""

import argparse
import sys
from pathlib import Path

from class_answers import class24, small_heaps, sparse, wasteful
from page_pictures import PICTURES, WIDTH, in_step
from page_table import filled

import mheaplab as mh
from mheaplab.whole_file import whole_file

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "size-class-questions.md"
MARK = "<!-- {}: tools/size_class_answers.py -->"
QUESTIONS = {"24": class24, "17619": wasteful, "18896": sparse, "ios": small_heaps}


def sha256_of(figure):
    """Return the digest of what a figure shows."""
    return mh.figures.provenance(figure)["sha256"]


def wrong(questions):
    """Return what of the page and its pictures is not what the answers say: a list of words."""
    text, found = PAGE.read_text(encoding="utf-8"), []
    for name in questions:
        answer, figures = QUESTIONS[name].answer()
        if filled(text, MARK.format(name), answer) != text:
            found.append(f"{PAGE.name}, {name}")
        found += [f"{stem}.svg" for stem, figure in figures.items() if not in_step(stem, sha256_of(figure))]
    return found


def write(questions, draw):
    """Write the answers into the page, and their figures."""
    text = PAGE.read_text(encoding="utf-8")
    for name in questions:
        answer, figures = QUESTIONS[name].answer()
        text = filled(text, MARK.format(name), answer)
        for stem, figure in figures.items():
            if draw and not in_step(stem, sha256_of(figure)):
                mh.figures.export(figure, PICTURES / stem, "svg", width=WIDTH)
    with whole_file(PAGE) as out:
        out.write(text.encode())


def main(argv=None):
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if something is out of step")
    parser.add_argument("--text", action="store_true", help="draw nothing")
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=f"of {', '.join(QUESTIONS)}; default: all")
    args = parser.parse_args(argv)
    unknown = [name for name in args.questions if name not in QUESTIONS]
    if unknown:
        parser.error(f"QUESTION = {unknown[0]!r} is none of {', '.join(QUESTIONS)}")
    chosen = args.questions or list(QUESTIONS)
    if not args.check:
        write(chosen, not args.text)
        return 0
    found = wrong(chosen)
    if found:
        print(f"out of step: {'; '.join(found)}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

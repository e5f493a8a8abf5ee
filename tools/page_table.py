"""A table in a page of docs that a tool writes between two marks, and a test holds to what the tool says."""

import argparse

END = "<!-- end of table -->"


def filled(text, mark, table):
    """Return the text of a page with ``table`` between ``mark`` and the end mark after it."""
    before, rest = text.split(mark)
    after = rest.split(END, 1)[1] if END in rest else rest
    return f"{before}{mark}\n\n{table}\n\n{END}{after}"


def keep_table(page, mark, table, argv, doc):
    """Rewrite the table of a page, or with ``--check`` compare it; the exit status.

    ``table`` is called for the text, after the command line has been understood; ``doc`` is the tool's docstring.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the page is out of step")
    args = parser.parse_args(argv)
    text = page.read_text()
    wanted = filled(text, mark, table())
    if args.check:
        return int(text != wanted)
    page.write_text(wanted)
    return 0

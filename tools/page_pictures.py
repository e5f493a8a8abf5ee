"""Pictures in a page of docs: what one says in its metadata that it was drawn from, so that it is drawn only anew."""

import html
import json
import re
from pathlib import Path

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "pictures"
WIDTH = 760
"""Pixels, as wide as a page shows them."""


def facts_of(path):
    """Return what a picture says it was drawn from; None if there is no such picture."""
    if not path.is_file():
        return None
    found = re.search(r"<metadata>(.*?)</metadata>", path.read_text(encoding="utf-8"), re.S)
    return json.loads(html.unescape(found[1])) if found else None


def in_step(stem, sha256):
    """Return whether the picture of that name was drawn from what has this digest."""
    told = facts_of(PICTURES / f"{stem}.svg")
    return told is not None and told.get("sha256") == sha256

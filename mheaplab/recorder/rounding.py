"""rounding: programs that ask for the same sizes whatever the table is.

``append`` rounds what a slice grows to up to a class (``roundupsize`` of runtime/msize.go), as do strings.Builder and
conversions to bytes and runes; so a program with another table grows other slices at other moments, and asks for other
sizes.  With the lines here roundupsize goes by Go's own table still, while objects are allocated by the new one: then a
program asks for what it asked for when it was recorded, and what another table does to the heap alone can be measured.
"""

from ..sizeclasses import go_table
from .patches import INSTEAD, Patch

CLASS_TO_SIZE, EIGHTHS, STEPS_OF_128 = "goClassToSize", "goSizeToClass8", "goSizeToClass128"
NAMES = {
    "go1.19": ("class_to_size", "size_to_class8", "size_to_class128"),
    "go1.27": ("gc.SizeClassToSize", "gc.SizeToSizeClass8", "gc.SizeToSizeClass128"),
}
"""What msize.go calls the arrays."""


def rounding_patches(go):
    """Return the patches that let roundupsize use arrays of ours."""
    sizes, *lookups = NAMES[go]
    return [
        Patch("msize.go", INSTEAD, f"{sizes}[{lookup}[", f"{CLASS_TO_SIZE}[{ours}[")
        for lookup, ours in zip(lookups, (EIGHTHS, STEPS_OF_128), strict=True)
    ]


def rounding_file(go):
    """Return the Go file with these arrays: those of the version's own table."""
    table = go_table(go)
    columns = (
        (CLASS_TO_SIZE, "uint16", table.sizes),
        (EIGHTHS, "uint8", table.size_to_class8),
        (STEPS_OF_128, "uint8", table.size_to_class128),
    )
    lines = [f"var {name} = [...]{kind}{{{', '.join(map(str, column.tolist()))}}}" for name, kind, column in columns]
    return "package runtime\n\n" + "\n".join(lines) + "\n"

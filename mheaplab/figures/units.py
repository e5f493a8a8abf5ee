"""Numbers as text: bytes in binary units, counts with separators, addresses, and the unit of an axis.

>>> bytes_text(3235840), slot_text(1152), count_text(269742), plural(1, "span")
('3.09 MiB', '1,152 B', '269,742', '1 span')
"""

UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
STEP = 1024


def bytes_text(n):
    """Return ``n`` bytes with three figures in the largest unit that leaves a number of at least 1."""
    if n < 0:
        return "-" + bytes_text(-n)
    if n < STEP:
        return f"{n:.0f} B"
    value, k = float(n), 0
    while value >= STEP and k < len(UNITS) - 1:
        value, k = value / STEP, k + 1
    shown = _three_figures(value)
    if shown == "1,024" and k < len(UNITS) - 1:
        shown, k = "1", k + 1
    return f"{shown} {UNITS[k]}"


def _three_figures(value):
    """Return a number of at least 1 with three figures, or more before the point, without trailing zeros."""
    decimals = 2 if value < 10 else 1 if value < 100 else 0
    shown = f"{value:,.{decimals}f}"
    return shown.rstrip("0").rstrip(".") if decimals else shown


def slot_text(n):
    """Return the size of a slot exactly: whole KiB as KiB, else bytes."""
    if n >= STEP and n % STEP == 0:
        return f"{n // STEP:,} KiB"
    return f"{n:,} B"


def count_text(n):
    """Return a count with a comma between thousands."""
    return f"{int(n):,}"


def plural(n, word):
    """Return ``n`` and ``word``, with an s unless n is 1."""
    return f"{count_text(n)} {word}{'' if n == 1 else 's'}"


def address_text(address):
    """Return an address as Go prints it."""
    return f"{int(address):#x}"


def percent_text(part, whole):
    """Return a share in percent; never 100% or 0% unless it is."""
    if whole == 0:
        return "none"
    share = 100.0 * part / whole
    for decimals in (0, 1, 2, 3, 4):
        shown = f"{share:.{decimals}f}"
        if (float(shown) < 100 or part == whole) and (float(shown) > 0 or part == 0):
            return shown + "%"
    return "over 99.9999%" if share > 50 else "under 0.0001%"


def bytes_axis(largest):
    """Return (divisor, unit) for an axis that reaches ``largest`` bytes: 2 to 2048 of the unit."""
    k = 0
    while largest >= 2 * STEP and k < len(UNITS) - 1:
        largest, k = largest / STEP, k + 1
    return STEP**k, UNITS[k]


TIME_UNITS = ("ns", "µs", "ms", "s")


def time_text(ns):
    """Return a time with three figures in the largest unit that leaves a number of at least 1, up to seconds."""
    k = 0
    while abs(ns) >= 1000 and k < len(TIME_UNITS) - 1:
        ns, k = ns / 1000, k + 1
    return f"{ns:.3g} {TIME_UNITS[k]}" if abs(ns) < 1000 else f"{ns:,.0f} s"


def time_axis(largest):
    """Return (divisor, unit) for an axis that reaches ``largest`` ns: 2 to 2000 of the unit, or more seconds."""
    k = 0
    while largest >= 2000 and k < len(TIME_UNITS) - 1:
        largest, k = largest / 1000, k + 1
    return 1000**k, TIME_UNITS[k]

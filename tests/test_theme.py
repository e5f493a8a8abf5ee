"""Colours: text of every kind can be read in both themes, and the shades that stand for things can be told apart."""

import itertools

import pytest

from mheaplab.figures import theme as look
from mheaplab.figures.span_bits import slot_colors


class _Span:
    def __init__(self, noscan):
        self.noscan = noscan


@pytest.mark.parametrize(("color", "other", "ratio"), [("#000000", "#ffffff", 21.0), ("#777777", "#ffffff", 4.48)])
def test_contrast_is_that_of_wcag(color, other, ratio):
    assert look.contrast(color, other) == pytest.approx(ratio, abs=0.005) == look.contrast(other, color)


@pytest.mark.parametrize("theme", look.THEMES)
def test_text_is_readable_on_the_paper(theme):
    for ink in (look.TEXT[theme], look.MUTED[theme]):
        assert look.contrast(ink, look.PAPER[theme]) >= look.READABLE


@pytest.mark.parametrize("theme", look.THEMES)
@pytest.mark.parametrize("span", [None, _Span(False), _Span(True)])
def test_letters_are_readable_in_the_cells_of_a_span(theme, span):
    for color in slot_colors(span, theme):
        assert look.contrast(color, look.letter_color(color)) >= look.READABLE


@pytest.mark.parametrize("bar", [look.GOOD, look.BAD])
def test_text_is_readable_on_a_bar(bar):
    assert look.contrast(look.on_bar(bar), bar) >= look.READABLE


def test_a_colour_that_is_readable_stays_as_it_is():
    for color in (look.SCAN, look.NOSCAN, "#000000"):
        assert look.under_letters(color) == color
    assert look.contrast("#d55e00", look.letter_color("#d55e00")) < look.READABLE
    assert look.under_letters("#d55e00") != "#d55e00"


@pytest.mark.parametrize("theme", look.THEMES)
@pytest.mark.parametrize("noscan", [False, True])
def test_slots_of_different_kinds_have_different_colours(theme, noscan):
    free, allocated, _, dead, *_ = slot_colors(_Span(noscan), theme)
    for one, other in itertools.combinations((free, allocated, dead), 2):
        assert look.contrast(one, other) > 1.15 or abs(look.rgb(one) - look.rgb(other)).max() > 40

"""Notebooks in a real JupyterLab and a real browser: cells run, controls move figures, buttons save files."""

import pytest
from browser import SETTLED, find_first, find_plot, jupyter_lab, opened

from mheaplab.figures.export import chrome

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(chrome() is None, reason="no Chrome or Chromium here"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where JupyterLab runs, with a copy of the notebooks."""
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="module")
def lab(folder):
    """The address of a notebook in a JupyterLab, without its name."""
    with jupyter_lab(folder) as address:
        yield address


def test_start_here(lab, folder):
    """In JupyterLab the keyboard moves the heap, buttons export it, and nothing outside is asked for."""
    with opened(f"{lab}00_start_here.ipynb", chrome()) as page:
        find_plot(page, "heap-map")
        page.wait_for_function("plot.layout.title.text.includes('after 79,000 events')")
        page.wait_for_function(SETTLED)
        page.focus(".noUi-handle")
        page.keyboard.press("ArrowRight")
        page.wait_for_function("plot.layout.title.text.includes('after 80,000 events')")
        with page.expect_download() as download:
            page.get_by_text("Download SVG").click()
        assert download.value.suggested_filename == "go119-json-heap-map.svg"
        page.get_by_label("format").select_option(label="CSV")
        page.get_by_role("button", name="Save both figures").click()
        page.get_by_text("wrote exports/go119-json-event-80000-heap-map.csv").wait_for()
    assert (folder / "notebooks" / "exports" / "go119-json-event-80000-occupancy.csv").is_file()


def test_inside_the_heap(lab, folder):
    """Notebook 05: slider, buttons, address box and sweep are moved by keyboard and mouse, and the figures follow."""
    with opened(f"{lab}05_inside_the_heap.ipynb", chrome()) as page:
        find_plot(page, "sweep-48-B-30-percent")
        marks = "plot.data[0].z.flat(9).filter((v) => v === 2).length"
        page.wait_for_function(f"{marks} === {round(0.3 * 170)}")
        page.locator(".noUi-handle").last.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function(f"{marks} === {round(0.35 * 170)}")
        page.get_by_label("runtime").last.select_option(label="Go 1.27")
        page.wait_for_function("plot.layout.title.text.includes('165 slots')")
        page.evaluate("document.querySelector('.jp-WindowedPanel-outer').scrollTop = 0")
        find_first(page, "malloc-48")
        page.get_by_role("button", name="Next").first.click()
        page.get_by_text("Step 2 of 14").first.wait_for()
        page.locator(".noUi-handle").first.focus()
        for _ in range(12):
            page.keyboard.press("ArrowRight")
        page.get_by_text("Step 14 of 14").first.wait_for()
        page.wait_for_function("plot.layout.title.text.includes('170 slots')")
        page.get_by_label("address").first.fill("0xc000000031")
        page.get_by_text("slot 1 of 170, 0xc000000030 + 1").first.wait_for()
        page.get_by_label("format").first.select_option(label="CSV")
        page.get_by_role("button", name="Save both figures").first.click()
        page.get_by_text("wrote exports/malloc-48-step-14-span-bits.csv").wait_for()
    saved = (folder / "notebooks" / "exports" / "malloc-48-step-14-span-bits.csv").read_text(encoding="utf-8")
    assert saved.count("\n") > 170

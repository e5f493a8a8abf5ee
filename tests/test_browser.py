"""Notebooks in a real JupyterLab and a real browser: cells run, controls move figures, buttons save files."""

import nbformat
import pytest
from browser import SETTLED, find_first, find_plot, jupyter_lab, load_again, move_every_control, opened

import mheaplab as mh
from mheaplab.figures import theme as look
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
        load_again(page)
        find_plot(page, "heap-map")
        page.wait_for_function("plot.layout.title.text.includes('after 80,000 events')")
        assert move_every_control(page) == ["events", "colour"]
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
        page.get_by_role("button", name="Back").first.focus()
        page.keyboard.press("Enter")
        page.get_by_text("Step 13 of 14").first.wait_for()
        name, content = saved(page, "Download SVG")
        # Both runtimes treat large objects the same, so whether that list shows depends on the size beside it.
        assert move_every_control(page, {"runtime"}) == ["step", "step", "object, B", "alive, %"]
    assert name.startswith("sweep-") and content.startswith(b"<svg") and b"165 slots" in content
    table = (folder / "notebooks" / "exports" / "malloc-48-step-14-span-bits.csv").read_text(encoding="utf-8")
    assert table.count("\n") > 170


def test_in_the_dark(lab, folder):
    """In JupyterLab's dark theme, with dark figures, text is readable too, that of an error as well."""
    path = folder / "notebooks" / "05_inside_the_heap.ipynb"
    book = nbformat.read(path, 4)
    first = next(cell for cell in book.cells if cell.cell_type == "code")
    first.source += "\nmh.figures.set_theme('dark')"
    nbformat.write(book, path.with_name("dark.ipynb"))
    with opened(f"{lab}dark.ipynb", chrome(), "JupyterLab Dark") as page:
        find_plot(page, "sweep-48-B-30-percent")
        assert page.evaluate("plot._fullLayout.paper_bgcolor") == look.PAPER["dark"]
        address = page.get_by_label("address").first
        address.scroll_into_view_if_needed()
        address.fill("nowhere")
        page.locator("[role=alert]", has_text="nowhere").first.wait_for()


SHOWN = "plot.layout.title.subtitle.text"
DATA = "plot.data.map((t) => Array.from(t.y).join()).join()"


def press_and_drag(page, key_changes, mouse_changes):
    """Move one slider by keys and one by the mouse; each must change what ``plot`` shows, to the exact run."""
    for change in (key_changes, mouse_changes):
        before = page.evaluate(DATA)
        change()
        page.wait_for_function(f"(before) => {DATA} !== before && {SHOWN}.includes('exact')", arg=before)


def drag(page, slider, pixels):
    """Drag a slider's handle with the mouse."""
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + pixels, y, steps=4)
    page.mouse.up()


def saved(page, words):
    """Click a button that downloads a picture, the last one if there are several; its name and what is in it."""
    with page.expect_download() as download:
        page.get_by_role("button", name=words).last.click()
    return download.value.suggested_filename, download.value.path().read_bytes()


def test_arena_growth(lab):
    """Notebook 02: the limit by keyboard, early growth by mouse; the picture that is downloaded is a PNG."""
    with opened(f"{lab}02_arena_growth.ipynb", chrome()) as page:
        find_plot(page, "arenas")
        page.wait_for_function(SETTLED)
        sliders = page.locator(".noUi-handle")

        def lower_the_limit():
            sliders.nth(0).focus()
            for _ in range(10):  # from none to 128 MiB
                page.keyboard.press("ArrowLeft")

        press_and_drag(page, lower_the_limit, lambda: drag(page, sliders.nth(1), -150))
        assert "limit" in page.evaluate(SHOWN) and "grow_early_percent" in page.evaluate(SHOWN)
        name, content = saved(page, "Download PNG")
        moved = move_every_control(page)
    assert moved == ["memory limit", "arena", "placement", "page cache", "grow early at", "huge page", "along"]
    assert name.startswith("cache-fill-empty-memory-limit-") and name.endswith("-arenas.png")
    assert content.startswith(b"\x89PNG\r\n\x1a\n") and len(content) > 10_000


RECORD = """() => {
  window.redraws = 0;
  window.seen = [];
  plot.on('plotly_afterplot', () => { window.redraws += 1; });
  const look = () => {
    const text = plot.querySelector('.gtitle-subtitle').textContent;
    const path = [...plot.querySelectorAll('.js-line')].map((line) => line.getAttribute('d')).join();
    if (window.seen.at(-1)?.text !== text) window.seen.push({ text, path, redraws: window.redraws });
    requestAnimationFrame(look);
  };
  look();
}"""


def drafts_of(page, slider):
    """Move a slider back and forth, wait for the exact run, and return the drafts that were painted."""
    first = page.evaluate(DATA)
    page.evaluate("window.seen = []")
    slider.focus()
    for key in ["ArrowRight"] * 4 + ["ArrowLeft"] * 4:
        page.keyboard.press(key)
        page.wait_for_timeout(120)
    # Where the kernel is slow a key may come after a rest, so exact runs of other values may come between.
    page.wait_for_function("window.seen.length > 1 && window.seen.at(-1).text.includes('exact')")
    # Back where it was, whatever was painted between.
    page.wait_for_function(f"(first) => {DATA} === first && window.seen.at(-1).text.includes('exact')", arg=first)
    drafts = [seen for seen in page.evaluate("window.seen") if "prefix" in seen["text"]]
    return [b for a, b in zip(drafts, drafts[1:], strict=False) if a["redraws"] == b["redraws"]]


def drafts_are_painted(page, slider):
    """Drafts say so, move lines without plotly's redrawing, leave nothing behind; a busy machine shows few of them."""
    page.evaluate(RECORD)
    for _ in range(8):
        painted = drafts_of(page, slider)
        if len(painted) >= 2:
            break
    assert len(painted) >= 2 and all(a["path"] != b["path"] for a, b in zip(painted, painted[1:], strict=False))


def test_sweep(lab, folder):
    """Notebook 03: GOGC by keyboard, the limit by mouse; pin, code, reset; the picture that is downloaded is an SVG."""
    with opened(f"{lab}03_sweep.ipynb", chrome()) as page:
        find_plot(page, "memory-")
        page.wait_for_function(SETTLED)
        sliders = page.locator(".noUi-handle")
        drafts_are_painted(page, sliders.nth(0))

        def raise_gogc():
            sliders.nth(0).focus()
            page.keyboard.press("ArrowRight")

        press_and_drag(page, raise_gogc, lambda: drag(page, sliders.nth(1), -150))
        assert "GOGC=125, limit" in page.evaluate(SHOWN)
        page.get_by_role("button", name="Pin this run").click()
        page.get_by_role("button", name="Pinned: Go 1.19, GOGC=125").wait_for()
        page.locator(".js-plotly-plot", has_text="pinned and now").wait_for()
        page.get_by_role("button", name="Copy as code").click()
        page.locator("pre", has_text="mh.HeapParams.go119(gogc=125, memory_limit=").wait_for()
        page.get_by_title("set memory limit back to none").click()
        page.wait_for_function(f"!{SHOWN}.includes('limit') && {SHOWN}.includes('exact')")
        name, content = saved(page, "Download SVG")
        page.get_by_label("format").select_option(label="HTML")
        page.get_by_role("button", name="Save both figures").click()
        page.get_by_text("wrote exports/").wait_for()
        moved = move_every_control(page)
    assert moved == ["GOGC", "memory limit", "background sweep", "Ps (GOMAXPROCS)", "along"]
    assert name.startswith("json-service-gogc-125-") and name.endswith("-memory.svg")
    assert content.startswith(b"<svg") and b"Memory over time: json-service" in content
    pages = sorted((folder / "notebooks" / "exports").glob("json-service-gogc-125-*.html"))
    assert [p.stem.rsplit("-", 1)[1] for p in pages] == ["compare", "memory", "sweep"]
    assert all("json-service" in p.read_text(encoding="utf-8")[-200_000:] for p in pages)


HANDLE = '.mheaplab-handles [role=slider][aria-label="boundary of class {}"]'
CHOSEN = "document.activeElement.getAttribute('aria-valuetext')"
LINES = "[...plot.querySelectorAll('.js-line, .js-fill')].map((line) => line.getAttribute('d')).join()"


def test_size_classes(lab):
    """Notebook 01: a boundary is dragged, moved by keys and typed; tables, changes and Go are chosen; files saved."""
    playwright = pytest.importorskip("playwright.sync_api")
    with opened(f"{lab}01_size_classes.ipynb", chrome()) as page:
        find_plot(page, "-classes-")
        page.wait_for_function(SETTLED)
        page.locator(HANDLE.format(20)).wait_for()
        lines, before = page.evaluate(LINES), page.evaluate(SHOWN)
        box = page.locator(HANDLE.format(40)).bounding_box()
        page.mouse.move(box["x"] + 8, box["y"] + 6)
        page.mouse.down()
        for dx in range(0, 120, 8):
            page.mouse.move(box["x"] + 8 + dx, box["y"] + 6)
        # It follows before it is let go.
        page.wait_for_function(f"(lines) => {LINES} !== lines", arg=lines)
        page.mouse.up()
        page.wait_for_function("plot.layout.title.text.includes('own table')")
        assert page.evaluate(CHOSEN) not in (None, "1152 B")
        moved = page.evaluate(CHOSEN)
        page.keyboard.press("ArrowLeft")
        page.wait_for_function(f"(moved) => {CHOSEN} !== moved", arg=moved)
        page.keyboard.press("PageDown")
        page.keyboard.press("Delete")
        page.locator(".jupyter-widgets", has_text="classes 66").first.wait_for()
        size = page.get_by_label("class of")
        chosen = size.input_value()
        page.get_by_role("button", name="Add a class").click()
        page.locator(".jupyter-widgets", has_text="classes 67").first.wait_for()
        playwright.expect(size).not_to_have_value(chosen)
        size.fill("41")
        page.keyboard.press("Enter")
        page.locator("[role=alert]", has_text="41 bytes cannot be a class in go1.19, nearest are 32 and 48").wait_for()
        page.get_by_label("table", exact=True).select_option(label="best 67 classes")
        page.wait_for_function("plot.layout.title.text.includes('optimal')")
        assert page.evaluate(SHOWN) != before
        page.get_by_label("table", exact=True).select_option(label="Go's, best few changes")
        page.wait_for_function("plot.layout.title.text.includes('go1.19, 3 changed')")
        page.locator(".noUi-handle").last.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function("plot.layout.title.text.includes('go1.19, 4 changed')")
        drag(page, page.locator(".noUi-handle").last, 60)
        page.wait_for_function("!plot.layout.title.text.includes('go1.19, 4 changed')")
        go_file, source = saved(page, "Download sizeclasses.go")
        name, content = saved(page, "Download SVG")
        page.get_by_label("Go", exact=True).select_option(label="Go 1.27")
        page.wait_for_function(f"{SHOWN}.includes('bitmap')")
        page.get_by_label("program").select_option(label="trees")
        page.wait_for_function("plot.layout.title.text.includes('Size classes for trees')")
        assert move_every_control(page) == ["program", "Go", "table", "changes"]
    assert go_file == "sizeclasses.go" and source.startswith(b"// Code generated by mksizeclasses.go")
    assert name.startswith("json-go1.19-near-") and name.endswith("-classes.svg")
    assert content.startswith(b"<svg") and b"Size classes for json" in content


def test_your_own_program(lab, folder):
    """Notebook 06: a file is sent by the browser, GOGC moved by keyboard, the moment by mouse; a picture is saved."""
    with opened(f"{lab}06_your_own_program.ipynb", chrome()) as page:
        find_plot(page, "-memory-")
        page.wait_for_function(SETTLED)
        assert "go127-buffers.trace" in page.evaluate("plot.layout.title.text")
        assert move_every_control(page) == ["GOGC", "moment"]
        find_first(page, "-memory-")
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Choose a file").click()
        chooser.value.set_files(mh.data_path("histograms/go127-tmpl.heap.pb.gz"))
        page.wait_for_function("plot.layout.title.text.includes('go127-tmpl.heap.pb.gz')")
        before = page.evaluate(DATA)
        page.locator(".noUi-handle").nth(0).focus()
        for _ in range(6):
            page.keyboard.press("ArrowLeft")
        page.wait_for_function(f"(before) => {DATA} !== before && !{SHOWN}.includes('GOGC=100')", arg=before)
        find_first(page, "-heap-map-")
        title = page.evaluate("plot.layout.title.text")
        drag(page, page.locator(".noUi-handle").nth(1), -120)
        page.wait_for_function("(title) => plot.layout.title.text !== title", arg=title)
        page.get_by_role("textbox", name="file", exact=True).fill("nowhere/x.trace")
        page.keyboard.press("Enter")
        page.locator("[role=alert]", has_text="no such file").wait_for()
        name, content = saved(page, "Download SVG")
    assert name.startswith("go127-tmpl.heap.pb.gz-gogc-") and name.endswith("-memory.svg")
    assert content.startswith(b"<svg") and b"Memory over time: go127-tmpl.heap.pb.gz" in content
    assert (folder / "notebooks" / "exports" / "buffers.parquet").is_file()


MAP = "plot.data[0].source"
TITLE = "plot.layout.title.text"
MARKED = "other.data.at(-1).x[0]"


def moved(page, change, what=MAP):
    """Do something that must change what a heap map shows, in the picture itself as well as in its data."""
    before = page.evaluate(what)
    change()
    page.wait_for_function(f"(before) => {what} !== before", arg=before)
    page.wait_for_function(f"plot.querySelector('.im image').getAttribute('href') === {MAP}")
    page.wait_for_function(f"plot.querySelector('.gtitle').textContent === {TITLE}")


def test_heap_through_time(lab, folder):
    """Notebook 04: moments by keyboard, mouse and play, colour by list; the line follows; files are saved."""
    with opened(f"{lab}04_heap_through_time.ipynb", chrome()) as page:
        find_plot(page, "orders-event-71258-type-over-time")
        page.evaluate("window.other = plot")
        find_first(page, "orders-event-71258-type-heap-map")
        page.wait_for_function(SETTLED)
        slider, last = page.locator(".noUi-handle").last, page.evaluate(MARKED)

        def press_left():
            slider.focus()
            for _ in range(4):
                page.keyboard.press("ArrowLeft")

        moved(page, press_left)
        page.wait_for_function(f"(last) => {MARKED} < last", arg=last)
        moved(page, lambda: drag(page, slider, -200))
        texts = page.evaluate("plot.data[1].text.flat().join()")
        play = page.locator(".widget-play").last.locator("button").first
        moved(page, play.click, TITLE)
        seen = page.evaluate(TITLE)
        page.wait_for_function(f"(seen) => {TITLE} !== seen", arg=seen)
        play.click()
        # At rest plotly has drawn all of it: the texts of hovers, and the line at the event of the title.
        page.wait_for_function("(texts) => plot.data[1].text.flat().join() !== texts", arg=texts)
        page.wait_for_function(f"{TITLE}.includes('after ' + {MARKED}.toLocaleString('en-US') + ' events')")
        legend = page.evaluate("plot.data.at(2).name")
        assert legend.startswith("no type")
        colour = page.get_by_label("colour").last
        moved(page, lambda: colour.select_option(label="age of the oldest object"))
        assert page.evaluate("plot.data.at(2).name").startswith("oldest ")
        name, content = saved(page, "Download SVG")
        page.get_by_label("format").last.select_option(label="CSV")
        page.get_by_role("button", name="Save both figures").last.click()
        page.get_by_text("-oldest-heap-map.csv").last.wait_for()
        event = page.evaluate(MARKED)
        play.focus()
        moved(page, lambda: page.keyboard.press("Enter"), TITLE)
        page.keyboard.press("Enter")
        assert move_every_control(page) == ["moment", "colour"] * 2
    assert name == f"orders-event-{event}-oldest-heap-map.svg"
    assert content.startswith(b"<svg") and f"Heap map of orders after {event:,} events".encode() in content
    table = (folder / "notebooks" / "exports" / f"orders-event-{event}-oldest-heap-map.csv").read_text(encoding="utf-8")
    assert "oldest_age" in table and "main.order" in table
    assert (folder / "notebooks" / "exports" / "cache-oldest.html").is_file()


def test_studies(lab, folder):
    """Notebook 07: the study runs, its bar is full; metrics and colour are chosen, and the figures follow."""
    with opened(f"{lab}07_studies.ipynb", chrome()) as page:
        find_plot(page, "-pareto-", control=".widget-dropdown select")
        page.wait_for_function('plot.layout.title.text === "Collector\'s time against mean backed: json-service"')
        page.get_by_label("upwards").select_option(label="collections")
        page.wait_for_function("plot.layout.title.text.startsWith('Collections against mean backed')")
        page.get_by_label("trace", exact=True).select_option(label="web-sessions")
        page.wait_for_function("plot.layout.title.text.endsWith(': web-sessions')")
        before = page.evaluate("plot.data.map((t) => t.name).join()")
        page.get_by_label("colour").select_option(label="size classes")
        page.wait_for_function("(before) => plot.data.map((t) => t.name).join() !== before", arg=before)
        name, content = saved(page, "Download SVG")
        assert move_every_control(page) == ["trace", "across", "upwards", "colour"]
        page.evaluate("document.querySelector('.jp-WindowedPanel-outer').scrollTop = 0")
        page.get_by_text("24 of 24, ").wait_for()
    assert name.startswith("study-web-sessions-collections-mean_backed-size_classes")
    assert content.startswith(b"<svg") and b"Collections against mean backed: web-sessions" in content
    assert (folder / "notebooks" / "studies" / "grid" / "study.json").is_file()

#!/usr/bin/env python
"""Measure, in a real JupyterLab in a real browser, how long a figure takes to follow a slider.

    python tools/latency.py [--views memory,sweep] [--controls gogc,memory_limit] [--scenario json-service]
    python tools/latency.py --classes go119-json
    python tools/latency.py --moments age [--scenario json-service]

Keys move the slider, or with ``--classes`` the boundary of a size class, by one step at a time.  A draft's time runs
from the key to the second frame after the figure's caption has changed; the exact run's, likewise, from the key to the
second frame after the caption says so, and so it contains the rest of a quarter of a second that comes before
(``mheaplab/widgets/settle.py``).  Boundaries are timed to the second frame after the figure's lines have moved, moments
of a heap map to the second frame after its picture has.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from browser import SETTLED, find_plot, jupyter_lab, opened  # noqa: E402

from mheaplab.figures.export import chrome  # noqa: E402

MOVES = 20
PATIENCE_MS = 15_000
ARM = """async () => {
  const frame = () => new Promise((r) => requestAnimationFrame(r));
  const caption = () => plot.layout.title.subtitle.text;
  const before = caption();
  let start = 0;
  document.addEventListener('keydown', () => { start = performance.now(); }, { capture: true, once: true });
  const late = () => { if (start && performance.now() - start > PATIENCE) throw new Error('nothing was drawn'); };
  const shown = async (there) => {
    while (!start || !there()) { await frame(); late(); }
    await frame(); await frame();
    return performance.now() - start;
  };
  window.timed = (async () => {
    const draft = await shown(() => caption() !== before);
    return [draft, window.patient ? await shown(() => caption().includes('exact')) : null];
  })();
}""".replace("PATIENCE", str(PATIENCE_MS))


def notebook(scenario, controls, views):
    """Return a notebook that shows an explorer."""
    cells = [
        "import mheaplab as mh",
        f"mh.widgets.run_explorer(mh.workloads.load({scenario!r}), controls={controls}, views={views})",
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "python3", "language": "python"}}
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells], metadata=kernel)


def moves(page, handle, patient):
    """Move a slider ``MOVES`` times; the list of (draft, exact) in milliseconds."""
    page.evaluate(f"window.patient = {str(patient).lower()}")
    times = []
    for k in range(MOVES):
        handle.focus()
        page.evaluate(ARM)
        page.keyboard.press("ArrowRight" if k % MOVES < MOVES // 2 else "ArrowLeft")
        times.append(page.evaluate("window.timed"))
        page.wait_for_timeout(300 if patient else 30)
    return times


LINES = "[...plot.querySelectorAll('.js-line, .js-fill')].map((line) => line.getAttribute('d')).join()"
IMAGE = "plot.querySelector('.im image').getAttribute('href')"
HANDLE = '.mheaplab-handles [role=slider][aria-valuenow="1152"]'
EXACT = "window.patient ? await shown(() => caption().includes('exact')) : null"


def measure_painted(code, control, seen):
    """Return times in milliseconds from a key on a control to the second frame after what is ``seen`` has changed."""
    arm = ARM.replace("plot.layout.title.subtitle.text", seen).replace(EXACT, "null")
    cells = ["import mheaplab as mh", code]
    kernel = {"kernelspec": {"name": "python3", "display_name": "python3", "language": "python"}}
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells], metadata=kernel)
    times = []
    with tempfile.TemporaryDirectory() as folder, jupyter_lab(Path(folder)) as address:
        nbformat.write(book, Path(folder) / "notebooks" / "latency.ipynb")
        with opened(f"{address}latency.ipynb", chrome()) as page:
            page.locator(control).wait_for()
            page.wait_for_selector(".js-plotly-plot .main-svg")
            page.evaluate("window.plot = document.querySelector('.js-plotly-plot')")
            page.locator(control).focus()
            page.keyboard.press("ArrowLeft")  # the first move may also change what the figure is called
            page.wait_for_timeout(2000)
            for k in range(MOVES):
                page.evaluate(arm)
                page.keyboard.press("ArrowLeft" if k < MOVES // 2 else "ArrowRight")
                times.append(page.evaluate("window.timed")[0])
                page.wait_for_timeout(30)
    return times


def measure_classes(case):
    """Return drafts of moves of the boundary at 1,152 bytes of an explorer of size classes."""
    return measure_painted(f"mh.widgets.class_explorer({{'case': mh.data_path('cases/{case}')}})", HANDLE, LINES)


def measure_moments(scenario, color):
    """Return drafts of moves of the slider through the moments of a run, over a map of its heap."""
    code = f"mh.widgets.time_explorer(mh.workloads.load({scenario!r}), color={color!r})"
    return measure_painted(code, ".noUi-handle", IMAGE)


def words(times):
    """Return median, 95th percentile and extremes of some milliseconds."""
    times = sorted(times)
    p95 = times[int(0.95 * (len(times) - 1))]
    return f"median {statistics.median(times):4.0f}, p95 {p95:4.0f}, {times[0]:.0f} to {times[-1]:.0f} ms"


def measure(scenario, controls, views):
    """Return (drafts, exact) in milliseconds."""
    with tempfile.TemporaryDirectory() as folder, jupyter_lab(Path(folder)) as address:
        nbformat.write(notebook(scenario, controls, views), Path(folder) / "notebooks" / "latency.ipynb")
        with opened(f"{address}latency.ipynb", chrome()) as page:
            find_plot(page, scenario)
            page.wait_for_function(SETTLED)
            handle = page.locator(".noUi-handle").first
            handle.focus()
            for _ in range(MOVES // 2):
                page.keyboard.press("ArrowLeft")
            page.wait_for_timeout(2000)
            drafts = [draft for draft, _ in moves(page, handle, patient=False)]
            page.wait_for_timeout(2000)
            return drafts, [exact for _, exact in moves(page, handle, patient=True)]


def main():
    """Print the times."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--scenario", default="json-service")
    parser.add_argument(
        "--controls", default="gogc,memory_limit,background_sweep_per_ms,procs", type=lambda s: s.split(",")
    )
    parser.add_argument("--views", default="memory,sweep", type=lambda s: s.split(","))
    parser.add_argument("--classes", metavar="CASE", help="measure an explorer of size classes on this recorded case")
    parser.add_argument("--moments", metavar="COLOUR", help="measure a heap map through time, coloured by this")
    args = parser.parse_args()
    if args.moments:
        print(f"{args.scenario}, heap map by {args.moments}, the moment moved by {MOVES} keys")
        print(f"  key to draft: {words(measure_moments(args.scenario, args.moments))}")
        return
    if args.classes:
        print(f"{args.classes}, a boundary moved by {MOVES} keys")
        print(f"  key to draft: {words(measure_classes(args.classes))}")
        return
    drafts, exact = measure(args.scenario, args.controls, args.views)
    print(f"{args.scenario}, views {', '.join(args.views)}, {args.controls[0]} moved by {MOVES} keys")
    print(f"  key to draft: {words(drafts)}")
    print(f"  key to exact: {words(exact)}, a rest of 250 ms included")


if __name__ == "__main__":
    main()

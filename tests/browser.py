"""A real JupyterLab in a real browser: what the tests in ``test_browser.py`` stand on."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from contrast import hard_to_read

ROOT = Path(__file__).resolve().parent.parent
READY = """async () => {
  const sleep = () => new Promise((r) => setTimeout(r, 50));
  const shell = window.jupyterapp.shell;
  while (!shell.currentWidget?.sessionContext) await sleep();
  const context = shell.currentWidget.sessionContext;
  await context.ready;
  while (!context.session?.kernel) await sleep();
  await context.session.kernel.info;
}"""
DOWN = "() => { const e = document.querySelector('.jp-WindowedPanel-outer'); e.scrollTop = e.scrollHeight; }"
PLOT = "[...document.querySelectorAll('.js-plotly-plot')].find((g) => g.layout?.meta?.export_id?.includes('{}'))"
SETTLED = "plot._fullLayout.width === plot.parentElement.clientWidth"


@contextlib.contextmanager
def jupyter_lab(folder):
    """Serve a copy of the notebooks from a folder; the address of a notebook, without its name."""
    shutil.copytree(ROOT / "notebooks", folder / "notebooks", ignore=shutil.ignore_patterns("exports", ".*"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = Path(sys.executable).with_name("jupyter")
    command = [script, "lab", "--no-browser", "--expose-app-in-browser", "--ip=127.0.0.1", f"--port={port}"]
    command += ["--IdentityProvider.token=secret", f"--ServerApp.root_dir={folder}"]
    command += ["--LabApp.extension_manager=readonly"] + ["--allow-root"] * (os.geteuid() == 0)
    with open(folder / "lab.log", "w", encoding="utf-8") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            base = f"http://127.0.0.1:{port}"
            for _ in range(300):
                try:
                    urllib.request.urlopen(f"{base}/api?token=secret", timeout=5).close()
                    break
                except OSError:
                    assert server.poll() is None, (folder / "lab.log").read_text(encoding="utf-8")
                    time.sleep(0.1)
            yield f"{base}/lab/tree/notebooks/"
        finally:
            server.terminate()
            server.wait(30)


@contextlib.contextmanager
def opened(address, browser_path, theme="JupyterLab Light"):
    """Run all cells of a notebook in a browser that reaches nothing but this machine; the page.

    At the end no error may have been, and all text that is shown must be readable.
    """
    api = pytest.importorskip("playwright.sync_api")
    outside, errors = [], []
    with api.sync_playwright() as play:
        rules = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
        browser = play.chromium.launch(executable_path=browser_path, args=["--no-sandbox", rules])
        page = browser.new_context(viewport={"width": 1280, "height": 1000}, accept_downloads=True).new_page()
        page.set_default_timeout(120_000)
        local = re.compile(r"(https?|wss?)://127\.0\.0\.1|data:|blob:")
        page.on("request", lambda r: None if local.match(r.url) else outside.append(r.url))
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: errors.append(str(e)))
        page.goto(f"{address}?token=secret&reset")
        page.wait_for_selector(".jp-NotebookPanel")
        page.evaluate(READY)
        page.evaluate("(theme) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", theme)
        page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
        yield page
        dim = hard_to_read(page)
        browser.close()
    assert not dim, dim
    assert not outside and not errors, (outside, errors)


def load_again(page):
    """Save the notebook and load the page anew, its kernel as it is."""
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    page.reload()
    page.wait_for_selector(".jp-NotebookPanel")
    page.evaluate(READY)


def find_plot(page, name, control=".noUi-handle"):
    """Scroll down until the figure with ``name`` in its id, and a control, are there; make it ``window.plot``."""
    plot = PLOT.replace("{}", name)
    for _ in range(240):
        page.evaluate(DOWN)
        if page.evaluate(f"!!({plot}) && !!document.querySelector('{control}')"):
            break
        time.sleep(0.5)
    find_first(page, name)


def find_first(page, name):
    """Make the first figure with ``name`` in its id ``window.plot``, and show it."""
    page.evaluate(f"() => {{ window.plot = {PLOT.replace('{}', name)}; plot.scrollIntoView(); }}")


SHOWN_STATE = """(root) => [...root.querySelectorAll('.js-plotly-plot')].map((plot) => JSON.stringify([
  plot.layout.title?.text, plot.layout.title?.subtitle?.text, plot.layout.shapes, plot.layout.annotations,
  plot.data.map((t) => [t.visible, ['x', 'y', 'z', 'text', 'source'].map((key) => {
    const value = t[key];
    if (value === undefined || typeof value === 'string') return value?.length + ':' + value?.slice?.(-200);
    return Array.from(value.flat?.() ?? value).join();
  })]),
])).join()"""
ROOT_OF = "(e) => { for (let n = e; n; n = n.parentElement) if (n.querySelector('.js-plotly-plot')) return n; }"
QUIET = {"format", "step"}
"""Lists that by design change no figure: what to save, and how far a key goes."""


def label_of(control):
    """Return the label of a control, which it must have."""
    words = control.evaluate(
        """(e) => e.getAttribute('aria-label') || e.labels?.[0]?.textContent
             || e.closest('.widget-hbox, .jupyter-widgets')?.querySelector('.widget-label')?.textContent || ''"""
    )
    assert words.strip(), "a control without a label: " + control.evaluate("(e) => e.outerHTML.slice(0, 200)")
    return words.strip()


class Watched:
    """The figures beside a control, and what they show."""

    def __init__(self, page, control):
        self.page, self.root = page, control.evaluate_handle(ROOT_OF)
        self.before = self.root.evaluate(SHOWN_STATE)

    def changes(self, words):
        """Wait until the figures show something else."""
        for _ in range(600):
            if self.root.evaluate(SHOWN_STATE) != self.before:
                return
            self.page.wait_for_timeout(100)
        pytest.fail(f"{words}: no figure has changed")


def _moves_of_slider(page, handle):
    """Yield what moves a slider: by keys, by the mouse."""

    def by_keys():
        low, now = (float(handle.get_attribute(f"aria-value{end}")) for end in ("min", "now"))
        handle.focus()
        for _ in range(3):
            page.keyboard.press("ArrowLeft" if now > low else "ArrowRight")

    def by_mouse():
        handle.scroll_into_view_if_needed()
        box, bar = (
            handle.bounding_box(),
            handle.evaluate("(e) => e.closest('.noUi-base').getBoundingClientRect().toJSON()"),
        )
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        middle = bar["x"] + bar["width"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + (-bar["width"] / 4 if x > middle else bar["width"] / 4), y, steps=4)
        page.mouse.up()

    return by_keys, by_mouse


def _moves_of_list(page, select):
    """Yield what chooses from a list: by keys, by picking."""

    def by_keys():
        index, count = select.evaluate("(e) => [e.selectedIndex, e.options.length]")
        select.focus()
        page.keyboard.press("ArrowDown" if index < count - 1 else "ArrowUp")

    def by_picking():
        index, count = select.evaluate("(e) => [e.selectedIndex, e.options.length]")
        select.select_option(index=(index + 1) % count)

    return by_keys, by_picking


def move_every_control(page, quiet=frozenset()):
    """Move each slider and list of the notebook by keyboard and by mouse; the figures beside it must follow.

    Returns the labels of what was moved.  ``quiet`` are labels that, in this notebook, may leave figures as they are.
    """
    moved = []
    controls = page.locator(".jp-OutputArea-output .noUi-handle, .jp-OutputArea-output select")
    for k in range(controls.count()):
        control = controls.nth(k)
        if not control.is_visible():
            continue
        label, is_list = label_of(control), control.evaluate("(e) => e.tagName") == "SELECT"
        if label in quiet or (is_list and label in QUIET):
            continue
        make = _moves_of_list if is_list else _moves_of_slider
        for move in make(page, control):
            page.wait_for_timeout(600)  # what the last move asked for at rest is drawn
            watched = Watched(page, control)
            move()
            watched.changes(f"{label}, {move.__name__}")
        moved.append(label)
    return moved

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
def opened(address, browser_path):
    """Run all cells of a notebook in a browser that reaches nothing but this machine; the page. No error may show."""
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
        page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
        yield page
        browser.close()
    assert not outside and not errors, (outside, errors)


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

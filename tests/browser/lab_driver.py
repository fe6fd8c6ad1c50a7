"""Drive a real JupyterLab in a real Chromium, as a learner would: open a lesson, run it, press keys, look."""

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, Playwright, expect

from kd_lab.classroom.lab import SETTINGS as DEFAULTS
from kd_lab.teaching.paper import chromium

CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]

PATIENCE = 300  # seconds: a machine that runs other tests beside is slow, a page that hangs never answers

SETTINGS = {
    # Cells out of sight keep their outputs in the page, so that what is not on the screen can still be found and read.
    "@jupyterlab/notebook-extension/tracker.jupyterlab-settings": '{"windowingMode": "none"}',
}


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab."""

    root: Path  # the folder it serves
    url: str
    token: str


def own_places(home: Path, cache: Path) -> dict[str, str]:
    """The environment in which Jupyter and a lesson leave what is a person's own alone, and find the tests' modules.

    Args:
        home: everything that they write goes here.
        cache: what lessons train.
    """
    places = {
        "JUPYTERLAB_WORKSPACES_DIR": home / "workspaces",
        "JUPYTER_CONFIG_DIR": home / "config",
        "JUPYTER_DATA_DIR": home / "data",
        "JUPYTER_RUNTIME_DIR": home / "runtime",
        "IPYTHONDIR": home / "ipython",
        "KD_LAB_CACHE": cache,
        "KD_LAB_PROGRESS": home / "progress.json",
        "KD_LAB_LIVE": "0",  # a lesson says what is stored, whether or not a real LLM is installed
    }
    path = [str(Path(__file__).parents[1] / "lessons"), os.environ.get("PYTHONPATH", "")]
    return {name: str(place) for name, place in places.items()} | {"PYTHONPATH": os.pathsep.join(filter(None, path))}


@contextmanager
def running_lab(
    root: Path, home: Path, cache: Path, command: tuple[str, ...] = ("jupyterlab", "--ServerApp.root_dir={root}")
) -> Iterator[Lab]:
    """JupyterLab over `root` on a free loopback port.

    Args:
        root: the folder that it serves.
        home: everything else that it writes goes here.
        cache: what lessons train.
        command: the module that starts it, and its arguments; `{root}` stands for the folder.
    """
    settings = home / "settings"
    for name, text in SETTINGS.items():
        (settings / name).parent.mkdir(parents=True, exist_ok=True)
        (settings / name).write_text(text, encoding="utf-8")
    places = {"JUPYTERLAB_SETTINGS_DIR": str(settings), "JUPYTER_CONFIG_PATH": str(DEFAULTS), **own_places(home, cache)}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    options = ["--no-browser", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0",
               f"--IdentityProvider.token={token}", "--expose-app-in-browser"]  # fmt: skip
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--allow-root")
    log_path = home / "lab.log"
    with log_path.open("w", encoding="utf-8") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", *(word.format(root=root) for word in command), *options],
            env=os.environ | places,
            stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        url = f"http://127.0.0.1:{port}"
        try:
            wait_until_up(server, url, token, log_path)
            yield Lab(root, url, token)
        finally:
            server.send_signal(signal.SIGTERM)  # asks it to end its kernels too
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()


def wait_until_up(server: subprocess.Popen, url: str, token: str, log: Path, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            urllib.request.urlopen(f"{url}/api/status?token={token}", timeout=30).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(
        f"JupyterLab did not come up within {seconds:g} s; its log ends with:\n{log.read_text('utf-8')[-2000:]}"
    )


def launch_chromium(playwright: Playwright) -> Browser:
    """The system's own browser; Playwright's is never downloaded."""
    expect.set_options(timeout=PATIENCE * 1000)
    return playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS, timeout=PATIENCE * 1000)


def faults_of(page: Page, within: str, without: str = "none") -> list[str]:
    """What axe-core calls critical or serious in a part of a page, but for what lies in another part."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    place = {"include": [[within]], "exclude": [[without]]}
    found = page.evaluate("place => axe.run(place, {resultTypes: ['violations']})", place)
    return [
        f"{fault['id']} ({fault['impact']}): {node['html'][:200]}"
        for fault in found["violations"]
        if fault["impact"] in ("critical", "serious")
        for node in fault["nodes"]
    ]


class Notebook:
    """One notebook open in JupyterLab."""

    def __init__(self, lab: Lab, page: Page, path: str):
        self.page, self.path = page, path
        page.set_default_timeout(PATIENCE * 1000)
        page.goto(f"{lab.url}/lab?token={lab.token}&reset")
        page.wait_for_function("window.jupyterapp !== undefined")
        self._evaluate(
            "async path => { await app.restored; await app.commands.execute('docmanager:open', {path}); }", path
        )
        page.wait_for_function(
            """() => document.querySelector('.jp-Dialog')
                || window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"""
        )
        # A dialog at opening (no kernel chosen, a file out of date) would stop a learner too.
        expect(page.locator(".jp-Dialog")).to_have_count(0)

    def _evaluate(self, function: str, argument: object = None) -> object:
        """Call a JavaScript function that sees `app` (JupyterLab) and takes one argument."""
        return self.page.evaluate(
            f"async (argument) => {{ const app = window.jupyterapp; return await ({function})(argument); }}", argument
        )

    def run_all(self, seconds: float = 4 * PATIENCE) -> None:
        """Run every cell and wait until the last one is done; an error stops the run, as it does for a learner."""
        self._evaluate("() => { app.commands.execute('notebook:run-all-cells'); }")
        self._wait_idle(seconds)

    def run_cell(self, index: int, source: str | None = None, seconds: float = PATIENCE) -> None:
        """Run one cell, with new text where `source` is given."""
        self._evaluate(
            """([index, source]) => {
                const notebook = app.shell.currentWidget.content;
                notebook.deselectAll();
                notebook.activeCellIndex = index;
                if (source !== null) notebook.activeCell.model.sharedModel.setSource(source);
                app.commands.execute('notebook:run-cell');
            }""",
            [index, source],
        )
        self._wait_idle(seconds)

    def _wait_idle(self, seconds: float) -> None:
        """Until no cell waits or runs: their prompts show a star until they are done."""
        self.page.wait_for_timeout(200)
        self.page.wait_for_function(
            """() => {
                const panel = window.jupyterapp.shell.currentWidget;
                const prompts = [...panel.content.node.querySelectorAll('.jp-InputPrompt')];
                return !prompts.some(prompt => prompt.textContent.includes('*'))
                    && panel.sessionContext.session?.kernel?.status === 'idle';
            }""",
            timeout=seconds * 1000,
            polling=200,
        )

    def cells(self) -> list[dict]:
        """The cells as the page's model holds them: type, source, outputs."""
        return self._evaluate("() => app.shell.currentWidget.content.model.sharedModel.toJSON().cells")

    def errors(self) -> list[str]:
        """Error outputs, and what an explorer shows in its picture's place."""
        outputs = [output for cell in self.cells() for output in cell.get("outputs", [])]
        raised = [f"{o['ename']}: {o['evalue']}" for o in outputs if o["output_type"] == "error"]
        return raised + self.page.locator(".jp-OutputArea [role=alert]").all_inner_texts()

    def outputs(self, index: int) -> list[dict]:
        """The outputs of one cell, as `cells` has them."""
        return self._evaluate("(i) => app.shell.currentWidget.content.model.cells.get(i).toJSON().outputs ?? []", index)

    def cell(self, index: int) -> Locator:
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def output_text(self, index: int) -> str:
        """What stands under one cell, as a learner reads it, with single spaces."""
        return re.sub(r"\s+", " ", self.cell(index).locator(".jp-Cell-outputWrapper").inner_text())

    def explorers(self) -> Locator:
        """Every explorer's picture with its sentence."""
        return self.page.locator(".jp-OutputArea figure:has(img)")

    def wait_for_change(self, where: Locator, attribute: str, before: str) -> None:
        """Until an attribute has another value than before."""
        expect(where).not_to_have_attribute(attribute, before)

    def faults(self, within: str = ".jp-OutputArea-output") -> list[str]:
        """Those in what the course draws: the outputs, and not JupyterLab itself."""
        return faults_of(self.page, within)

    def screenshot(self, path: Path, where: Locator | None = None) -> None:
        """A picture for people to look at, where SCREENSHOTS is set: no test reads it, and it takes a second."""
        if not os.environ.get("SCREENSHOTS"):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if where is None:
            self.page.screenshot(path=path)
        else:
            where.scroll_into_view_if_needed()
            where.screenshot(path=path)

    def shut_down(self) -> None:
        """End the kernel and leave without saving."""
        self._evaluate("async () => { await app.shell.currentWidget.sessionContext.shutdown(); }")
        self.page.close(run_before_unload=False)

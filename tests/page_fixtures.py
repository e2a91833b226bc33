"""What the tests of pages share: small runs, and a browser."""

from __future__ import annotations

import shutil

import pytest
from conftest import SMALL
from tagger_commands import as_text, toy_sequences

import seqlm_core as seqlm

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WITHIN = ("file:", "data:", "blob:")
"""How the addresses begin that need no network."""


@pytest.fixture(scope="session")
def language_run(short_text, tmp_path_factory):
    """The run of a small language model of two layers."""
    settings = {**SMALL, "epochs": 2, "layers": 2, "sample_every": 10, "embedding_size": 8}
    return seqlm.train(short_text, out=tmp_path_factory.mktemp("runs") / "one-way", quiet=True, **settings)


@pytest.fixture(scope="session")
def two_sided_run(short_text, tmp_path_factory):
    """The run of a small bidirectional language model."""
    settings = {**SMALL, "epochs": 1, "cell": "bigru", "log_every": 5}
    return seqlm.train(short_text, out=tmp_path_factory.mktemp("runs") / "two-sided", quiet=True, **settings)


@pytest.fixture(scope="session")
def column_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("columns") / "columns.tsv"
    path.write_text(as_text(toy_sequences(40)))
    return path


@pytest.fixture(scope="session")
def tagger(column_file, tmp_path_factory):
    """The run of a small tagger."""
    examples = seqlm.read_columns(column_file)
    model = seqlm.SequenceModel(hidden_size=8, batch_size=8, max_steps=20, log_every=0)
    return model.train(examples, out=tmp_path_factory.mktemp("runs") / "tagger", quiet=True)


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium, driven by Playwright."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("needs a Chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


class OpenPage:
    """A page in the browser, and what went wrong in it."""

    def __init__(self, browser, path, **context):
        self.problems = []
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self._tell(message.type in ("error", "warning"), message.text))
        self.page.on("pageerror", lambda error: self._tell(True, str(error)))
        self.page.on("dialog", lambda dialog: (self._tell(True, f"dialog {dialog.message}"), dialog.dismiss()))
        self.page.on("request", lambda request: self._tell(not request.url.startswith(WITHIN), request.url))
        self.page.goto(path.as_uri())

    def _tell(self, is_problem, text):
        if is_problem:
            self.problems.append(text)


@pytest.fixture
def open_page(browser):
    """Give the function that opens a page; at the end nothing may have gone wrong in any, and no network was used."""
    opened = []

    def open_one(path, **context):
        opened.append(OpenPage(browser, path, **context))
        return opened[-1].page

    yield open_one
    for each in opened:
        each.context.close()
        assert each.problems == []

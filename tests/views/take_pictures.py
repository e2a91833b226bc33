"""Makes the picture of a page that the README shows: ``python tests/views/take_pictures.py``.

It trains on the sample text for some seconds, and takes a picture of the page of ``seqlm inspect`` in Chromium.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

import seqlm_core as seqlm

PROJECT = Path(__file__).resolve().parents[2]
TEXT = PROJECT / "data" / "input.txt"
PICTURE = PROJECT / "docs" / "pictures" / "inspect.png"
SHOWN = slice(-5400, -3600)
"""The part of the text that is shown, within what is kept for validation."""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = seqlm.train(TEXT, out=Path(folder) / "lstm", quiet=True, epochs=20)
        text, page = Path(folder) / "stories.txt", Path(folder) / "page.html"
        text.write_text(TEXT.read_text(encoding="utf-8")[SHOWN], encoding="utf-8")
        seqlm.write_inspection(run.path, text, page)
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            opened = browser.new_page(viewport={"width": 960, "height": 720})
            opened.goto(page.as_uri())
            opened.locator("#c0-216").hover()
            opened.locator("header .faint").first.evaluate("line => line.remove()")  # it names a temporary folder
            opened.screenshot(path=PICTURE)
            browser.close()
    print(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()

"""Exports a model as a page, and measures it in Chromium: bytes, loss, and characters per second.

python tests/benchmarks/browser.py [RUN]

Without a RUN, an LSTM of 256 units is trained on the sample text. The first speed is that of the page, which shows
the text while it writes; the second is that of its functions alone. Chromium and Playwright are needed.
"""

from __future__ import annotations

import argparse
import math
import re
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

import seqlm_core as seqlm
from seqlm_core.interchange.html_weights import ROUNDINGS

TEXT = Path(__file__).resolve().parents[2] / "data" / "input.txt"
READ = 5_000
"""How many characters of the end of the text the losses are of."""

LOADED = """
  const data = JSON.parse(document.getElementById("data").textContent);
  const vocabulary = new seqlm.Vocabulary(data.vocabulary);
  const network = new seqlm.Network(data.model, await seqlm.parametersOf(data.weights), data.vocabulary.ends);
"""
LOSS = f"""async (text) => {{{LOADED}
  const ids = vocabulary.cut(text).map((token) => vocabulary.id(token));
  const reading = new seqlm.Reading(network, ids, vocabulary.start);
  let sum = 0, count = 0;
  while (reading.isReading) {{
    const {{ logProbability }} = reading.read();
    if (logProbability !== null) {{ sum -= logProbability; count += 1; }}
  }}
  return sum / count;
}}"""
ALONE = f"""async (length) => {{{LOADED}
  const writing = new seqlm.Writing(network, vocabulary, vocabulary.prompt(""));
  const uniforms = new seqlm.Uniforms([1n, 2n]);
  const rules = Object.fromEntries(data.rules.map((rule) => [rule.name, rule.default]));
  let characters = 0;
  const started = performance.now();
  for (let i = 0; i < length; i++) characters += vocabulary.tokens[writing.draw(rules, uniforms.next())].length;
  return 1000 * characters / (performance.now() - started);
}}"""


def with_buttons(page: Any, length: int) -> float:
    """Return the characters per second that the page tells."""
    page.get_by_label("length").fill(str(length))
    page.get_by_role("button", name="Write", exact=True).click()
    page.locator("#told", has_text="seed").wait_for(timeout=600_000)
    characters, seconds = re.findall(r"[\d.]+", page.locator("#told").inner_text().replace(",", ""))[:2]
    page.get_by_role("button", name="Show the surprisal").wait_for()
    return int(characters) / max(float(seconds), 0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", help="the run of a language model; without it, one is trained")
    parser.add_argument("--length", type=int, default=20_000, help="tokens to write each time")
    parser.add_argument("--times", type=int, default=5, help="how often each is timed; the table has medians")
    asked = parser.parse_args()
    from playwright.sync_api import sync_playwright

    text = TEXT.read_text(encoding="utf-8")[-READ:]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        run = seqlm.LanguageRun(asked.run) if asked.run else seqlm.train(TEXT, out=Path(folder) / "run", quiet=True)
        bits = [scored.bits for scored in run.score_text(text, per="token") if scored.bits is not None]
        weights = sum(array.size for array in run.weights.values())
        print(
            f"{run.settings.cell}, {run.settings.units} units, {weights:,} weights; {len(text):,} characters are scored"
        )
        print(f"{'weights':>10} {'bytes':>10} {'loss':>8} {'of the run':>10} {'characters/s':>13} {'alone':>8}")
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for rounding in ROUNDINGS:
            path = Path(folder) / f"{rounding}.html"
            seqlm.export_html(run, path, weights=rounding)
            page = browser.new_page()
            page.goto(path.as_uri())
            page.locator("#told", has_text="ready").wait_for()
            loss = page.evaluate(LOSS, text)
            shown, alone = [], []
            for _ in range(asked.times):
                shown.append(with_buttons(page, asked.length))
                alone.append(page.evaluate(ALONE, asked.length))
            page.close()
            print(
                f"{rounding:>10} {path.stat().st_size:>10,} {loss:>8.4f} {statistics.mean(bits) * math.log(2):>10.4f} "
                f"{statistics.median(shown):>13,.0f} {statistics.median(alone):>8,.0f}"
            )
        browser.close()


if __name__ == "__main__":
    main()

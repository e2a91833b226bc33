"""Runs the commands of a page of the documentation, and writes their output into the page.

Run it as ``python tests/docs/remake.py docs/tutorial.md``. It takes some minutes. The output contains times, so nothing
else should run meanwhile. ``--text FILE`` gives a text that the page names and the project does not have; without it,
the output that depends on this text stays as it is. ``--folder FOLDER`` keeps the runs and the output, so that the same
command continues if it was interrupted. A test remakes the page with small models, and checks that only numbers and
samples differ.

- The commands in blocks of shell are run one after the other. All commands of a page run in one folder, which has
  ``data``.
- A block of text, or a table, after the comment ``<!-- output: WHAT -->`` shows output of the last command; see
  ``OUTPUTS``. After ``<!-- output: seqlm ... -->`` it shows the output of the command in the comment.
- ``<!-- interrupted -->`` before a block of shell means that Ctrl-C ends its command after the first lines of progress.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Callable

import seqlm_core as seqlm
from seqlm_core.command_line.main import main as run_command_line

PROJECT = Path(__file__).resolve().parents[2]
SMALL = "--epochs 2 --hidden-size 8 --batch-size 32 --sequence-length 200 --warmup 0 --log-every 9 --sample-every 3"
SMALL_RESUMED = "--max-steps 1"  # fewer steps than are done, so nothing is left to do
ENDLESS = "--epochs 100000 --schedule constant"
PART = re.compile(
    r"^(?P<interrupted><!-- interrupted -->\n)?```sh\n(?P<commands>.*?)^```$"
    r"|^```python\n(?P<program>.*?)^```$"
    r"|^<!-- output: (?P<what>[^\n]+) -->\n\n(?P<shown>```text\n.*?^```$|(?:\|[^\n]*\n)+)",
    re.MULTILINE | re.DOTALL,
)
PROGRESS = re.compile(r"tokens/s")
SAMPLE_BEGINS, SAMPLE_ENDS = "--- sample at step", "---"


class Page:
    """Remakes one page in the current folder.

    Args:
        small: train small models, which takes a moment.
        printed: file that keeps the output of commands. Commands whose output it has are not run again.
    """

    def __init__(self, small: bool, printed: Path | None = None) -> None:
        self.small = small
        self._file = printed
        self._printed = json.loads(printed.read_text()) if printed is not None and printed.exists() else {}
        self.output = self.errors = ""
        self.has_text = True

    def remade(self, text: str) -> str:
        """Return the page with the output that its commands have now."""
        return PART.sub(self._part, text)

    def _part(self, found: re.Match[str]) -> str:
        if found["program"] is not None:
            exec(compile(found["program"], "page", "exec"), {"__name__": "page"})
        elif found["commands"] is not None:
            for command in found["commands"].replace("\\\n", " ").splitlines():
                (self.interrupt if found["interrupted"] else self.run)(command)
        elif self.has_text:
            return found[0].replace(found["shown"], self._shown(found["what"], found["shown"]))
        return found[0]

    def _shown(self, what: str, before: str) -> str:
        if before.startswith("|"):
            return self.sizes(before)
        if what.startswith("seqlm "):
            self.run(what)
            what = "stdout"
        name, _, of = what.partition(" of ")
        return f"```text\n{OUTPUTS[name](self, of)}\n```"

    def run(self, command: str) -> None:
        """Run a command in this process, and keep its output."""
        arguments = shlex.split(command)[1:]
        self.has_text = all(Path(word).exists() for word in arguments if re.fullmatch(r"[\w-]+\.txt", word))
        if not self.has_text:
            print(f"not run, since its text is not here: {command}", file=sys.stderr)
            return
        if command in self._printed:
            self.output, self.errors = self._printed[command]
            return
        arguments = self._arguments(command)
        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            try:
                run_command_line(arguments)
            except SystemExit as end:
                if end.code:
                    raise RuntimeError(f"{command} exits with {end.code}: {errors.getvalue()}") from None
        self.output, self.errors = output.getvalue(), errors.getvalue()
        if self._file is not None:
            self._printed[command] = [self.output, self.errors]
            self._file.write_text(json.dumps(self._printed))

    def interrupt(self, command: str) -> None:
        """Run a command in a process of its own, and interrupt it after its first line of progress."""
        words = [sys.executable, "-m", "seqlm_core.command_line.main", *self._arguments(command)]
        words += ENDLESS.split() if self.small else []
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            told = []
            for line in process.stderr:
                told.append(line)
                if PROGRESS.search(line):
                    process.send_signal(signal.SIGINT)
                    break
            self.output, rest = process.communicate(timeout=60)
        self.errors = "".join(told) + rest

    def report(self, _: str) -> str:
        """Return the figures that are printed at the end of a training, without the sample before them."""
        return self.output.rstrip("\n").rpartition("\n\n")[2]

    def progress(self, _: str) -> str:
        """Return the notices of a training, the first and the last line of progress, and the first sample."""
        lines = self.errors.splitlines()
        steps = [line for line in lines if PROGRESS.search(line)]
        begin = next(i for i, line in enumerate(lines) if line.startswith(SAMPLE_BEGINS))
        end = lines.index(SAMPLE_ENDS, begin)
        notices = [line for line in lines if line.startswith("seqlm: ")]
        return "\n".join([*notices, steps[0], *lines[begin : end + 1], steps[-1]])

    def history(self, run: str) -> str:
        """Return the first record of an epoch and the first record of a report."""
        lines = Path(run, "history.jsonl").read_text().splitlines()
        return "\n".join(next(line for line in lines if f'"kind": "{kind}"' in line) for kind in ("epoch", "report"))

    def sizes(self, table: str) -> str:
        """Return a table of trainings. Its first column has their options; the row without options is the first run."""
        head, rows = table.splitlines()[:2], table.splitlines()[2:]
        for number, row in enumerate(rows):
            name = row.split(" | ")[0].removeprefix("| ")
            run, options = "runs/first", re.findall("`(.*)`", name)
            if options:
                run = f"runs/size-{number}"
                self.run(f"seqlm train data/input.txt {options[0]} --quiet --out {run}")
            epochs = [record for record in seqlm.LanguageRun(run).history() if record["kind"] == "epoch"]
            best = min(epochs, key=lambda record: record["validation_nats_per_token"])
            loss, seconds = best["validation_nats_per_token"], epochs[-1]["seconds"]
            rows[number] = f"| {name} | {best['epoch']:g} | {loss:.4f} | {seconds:.0f} |"
        return "\n".join([*head, *rows]) + "\n"

    def _arguments(self, command: str) -> list[str]:
        print(f"$ {command}", file=sys.stderr)
        arguments = shlex.split(command)[1:]
        if "--out" in arguments:  # remove the run of a remake that was interrupted
            shutil.rmtree(arguments[arguments.index("--out") + 1], ignore_errors=True)
        if self.small and arguments[0] == "train":
            arguments += (SMALL_RESUMED if "--resume" in arguments else SMALL).split()
        return arguments


OUTPUTS: dict[str, Callable[[Page, str], str]] = {
    "stdout": lambda page, _: page.output.removesuffix("\n"),
    "report": Page.report,
    "progress": Page.progress,
    "the last line": lambda page, _: page.errors.splitlines()[-1],
    "history": Page.history,
}


def shapes(page: str) -> list[str]:
    """Return the output in each part of a page, without numbers and samples, which differ from one run to another."""
    commands, found = [""], []
    for part in PART.finditer(page):
        if part["commands"] is not None:
            commands = part["commands"].splitlines()
        elif part["what"] is not None:
            is_sample = (part["what"] if part["what"].startswith("seqlm ") else commands[-1]).startswith(
                "seqlm sample "
            )
            found.append(f"{part['what']}\n" + ("a sample" if is_sample else _shape(part["shown"])))
    return found


def _shape(shown: str) -> str:
    shown = re.sub(rf"^({SAMPLE_BEGINS} .*?\n).*?^{SAMPLE_ENDS}$", r"\1a sample", shown, flags=re.MULTILINE | re.DOTALL)
    shown = re.sub(r"^(seqlm: computing on) .*", r"\1", shown, flags=re.MULTILINE)  # another processor
    # The small page gives epochs and batch sizes, so that they are not chosen.
    shown = re.sub(r"^(seqlm: chosen for a text of this size:) .*", r"\1", shown, flags=re.MULTILINE)
    lines = [str(list(json.loads(line))) if line.startswith("{") else line for line in shown.splitlines()]
    return re.sub(r"(?<!--)(?<!--hidden-size )\b\d[\d.,:]*", "#", "\n".join(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the commands of a page and write their output into it.")
    parser.add_argument("page", type=Path)
    parser.add_argument("--text", type=Path, action="append", default=[], help="a text that the page names")
    parser.add_argument("--folder", type=Path, help="where to keep the runs; without it, they are removed")
    options = parser.parse_args()
    page, texts = options.page.resolve(), [text.resolve() for text in options.text]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(options.folder or temporary)
        shutil.copytree(PROJECT / "data", folder / "data", dirs_exist_ok=True)
        for text in texts:
            shutil.copy(text, folder)
        os.chdir(folder)
        made = Page(small=False, printed=Path("printed.json")).remade(page.read_text())
        os.chdir(PROJECT)
    page.write_text(made)


if __name__ == "__main__":
    main()

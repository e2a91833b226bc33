"""Trains a model on a corpus of the literature, and prints its figures beside those that were published.

python tests/benchmarks/published.py ROW --data FOLDER

FOLDER holds the corpora; docs/benchmarks.md says which files. The settings of each row, in published_rows.py, are
chosen on validation text alone. So the test text is only read with --test, which is for the end. The same command goes
on with a training that was interrupted, or prints the figures of one that is finished.
"""

from __future__ import annotations

import dataclasses
import json
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from published_rows import BITS, CORPORA, NATS, PERPLEXITY, ROWS, Corpus, Row

import seqlm_core as seqlm

LONGEST_PROBE, SHARE_OF_PROBE = 20.0, 0.03
WARM_UP = 5
PLANNED = 0.98
"""The share of the time for which steps are planned."""


class Probe(seqlm.Extension):
    """Measures how long steps and a validation take, and ends the training.

    Args:
        seconds: how long to take steps.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.step = self.validation = math.inf
        self.steps_per_epoch = 0
        self._started = 0.0

    def on_step(self, training: Any) -> None:
        if training.step == WARM_UP:
            training.collect_losses()
            self._started = time.perf_counter()
        elif training.step > WARM_UP and time.perf_counter() > self._started + self.seconds:
            training.collect_losses()
            self.step = (time.perf_counter() - self._started) / (training.step - WARM_UP)
            self.validation = seconds_of(training.task.evaluate)
            if self.validation < self.seconds:  # without what is done at the first time only
                self.validation = seconds_of(training.task.evaluate)
            self.steps_per_epoch = training.task.steps_per_epoch
            training.stop_reason = "measured"


def seconds_of(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


class Deadline(seqlm.Extension):
    """Ends the training when its time is over, in case that steps take longer than they did at first.

    Args:
        seconds: the time for the training.
    """

    name = "deadline"

    def __init__(self, seconds: float) -> None:
        self.left = seconds
        self.started = 0.0

    def on_start(self, training: Any) -> None:
        self.started = time.perf_counter()

    def on_step(self, training: Any) -> None:
        if self.remaining() < 0:
            training.stop_reason = "out of time"

    def remaining(self) -> float:
        return self.left - (time.perf_counter() - self.started)

    def state(self) -> dict[str, Any]:
        return {"left": self.remaining()}

    def restore(self, state: dict[str, Any]) -> None:
        self.left = state["left"]


def tokens_in(corpus: Corpus, text: str) -> list[str]:
    """Return the tokens of a text as the literature counts them."""
    if corpus.tokenizer == "char":
        return list(text)
    return text.replace("\n", " <eos> ").split()


def read(corpus: Corpus, path: Path) -> str:
    """Return a text as the literature cuts it."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            text = file.read()
    except FileNotFoundError:
        names = ", ".join(corpus.files)
        raise click.ClickException(f"{path} is missing; this row needs {names} in the folder of --data") from None
    return "\n".join(line.strip(" ") for line in text.split("\n")) if corpus.bare_lines else text


def prepared(corpus: Corpus, folder: Path, out: Path, test: bool) -> list[Path]:
    """Return the corpus's files, cut as in the literature, after checking that they are the literature's edition."""
    paths = []
    for number, name in enumerate(corpus.files if test else corpus.files[:2]):
        path = folder / name
        text = read(corpus, path)
        tokens = tokens_in(corpus, text)
        if len(tokens) != corpus.counts[number]:
            raise click.ClickException(
                f"{path} has {len(tokens):,} tokens, not {corpus.counts[number]:,}: it is another edition"
            )
        if number == 0 and len(set(tokens)) != corpus.entries:
            raise click.ClickException(
                f"{path} has {len(set(tokens)):,} different tokens, not {corpus.entries:,}: it is another edition"
            )
        if corpus.bare_lines:
            path = out / Path(name).name
            path.write_bytes(text.encode())
        paths.append(path)
    return paths


def trained(row: Row, corpus: Corpus, paths: list[Path], out: Path, steps: int | None) -> seqlm.LanguageRun:
    """Return the run of a row, trained for its time. One that is in the folder goes on, and a finished one stays.

    Args:
        row: the row.
        corpus: its corpus.
        paths: the text to train on and, if there is one, the text to validate on.
        out: the folder of the run.
        steps: how many steps to take, however long they take; None takes as many as the row's time is for.
    """
    wanted = json.dumps({"settings": row.settings, "minutes": row.minutes, "steps": steps}, sort_keys=True)
    run, record, finished = out / "run", out / "row.json", out / "finished"
    deadline = [Deadline(60 * row.minutes)] if steps is None else []
    if run.exists():
        if not record.exists() or record.read_text() != wanted:
            raise click.ClickException(f"{run} was trained with other settings, minutes or steps; name another --out")
        if not finished.exists():  # a run that the deadline ended would take one more step
            seqlm.resume(run, quiet=True, extensions=deadline)
    else:
        finished.unlink(missing_ok=True)
        record.write_text(wanted)
        settings = {"log_every": 20, "sample_every": 0, **row.settings, "tokenizer": corpus.tokenizer}
        if steps is None:
            steps = planned_steps(60 * row.minutes, settings, paths)
            print(f"planned      {steps:,} steps in {row.minutes:g} minutes", flush=True)
        # With fewer epochs than the steps need, the schedule would end too early.
        settings.update(max_steps=steps, epochs=settings.get("epochs", steps))
        train(settings, paths, run, *deadline)
    finished.touch()
    return seqlm.LanguageRun(run)


def planned_steps(seconds: float, settings: dict[str, Any], paths: list[Path]) -> int:
    """Return how many steps fit into a time, with a validation after each epoch."""
    probe = Probe(min(LONGEST_PROBE, SHARE_OF_PROBE * seconds))
    with tempfile.TemporaryDirectory() as folder:
        train({**settings, "epochs": 1000, "schedule": "constant"}, paths, Path(folder) / "run", probe)
    epoch = probe.step * probe.steps_per_epoch + probe.validation
    left = PLANNED * seconds - probe.validation  # there is a validation at the end, too
    if left < probe.step:
        raise click.ClickException(f"{seconds / 60:g} minutes are too short; an epoch takes {epoch / 60:.1f}")
    return max(1, int(left / epoch * probe.steps_per_epoch))


def train(settings: dict[str, Any], paths: list[Path], run: Path, *extensions: seqlm.Extension) -> seqlm.LanguageRun:
    validation = paths[1] if len(paths) > 1 else None
    return seqlm.train(paths[0], validation=validation, out=run, quiet=True, extensions=list(extensions), **settings)


def figure_of(corpus: Corpus, figures: Any) -> float:
    """Return the figure that the literature gives, of an evaluation or of a record of the history."""
    nats = figures["validation_nats_per_token"] if isinstance(figures, dict) else figures.nats_per_token
    return {PERPLEXITY: math.exp(nats), BITS: nats / math.log(2), NATS: nats}[corpus.figure]


def speed(run: seqlm.LanguageRun) -> str:
    """Return the speed of the training steps alone, in words, from reports between which there was no validation."""
    steps = seconds = 0.0
    history = run.history()
    for before, after in zip(history, history[1:]):
        if before["kind"] == after["kind"] == "report":
            steps += after["step"] - before["step"]
            seconds += after["seconds"] - before["seconds"]
    if not seconds:
        return "not known: too few steps"
    return f"{steps * run.settings.batch_size * run.settings.sequence_length / seconds:,.0f} tokens a second"


def report_of_rules(corpus: Corpus, run: seqlm.LanguageRun, texts: dict[str, Path], rules: dict[str, Any]) -> None:
    """Print the figures of a model that takes something from the text while it reads it, apart from the others."""
    named = ", ".join(f"{rule} {value}" for rule, value in rules.items())
    for part, path in texts.items():
        print(f"{part:12} {figure_of(corpus, run.evaluate(path, **rules)[0]):.4f} {corpus.figure}, with {named}")


def report(name: str, row: Row, corpus: Corpus, run: seqlm.LanguageRun, test: Path | None) -> None:
    epochs = [record for record in run.history() if record["kind"] == "epoch"]
    best = min(epochs, key=lambda record: record["validation_nats_per_token"])
    s = run.settings
    tied = ", tied" if s.tie_weights else ""
    shown = {**row.settings, "max_steps": s.max_steps}
    print(f"row          {name}")
    print(f"corpus       {corpus.title}")
    print(f"model        {s.cell}, {s.units} units{tied}")
    print(f"parameters   {sum(weights.size for weights in run.weights.values()):,}")
    print(f"settings     {', '.join(f'{key} {value}' for key, value in shown.items())}")
    for model, published in row.published:
        print(f"published    {published:g}  {model}")
    of = f"epoch {best['epoch']:.2f} of {epochs[-1]['epoch']:.2f}"
    print(f"validation   {figure_of(corpus, best):.4f} {corpus.figure}, {of}")
    if test is not None:
        print(f"test         {figure_of(corpus, run.evaluate(test)[0]):.4f} {corpus.figure}")
    elif len(corpus.files) == 1:
        print("test         none: the literature gives figures on the end of the text")
    else:
        print("test         not looked at; --test does")
    print(f"time         {epochs[-1]['seconds'] / 60:.1f} minutes")
    print(f"speed        {speed(run)}")
    print(f"run          {run.path}")


@click.command(help=__doc__)
@click.argument("name", metavar="ROW", type=click.Choice(list(ROWS)))
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of the corpora.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Time limit instead of the row's own.")
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    help="Take N steps, however long they take, on a machine that computes other things meanwhile. Without it, the "
    "number of steps that the row's time is enough for is measured and printed.",
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="The precision of the training; bfloat16 takes a processor with AVX512-BF16. The figures are of float32.",
)
@click.option("--test", "on_test", is_flag=True, help="Evaluate on the test text, too.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the run.  [default: data/models/published/ROW]",
)
@click.option("--adapt", is_flag=True, help="Give the figures with dynamic evaluation, too.")
@click.option("--cache", type=click.IntRange(min=0), default=0, help="Give the figures with a cache of N tokens, too.")
def main(
    name: str,
    data: Path | None,
    minutes: float | None,
    steps: int | None,
    precision: str,
    on_test: bool,
    out: Path | None,
    adapt: bool,
    cache: int,
) -> None:
    row = ROWS[name]
    row = dataclasses.replace(
        row, minutes=row.minutes if minutes is None else minutes, settings={**row.settings, "precision": precision}
    )
    corpus = CORPORA[row.corpus]
    if data is None and not Path(corpus.files[0]).is_absolute():
        raise click.UsageError(f"{name} needs --data, a folder with {', '.join(corpus.files)}")
    if (adapt or cache) and len(corpus.files) == 1:
        raise click.UsageError("--adapt and --cache need a row with a validation file")
    out = Path("data", "models", "published", name) if out is None else out
    out.mkdir(parents=True, exist_ok=True)
    paths = prepared(corpus, data or Path(), out, on_test)
    try:
        run = trained(row, corpus, paths[:2], out, steps)
        texts = dict(zip(("validation", "test"), paths[1:]))
        report(name, row, corpus, run, texts.get("test"))
        rules = {rule: value for rule, value in (("adapt", adapt), ("cache", cache)) if value}
        if rules:
            report_of_rules(corpus, run, texts, rules)
    except seqlm.TrainingInterrupted as error:
        raise click.ClickException("interrupted and saved; the same command goes on with it") from error
    except seqlm.SeqlmError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()

"""Trains taggers on a corpus of the literature, and prints their figures beside those that were published.

python tests/benchmarks/tagging.py ROW --data FOLDER

FOLDER holds the corpora; docs/benchmarks.md says which files. A row is trained with several seeds. Its settings, in
tagging_rows.py, are chosen on the last tenth of the training sentences. So the test part is only read with --test. A
row with a language model trains that one first, unless it is there; its time is told apart. A training may be of
several taggers, which are then measured together, too. What is trained is kept under --out, and the same command goes
on with it. With --peer, PyTorch, which must be installed, trains the same nets.
"""

from __future__ import annotations

import collections
import concurrent.futures
import functools
import math
import multiprocessing
import os
import random
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click
from tagging_rows import ACCURACY, CORPORA, LANGUAGE_MODEL, ROWS, Corpus, Row

import seqlm_core as seqlm

Examples = list[tuple[list[Any], list[str]]]


def read(corpus: Corpus, path: Path, parts_of_speech: bool) -> Examples:
    """Return the examples of a file, each token a tuple if its part of speech is read too."""
    if not path.exists():
        raise click.ClickException(f"{path} is missing; this row needs {corpus.training} and {corpus.test} in --data")
    token, label, part = corpus.columns
    if path.suffix == ".conllu":
        return conllu_examples(path, token, label)
    return seqlm.read_columns(path, token, label, columns=(part,) if parts_of_speech else ())


def conllu_examples(path: Path, token: int, label: int) -> Examples:
    """Return the examples of a file of Universal Dependencies, without ranges and words that are not written."""
    examples = []
    for block in path.read_text(encoding="utf-8").split("\n\n"):
        rows = [line.split("\t") for line in block.split("\n") if line and not line.startswith("#")]
        rows = [row for row in rows if row[0].isdigit()]
        if rows:
            examples.append(([row[token - 1] for row in rows], [row[label - 1] for row in rows]))
    return examples


def checked(corpus: Corpus, folder: Path, parts_of_speech: bool, number: int) -> Examples:
    """Return the training examples (0) or those of the test (1), after checking that it is the right edition."""
    path = folder / (corpus.training, corpus.test)[number]
    examples = read(corpus, path, parts_of_speech)
    found = sum(len(tokens) for tokens, _ in examples)
    if found != corpus.tokens[number]:
        raise click.ClickException(f"{path} has {found:,} tokens, not {corpus.tokens[number]:,}: it is another edition")
    return examples


def divided(examples: Examples) -> tuple[Examples, Examples]:
    """Return the sentences to train on, and the last tenth, to validate on."""
    count = len(examples) - len(examples) // 10
    return examples[:count], examples[count:]


def texts(examples: Examples) -> list[str]:
    return [" ".join(token if isinstance(token, str) else token[0] for token in tokens) for tokens, _ in examples]


def language_model(corpus: Corpus, folder: Path, out: Path) -> seqlm.LanguageRun:
    """Return a language model of the training sentences of a corpus and WikiText-2, trained if it is not there yet."""
    run = out / "language-model"
    if run.exists():
        return seqlm.resume(run, quiet=True)
    own, held_out = map(texts, divided(checked(corpus, folder, False, 0)))
    lines = own + wikitext_sentences(folder / "wiki.train.tokens")
    random.Random(1).shuffle(lines)
    for name, part in {"training": lines, "validation": held_out}.items():
        # With a blank around it, a word is the same token at the beginning of a line and within.
        (out / f"{name}.txt").write_text("".join(f" {line.strip()} \n" for line in part), encoding="utf-8")
    return seqlm.train(out / "training.txt", validation=out / "validation.txt", out=run, quiet=True, **LANGUAGE_MODEL)


def report_language_model(run: seqlm.LanguageRun) -> None:
    epochs = [record for record in run.history() if record["kind"] == "epoch"]
    best = min(epochs, key=lambda record: record["validation_nats_per_token"])
    print(
        f"its model    {run.settings.cell}, {run.settings.units} units, trained for "
        f"{epochs[-1]['seconds'] / 60:.1f} minutes, perplexity {math.exp(best['validation_nats_per_token']):.1f}"
    )


def wikitext_sentences(path: Path) -> list[str]:
    """Return the sentences of WikiText-2, without its headings, and with its numbers and hyphens as in other texts."""
    if not path.exists():
        raise click.ClickException(f"{path} is missing; a row with a language model needs it")
    sentences = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        line = line.strip()
        if line and not line.startswith("="):
            sentences += re.split("(?<= [.?!]) (?=[A-Z])", re.sub(r" @(.)@ ", r"\1", line))
    return sentences


class Tagger(NamedTuple):
    """A tagger to train: its seed, and the directory of its run."""

    seed: int
    path: Path


def taggers_of(row: Row, folder: Path, trainings: int) -> list[list[Tagger]]:
    """Return the taggers of each training."""
    return [
        [Tagger(seed, folder / f"seed-{seed}") for seed in range(first, first + row.together)]
        for first in range(1, 1 + trainings * row.together, row.together)
    ]


def train(settings: dict[str, Any], examples: Examples, tagger: Tagger, language_model: Path | None) -> None:
    """Train a tagger, or go on with it if it is there."""
    if tagger.path.exists():
        seqlm.resume(tagger.path, quiet=True)
        return
    training, validation = divided(examples)
    described = seqlm.SequenceModel("tokens", "labels", seed=tagger.seed, log_every=0, **settings)
    described.train(training, validation, out=tagger.path, quiet=True, language_model=language_model)


def use_one_thread() -> None:
    """Make a process compute with one thread. It is called before MXNet is imported."""
    os.environ["OMP_NUM_THREADS"] = "1"


def train_all(trainings: list[tuple[Any, ...]], at_a_time: int) -> None:
    """Call :func:`train` with some arguments; so many trainings run side by side, each with one thread."""
    if at_a_time == 1:
        for arguments in trainings:
            train(*arguments)
        return
    spawning = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(at_a_time, spawning, use_one_thread) as processes:
        for training in [processes.submit(train, *arguments) for arguments in trainings]:
            training.result()


def best_figure(corpus: Corpus, run: seqlm.SequenceRun) -> float:
    """Return the figure of a run's best epoch on the validation part, in percent."""
    best = [record for record in run.history() if record.get("best")][-1]
    return 100 * best["validation_accuracy" if corpus.figure == ACCURACY else "validation_chunk_f1"]


def report(
    part: str,
    corpus: Corpus,
    groups: list[list[Tagger]],
    figure: Callable[[seqlm.SequenceRun], float],
    examples: Examples,
) -> None:
    """Print the figures of each tagger on a part of the corpus, and those of the taggers of each training together."""
    of_each = [figure(seqlm.SequenceRun(tagger.path)) for group in groups for tagger in group]
    print(f"{part:<12} {in_words(of_each)} {corpus.figure}")
    if len(groups[0]) > 1:
        ensembles = [seqlm.SequenceEnsemble([tagger.path for tagger in group]) for group in groups]
        together = [100 * ensemble.evaluate(examples).score for ensemble in ensembles]
        print(f"together     {in_words(together)} {corpus.figure}")


def in_words(values: list[float]) -> str:
    """Return the mean and the standard deviation of some figures."""
    spread = f" +- {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{spread}  ({', '.join(f'{value:.2f}' for value in values)})"


def majority(training: Examples, examples: Examples) -> float:
    """Return the accuracy in percent of the most frequent label of each token, and of all of them for new tokens."""
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    everything: collections.Counter[str] = collections.Counter()
    for tokens, labels in training:
        for token, label in zip(tokens, labels):
            counts[token][label] += 1
            everything[label] += 1
    usual = everything.most_common(1)[0][0]
    best = {token: counter.most_common(1)[0][0] for token, counter in counts.items()}
    right = [best.get(token, usual) == label for tokens, labels in examples for token, label in zip(tokens, labels)]
    return 100 * sum(right) / len(right)


@click.command(help=__doc__)
@click.argument("name", metavar="ROW", type=click.Choice(list(ROWS)))
@click.option("--data", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Train so often, with other seeds."
)
@click.option(
    "--at-a-time",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Train so many taggers side by side, each with one thread.",
)
@click.option("--test", "on_test", is_flag=True, help="Evaluate on the test part, too.")
@click.option("--peer", is_flag=True, help="Train the same nets with PyTorch, too; only for labels without chunks.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("data", "models", "tagging"),
    show_default=True,
    help="Folder for the runs.",
)
def main(name: str, data: Path, seeds: int, at_a_time: int, on_test: bool, peer: bool, out: Path) -> None:
    row = ROWS[name]
    corpus = CORPORA[row.corpus]
    if peer and (corpus.figure != ACCURACY or row.language_model):
        raise click.UsageError("--peer is for rows with a softmax and an accuracy")
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    examples = checked(corpus, data, row.parts_of_speech, 0)
    print(f"row          {name}")
    print(f"corpus       {corpus.title}")
    print(f"settings     {', '.join(f'{key} {value}' for key, value in row.settings.items())}")
    print(f"reads        tokens{', parts of speech' if row.parts_of_speech else ''}", end="")
    print(f"{', the states of a language model' if row.language_model else ''}")
    model = None
    if row.language_model:
        read_model = language_model(corpus, data, out)
        report_language_model(read_model)
        model = read_model.path
    groups, seconds = taggers_of(row, folder, seeds), []
    for group in groups:
        started = time.perf_counter()
        train_all([(row.settings, examples, tagger, model) for tagger in group], at_a_time)
        seconds.append(time.perf_counter() - started)
        for tagger in group:
            figure = best_figure(corpus, seqlm.SequenceRun(tagger.path))
            print(f"{tagger.path.name:<12} {figure:.2f} {corpus.figure}, validation", flush=True)
    runs = [seqlm.SequenceRun(tagger.path) for group in groups for tagger in group]
    for published, figure in row.published:
        print(f"published    {figure:g}  {published}")
    print(f"parameters   {sum(weights.size for weights in runs[0].weights.values()):,}")
    report("validation", corpus, groups, functools.partial(best_figure, corpus), divided(examples)[1])
    if on_test:
        test = checked(corpus, data, row.parts_of_speech, 1)
        report("test", corpus, groups, lambda run: 100 * run.evaluate(test).score, test)
        if corpus.figure == ACCURACY:
            print(f"majority     {majority(examples, test):.2f}, test")
    else:
        print("test         not looked at; --test does")
    print(
        f"time         {in_words([run.history()[-1]['seconds'] / 60 for run in runs])} minutes of training for a tagger"
    )
    print(f"             {in_words([s / 60 for s in seconds])} with all before and after it, for {row.together}")
    if peer:
        report_peer(runs, examples, checked(corpus, data, row.parts_of_speech, 1), on_test)


def report_peer(runs: list[seqlm.SequenceRun], examples: Examples, test: Examples, on_test: bool) -> None:
    from tagging_peer import train_peer

    training, validation = divided(examples)
    found = [train_peer(training, validation, test, run.codecs, run.settings) for run in runs]
    on_validation, on_the_test, seconds = (list(column) for column in zip(*found))
    print(f"PyTorch      {in_words(on_validation)} accuracy, validation")
    if on_test:
        print(f"             {in_words(on_the_test)} accuracy, test")
    print(f"             {in_words([second / 60 for second in seconds])} minutes of training")


if __name__ == "__main__":
    main()

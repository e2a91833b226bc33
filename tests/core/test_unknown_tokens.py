"""The share of unknown tokens stands beside every figure, and where it is large the figures are not praised."""

from __future__ import annotations

import collections
import json
import random
import re

import pytest
from conftest import SMALL
from tagger_commands import done

import seqlm_core as seqlm
from seqlm_core.storage.files import read_json, write_json
from seqlm_core.views.loss_picture import History, draw_losses

FAR_TOO_GOOD = "FAR TOO GOOD"


def words(count, unique_share, seed):
    """Words of which a share occur once only; the others are four words, again and again."""
    draw = random.Random(seed)
    return [
        f"once{seed}x{number}" if draw.random() < unique_share else draw.choice(["the", "old", "grey", "sea"])
        for number in range(count)
    ]


def write(path, unique_share, seed=1):
    path.write_text(" ".join(words(2000, unique_share, seed)))
    return path


def shares(path, validation_fraction=0.1):
    """Return the shares of unknown tokens in the training part and the validation part, counted here."""
    text = path.read_text()
    cut = int(len(text) * (1 - validation_fraction))
    training, validation = ([" " + word for word in part.split(" ") if word] for part in (text[:cut], text[cut:]))
    counts = collections.Counter(training)
    unknown = [[counts[word] < 2 for word in part[1:]] for part in (training, validation)]
    return [sum(part) / len(part) for part in unknown]


def told_percent(line):
    (number,) = re.findall(r"([\d.]+) % of the tokens", line)
    return float(number)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return a function that trains a word model once on a text of which a share of the words occur once."""
    folder = tmp_path_factory.mktemp("unknown")
    trained = {}

    def run(unique_share):
        if unique_share not in trained:
            text = write(folder / f"{unique_share}.txt", unique_share)
            out = folder / f"run-{unique_share}"
            seqlm.train(text, tokenizer="word", epochs=1, out=out, quiet=True, **SMALL)
            trained[unique_share] = out, text
        return trained[unique_share]

    return run


@pytest.mark.parametrize(("unique_share", "withheld"), [(0.5, True), (0.04, False), (0.0, False)])
def test_every_record_of_a_validation_has_the_share_of_unknown_tokens(unique_share, withheld, runs):
    out, text = runs(unique_share)
    (record,) = [record for record in seqlm.LanguageRun(out).history() if record["kind"] == "epoch"]
    _, share = shares(text)
    assert record["validation_unknown_share"] == pytest.approx(share, abs=0.02)  # the cut may halve a word
    assert (share > 0) == (unique_share > 0)
    assert ("validation_bits_per_character" in record) == (not withheld)
    assert record["best"]


def test_a_run_whose_configuration_does_not_tell_of_unknown_tokens_reports_what_its_records_tell(tmp_path, capsys):
    text = write(tmp_path / "half.txt", 0.5)
    settings = ["--tokenizer", "word", "--hidden-size", 8, "--max-steps", 3, "--batch-size", 4, "--warmup", 0]
    done(capsys, "train", text, *settings, "--schedule", "constant", "--quiet", "--out", tmp_path / "run")
    config = read_json(tmp_path / "run" / "config.json")
    for part in ("training", "validation"):
        del config[f"{part}_unknown_tokens"]
    write_json(tmp_path / "run" / "config.json", config)
    printed, _ = done(capsys, "train", "--resume", tmp_path / "run", "--max-steps", 4, "--quiet")
    (line,) = [line for line in printed.splitlines() if line.startswith("validation ")]
    assert told_percent(line) == pytest.approx(100 * shares(text)[1], abs=2)
    assert "bits per character withheld" in line


def test_a_training_of_which_half_is_unknown_is_warned_of_loudly(tmp_path, capsys):
    text = write(tmp_path / "half.txt", 0.5)
    settings = ["--tokenizer", "word", "--hidden-size", 8, "--max-steps", 3, "--batch-size", 4, "--warmup", 0]
    printed, told = done(capsys, "train", text, *settings, "--quiet", "--out", tmp_path / "run")
    warnings = [line for line in told.splitlines() if "warning" in line]
    assert len(warnings) == 2
    assert all(FAR_TOO_GOOD in line and "withheld" in line and "--min-count" in line for line in warnings)
    report = {line[:13].strip(): line for line in printed.splitlines()}
    for line, share in zip(warnings, shares(text)):
        assert told_percent(line) == pytest.approx(100 * share, abs=1)  # the cut may halve a word
    assert told_percent(report["training"]) == told_percent(warnings[0])
    assert told_percent(report["validation"]) == told_percent(warnings[1])
    assert "bits per character withheld" in report["validation"]


def test_a_few_unknown_tokens_are_told_of_and_bits_are_there(tmp_path, capsys):
    text = write(tmp_path / "few.txt", 0.04)
    settings = ["--tokenizer", "word", "--hidden-size", 8, "--max-steps", 3, "--batch-size", 4, "--warmup", 0]
    printed, told = done(capsys, "train", text, *settings, "--quiet", "--out", tmp_path / "run")
    (warning,) = [line for line in told.splitlines() if "warning" in line]
    assert "not comparable" in warning
    assert FAR_TOO_GOOD not in warning
    (validation,) = [line for line in printed.splitlines() if line.startswith("validation ")]
    assert "bits per character (not comparable: " in validation
    assert "% of the tokens are unknown)" in validation


def test_figures_of_known_tokens_say_nothing_of_unknown_ones(runs, capsys):
    out, text = runs(0.0)
    printed, told = done(capsys, "evaluate", out, text)
    assert "%" not in printed
    assert told == ""


def test_evaluating_tells_the_share_and_withholds_bits(runs, tmp_path, capsys):
    out, _ = runs(0.5)
    other = write(tmp_path / "other.txt", 0.5, seed=2)
    unknown = sum(word.startswith("once") for word in other.read_text().split(" ")[1:])
    printed, told = done(capsys, "evaluate", out, other)
    percent = f"{100 * unknown / 1999:.1f} %"
    assert f"bits per character          withheld: {percent} of the tokens are unknown" in printed
    assert f"unknown tokens              {unknown:,} ({percent})" in printed
    assert f"{percent} of the tokens ({unknown:,} of 1,999)" in told
    assert FAR_TOO_GOOD in told
    values = json.loads(done(capsys, "evaluate", out, other, "--json")[0])
    assert values["unknown_share"] == unknown / 1999
    assert "bits_per_character" not in values
    (evaluation,) = seqlm.LanguageRun(out).evaluate(other)
    assert evaluation.bits_per_character is None
    assert evaluation.nats_per_token == values["nats_per_token"]


def test_scores_tell_the_share(runs, tmp_path, capsys):
    out, _ = runs(0.5)
    text = tmp_path / "lines.txt"
    text.write_text("the old unheard\n")
    printed, told = done(capsys, "score", out, text, "--json")
    values = json.loads(printed)
    assert values["unknown_share"] == values["unknown_tokens"] / values["tokens"]
    assert values["unknown_tokens"] >= 1
    assert "FAR TOO LOW" in told


def test_the_picture_tells_the_share(tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    labels = []
    plot = Axes.plot
    monkeypatch.setattr(Axes, "plot", lambda *args, **named: labels.append(named["label"]) or plot(*args, **named))
    record = {
        "kind": "epoch",
        "step": 1,
        "epoch": 1,
        "seconds": 2.0,
        "best": True,
        "training_nats_per_token": 1.0,
        "validation_nats_per_token": 0.3,
    }
    for share, told in ((0.5, ", 50.0 % of its tokens unknown"), (0.0, "")):
        labels.clear()
        records = [{**record, "validation_unknown_share": share}]
        draw_losses([History("", records, "nats_per_token")], tmp_path / "loss.png", "title")
        assert labels[1] == f"validation{told}, last 0.300"


def test_a_run_of_before_that_does_not_tell_its_training_part_is_reported(runs, capsys, tmp_path):
    out, _ = runs(0.04)
    run = seqlm.LanguageRun(out)
    run.config.pop("training_unknown_tokens")
    config = out / "config.json"
    kept = config.read_bytes()
    run.directory.write_config({name: value for name, value in run.config.items() if name not in ("format", "digest")})
    try:
        printed, _ = done(capsys, "train", "--resume", out)
    finally:
        config.write_bytes(kept)
    (line,) = [line for line in printed.splitlines() if line.startswith("training ")]
    assert line.endswith("nats per token")

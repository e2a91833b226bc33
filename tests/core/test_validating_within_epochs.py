"""``validate_every``: what is done after each epoch is done after so many steps. And how large a validation part is."""

from __future__ import annotations

import pytest
from conftest import SMALL
from safetensors.numpy import load_file

import seqlm_core as seqlm
from seqlm_core.plugins.components import Components
from seqlm_core.reading.corpus import read_corpus

SETTINGS = {**SMALL, "quiet": True, "log_every": 0, "sample_every": 0}


def train(text, out, **settings):
    return seqlm.train(text, out=out, **{**SETTINGS, **settings})


def epochs(run):
    return [record for record in run.history() if record["kind"] == "epoch"]


def test_a_model_is_validated_after_so_many_steps_and_at_the_end(short_text, tmp_path):
    run = train(short_text, tmp_path / "run", validate_every=3, max_steps=11, epochs=100)
    steps_per_epoch = epochs(train(short_text, tmp_path / "other", epochs=1))[0]["step"]
    assert [record["step"] for record in epochs(run)] == [3, 6, 9, 11]
    assert [record["epoch"] for record in epochs(run)] == pytest.approx(
        [step / steps_per_epoch for step in (3, 6, 9, 11)], abs=1e-4
    )
    assert all("validation_nats_per_token" in record for record in epochs(run))


def test_validating_more_often_changes_no_weight(short_text, tmp_path):
    weights = []
    for every in (0, 4):
        run = train(short_text, tmp_path / f"run-{every}", validate_every=every, max_steps=30, epochs=100)
        weights.append({k: v for k, v in load_file(run.path / "last.safetensors").items() if k.startswith("model/")})
    for name, array in weights[0].items():
        assert array.tobytes() == weights[1][name].tobytes()


def test_the_training_loss_of_a_record_is_the_mean_since_the_record_before(short_text, tmp_path):
    settings = {"max_steps": 12, "epochs": 100, "log_every": 1}
    run = train(short_text, tmp_path / "run", validate_every=5, **settings)
    losses = [r["training_nats_per_token"] for r in run.history() if r["kind"] == "report"]
    means = [sum(losses[a:b]) / (b - a) for a, b in ((0, 5), (5, 10), (10, 12))]
    assert [record["training_nats_per_token"] for record in epochs(run)] == pytest.approx(means, rel=1e-6)


@pytest.mark.parametrize("validation_fraction", [0.1, 0.0])
@pytest.mark.parametrize("stop", [4, 8])
def test_a_run_that_is_made_longer_equals_a_long_one(validation_fraction, stop, short_text, tmp_path):
    settings = {
        "validate_every": 4, "epochs": 100, "schedule": "constant", "validation_fraction": validation_fraction
    }  # fmt: skip
    whole = train(short_text, tmp_path / "whole", max_steps=14, **settings)
    part = train(short_text, tmp_path / "part", max_steps=stop + 2, **settings)
    resumed = seqlm.resume(part.path, quiet=True, max_steps=14)
    histories = [[{k: v for k, v in r.items() if k != "seconds"} for r in run.history()] for run in (whole, resumed)]
    assert histories[0] == histories[1]
    for name in ("best", "last"):
        arrays = [load_file(run.path / f"{name}.safetensors") for run in (whole, resumed)]
        assert {k: v.tobytes() for k, v in arrays[0].items()} == {k: v.tobytes() for k, v in arrays[1].items()}


def test_patience_counts_validations(short_text, unlearnable, tmp_path):
    run = train(short_text, tmp_path / "run", validate_every=5, patience=2, validation=unlearnable, epochs=100)
    best = [record["best"] for record in epochs(run)]
    assert best[-2:] == [False, False]
    assert all(record["step"] % 5 == 0 for record in epochs(run))
    assert any(best[-3:])


def test_the_learning_rate_falls_after_a_validation_without_a_better_loss(short_text, unlearnable, tmp_path):
    settings = {"schedule": "plateau", "warmup": 0, "validation": unlearnable, "epochs": 100, "max_steps": 40}
    run = train(short_text, tmp_path / "run", validate_every=5, **settings)
    records = epochs(run)
    worse = next(number for number, record in enumerate(records) if not record["best"])
    assert records[worse + 1]["learning_rate"] == pytest.approx(records[worse]["learning_rate"] / 4)


def test_a_tagger_is_validated_so_too(tmp_path):
    from sequence_runs import learnable
    from sequence_runs import train as train_tagger

    run = train_tagger(learnable(count=40), tmp_path / "run", validate_every=3, epochs=2)
    assert [record["step"] for record in epochs(run)][:3] == [3, 6, 9]


@pytest.mark.parametrize(("limit", "expected"), [(0, 100), (250, 100), (100, 100), (40, 40)])
def test_the_validation_part_has_a_share_of_the_text_but_no_more_than_the_limit(limit, expected, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("".join(chr(97 + i * i % 23) for i in range(1000)))
    tokenizer = Components.choose(seqlm.LanguageSettings(), seqlm.installed_plugins()).build_tokenizer()
    corpus = read_corpus([text], tokenizer, validation_fraction=0.1, validation_limit=limit)
    assert (len(corpus.training), len(corpus.validation)) == (1000 - expected, expected)


def test_a_run_from_before_there_was_a_limit_goes_on_with_the_same_parts():
    assert seqlm.LanguageSettings().validation_limit == 1_000_000
    from seqlm_core.settings.fields import facts

    assert facts(seqlm.LanguageSettings, "of_older_runs")["validation_limit"] == 0
    assert facts(seqlm.LanguageSettings, "of_older_runs")["validate_every"] == 0

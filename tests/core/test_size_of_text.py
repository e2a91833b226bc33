"""What is chosen from the size of the text, where a user leaves it open."""

from __future__ import annotations

import dataclasses
import math

import pytest
from conftest import SAMPLE_TEXT, SMALL
from hypothesis import given
from hypothesis import strategies as st

import seqlm_core as seqlm
from seqlm_core.runs.opening import open_run
from seqlm_core.settings.size_of_text import chosen_for

OPEN = ("epochs", "batch_size", "dropout", "weight_decay")
QUICK = {"hidden_size": 4, "max_steps": 2, "sample_every": 0, "quiet": True}


def chosen(tokens, entries, **given_settings):
    return chosen_for(seqlm.LanguageSettings(learning_rate=0.01, **given_settings), tokens, entries)


@given(tokens=st.integers(2, 10**12), entries=st.integers(2, 10**6))
def test_every_size_gets_settings_that_can_be_used(tokens, entries):
    values = chosen(tokens, entries)
    assert set(values) == {*OPEN, *(["validate_every"] if tokens >= 5_000_000 else [])}
    settings = dataclasses.replace(seqlm.LanguageSettings(), **values)  # raises if one is out of its range
    assert settings.epochs * tokens <= 60_000_000 + tokens
    assert 0.01 * settings.weight_decay <= 1 / 49  # however few steps there are, a weight can be learnt


def test_a_larger_text_is_read_fewer_times_and_with_less_dropout():
    sizes = [chosen(tokens, 60) for tokens in (20_000, 50_000, 1_000_000, 10_000_000, 50_000_000, 10**9)]
    assert [size["epochs"] for size in sizes] == [20, 20, 20, 6, 2, 1]
    for entries in (60, 10**6):
        dropouts = [chosen(tokens, entries)["dropout"] for tokens in (20_000, 50_000, 1_000_000, 10_000_000, 10**9)]
        assert dropouts == sorted(dropouts, reverse=True)
        assert dropouts[0] > dropouts[-1]


def test_words_are_read_fewer_times_than_characters_and_their_weights_decay():
    words, characters = chosen(50_000, 5_000), chosen(50_000, 60)
    assert words["epochs"] < characters["epochs"]
    assert (words["weight_decay"] > 0, characters["weight_decay"]) == (True, 0)


@pytest.mark.parametrize("given_settings", [{}, {"batch_size": 16, "max_steps": 3001}, {"epochs": 2}])
@pytest.mark.parametrize("tokens", [5_000_000, 30_000_000, 10**9])
def test_a_large_text_is_validated_twenty_times(tokens, given_settings):
    values = {"batch_size": 32, **chosen(tokens, 60, **given_settings), **given_settings}
    steps = min(values["epochs"] * tokens // (values["batch_size"] * 50), given_settings.get("max_steps", 10**12))
    assert 19 <= steps / values["validate_every"] <= 20
    assert chosen(tokens, 60, validate_every=7).get("validate_every") is None
    assert "validate_every" not in chosen(4_999_999, 60)


@pytest.mark.parametrize("given_settings", [{}, {"batch_size": 16}, {"sequence_length": 20}])
def test_a_weight_that_nothing_renews_falls_to_1_in_e_in_two_epochs(given_settings):
    tokens, learning_rate = 50_000, 0.01
    values = {"batch_size": 32, **chosen(tokens, 5_000, **given_settings), **given_settings}
    steps = 2 * tokens / (values["batch_size"] * given_settings.get("sequence_length", 50))
    kept = (1 - learning_rate * values["weight_decay"]) ** steps
    assert kept == pytest.approx(1 / math.e, abs=0.03)


def test_what_a_user_gives_stays():
    values = {"epochs": 3, "batch_size": 5, "dropout": 0.0, "weight_decay": 0.5}
    assert chosen(50_000, 60, **values) == {}
    for name, value in values.items():
        assert set(chosen(50_000, 60, **{name: value})) == set(OPEN) - {name}


def test_the_choice_is_printed_and_recorded_and_stays_when_the_run_goes_on(tmp_path, caplog):
    text = tmp_path / "text.txt"
    text.write_text(SAMPLE_TEXT.read_text(encoding="utf-8")[:20_000], encoding="utf-8")
    with caplog.at_level("INFO", logger="seqlm"):
        run = seqlm.train(text, out=tmp_path / "run", epochs=3, schedule="constant", **QUICK)
    assert "chosen for a text of this size: `batch_size` 8, `dropout` 0.7, `weight_decay` 0.0" in caplog.text
    expected = {"epochs": 3, "batch_size": 8, "dropout": 0.7, "weight_decay": 0.0, "recurrent_dropout": 0.7}
    assert {name: getattr(open_run(run.path).settings, name) for name in expected} == expected
    caplog.clear()
    resumed = seqlm.resume(run.path, max_steps=4, quiet=True)
    assert "chosen" not in caplog.text
    assert {name: getattr(resumed.settings, name) for name in expected} == expected


def test_a_weight_decay_that_would_take_all_of_a_weight_is_refused(short_text, tmp_path):
    settings = {**SMALL, "optimizer": "sgd", "learning_rate": 2.0, "quiet": True}
    with pytest.raises(seqlm.SettingError, match=r"weight_decay: must be below 0\.5 at a learning rate of 2"):
        seqlm.train(short_text, out=tmp_path / "run", weight_decay=0.5, **settings)
    assert not (tmp_path / "run").exists()

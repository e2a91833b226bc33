"""Texts and surprisals are computed by several processes, and in parts, with the same result as by one."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

import seqlm_core as seqlm
from seqlm_core.engine import processes
from seqlm_core.evaluation import parts
from seqlm_core.runs.parallel import SharedRun

LINES = {"documents": "line", "cell": "gru"}


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(parts, "PART", 50)
    monkeypatch.setattr(parts, "PARTS", 7)
    monkeypatch.setattr(parts, "CONTEXT", 40)
    monkeypatch.setattr(parts, "WINDOW", 16)


def bits(surprisals):
    return np.array([np.nan if one.bits is None else one.bits for one in surprisals])


def test_several_processes_draw_the_texts_of_one(trained):
    run = trained()
    drawn = {"prompt": "The", "count": 9, "length": 30, "seed": 5, "top_k": 9, "stop": "q"}
    texts = run.generate(**drawn)
    assert list(run.generate_each(**drawn, jobs=2)) == texts
    assert list(run.generate_each(**drawn)) == texts
    assert list(run.generate_each(**drawn, first=7)) == texts[7:]
    assert list(run.generate_each(**drawn, first=9)) == []


def numbered(number, text):
    return number, text.text.upper(), os.getpid()


def test_processes_make_something_of_the_texts_that_they_drew(trained):
    run = trained()
    drawn = {"count": 9, "length": 30, "seed": 5}
    expected = [(number, text.text.upper()) for number, text in enumerate(run.generate(**drawn))]
    for jobs in (1, 2):
        made = list(run.generate_each(**drawn, jobs=jobs, first=4, make=numbered))
        assert [one[:2] for one in made] == expected[4:]
        assert all((one[2] == os.getpid()) == (jobs == 1) for one in made)


@pytest.mark.parametrize("settings", [{}, LINES, {"cell": "bilstm", "layers": 2, "tokenizer": "word"}], ids=str)
@pytest.mark.parametrize("per", ["line", "token"])
def test_parts_with_all_of_the_text_before_them_are_the_whole(settings, per, trained, short_text, monkeypatch):
    monkeypatch.setattr(parts, "PART", 300)
    monkeypatch.setattr(parts, "PARTS", 4)
    monkeypatch.setattr(parts, "CONTEXT", 6000)
    run = trained(**settings)
    whole, in_parts = (list(run.score(short_text, per=per, jobs=jobs)) for jobs in (None, 1))
    np.testing.assert_allclose(bits(in_parts), bits(whole), rtol=1e-4, atol=1e-5)
    assert [one.to_json().keys() for one in in_parts] == [one.to_json().keys() for one in whole]
    assert [getattr(one, {"line": "text", "token": "token"}[per]) for one in in_parts] == [
        getattr(one, {"line": "text", "token": "token"}[per]) for one in whole
    ]


def test_a_part_is_read_after_the_tokens_before_it_alone(trained, short_text, small_parts):
    run = trained()
    text = short_text.read_text()
    in_parts = bits(run.score(short_text, per="token", jobs=1))
    assert len(in_parts) == len(text)
    for begin in (50, 350, 400, 5950):  # of the first stretch, at the beginning of one, within one, of the last
        alone = bits(run.score_text(text[begin - 40 : begin + 50], per="token"))
        np.testing.assert_allclose(in_parts[begin : begin + 50], alone[40:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("settings", [{}, LINES], ids=str)
def test_several_processes_compute_the_surprisals_of_one(settings, trained, short_text, small_parts):
    run = trained(**settings)
    one = bits(run.score(short_text, jobs=1))
    shared = bits(run.score(short_text, jobs=2))
    assert one.shape == shared.shape
    np.testing.assert_allclose(shared, one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("per", "first"), [("line", 0), ("line", 1), ("line", 37), ("token", 349), ("token", 1000)])
@pytest.mark.parametrize("jobs", [None, 1])
def test_what_was_scored_before_is_left_out(per, first, jobs, trained, short_text, small_parts):
    run = trained()
    everything = list(run.score(short_text, per=per, jobs=jobs))
    rest = list(run.score(short_text, per=per, jobs=jobs, first=first))
    assert rest == everything[first:]
    assert not list(run.score(short_text, per=per, jobs=jobs, first=len(everything)))


def test_little_is_read_of_what_is_left_out(trained, short_text, small_parts, monkeypatch):
    read = []
    monkeypatch.setattr(
        "seqlm_core.runs.scoring_run.stretch_bits",
        lambda network, stretch: read.append(len(stretch.ids)) or np.zeros(len(stretch.ids)),
    )
    lines = short_text.read_text().split("\n")
    next(trained().score(short_text, jobs=1, first=len(lines) - 2))
    assert sum(read) <= 2 * 350


def test_a_text_of_any_length_has_all_its_tokens(trained, small_parts, tmp_path):
    run = trained()
    for length in (1, 2, 50, 51, 349, 350, 351):
        (tmp_path / "text").write_text("ab\n" * 200)
        (tmp_path / "text").write_text(("ab\n" * 200)[:length])
        found = list(run.score(tmp_path / "text", per="token", jobs=1))
        assert "".join(one.token for one in found) == ("ab\n" * 200)[:length]
        assert [one.bits is None for one in found] == [True] + [False] * (length - 1)


def test_rules_that_learn_from_all_of_the_text_do_not_go_with_parts(trained, short_text):
    with pytest.raises(seqlm.SettingError, match=r"jobs: does not go with `adapt` or `cache`"):
        trained().score(short_text, jobs=2, cache=100)


@pytest.mark.parametrize("call", ["generate_each", "score"])
def test_a_number_of_jobs_below_zero_is_refused(call, trained, short_text):
    with pytest.raises(seqlm.SettingError, match=r"jobs: must be at least 0"):
        getattr(trained(), call)(*([short_text] if call == "score" else []), jobs=-1)


def test_no_number_is_one_process_for_each_core(monkeypatch):
    monkeypatch.setattr(processes, "usable_cores", lambda: 7)
    assert [processes.number_of_jobs(jobs) for jobs in (0, 1, 3)] == [7, 1, 3]


def test_where_there_are_no_processes_this_one_does_the_work(trained, monkeypatch):
    def refused(*_, **__):
        raise OSError("no semaphores")

    monkeypatch.setattr(processes, "ProcessPoolExecutor", refused)
    run = trained()
    assert list(run.generate_each(count=3, length=5, seed=1, jobs=2)) == run.generate(count=3, length=5, seed=1)


def test_other_processes_cannot_load_what_the_program_registers(register_specs, trained, short_text, tmp_path):
    built_in = seqlm.installed_plugins().tokenizers.get("char")
    register_specs(seqlm.TokenizerSpec("characters", "as char", built_in.build))
    small = {"hidden_size": 4, "batch_size": 2, "sequence_length": 5, "max_steps": 2}
    run = seqlm.train(short_text, out=tmp_path / "run", tokenizer="characters", quiet=True, **small)
    with pytest.raises(seqlm.SettingError, match="jobs: needs plugins that are installed or in files"):
        next(run.generate_each(count=2, jobs=2))
    assert len(list(run.generate_each(count=2, length=3, jobs=1))) == 2


def test_a_process_notices_that_the_weights_have_changed(trained, tmp_path):
    run = seqlm.LanguageRun(shutil.copytree(trained().path, tmp_path / "run"))
    shared = SharedRun.of(run, [run.cell.source])
    assert shared.open().sample("The", length=9, seed=1) == run.sample("The", length=9, seed=1)
    shutil.copy(trained(seed=9).directory.best, run.directory.best)
    with pytest.raises(seqlm.RunError, match=r"the weights of .* have changed meanwhile"):
        shared.open()

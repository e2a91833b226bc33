"""What a run tells in Python: its settings, what may follow a prompt, scores of a text; and what it refuses."""

from __future__ import annotations

import math
import shutil

import pytest
from sequence_runs import learnable

import seqlm_core as seqlm
from seqlm_core.runs.directory import RunDirectory


def options_of(registry, name):
    return {option.name: option.default for option in registry.get(name).options.__dataclass_fields__.values()}


def test_settings_have_what_was_chosen_where_nothing_was_given(trained, tmp_path):
    run = trained(cell="lstm", tokenizer="word")
    plugins = seqlm.installed_plugins()
    earlier = with_recorded(run, tmp_path / "earlier", {"tokenizer": "word", "hidden_size": 16})
    for settings in (run.settings, earlier.settings):
        assert settings.embedding_size == run.weights["input.weight"].shape[1] == 16
        assert settings.learning_rate == plugins.optimizers.get("adam").default_learning_rate
        assert settings.min_count == 2
        assert settings.cell_options == options_of(plugins.cells, "lstm") != {}
        assert settings.optimizer_options == options_of(plugins.optimizers, "adam")


def with_recorded(run, path, settings):
    """Return a copy of a run for which only these settings were recorded, as by an earlier version."""
    shutil.copytree(run.path, path)
    config = dict(run.config, settings=settings, plugins=dict(run.config["plugins"]))
    for role in config["plugins"].keys() & settings.keys():
        config["plugins"][role] = dict(config["plugins"][role], name=settings[role])
    RunDirectory(path).write_config(config)
    return seqlm.LanguageRun(path)


def test_settings_are_told_where_the_plugin_of_an_option_is_not_here(trained, tmp_path):
    recorded = {"tokenizer": "word", "optimizer": "gone", "hidden_size": 16}
    run = with_recorded(trained(cell="lstm", tokenizer="word"), tmp_path / "earlier", recorded)
    assert run.settings.optimizer == "gone"
    assert run.settings.embedding_size == 16


def test_settings_of_a_sequence_model_have_its_embedding_size(tmp_path):
    settings = {"hidden_size": 6, "epochs": 1, "min_count": 1}
    run = seqlm.SequenceModel("tokens", "labels", **settings).train(learnable(), out=tmp_path / "labels", quiet=True)
    assert run.settings.embedding_size == run.architecture.embedding_size
    assert run.settings.learning_rate
    values = learnable(inputs="values")
    run = seqlm.SequenceModel("values", "labels", hidden_size=6, epochs=1).train(values, out=tmp_path / "v", quiet=True)
    assert run.settings.embedding_size is None


@pytest.mark.parametrize(
    "settings",
    [{"cell": "gru"}, {"cell": "bilstm", "embedding_size": 8}, {"tokenizer": "word", "embedding_size": 8}],
    ids=str,
)
def test_what_may_follow_a_prompt_is_as_probable_as_its_score_says(trained, settings):
    run = trained(**settings)
    text = "The boy, the end"
    scored = list(run.score_text(text, per="token"))
    assert "".join(token.token for token in scored) == text
    before = scored[0].token
    for token in scored[1:]:
        following = run.next_tokens(before)
        assert sum(next_.probability for next_ in following) == pytest.approx(1, abs=1e-12)
        assert [n.probability for n in following] == sorted((n.probability for n in following), reverse=True)
        assert {n.token for n in following} == set(run.vocabulary.tokens)
        found = {n.token: n for n in following}[token.token if token.known else "<unk>"]
        assert found.log_probability == pytest.approx(-token.bits * math.log(2), abs=1e-12)
        assert found.probability == pytest.approx(math.exp(found.log_probability))
        assert run.next_tokens(before, count=3) == following[:3]
        before += token.token


def test_after_no_prompt_tokens_are_as_probable_as_they_are_frequent(trained):
    run = trained(cell="gru")
    counts = dict(zip(run.vocabulary.tokens, run.vocabulary.counts.tolist()))
    for following in run.next_tokens(count=5):
        assert following.probability == pytest.approx(counts[following.token] / sum(counts.values()))


def test_a_text_is_scored_as_a_file_that_holds_it(trained, tmp_path):
    run, text = trained(cell="gru"), "The end\nof the boy.\n"
    (tmp_path / "text.txt").write_text(text)
    for per in ("line", "token"):
        assert list(run.score_text(text, per=per)) == list(run.score(tmp_path / "text.txt", per=per))
    assert list(run.score_text("")) == []


def test_a_stream_has_no_empty_piece(trained):
    run = trained(cell="gru")
    for stop in ((), "e"):
        streams = [list(run.stream("The ", length=40, stop=stop, seed=seed)) for seed in range(5)]
        assert any(streams)
        assert all(map(all, streams))


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda run: run.sample(5), "prompt: must be text, not 5"),
        (lambda run: run.generate(None), "prompt: must be text, not None"),
        (lambda run: run.stream(b"The"), "prompt: must be text, not b'The'"),
        (lambda run: run.next_tokens(5), "prompt: must be text"),
        (lambda run: run.next_tokens("a", count=0), "count: must be at least 1"),
        (lambda run: run.sample("a", length="5"), "length: must be a whole number, not '5'"),
        (lambda run: run.generate(count=True), "count: must be a whole number, not True"),
        (lambda run: run.generate(beam=2.0), "beam: must be a whole number, not 2.0"),
        (lambda run: run.generate(temperature="hot"), "temperature: must be a number, not 'hot'"),
        (lambda run: run.generate(temperature=float("nan")), "temperature: must be a finite number, not nan"),
        (
            lambda run: run.generate(temprature=0.5),
            "no argument or decoding rule 'temprature'; there are: temperature, top_k",
        ),
        (
            lambda run: run.stream(temprature=0.5),
            "no argument or decoding rule 'temprature'; there are: temperature, top_k",
        ),
        (
            lambda run: run.generate(top_k=2, beam=1, topk=3),
            "no argument or decoding rule 'topk'; there are: temperature, top_k",
        ),
        (lambda run: run.generate(stop=5), "stop: must be a text or a list of texts, not 5"),
        (lambda run: run.generate(stop=["a", 5]), "stop: must be text, not 5"),
        (lambda run: run.infill(5), "text: must be text, not 5"),
        (lambda run: run.infill("a_", mark=5), "mark: must be text, not 5"),
        (lambda run: run.infill("a_", gap="2"), "gap: must be a whole number, not '2'"),
        (lambda run: run.evaluate(), r"at least one text to evaluate on, as in run.evaluate\('other.txt'\)"),
        (lambda run: run.evaluate(5), "a text is given by the path of its file, or by a list of paths, not by 5"),
        (lambda run: run.evaluate([5]), "path of a text: must be a path, not 5"),
        (lambda run: run.score(5), "file: must be a path, not 5"),
        (lambda run: run.score_text(5), "text: must be text, not 5"),
        (lambda run: run.score_text("a", per="word"), "per: must be line or token, not 'word'"),
        (lambda run: seqlm.LanguageRun(5), "path: must be a path, not 5"),
        (lambda run: seqlm.SequenceRun(None), "path: must be a path, not None"),
        (lambda run: seqlm.resume(5), "path: must be a path, not 5"),
        (lambda run: seqlm.train(5), "a text is given by the path of its file"),
        (lambda run: seqlm.train(validation=5), "a text is given by the path of its file"),
        (lambda run: seqlm.train(out=5), "out: must be a path, not 5"),
        (lambda run: seqlm.train(init_from=5), "path: must be a path, not 5"),
        (lambda run: seqlm.SequenceModel().train(learnable(), out=5), "out: must be a path, not 5"),
        (lambda run: seqlm.read_columns(5), "path: must be a path, not 5"),
        (lambda run: seqlm.read_columns("x", "a"), "token_column: must be a whole number, not 'a'"),
    ],
)
def test_an_argument_of_the_wrong_type_is_told_with_its_name(trained, call, told):
    with pytest.raises(seqlm.UsageError, match=f"{told}"):
        call(trained(cell="bigru"))

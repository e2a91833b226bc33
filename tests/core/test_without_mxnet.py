"""Where MXNet is not installed, runs are used by NumPy, and come to the same."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from all_commands import as_lists, walk
from right_plugins import Unit, unit_step
from sequence_runs import learnable
from tagger_commands import as_text, done, toy_sequences, write

import seqlm_core as seqlm
from seqlm_core.engine.availability import how_to_install_mxnet
from seqlm_core.runs import networks
from seqlm_core.runs.run import Run
from seqlm_core.storage.checkpoint import load_checkpoint, save_checkpoint

TESTS = Path(__file__).resolve().parents[1]
TOLERANCE = 1e-5
TINY = {"batch_size": 4, "epochs": 1, "max_steps": 1, "log_every": 0, "validation_fraction": 0.0}
LANGUAGE = {**TINY, "hidden_size": 7, "sequence_length": 12, "sample_every": 0, "quiet": True}
SEQUENCES = {**TINY, "hidden_size": 5}
LANGUAGE_MODELS = {
    "rnn": {"layers": 2, "documents": "line", "embedding_size": 6},
    "gru": {"tokenizer": "word", "output_layer": "adaptive", "hidden_size": [7, 5], "layers": 2},
    "lstm": {"embedding_size": 0, "layers": 2},
    "birnn": {"embedding_size": 0, "documents": "line"},
    "bigru": {"tie_weights": True, "tokenizer": "space"},
    "bilstm": {"tie_weights": True, "embedding_size": 5, "layers": 2},
}
TAGGERS = {
    "tags one-hot": {"cell": "gru", "embedding_size": 0},
    "tags": {"cell": "bilstm", "layers": 2, "embedding_size": 5},
    "tags spelt": {"cell": "birnn", "char_cell": "bigru", "char_hidden_size": 3, "output_layer": "crf"},
    "tags of much": {
        "cell": "lstm", "layers": 2, "char_cell": "rnn", "char_hidden_size": 3, "shapes": True, "lowercase": True,
        "tune_vectors": True, "output_layer": "crf", "constrain": True,
    },
    "tags of states": {"cell": "bigru"},
}  # fmt: skip
OTHERS = {
    "label": ("tokens", "label", {"cell": "bilstm", "layers": 2}),
    "label from the left": ("tokens", "label", {"cell": "gru"}),
    "forecast": ("values", "values", {"cell": "lstm"}),
    "labelled values": ("values", "labels", {"cell": "bigru"}),
}


def give_random_weights(run, seed):
    """Give a run other weights, all of which matter."""
    random = np.random.default_rng(seed)
    drawn = {}
    for path in sorted(run.glob("*.safetensors")):
        arrays, state = load_checkpoint(path)
        if path.name != "vectors.safetensors":
            for name, array in arrays.items():
                if name.startswith(("model/", "average/")):
                    drawn.setdefault(name, random.normal(0, 0.6, array.shape).astype(array.dtype))
            save_checkpoint(path, {**arrays, **{name: drawn[name] for name in arrays if name in drawn}}, state)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, sample_text):
    """Runs of each kind, and what they read."""
    folder = tmp_path_factory.mktemp("elsewhere")
    runs = folder / "runs"
    text = sample_text.read_text()
    write(folder / "training.txt", text[:2500])
    write(folder / "text.txt", text[2500:2900])
    for cell, settings in LANGUAGE_MODELS.items():
        seqlm.train(folder / "training.txt", cell=cell, out=runs / cell, **{**LANGUAGE, **settings})
        give_random_weights(runs / cell, len(cell))
    write(folder / "vectors.txt", "the 1 2 3\nrome 2 1 0\ncat -1 0 4\n")
    examples = [([token for token, _, _ in rows], [label for *_, label in rows]) for rows in toy_sequences(12, seed=1)]
    further = [([row[:2] for row in rows], [label for *_, label in rows]) for rows in toy_sequences(12, seed=1)]
    write(folder / "columns.tsv", as_text(toy_sequences(9, seed=2), columns=(0, 1, 2)))
    for name, settings in TAGGERS.items():
        much = name == "tags of much"
        seqlm.SequenceModel(**{**SEQUENCES, **settings}).train(
            further if much else examples,
            out=runs / name,
            quiet=True,
            vectors=folder / "vectors.txt" if much else None,
            language_model=runs / "birnn" if name == "tags of states" else None,
        )
        give_random_weights(runs / name, len(name))
    for name, (inputs, outputs, settings) in OTHERS.items():
        model = seqlm.SequenceModel(inputs, outputs, **{**SEQUENCES, **settings})
        model.train(learnable(inputs, outputs), out=runs / name, quiet=True)
        give_random_weights(runs / name, len(name))
        used = [
            (np.asarray(read).tolist(), target.tolist() if isinstance(target, np.ndarray) else target)
            for read, target in learnable(inputs, outputs, count=9, seed=1)
        ]
        (folder / f"{name}.json").write_text(json.dumps(used))
    return folder


@pytest.fixture(scope="module")
def here(folder):
    """What is made by MXNet."""
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(networks, "FEW_MULTIPLICATIONS", -1)
        return walk(folder)


@pytest.fixture(scope="module")
def elsewhere(folder):
    """What is made without MXNet, and without what only POSIX systems have."""
    done = subprocess.run(
        [sys.executable, TESTS / "all_commands.py", folder, "elsewhere"],
        cwd=folder,
        env={**os.environ, "SEQLM_NATIVE": "0", "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def parsed(made):
    """Return what was made with the JSON of commands as values."""
    if isinstance(made, list) and len(made) == 3 and made[1].startswith(("{", "[")):
        code, out, err = made
        try:
            return [code, json.loads(out), err]
        except ValueError:
            return [code, [json.loads(line) for line in out.splitlines()], err]
    return made


def agree(found, expected, where=""):
    """Compare what was made; numbers may differ by rounding."""
    if isinstance(expected, dict):
        assert list(found) == list(expected), where
        for key, value in expected.items():
            agree(found[key], value, f"{where} / {key}")
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected), where
        for one, other in zip(found, expected):
            agree(one, other, where)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE), where
    else:
        assert found == expected, where


def test_all_commands_come_to_the_same_without_mxnet(here, elsewhere):
    assert not elsewhere["imported"]
    assert len(here) > 60
    for command, made in here.items():
        if made is not None and not command.startswith("predictions"):
            assert made[0] == 0, (command, made)
        agree(parsed(elsewhere[command]), json.loads(json.dumps(parsed(made))), command)


def test_the_page_to_play_with_is_served(elsewhere):
    assert "<title>Play with lstm</title>" in elsewhere["play"]


def test_other_commands_work(elsewhere, folder):
    assert [code for code, *_ in elsewhere["others"]] == [0, 0]
    assert list(folder.glob("*own*/pyproject.toml"))


def test_what_needs_mxnet_says_so_in_one_line(elsewhere, folder):
    for command, (code, out, err) in elsewhere["refused"].items():
        lines = err.strip().splitlines()
        assert code == 1, (command, out, err)
        assert len(lines) == 1 or command.startswith("check"), (command, err)
        assert "MXNet" in out + err, command
        assert "Traceback" not in err
    assert not (folder / "new").exists()


def test_modules_are_imported_wherever_they_need_no_mxnet(elsewhere):
    """So no module needs a POSIX system."""
    for name, error in elsewhere["modules that cannot be imported"].items():
        assert re.search("MXNet", error), (name, error)


@pytest.mark.parametrize("most", [networks.FEW_MULTIPLICATIONS, 1000])
def test_few_tokens_are_labelled_without_mxnet_although_it_is_there(most, here, folder, monkeypatch, capsys):
    words = "apply", folder / "runs" / "tags", folder / "columns.tsv"
    made = here["tag apply {} {} --n-best 2 --probabilities --marginals --json".format(*words[1:])]
    built = []
    build = Run._new_network
    monkeypatch.setattr(Run, "_new_network", lambda run: built.append(run) or build(run))
    monkeypatch.setattr(networks, "FEW_MULTIPLICATIONS", most)
    out, _ = done(capsys, "tag", *words, "--n-best", "2", "--probabilities", "--marginals", "--json")
    agree(parsed([0, out, ""]), parsed(made))
    assert len(built) == (most == 1000)
    monkeypatch.setattr("seqlm_core.command_line.tag_apply.SEQUENCES_AT_A_TIME", 4)  # so that these are not all
    assert done(capsys, "tag", *words) == done(capsys, "tag", *words)
    assert len(built) == (most == 1000) + 2


def unit(step):
    return seqlm.CellSpec("unit", "one unit", lambda size, hidden, options: Unit(size, hidden), step=step)


def no_bias_step(weights, inputs, states, options):
    return unit_step({**weights, "bias": weights["bias"] * 0}, inputs, states, options)


@pytest.fixture
def without_mxnet(monkeypatch):
    """Return a function from which on MXNet counts as not installed."""
    return lambda: [
        monkeypatch.setattr(f"seqlm_core.runs.{name}.has_mxnet", lambda: False) for name in ("networks", "scoring_run")
    ]


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        (None, "has the cell 'unit', which has no step in NumPy, and so it needs MXNet, which is not installed; "),
        (no_bias_step, "has a cell whose step in NumPy differs from the layer by "),
    ],
)
def test_a_run_whose_cell_has_no_right_step_says_that_it_needs_mxnet(
    step, problem, register_specs, without_mxnet, tmp_path, short_text
):
    register_specs(unit(step))
    language = seqlm.train(short_text, out=tmp_path / "language", **{**LANGUAGE, "cell": "unit"})
    labels = seqlm.SequenceModel(cell="unit", **SEQUENCES).train(learnable(), out=tmp_path / "labels", quiet=True)
    spelt = seqlm.SequenceModel(cell="gru", char_cell="unit", **SEQUENCES)
    spelt = spelt.train(learnable(), out=tmp_path / "spelt", quiet=True)
    without_mxnet()
    for use in (
        lambda: seqlm.LanguageRun(language.path).sample(length=3),
        lambda: seqlm.LanguageRun(language.path).evaluate(short_text),
        lambda: seqlm.SequenceRun(labels.path).predict([["a"]]),
        lambda: seqlm.SequenceRun(spelt.path).predict([["a"]]),
    ):
        with pytest.raises(seqlm.SeqlmError) as told:
            use()
        assert problem in str(told.value)
        assert str(told.value).endswith(how_to_install_mxnet())


def test_a_cell_of_a_plugin_with_a_right_step_needs_no_mxnet(
    register_specs, without_mxnet, tmp_path, short_text, monkeypatch, caplog
):
    register_specs(unit(unit_step))
    language = seqlm.train(short_text, out=tmp_path / "language", **{**LANGUAGE, "cell": "unit", "documents": "line"})
    labels = seqlm.SequenceModel(cell="unit", **SEQUENCES).train(learnable(), out=tmp_path / "labels", quiet=True)
    for run in (language, labels):
        give_random_weights(run.path, 5)
    examples = learnable(count=6, seed=3)

    def made():
        (figures,) = seqlm.LanguageRun(language.path).evaluate(short_text)
        run = seqlm.SequenceRun(labels.path)
        run.expect(1)  # plugins' cells are read by their layers however few the tokens are
        return [figures.to_json(), run.evaluate(examples).to_json(), as_lists(run.probabilities([["a", "b"]]))]

    by_layers = made()
    without_mxnet()
    monkeypatch.setattr(Run, "_new_network", None)
    agree(made(), by_layers)
    assert "step" not in caplog.text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda arrays: arrays.pop("model/head.scores.bias"), "parameter 'head.scores.bias' is missing"),
        (lambda arrays: arrays.update({"model/more": np.zeros(1, np.float32)}), "the model has no parameter 'more'"),
        (
            lambda arrays: arrays.update({"model/input.encoder.forward_stack.0.h2h_bias": np.zeros(2, np.float32)}),
            "parameter 'input.encoder.forward_stack.0.h2h_bias' has shape (2,), and must have (9,)",
        ),
    ],
)
def test_weights_of_sequence_models_are_compared_with_the_architecture(change, said, folder, tmp_path):
    shutil.copytree(folder / "runs" / "tags spelt", tmp_path / "run")
    for path in (tmp_path / "run").glob("*.safetensors"):
        arrays, state = load_checkpoint(path)
        change(arrays)
        save_checkpoint(path, arrays, state)
    with pytest.raises(seqlm.RunError, match=re.escape(said)):
        _ = seqlm.SequenceRun(tmp_path / "run").weights

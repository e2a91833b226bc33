"""Where MXNet is not installed, runs are used by NumPy, and come to the same."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from all_commands import walk
from sequence_runs import learnable
from tagger_commands import as_text, toy_sequences, write

import seqlm_core as seqlm
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

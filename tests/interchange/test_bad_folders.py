"""What a user can get wrong in exports and imports: a line that says what, where, and how to mend it."""

from __future__ import annotations

import json
import shutil
import sys

import numpy as np
import pytest
from random_model import RandomModel
from random_run import language_run
from safetensors.numpy import load_file, save_file
from sequence_models import make_run
from tagger_commands import done, run_cli

import seqlm_core as seqlm

PLUGIN = """
import numpy as np
import seqlm_core as seqlm
from seqlm_core.mxnet import gluon


def build(input_size, hidden_size, options):
    return gluon.rnn.LSTMCell(hidden_size, input_size=input_size)


@seqlm.hookimpl
def seqlm_cells():
    return seqlm.CellSpec("of-its-own", "a cell", build)
"""
FORMATS = ["onnx", "pytorch"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return language_run(tmp_path_factory.mktemp("runs") / "run", RandomModel("gru", units=5, embedding_size=4))


@pytest.fixture(scope="module")
def exported(run):
    seqlm.export_pytorch(run, run.path.parent / "exported")
    return run.path.parent / "exported"


@pytest.fixture
def folder(exported, tmp_path, monkeypatch):
    """A copy of an export, to be damaged."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(exported, "model")


def refused(capsys, *arguments):
    """Return exit code and message of a command that fails with one line."""
    code, out, err = run_cli(capsys, *arguments)
    assert (out, err.count("\n")) == ("", 1), err
    assert err.startswith("seqlm: error: ")
    return code, err[len("seqlm: error: ") : -1]


@pytest.mark.parametrize("to", FORMATS)
def test_a_folder_that_holds_files_is_written_into_only_if_that_is_asked_for(run, to, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    code, message = refused(capsys, "export", run.path, "--to", to, "--out", "out")
    assert code == 2
    assert message == "--out out holds files; name a new folder, or let --overwrite replace those of an export"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]
    for _ in range(2):
        assert done(capsys, "export", run.path, "--to", to, "--out", "out", "--overwrite") == ("out\n", "")
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("to", FORMATS)
def test_a_file_is_no_folder_to_export_to(run, to, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    code, message = refused(capsys, "export", run.path, "--to", to, "--out", tmp_path / "file")
    assert (code, message) == (2, f"--out {tmp_path / 'file'} is a file, not a folder")


def test_a_place_that_cannot_be_written_to_is_named(run, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "out"
    code, message = refused(capsys, "export", run.path, "--to", "pytorch", "--out", out)
    assert (code, message) == (1, f"--out {out} cannot be written to: File exists")


def test_weights_of_a_tagger_that_do_not_fit_are_refused(tmp_path, capsys):
    tagger = make_run(tmp_path / "run", "gru", "spelt", "labels")
    name = "input.encoder.backward_stack.0.h2h_bias"
    arrays = {f"model/{own}": array[:-1] if own == name else array for own, array in tagger.weights.items()}
    tagger.directory.save(tagger.directory.best, arrays, {"record": {}})
    code, message = refused(capsys, "export", tmp_path / "run", "--to", "onnx", "--out", tmp_path / "out")
    assert code == 1
    assert message.endswith(f"parameter {name!r} has shape (5,), and must have (6,)")


def test_a_missing_package_is_named_with_its_extra(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    code, message = refused(capsys, "export", run.path, "--to", "onnx", "--out", tmp_path / "out")
    assert code == 2
    assert message == "ONNX needs the package onnx, which is not installed: pip install 'seqlm[onnx]'"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("to", FORMATS)
def test_a_cell_without_a_native_formula_is_named(to, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plugin.py").write_text(PLUGIN)
    seqlm.installed_plugins.cache_clear()
    seqlm.load_plugin("plugin.py")
    model = RandomModel("lstm", units=4)
    model.spec = seqlm.installed_plugins().cells.get("of-its-own")
    model.options = seqlm.NoOptions()
    language_run(tmp_path / "run", model)
    code, message = refused(capsys, "export", "run", "--to", to, "--out", "out", "--plugin", "plugin.py")
    seqlm.installed_plugins.cache_clear()
    assert code == 2
    assert message.startswith("the cell 'of-its-own' of ")
    assert message.endswith(
        "cannot be exported or imported: other programs have the formulas rnn_tanh, rnn_relu, gru, lstm, and it names "
        "none of them as its own (`native`)"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("export", [seqlm.export_onnx, seqlm.export_pytorch])
def test_a_cell_that_computes_something_else_than_its_formula_is_refused(export, run, tmp_path):
    wrong = seqlm.LanguageRun(run.path)
    wrong.config["step_problem"] = "differs from its layer"
    with pytest.raises(seqlm.UsageError, match=r"'gru' of .* cannot be exported: its step differs from"):
        export(wrong, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def described(**changes):
    """Return a function that changes what a folder says of its model; None leaves a key out."""

    def change(folder):
        values = json.loads((folder / "model.json").read_text())
        values.update(changes)
        values = {name: value for name, value in values.items() if value is not None}
        (folder / "model.json").write_text(json.dumps(values))

    return change


def with_setting(**settings):
    def change(folder):
        values = json.loads((folder / "model.json").read_text())
        values["settings"].update(settings)
        (folder / "model.json").write_text(json.dumps(values))

    return change


def weights(change):
    def rewrite(folder):
        arrays = load_file(folder / "model.safetensors")
        change(arrays)
        save_file(arrays, folder / "model.safetensors")

    return rewrite


def without(name):
    return lambda folder: (folder / name).unlink()


def written(name, data):
    return lambda folder: (folder / name).write_bytes(data)


def as_torch_saves_it(folder):
    (folder / "model.safetensors").rename(folder / "weights.pt")


def with_bfloat16(folder):
    data = (folder / "model.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["output.bias"]["shape"][0] *= 2
    header["output.bias"]["dtype"] = "BF16"
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])


def not_finite(arrays):
    arrays["embedding.weight"][2, 1] = np.nan


TOKENS = {"tokens": ["a", "b", "a"], "counts": [0, 1, 1, 1]}
LAYER = "layers.0.weight_ih_l0"
WRONG = {
    "no description": (without("model.json"), "model.json is missing"),
    "no JSON": (written("model.json", b"{"), "model.json does not describe a model: Expecting property name"),
    "a repeated key": (written("model.json", b'{"task": 1, "task": 2}'), "describe a model: 'task' stands there twice"),
    "no task": (described(task=None), "model.json does not describe a model: it has no 'task'"),
    "no vocabulary": (described(vocabulary=None), "model.json does not describe a model: it has no 'vocabulary'"),
    "another format": (described(format="other"), "it['format'] must be one of seqlm-model-1, not 'other'"),
    "a token twice": (described(vocabulary=TOKENS), "model.json: a token of the vocabulary occurs twice"),
    "few tokens": (described(vocabulary={"tokens": ["a"]}), "'output.bias' has shape (30,), and must have (2,)"),
    "few counts": (described(vocabulary={"tokens": ["a", "b"], "counts": [1, 1]}), "2 tokens need 3 counts, not 2"),
    "an unknown setting": (with_setting(sise=3), "model.json: no setting 'sise'; there are: "),
    "a setting out of range": (with_setting(hidden_size=0), "model.json: hidden_size: must be at least 1"),
    "an unknown cell": (with_setting(cell="lsmt"), "model.json: no cell 'lsmt' (did you mean 'lstm'?)"),
    "another cell": (with_setting(cell="lstm"), f"{LAYER!r} has shape (15, 4), and must have (20, 4)"),
    "no weights": (without("model.safetensors"), "model.safetensors is missing"),
    "weights of torch": (as_torch_saves_it, "weights.pt is not read, since such files can hold code that runs when"),
    "no safetensors": (written("model.safetensors", b"PK" * 50), "is not a safetensors file, or is damaged: "),
    "a missing weight": (weights(lambda w: w.pop(LAYER)), f"has no {LAYER!r}, which the model of model.json needs"),
    "an unknown weight": (
        weights(lambda w: w.update(more=w[LAYER])),
        "has 'more', which the model of model.json does not have",
    ),
    "another shape": (
        weights(lambda w: w.update({LAYER: w[LAYER][:, :3].copy()})),
        f"{LAYER!r} has shape (15, 3), and must have (15, 4)",
    ),
    "halves": (
        weights(lambda w: w.update({LAYER: w[LAYER].astype(np.float16)})),
        f"{LAYER!r} is of type F16, and must be F32 (model.float())",
    ),
    "bfloat16": (with_bfloat16, "'output.bias' is of type BF16, and must be F32 (model.float())"),
    "not finite": (weights(not_finite), "'embedding.weight' has numbers that are not finite"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_folder_that_does_not_fit_is_refused_and_nothing_is_written(what, folder, tmp_path, capsys):
    damage, told = WRONG[what]
    damage(tmp_path / folder)
    code, message = refused(capsys, "import", folder, "--out", "out")
    assert code == 1
    assert told in message
    assert message.startswith("model/")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_there_is_named(tmp_path, capsys):
    assert refused(capsys, "import", tmp_path / "nowhere", "--out", tmp_path / "out") == (
        2,
        f"{tmp_path / 'nowhere'} is not a folder",
    )


def test_files_that_are_links_are_followed(folder, exported, tmp_path, run):
    for name in ("model.json", "model.safetensors"):
        (tmp_path / "model" / name).unlink()
        (tmp_path / "model" / name).symlink_to(exported / name)
    assert seqlm.import_pytorch("model", "out").next_tokens("a") == run.next_tokens("a")


def test_a_description_of_what_is_needed_alone_is_enough(folder, run, tmp_path):
    needed = {
        "task": "language model",
        "settings": {"cell": "gru", "hidden_size": 5, "embedding_size": 4},
        "vocabulary": {"tokens": run.vocabulary.tokens[1:]},
    }
    (tmp_path / "model" / "model.json").write_text(json.dumps(needed))
    found = seqlm.import_pytorch("model", "out")
    assert found.next_tokens("ab") == run.next_tokens("ab")
    assert len({token.probability for token in found.next_tokens() if token.token != "<unk>"}) == 1

"""Taggers, classifiers and forecasters in ONNX, computed by onnxruntime, against NumPy and against their runs."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from sequence_models import LENGTHS, expected, log_softmax, make_run
from sequence_reference import CELLS, INPUTS, OUTPUTS, encoded, make_codecs, whole_batch

import seqlm_core as seqlm

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

NAMES = ("tokens", "columns", "vectors", "characters")
CASES = [
    *((cell, "embedded", "labels", {"layers": 2, "hidden_size": (3, 4)}) for cell in CELLS),
    *(("bilstm", inputs, "labels", {}) for inputs in INPUTS),
    *((cell, "values", outputs, {"layers": 2}) for cell in ("gru", "bilstm") for outputs in OUTPUTS),
    ("lstm", "spelt", "label", {}),
    ("bigru", "joined", "label", {}),
    ("bilstm", "joined", "labels", {"output_layer": "crf"}),
]


def session(out):
    onnx.checker.check_model(str(out / "model.onnx"), full_check=True)
    return onnxruntime.InferenceSession(str(out / "model.onnx"))


def feeds(opened, run, batch):
    """Return the inputs by name, for a batch whose inputs come in the order of the architecture."""
    a, rest = run.architecture, [np.asarray(part) for part in batch.inputs]
    found = {"lengths": batch.lengths.astype(np.int64)}
    if a.inputs == "values":
        codec = run.codecs.inputs
        return {**found, "values": rest[0].astype(np.float64) * codec.scale + codec.mean}
    found["tokens"] = rest.pop(0)
    found.update({f"column_{number}": rest.pop(0) for number in range(len(a.columns))})
    found.update({f"vectors_{number}": rest.pop(0) for number in range(len(a.vectors))})
    if a.characters:
        found["characters"], found["character_counts"] = rest
    assert found.keys() == {i.name for i in opened.get_inputs()}
    return {name: array.astype(np.int64) if array.dtype == np.int32 else array for name, array in found.items()}


@pytest.mark.parametrize(("cell", "inputs", "outputs", "settings"), CASES)
def test_a_model_agrees_with_numpy_on_sequences_of_unequal_lengths(cell, inputs, outputs, settings, tmp_path):
    run = make_run(tmp_path / "run", cell, inputs, outputs, **settings)
    seqlm.export_onnx(run, tmp_path / "out")
    opened = session(tmp_path / "out")
    batch = whole_batch(encoded(inputs, outputs, LENGTHS), time=8, columns=5)
    found = dict(zip([o.name for o in opened.get_outputs()], opened.run(None, feeds(opened, run, batch))))
    (name,) = found.keys() & {"log_probabilities", "scores", "predictions"}
    for column, wanted in enumerate(expected(run, inputs, outputs)):
        own = found[name][column] if outputs == "label" else found[name][: len(wanted), column]
        if name == "log_probabilities":
            wanted = log_softmax(wanted)
        elif name == "predictions":
            codec = make_codecs(inputs, outputs).outputs
            wanted = wanted * codec.scale + codec.mean
        np.testing.assert_allclose(own, wanted, rtol=1e-5, atol=1e-5)
    if name == "scores":
        for part in ("first", "transitions", "last"):
            np.testing.assert_array_equal(found[part], run.weights[f"head.chain.{part}"])


def test_the_metadata_say_what_inputs_and_outputs_mean(tmp_path):
    run = make_run(tmp_path / "run", "bilstm", "joined", "labels")
    seqlm.export_onnx(run.path, tmp_path / "out")
    told = json.loads(session(tmp_path / "out").get_modelmeta().custom_metadata_map["seqlm"])
    assert told["encoders"] == make_codecs("joined", "labels").to_json()
    assert told["task"] == "sequence model"


def predicted(out, text):
    (out.parent / "input.txt").write_text(text)
    words = [sys.executable, str(out / "predict.py"), "input.txt"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=out.parent, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


SENTENCES = [[("a", "N"), ("cab", "V"), ("abba", "N"), ("Unseen", "N")], [("abc" * 7, "V"), ("b", "N")]]


def column_file(sentences):
    return "\n\n".join("\n".join("\t".join(token) for token in sentence) for sentence in sentences) + "\n"


CONSTRAINED = {"constrain": True, "labels": ["B-X", "I-X", "O"]}


@pytest.mark.parametrize("settings", [{}, {"output_layer": "crf"}, CONSTRAINED], ids=["softmax", "crf", "constrained"])
def test_the_program_labels_tokens_as_the_run_does(settings, tmp_path):
    run = make_run(tmp_path / "run", "bilstm", "spelt", "labels", **settings)
    seqlm.export_onnx(run, tmp_path / "out")
    sentences = [[(word,) for word, _ in sentence] for sentence in SENTENCES]
    labels = run.predict([[word for (word,) in sentence] for sentence in sentences])
    wanted = [[(word, label) for (word,), label in zip(*pair)] for pair in zip(sentences, labels)]
    assert predicted(tmp_path / "out", column_file(sentences)) == column_file(wanted)


def test_the_program_predicts_values_as_the_run_does(tmp_path):
    run = make_run(tmp_path / "run", "lstm", "values", "values")
    seqlm.export_onnx(run, tmp_path / "out")
    values = np.random.default_rng(0).normal(size=(4, 2))
    printed = predicted(tmp_path / "out", "\n".join(f"{a!r} {b!r}" for a, b in values.tolist()))
    found = [[float(x) for x in line.split("\t")[1].split()] for line in printed.splitlines()]
    np.testing.assert_allclose(found, run.predict([values])[0], rtol=1e-5, atol=1e-5)


def test_the_program_labels_sequences_as_the_run_does(tmp_path):
    run = make_run(tmp_path / "run", "gru", "spelt", "label")
    seqlm.export_onnx(run, tmp_path / "out")
    sentences = [[(word,) for word, _ in sentence] for sentence in SENTENCES]
    wanted = run.predict([[word for (word,) in sentence] for sentence in sentences])
    assert predicted(tmp_path / "out", column_file(sentences)).split() == list(map(str, wanted))

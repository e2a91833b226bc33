"""Language models in ONNX, computed by onnxruntime, against their runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from random_model import RandomModel
from random_run import language_run

import seqlm_core as seqlm
from seqlm_core.generation.network import StepNetwork
from seqlm_core.interchange import onnx_graph
from seqlm_core.reading.vocabulary import Vocabulary

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

CELLS = ["rnn", "gru", "lstm", "birnn", "bigru", "bilstm"]
CLUSTERS = {"vocabulary_size": 60, "cutoffs": (2, 12)}
MODELS = {
    "one-hot": {"units": 7},
    "embedded, unequal layers": {"units": (5, 9, 6), "embedding_size": 4},
    "tied": {"units": (6, 8), "tie_weights": True},
    "tied, projected": {"units": 8, "embedding_size": 5, "tie_weights": True},
    "adaptive": {"units": 8, "embedding_size": 5, **CLUSTERS},
    "adaptive, tied": {"units": 8, "tie_weights": True, **CLUSTERS},
    "adaptive, tied, projected": {"units": 8, "embedding_size": 5, "tie_weights": True, **CLUSTERS},
}
TIME, BATCH = 6, 3


def session(path: Path):
    onnx.checker.check_model(str(path), full_check=True)
    return onnxruntime.InferenceSession(str(path))


def fresh(opened, batch=BATCH):
    return {i.name: np.zeros((batch, i.shape[1]), np.float32) for i in opened.get_inputs() if i.name != "ids"}


def run_on(opened, ids, states):
    """Return log-probabilities and the new states by the names of the inputs."""
    found = dict(zip([o.name for o in opened.get_outputs()], opened.run(None, {"ids": ids, **states})))
    return found.pop("log_probabilities"), {name[: -len("_next")]: array for name, array in found.items()}


def left_to_right(network, ids):
    """Return what a NumPy network predicts after each token."""
    states, found = network.begin(ids.shape[1]), []
    for row in ids:
        hidden, states = network.read(row, states)
        found.append((network.log_probabilities(hidden), hidden))
    return np.stack([scores for scores, _ in found]), [hidden for _, hidden in found], states


def network_of(run):
    return StepNetwork(run.architecture, run.cell.spec, run.cell.options, run.weights)


def make(tmp_path, cell, **kind):
    model = RandomModel(cell, **kind)
    run = language_run(tmp_path / "run", model)
    seqlm.export_onnx(run, tmp_path / "out")
    return run, tmp_path / "out"


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("cell", [*CELLS, "relu"])
def test_both_models_of_a_run_agree_with_it(cell, kind, tmp_path):
    options = {"cell": "rnn", "options": (("activation", "relu"),)} if cell == "relu" else {"cell": cell}
    run, out = make(tmp_path, **options, **MODELS[kind])
    ids = np.random.default_rng(1).integers(0, run.architecture.vocabulary_size, (TIME, BATCH))
    wanted, hidden, states = left_to_right(network_of(run), ids)

    step, sequence = session(out / "step.onnx"), session(out / "sequence.onnx")
    after, found = fresh(step), []
    for row in ids:
        scores, after = run_on(step, row, after)
        found.append(scores)
    np.testing.assert_allclose(np.stack(found), wanted, rtol=1e-5, atol=1e-5)
    first, middle = run_on(sequence, ids[:2], fresh(sequence))
    rest, last = run_on(sequence, ids[2:], middle)
    np.testing.assert_allclose(np.concatenate([first, rest]), wanted, rtol=1e-5, atol=1e-5)
    for layer, own in enumerate(states):
        for name, array in zip("hc", own):
            np.testing.assert_allclose(after[f"{name}{layer}"], array, rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(last[f"{name}{layer}"], array, rtol=1e-5, atol=1e-5)
    assert (out / "both-sides.onnx").exists() == run.architecture.bidirectional
    if run.architecture.bidirectional:
        both = session(out / "both-sides.onnx")
        (scores,) = both.run(None, {"ids": ids, **fresh(both)})
        np.testing.assert_allclose(scores, both_sides(network_of(run), ids, hidden), rtol=1e-5, atol=1e-5)


def both_sides(network, ids, left):
    """Return the predictions of all tokens but the first, from the tokens before and after each of them."""
    found = []
    for place in range(1, len(ids)):
        right, states = None, network.begin_right(ids.shape[1])
        for row in ids[:place:-1]:
            right, states = network.read_right(row, states)
        found.append(network.log_probabilities(left[place - 1], right))
    return np.stack(found)


def test_two_tokens_are_enough_for_both_sides(tmp_path):
    run, out = make(tmp_path, "bigru", units=5)
    both, ids = session(out / "both-sides.onnx"), np.array([[3], [4]])
    (scores,) = both.run(None, {"ids": ids, **fresh(both, 1)})
    np.testing.assert_allclose(scores, left_to_right(network_of(run), ids)[0][:1], rtol=1e-5, atol=1e-5)


def test_the_metadata_say_what_the_model_is(tmp_path):
    run, out = make(tmp_path, "rnn", units=(4, 5), options=(("activation", "relu"),))
    for name in ("step.onnx", "sequence.onnx"):
        told = json.loads(session(out / name).get_modelmeta().custom_metadata_map["seqlm"])
        assert told["vocabulary"]["tokens"] == run.vocabulary.tokens[1:]
        assert told["vocabulary"]["counts"] == run.vocabulary.counts.tolist()
        assert told["settings"]["cell_options"] == {"activation": "relu"}
        assert told["settings"]["hidden_size"] == [4, 5]
        assert told["tokenizer"] == {"name": "char", "joins": True}
        assert "tensorboard" not in told["settings"]


def test_weights_that_a_file_cannot_hold_are_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_graph, "MOST_BYTES", 1000)
    run, out = make(tmp_path, "lstm", units=30)
    assert (out / "step.onnx").stat().st_size < (out / "step.onnx.data").stat().st_size
    ids = np.array([[1], [2]])
    scores, _ = run_on(
        onnxruntime.InferenceSession(str(out / "sequence.onnx")), ids, fresh(session(out / "step.onnx"), 1)
    )
    np.testing.assert_allclose(scores, left_to_right(network_of(run), ids)[0], rtol=1e-5, atol=1e-5)


def sample(out, *arguments):
    words = [sys.executable, str(out / "sample.py"), *arguments]
    done = subprocess.run(words, capture_output=True, text=True, cwd=out.parent, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def words_run(path, **settings):
    tokens = ["The", " man", " house", ",", " do", "n't", "\n", " the", "\n\n", " a"]
    model = RandomModel("gru", units=6, embedding_size=3, vocabulary_size=len(tokens) + 1)
    counts = [3, *range(40, 40 - len(tokens), -1)]
    return language_run(path, model, Vocabulary(tokens, counts), tokenizer="word", **settings)


@pytest.mark.parametrize("prompt", ["The man don't ", "The man, the", "The dog\n\nThe"])
def test_the_program_writes_the_text_that_the_run_writes(prompt, tmp_path):
    run = words_run(tmp_path / "run")
    seqlm.export_onnx(run, tmp_path / "out")
    wanted = prompt + run.generate(prompt, length=20, temperature=0)[0].text
    assert sample(tmp_path / "out", prompt, "--length", "20", "--temperature", "0") == wanted + "\n"


class Spelling:
    """A tokenizer whose tokens are the names of characters, and not these themselves."""

    def tokenize(self, text):
        return [f"<{ord(character):x}>" for character in text]

    def detokenize(self, tokens):
        return "".join(chr(int(token[1:-1], 16)) for token in tokens)

    def last_cut(self, text):
        return len(text)


def test_the_program_prints_tokens_that_are_no_pieces_of_text_one_a_line(register_specs, tmp_path):
    register_specs(seqlm.TokenizerSpec("spelling", "names of characters", lambda options: Spelling()))
    tokens = [f"<{ord(character):x}>" for character in "abc"]
    model = RandomModel("rnn", units=4, vocabulary_size=4)
    run = language_run(tmp_path / "run", model, Vocabulary(tokens, [1] * 4), tokenizer="spelling")
    seqlm.export_onnx(run, tmp_path / "out")
    (wanted,) = run.generate(length=5, temperature=0)
    assert (
        list(map(json.loads, sample(tmp_path / "out", "--length", "5", "--temperature", "0").split())) == wanted.tokens
    )
    words = [sys.executable, str(tmp_path / "out" / "sample.py"), "a"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 2
    assert "the tokens of this model are no pieces of text, so a prompt cannot be cut here" in done.stderr


def test_the_program_cuts_scripts_without_spaces(tmp_path):
    tokens = ["\u4f60", "\u597d", "\uff0c", "\u5417", " a", "\n"]
    model = RandomModel("rnn", units=6, vocabulary_size=len(tokens) + 1)
    options = {"tokenizer": "word", "tokenizer_options": {"boundaries": "unicode"}}
    run = language_run(tmp_path / "run", model, Vocabulary(tokens, [1] * 7), **options)
    seqlm.export_onnx(run, tmp_path / "out")
    prompt = "\u4f60\u597d\uff0c\u4f60\u4e16\u597d"
    wanted = prompt + run.generate(prompt, length=20, temperature=0)[0].text
    assert sample(tmp_path / "out", prompt, "--length", "20", "--temperature", "0") == wanted + "\n"


def test_the_program_draws_characters_without_a_prompt(tmp_path):
    _, out = make(tmp_path, "bilstm", units=6, vocabulary_size=90)
    drawn = [sample(out, "--length", "40", "--seed", seed) for seed in "112"]
    assert len(drawn[0]) == 41
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_program_begins_afresh_with_each_document(tmp_path):
    run = words_run(tmp_path / "run", documents="line")
    seqlm.export_onnx(run, tmp_path / "out")
    prompt = "The man\nThe"
    wanted = prompt + run.generate(prompt, length=30, temperature=0)[0].text
    assert sample(tmp_path / "out", prompt, "--length", "30", "--temperature", "0") == wanted + "\n"


def test_the_program_cuts_words_nearly_as_the_tokenizer_does(sample_text):
    import re

    template = Path(onnx_graph.__file__).with_name("templates") / "sample.py.txt"
    pieces = eval(re.search(r"^PIECES = (\{.*?^\})", template.read_text(), re.MULTILINE | re.DOTALL)[1])
    text = sample_text.read_text()[:20000]
    for name in ("word", "space"):
        spec = seqlm.installed_plugins().tokenizers.get(name)
        tokenizer = spec.build(spec.options())
        ends = [
            set(np.cumsum(list(map(len, cut)))) for cut in (tokenizer.tokenize(text), re.findall(pieces[name], text))
        ]
        assert len(ends[0] ^ ends[1]) <= (0 if name == "space" else 0.005 * len(ends[0]))

"""Pre-trained vectors of tokens, and the states of a language model at their borders: what taggers read besides."""

from __future__ import annotations

import gzip
import logging
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sequence_runs import interrupt_at, learnable, train

import seqlm_core as seqlm
from seqlm_core.generation.network import StepNetwork
from seqlm_core.model import language_states as module
from seqlm_core.runs.token_vectors import language_states
from seqlm_core.sequences.given_vectors import GivenVectors
from seqlm_core.sequences.pretrained_vectors import KIND, PretrainedVectors
from seqlm_core.storage.checkpoint import save_checkpoint
from seqlm_core.training.extensions.plot import Plot

WORDS = {"the": [1, 2, 3], "Cat": [-1, 0.5, 1e-3], "cat": [4, 4, 4.5], "ß": [0, 0, 1]}
TEXT = "\n".join(" ".join([word, *map(str, vector)]) for word, vector in WORDS.items()) + "\n"


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    monkeypatch.setattr(Plot, "_draw", lambda plot: None)


def converted(tmp_path, text=TEXT):
    source = tmp_path / "vectors.txt"
    source.write_bytes(text if isinstance(text, bytes) else text.encode())
    return PretrainedVectors.convert(source, tmp_path / "vectors.safetensors")


def vectors_of(source, tokens):
    return source.of([tokens]).beside(np.array([0]), len(tokens), 1)[:, 0]


@pytest.mark.parametrize(
    "text",
    [TEXT, "4 3\n" + TEXT, TEXT.replace("\n", "\r\n"), TEXT.replace(" ", "\t"), gzip.compress(TEXT.encode())],
    ids=["glove", "word2vec", "carriage returns", "tabs", "gzip"],
)
def test_vectors_are_those_of_the_file_with_a_mean_square_of_1(text, tmp_path):
    source = converted(tmp_path, text)
    assert (len(source), source.size) == (4, 3)
    wanted = np.array(list(WORDS.values()))
    wanted = wanted / np.sqrt(np.square(wanted).mean())
    np.testing.assert_allclose(vectors_of(source, list(WORDS)), wanted, rtol=1e-6)


def test_a_token_has_the_vector_of_its_own_writing_first_then_that_in_small_letters_then_none(tmp_path):
    source = converted(tmp_path)
    cat, small, the, unknown = vectors_of(source, ["Cat", "CAT", "The", "dog"])
    np.testing.assert_array_equal(small, vectors_of(source, ["cat"])[0])
    np.testing.assert_array_equal(the, vectors_of(source, ["the"])[0])
    assert cat[0] < 0
    assert not unknown.any()


def test_tokens_with_spaces_and_repeated_tokens_are_read(tmp_path):
    source = converted(tmp_path, "a 1 1\n. . . 2 2\na 9 9\n")
    assert len(source) == 2
    a, dots = vectors_of(source, ["a", ". . ."])
    np.testing.assert_allclose(dots, 2 * a)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\n\r \t\0"), min_size=1),
        st.lists(st.floats(-100, 100, width=32), min_size=4, max_size=4),
        min_size=1,
    ).filter(lambda words: any(any(abs(x) > 1e-3 for x in row) for row in words.values()))
)
def test_any_words_and_numbers_come_back(tmp_path_factory, words):
    # A first line of two numbers would be the sizes.
    text = "".join(" ".join([word, *map(repr, row)]) + "\n" for word, row in words.items())
    source = converted(tmp_path_factory.mktemp("any"), text)
    table = np.array(list(words.values()))
    scaled = table / np.sqrt(np.square(table).mean())
    found = source.of([list(words)]).beside(np.array([0]), len(words), 1)[:, 0]
    own = [i for i, word in enumerate(words) if not word.startswith("\ufeff")]
    np.testing.assert_allclose(found[own], scaled[own], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a 1 2\nb 1\n", "vectors.txt, line 2 is not a token with 2 numbers"),
        ("a 1 2\nb 1 x\n", "vectors.txt, line 2 is not a token with 2 numbers"),
        ("a 1 2\nb 1 nan\n", "vectors.txt, line 2 has a number that is not finite"),
        ("a 1 2\nb 1 1e99\n", "vectors.txt, line 2 has a number that is not finite"),
        ("2 3\na 1 2\n", "vectors.txt, line 2 is not a token with 3 numbers"),
        ("a\n", "vectors.txt, line 1 has no numbers"),
        ("a 0 0\n", "vectors.txt holds no vectors, or all of them are 0"),
        ("", "vectors.txt is empty"),
        (b"a 1 \xff\n", "vectors.txt"),
    ],
)
def test_what_is_no_file_of_vectors_is_told_with_its_line(text, problem, tmp_path):
    with pytest.raises(seqlm.TextError, match=problem):
        converted(tmp_path, text)
    assert [path.name for path in tmp_path.iterdir()] == ["vectors.txt"]


def vectors_file(tmp_path, words="abcdefxyz"):
    random = np.random.default_rng(1)
    path = tmp_path / "letters.txt"
    path.write_text("".join(" ".join([word, *map(str, random.normal(size=5))]) + "\n" for word in words))
    return path


def trained(out, examples=None, validation=None, init_from=None, vectors=None, language_model=None, **changed):
    model = seqlm.SequenceModel("tokens", "labels", **{
        "hidden_size": 6, "batch_size": 4, "epochs": 3, "learning_rate": 0.02, "warmup": 0, "log_every": 0, **changed
    })  # fmt: skip
    return model.train(
        examples or learnable(), validation, out=out, init_from=init_from, quiet=True, vectors=vectors,
        language_model=language_model,
    )  # fmt: skip


@pytest.mark.parametrize("tuned", [False, True])
def test_a_run_keeps_its_vectors_and_uses_them_for_tokens_that_training_never_saw(tuned, tmp_path):
    path = vectors_file(tmp_path)
    run = trained(tmp_path / "run", vectors=path, tune_vectors=tuned)
    path.unlink()
    run = seqlm.SequenceRun(run.path)
    assert run.architecture.vectors == (5,)
    assert run.architecture.embedding_size == (5 if tuned else 0)
    x, z, unknown, other = (p[0] for p in run.probabilities([["x"], ["z"], ["?"], ["!"]]))
    assert not np.allclose(x, z, atol=1e-4)
    np.testing.assert_array_equal(unknown, other)


def test_tuning_changes_a_vector_by_what_is_learnt_and_begins_with_the_vector(tmp_path):
    run = trained(tmp_path / "run", vectors=vectors_file(tmp_path), tune_vectors=True, learning_rate=1e-12, max_steps=1)
    assert abs(run.weights["input.tokens.weight"]).max() < 1e-9
    run = trained(tmp_path / "other", vectors=vectors_file(tmp_path), tune_vectors=True)
    assert abs(run.weights["input.tokens.weight"]).max() > 1e-3


def test_the_share_of_tokens_with_vectors_is_told_and_none_at_all_is_refused(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "seqlm"):
        trained(tmp_path / "run", vectors=vectors_file(tmp_path, "abcx"), max_steps=1)
    assert "4 tokens have vectors of 5 numbers, among them 3 of the 6 different ones of the training (" in caplog.text
    with pytest.raises(seqlm.TextError, match=r"letters\.txt has a vector of none of the 6 different tokens"):
        trained(tmp_path / "other", vectors=vectors_file(tmp_path, "xyz"))
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("arguments", "changed", "problem"),
    [
        ({}, {"tune_vectors": True}, "tune_vectors: needs `vectors`, and none are given"),
        ({"vectors": "v"}, {"tune_vectors": True, "embedding_size": 3}, "embedding_size: is that of the vectors"),
        ({"vectors": "v", "init_from": "r"}, {}, "vectors: is of no use with `init_from`"),
    ],
)
def test_vectors_that_cannot_be_used_are_refused(arguments, changed, problem, tmp_path):
    with pytest.raises(seqlm.SettingError, match=problem):
        trained(tmp_path / "run", **arguments, **changed)


def test_values_have_no_vectors(tmp_path):
    with pytest.raises(seqlm.SettingError, match="vectors: is for tokens, and this model reads values"):
        seqlm.SequenceModel("values", "labels").train([], vectors="v")


def test_altered_vectors_of_a_run_are_refused(tmp_path):
    one = trained(tmp_path / "one", vectors=vectors_file(tmp_path))
    kept = one.path / "vectors.safetensors"
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(seqlm.RunError, match=r"vectors\.safetensors is damaged or was altered"):
        seqlm.SequenceRun(one.path).predict([["a"]])
    other = trained(tmp_path / "other", vectors=vectors_file(tmp_path, "abcdez"))
    shutil.copy(other.path / "vectors.safetensors", kept)
    with pytest.raises(seqlm.RunError, match="holds other vectors than those that the run was trained with"):
        seqlm.SequenceRun(one.path).predict([["a"]])
    kept.unlink()
    with pytest.raises(seqlm.RunError, match=r"vectors\.safetensors is missing"):
        seqlm.SequenceRun(one.path).predict([["a"]])


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Return a function that gives a language model of a cell, trained for a few steps."""
    runs, folder = {}, tmp_path_factory.mktemp("models")
    text = folder / "text.txt"
    text.write_text("the cat sat\nabc def fed cab bead\n" * 40)

    def model(cell, **changed):
        key = cell, *changed.items()
        if key not in runs:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Plot, "_draw", lambda plot: None)
                runs[key] = seqlm.train(
                    text, out=folder / str(len(runs)), cell=cell, max_steps=3, hidden_size=5, quiet=True, **changed
                )
        return runs[key]

    return model


def expected_states(run, tokens):
    """Return the states at the borders of tokens, read character by character in NumPy."""
    network = StepNetwork(run.architecture, run.cell.spec, run.cell.options, run.weights)
    text = "\n" + " ".join(tokens) + "\n"
    ids = run.vocabulary.ids(text)

    def read(step, states, ids):
        found = []
        for i in ids:
            hidden, states = step(np.array([i]), states)
            found.append(hidden[0])
        return found

    forward = read(network.read, network.begin(1), ids)
    backward = None
    if run.architecture.bidirectional:
        backward = read(network.read_right, network.begin_right(1), ids[::-1])[::-1]
    rows, place = [], 1
    for token in tokens:
        row = [forward[max(place + len(token) - 1, 1)]]
        if backward is not None:
            row.append(backward[place])
        row = np.concatenate(row)
        rows.append(row / np.sqrt(np.square(row).mean()))
        place += len(token) + 1
    return np.array(rows)


SEQUENCES = [["the", "cat"], [], ["a"], ["bead"] * 40 + ["?!"], ["sat", "def", "fed"]]


@pytest.mark.parametrize("cell", ["gru", "bilstm"])
def test_states_are_those_of_the_model_at_the_borders_of_each_token(cell, models, monkeypatch):
    monkeypatch.setattr(module, "SIDE_BY_SIDE", 3)
    run = models(cell, layers=2)
    source = language_states(run.path)
    found = source.of(SEQUENCES)
    assert source.size == (10 if cell == "bilstm" else 5)
    for tokens, rows in zip(SEQUENCES, found.rows):
        if tokens:
            np.testing.assert_allclose(found.table[rows], expected_states(run, tokens), atol=1e-4)


def test_many_states_are_in_a_file(models, monkeypatch):
    source = language_states(models("bilstm").path)
    in_memory = source.of(SEQUENCES)
    monkeypatch.setattr(module, "MOST_IN_MEMORY", 100)
    in_file = source.of(SEQUENCES)
    assert isinstance(in_file.table, np.memmap)
    np.testing.assert_array_equal(in_file.table, in_memory.table)


def test_a_tagger_reads_a_language_model_and_names_it_when_it_is_missing_or_has_changed(models, tmp_path):
    model = shutil.copytree(models("bigru").path, tmp_path / "model")
    run = trained(tmp_path / "run", language_model=model)
    assert run.architecture.vectors == (10,)
    sequences = [tokens for tokens, _ in learnable(seed=3)]
    before = run.predict(sequences)
    assert seqlm.SequenceRun(run.path).predict(sequences) == before
    moved = model.rename(tmp_path / "moved")
    with pytest.raises(
        seqlm.RunError, match=f"needs the language model {model}, which cannot be used: .*does not exist"
    ):
        seqlm.SequenceRun(run.path).predict(sequences)
    assert seqlm.SequenceRun(run.path, moved).predict(sequences) == before
    other = models("bigru", seed=7).path
    with pytest.raises(seqlm.RunError, match=f"needs the language model {other} as it was, and it has changed"):
        seqlm.SequenceRun(run.path, other).predict(sequences)
    shutil.copytree(other, model)
    with pytest.raises(seqlm.RunError, match=f"needs the language model {model} as it was, and it has changed"):
        seqlm.SequenceRun(run.path).predict(sequences)
    shutil.rmtree(model)
    moved.rename(model)
    assert seqlm.SequenceRun(run.path).predict(sequences) == before


def test_a_training_goes_on_with_a_language_model_that_was_moved(models, tmp_path, monkeypatch):
    model = shutil.copytree(models("bigru").path, tmp_path / "model")
    with monkeypatch.context() as patch:
        interrupt_at(patch, 5)
        with pytest.raises(seqlm.TrainingInterrupted):
            trained(tmp_path / "run", language_model=model)
    moved = model.rename(tmp_path / "moved")
    with pytest.raises(seqlm.RunError, match="name another place of it with `language_model`"):
        seqlm.resume(tmp_path / "run", quiet=True)
    run = seqlm.resume(tmp_path / "run", quiet=True, language_model=moved)
    assert run.history()[-1]["epoch"] == 3
    for path, problem in ((trained(tmp_path / "other", max_steps=1).path, "reads none"), (moved, "a language model")):
        with pytest.raises(seqlm.SettingError, match=f"language_model: is of no use: .*{problem}"):
            seqlm.resume(path, quiet=True, language_model=moved)


@pytest.mark.parametrize("line", ["the cat sat", " the cat sat "], ids=["bare lines", "lines as in the literature"])
@pytest.mark.parametrize("tokenizer", ["space", "word"])
def test_a_model_of_words_gives_its_states_and_its_embedding_of_each_word(tokenizer, line, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text(f"{line}\n" * 60)
    options = {"tokenizer": tokenizer, "hidden_size": 5, "embedding_size": 3, "max_steps": 3, "quiet": True}
    run = seqlm.train(text, out=tmp_path / "run", cell="bigru", **options)
    network = StepNetwork(run.architecture, run.cell.spec, run.cell.options, run.weights)
    # The tokens before, between and after the words, which are cut by hand.
    words = ["the", "sat", "other", "cat"]
    cut = ["the", " sat", " other", " cat"]
    ends = "\n", "\n"
    if line[0] == " ":
        cut[0], ends = " the", (" \n", " \n")
    ids = run.vocabulary.ids([ends[0], *cut, ends[1]])
    forward, backward = [], []
    states = network.begin(1)
    for i in ids:
        hidden, states = network.read(np.array([i]), states)
        forward.append(hidden[0])
    states = network.begin_right(1)
    for i in ids[::-1]:
        hidden, states = network.read_right(np.array([i]), states)
        backward.insert(0, hidden[0])
    expected = np.concatenate([forward, backward], axis=1)[1:-1]
    expected /= np.sqrt(np.square(expected).mean(axis=1, keepdims=True))
    embeddings = run.weights["input.weight"]
    source = language_states(run.path)
    assert source.size == 13
    found = vectors_of(source, words)
    np.testing.assert_allclose(found[:, :10], expected, atol=1e-4)
    np.testing.assert_allclose(
        found[:, 10:], embeddings[ids[1:-1]] / np.sqrt(np.square(embeddings).mean()), rtol=1e-4, atol=1e-6
    )


def test_a_word_of_several_tokens_has_the_mean_of_their_embeddings(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("you can't stop (now)\n" * 60)
    run = seqlm.train(text, out=tmp_path / "run", tokenizer="word", embedding_size=3, max_steps=1, quiet=True)
    embeddings = run.weights["input.weight"] / np.sqrt(np.square(run.weights["input.weight"]).mean())
    found = vectors_of(language_states(run.path), ["stop", "can't", "(now)"])[:, -3:]
    for row, tokens in zip(found, [["stop"], [" ca", "n't"], [" (", "now", ")"]]):
        np.testing.assert_allclose(row, embeddings[run.vocabulary.ids(tokens)].mean(axis=0), rtol=1e-4, atol=1e-6)


def test_a_model_whose_tokens_are_no_pieces_of_the_text_and_a_tagger_are_refused(models, tmp_path, monkeypatch):
    model = models("gru", tokenizer="space")
    with monkeypatch.context() as patch:
        patch.setattr(type(model.tokenizer), "tokenize", lambda self, text: text.lower().split())
        with pytest.raises(seqlm.SettingError, match="language_model: must have tokens that are pieces of its text"):
            trained(tmp_path / "run", language_model=model.path)
    tagger = trained(tmp_path / "tagger", max_steps=1)
    with pytest.raises(seqlm.RunError, match="holds a sequence model, not a language model"):
        trained(tmp_path / "run", language_model=tagger.path)


def test_a_run_with_vectors_and_a_language_model_goes_on_bit_for_bit(models, tmp_path, monkeypatch):
    given = {"vectors": vectors_file(tmp_path), "language_model": models("bilstm").path, "tune_vectors": True}
    settings = {"dropout": 0.3, "shapes": True, "lowercase": True, "char_cell": "gru", "checkpoint_every": "2"}
    whole = trained(tmp_path / "whole", **given, **settings)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 5)
        with pytest.raises(seqlm.TrainingInterrupted):
            trained(tmp_path / "run", **given, **settings)
    resumed = seqlm.resume(tmp_path / "run", quiet=True)
    for name, array in whole.weights.items():
        np.testing.assert_array_equal(resumed.weights[name], array, err_msg=name)


def test_a_model_can_begin_with_one_that_reads_vectors(models, tmp_path):
    earlier = trained(tmp_path / "earlier", vectors=vectors_file(tmp_path), language_model=models("bilstm").path)
    run = trained(tmp_path / "run", init_from=earlier.path, max_steps=1, learning_rate=1e-12)
    assert run.architecture == earlier.architecture
    shutil.rmtree(earlier.path)
    assert seqlm.SequenceRun(run.path).predict([["a", "x"]])


def test_a_model_can_begin_with_one_whose_language_model_was_moved(models, tmp_path):
    model = shutil.copytree(models("bigru").path, tmp_path / "model")
    earlier = trained(tmp_path / "earlier", language_model=model, max_steps=1)
    moved = model.rename(tmp_path / "moved")
    run = trained(tmp_path / "run", init_from=earlier.path, language_model=moved, max_steps=1)
    assert run.config["language_model"]["path"] == str(moved)
    assert run.predict([["a", "x"]])


def test_a_language_model_is_not_replaced_by_the_run_that_reads_it(models, tmp_path):
    model = shutil.copytree(models("bigru").path, tmp_path / "model")
    described = seqlm.SequenceModel("tokens", "labels", max_steps=1)
    with pytest.raises(seqlm.SettingError, match=r"language_model: is the run in `out` .*, which would be replaced"):
        described.train(learnable(), out=model, overwrite=True, language_model=model)
    assert seqlm.LanguageRun(model).weights


def test_rows_without_a_vector_and_padding_are_zeros():
    given = GivenVectors(np.ones((2, 3), np.float32), [np.array([0, -1]), np.array([1])])
    side_by_side = given.beside(np.array([1, 0]), 3, 4)
    assert side_by_side.shape == (3, 4, 3)
    assert side_by_side[:, :, 0].tolist() == [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_train_of_sequence_runs_is_the_same_without_sources(tmp_path):
    """What is not given changes nothing."""
    one, other = train(learnable(), tmp_path / "one", epochs=1), trained(tmp_path / "other", epochs=1, **{
        "dropout": 0.0, "validation_fraction": 0.25
    })  # fmt: skip
    for name, array in one.weights.items():
        np.testing.assert_array_equal(other.weights[name], array)


def altered(run, **changes):
    """Write a configuration with changed values, as someone does who knows how its digest is made."""
    run.directory.write_config({**run.config, **changes})
    return run.path


def test_a_configuration_whose_vectors_do_not_fit_its_model_is_damaged(tmp_path):
    values = [(np.arange(4.0), [1, 2, 1, 2])] * 8
    forecaster = train(values, tmp_path / "values", "values", "labels", epochs=1)
    source = {"source": "x", "digest": "y"}
    with pytest.raises(seqlm.RunError, match="values, which have neither columns nor vectors"):
        seqlm.SequenceRun(altered(forecaster, vectors=source))
    tagger = trained(tmp_path / "run", max_steps=1)
    with pytest.raises(seqlm.RunError, match="the settings tune vectors, and there are none"):
        seqlm.SequenceRun(altered(tagger, settings={**tagger.config["settings"], "tune_vectors": True}))
    with pytest.raises(seqlm.RunError, match=r"vectors\.safetensors is missing"):
        seqlm.SequenceRun(altered(tagger, vectors=source)).predict([["a"]])


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"vectors": np.array([[1.0, np.nan]], np.float32)}, "numbers that are not finite"),
        ({"vectors": np.ones((1, 2))}, "not of the type float32"),
        ({"vectors": np.ones((2, 2), np.float32)}, "no vectors of tokens"),
        ({"tokens": np.array([255], np.uint8)}, "damaged"),
        ({}, None),
    ],
)
def test_a_file_of_vectors_that_holds_something_else_is_damaged(arrays, problem, tmp_path, monkeypatch):
    whole = {"vectors": np.ones((1, 2), np.float32), "tokens": np.frombuffer(b"a", np.uint8)}
    monkeypatch.setattr(np, "isfinite", lambda array: np.ones(1, bool))  # so that it can be written
    save_checkpoint(tmp_path / "v", {**whole, **arrays}, {"kind": KIND, "source": "x"})
    monkeypatch.undo()
    if problem is None:
        assert PretrainedVectors(tmp_path / "v").size == 2
        return
    with pytest.raises(seqlm.RunError, match=problem):
        PretrainedVectors(tmp_path / "v")


@pytest.mark.parametrize("header", [b"", b"[]", b"3", b"{}", b'{"__metadata__": 3}', b"\xff" * 9])
def test_what_is_no_file_of_vectors_at_all_is_damaged(header, tmp_path):
    path = tmp_path / "v"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(seqlm.RunError, match="is damaged"):
        PretrainedVectors(path)

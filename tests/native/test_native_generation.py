"""The native generation loop against the step network, which computes the same in NumPy."""

from __future__ import annotations

import dataclasses
import logging
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_model import RandomModel, vocabulary_of

import seqlm_core as seqlm
from seqlm_core.generation.drawing import NATIVE_POSITIONS
from seqlm_core.generation.generate import Uniforms, generate
from seqlm_core.generation.native_network import NativeNetwork, step_network
from seqlm_core.generation.network import StepNetwork
from seqlm_core.generation.prompts import Prompt
from seqlm_core.generation.text_generator import GeneratedText, TextGenerator
from seqlm_core.native import generation as native
from seqlm_core.native.library import instruction_sets
from seqlm_core.reading.vocabulary import UNKNOWN_ID
from seqlm_core.settings.decoding_rules import DecodingRules
from seqlm_core.storage.quantization import QuantizedMatrix

CELLS = ["rnn", "gru", "lstm", "birnn", "bigru", "bilstm"]
INPUTS = {
    "one-hot": {},
    "embedded": {"embedding_size": 5},
    "tied": {"tie_weights": True},
    "projected": {"tie_weights": True, "embedding_size": 7},
    "adaptive": {"cutoffs": (3, 11), "embedding_size": 5},
    "adaptive, tied": {"cutoffs": (2, 3, 20), "tie_weights": True},
    "adaptive, projected": {"cutoffs": (29,), "tie_weights": True, "embedding_size": 7},
}
SIZES = [1, 3, 33, 100, 104]
SIZES_OF_LAYERS = [(33, 7), (3, 40), (9, 104, 16)]
VOCABULARY = vocabulary_of(30)
PROMPT = [1, 2, 3]

LIBRARY = native.generation_library()
needs_library = pytest.mark.usefixtures("generation_library")
all_rules = st.builds(
    DecodingRules,
    repetition_penalty=st.sampled_from([1.0, 1.0, 1.3, 0.8]),
    temperature=st.sampled_from([1.0, 0.5, 0.0]) | st.floats(0.05, 3.0),
    top_k=st.sampled_from([0, 0, 1, 5, 29, 30, 1000]),
    top_p=st.sampled_from([1.0]) | st.floats(0.01, 0.99),
    min_p=st.sampled_from([0.0]) | st.floats(0.001, 1.0),
)


class Letters:
    """Joins tokens as they are."""

    def detokenize(self, tokens):
        return "".join(tokens)


def drawn(network, prompt=PROMPT, length=500, rules=None, seed=1, count=1):
    """Return the tokens and log-probabilities of texts, ``(texts, positions)``."""
    rules = rules or DecodingRules(temperature=1.0)
    blocks = list(
        generate(network, VOCABULARY, Prompt(ids=tuple(prompt)), length, rules, Uniforms.of_seed(seed, range(count)))
    )
    return [np.concatenate([block[k] for block in blocks], axis=1) for k in (1, 2)]


def generator_of(network):
    return TextGenerator(network, VOCABULARY, Letters())


def texts_of(network, prompt, *arguments):
    texts = generator_of(network).sample(Prompt(ids=tuple(prompt)), *arguments)
    return [GeneratedText.joined(pieces) for pieces in texts]


def log_probabilities_of(network, tokens):
    """Return those that a network gives to tokens after the prompt."""
    states, found = network.begin(1), []
    for token in PROMPT:
        hidden, states = network.read(np.array([token]), states)
    for token in tokens:
        found.append(network.log_probabilities(hidden)[0, token])
        hidden, states = network.read(np.array([token]), states)
    return found


def test_the_library_is_there_where_a_compiler_is():
    compiler = shutil.which("g++") or shutil.which("c++")
    assert native.LIBRARY.exists() or not compiler, "the native library was not built; install seqlm again"


@needs_library
@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_log_probabilities_are_those_of_the_step_network(cell, layers, inputs):
    for units in [*SIZES, *(sizes for sizes in SIZES_OF_LAYERS if len(sizes) == layers)]:
        model = RandomModel(cell, units, layers, **INPUTS[inputs])
        for instruction_set in instruction_sets(LIBRARY):
            network = model.native_network(instruction_set)
            tokens, found = drawn(network, length=60, rules=DecodingRules(temperature=3.0))
            np.testing.assert_allclose(found[0], log_probabilities_of(model.step_network(), tokens[0]), atol=1e-5)


@pytest.fixture
def every_matrix_keeps_8_bits(monkeypatch):
    """Small matrices would become floats again, since the kernels of 8 bits are for large ones."""
    monkeypatch.setattr(native, "_FEWEST_OF_8_BITS", {})
    monkeypatch.setattr(native, "_FEWEST_OTHERWISE", 0)


@needs_library
@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("cell", ["gru", "bilstm"])
def test_weights_of_8_bits_give_what_the_step_network_makes_of_them(cell, inputs, every_matrix_keeps_8_bits):
    for units in [33, (9, 104, 16)]:
        whole = RandomModel(cell, units, **INPUTS[inputs])
        model = whole.compressed()
        expected = None
        for instruction_set in instruction_sets(LIBRARY):
            tokens, found = drawn(model.native_network(instruction_set), length=20, rules=DecodingRules(3.0))
            expected = log_probabilities_of(model.step_network(), tokens[0])
            np.testing.assert_allclose(found[0], expected, atol=1e-5)
        assert np.abs(np.subtract(expected, log_probabilities_of(whole.step_network(), tokens[0]))).max() > 1e-4


@needs_library
def test_a_small_matrix_of_8_bits_becomes_floats_where_that_is_faster(monkeypatch):
    model = RandomModel(units=40).compressed()
    instruction_set = instruction_sets(LIBRARY)[0]
    given = {}
    original = native._numbers

    def numbers(name, *arguments):
        given[name] = original(name, *arguments)
        return given[name]

    monkeypatch.setattr(native, "_numbers", numbers)
    drawings = []
    for fewest, kept in ((0, ["h2h_weight", "i2h_weight", "output weight"]), (40 * 40 * 4 + 1, [])):
        monkeypatch.setattr(native, "_FEWEST_OF_8_BITS", {instruction_set: fewest})
        drawings.append(drawn(model.native_network(instruction_set), length=100))
        assert sorted(name for name, (found, scales) in given.items() if scales is not None) == kept
        assert {found.dtype for found, scales in given.values()} == {np.dtype(np.int8 if kept else np.float32)}
    np.testing.assert_array_equal(drawings[0][0], drawings[1][0])
    np.testing.assert_allclose(drawings[0][1], drawings[1][1], atol=1e-5)


@needs_library
def test_all_whole_numbers_of_8_bits_are_widened_with_their_sign(every_matrix_keeps_8_bits):
    model = RandomModel("rnn", units=16, vocabulary_size=30).compressed()
    values = np.arange(-128, 128, dtype=np.int8).reshape(16, 16)
    model.weights["forward_stack.0.h2h_weight"] = QuantizedMatrix(values, np.full(16, 1e-2, dtype=np.float32))
    for instruction_set in instruction_sets(LIBRARY):
        tokens, found = drawn(model.native_network(instruction_set), length=60, rules=DecodingRules(3.0))
        np.testing.assert_allclose(found[0], log_probabilities_of(model.step_network(), tokens[0]), atol=1e-5)


@needs_library
def test_each_activation_of_the_simple_network_has_its_formula():
    model = RandomModel("rnn", options=(("activation", "relu"),))
    assert model.formula == "rnn_relu"
    tokens, found = drawn(model.native_network(), length=60)
    np.testing.assert_allclose(found[0], log_probabilities_of(model.step_network(), tokens[0]), atol=1e-5)


@needs_library
@pytest.mark.parametrize("options", [(), (("activation", "relu"),)])
def test_what_is_not_a_number_is_not_hidden(options):
    model = RandomModel("rnn", options=options)
    model.weights["forward_stack.0.h2h_bias"][3] = np.nan
    _, found = drawn(model.native_network(), length=3)
    assert np.isnan(found).all()


@needs_library
@pytest.mark.parametrize("has_8_bits", [False, True])
def test_an_embedding_is_read_as_it_is_where_a_table_would_be_too_large(
    has_8_bits, monkeypatch, every_matrix_keeps_8_bits
):
    model = RandomModel("gru", (20, 9), embedding_size=11)
    model = model.compressed() if has_8_bits else model
    expected = drawn(model.native_network())
    monkeypatch.setattr(native, "LARGEST_TABLE", 0)
    tokens, found = drawn(model.native_network())
    np.testing.assert_array_equal(tokens, expected[0])
    np.testing.assert_allclose(found, expected[1], atol=1e-5)


@needs_library
@pytest.mark.parametrize("inputs", [name for name in INPUTS if name.startswith("adaptive")])
@pytest.mark.parametrize("cell", ["lstm", "birnn"])
def test_tokens_that_are_drawn_in_two_steps_are_those_of_the_step_network(cell, inputs):
    model = RandomModel(cell, 20, **INPUTS[inputs])
    expected = drawn(model.step_network(), length=300)
    for instruction_set in instruction_sets(LIBRARY):
        tokens, found = drawn(model.native_network(instruction_set), length=300)
        np.testing.assert_array_equal(tokens, expected[0])
        np.testing.assert_allclose(found, expected[1], atol=1e-4)
    first = min(model.architecture.cutoffs)
    assert (tokens >= first).any()
    assert (tokens < first).any()


@needs_library
def test_numbers_that_overflow_are_not_hidden_in_two_steps_either():
    model = RandomModel(**INPUTS["adaptive"])
    model.weights["head.bias"][1] = np.nan
    tokens, found = drawn(model.native_network(), length=3)
    assert np.isnan(found).all()
    assert (tokens == 1).all()


@needs_library
@settings(max_examples=30, deadline=None)
@given(st.sampled_from(CELLS), st.integers(1, 40), st.sampled_from([[], PROMPT]), st.integers(0, 2**63 - 1), all_rules)
def test_texts_are_those_of_the_step_network(cell, units, prompt, seed, rules):
    model = RandomModel(cell, units)
    expected, found = (
        drawn(network, prompt, rules=rules, seed=seed, count=2)
        for network in (model.step_network(), model.native_network())
    )
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], atol=1e-5)
    assert UNKNOWN_ID not in found[0]


@needs_library
def test_tokens_follow_the_distribution():
    n = 100_000
    model = RandomModel(vocabulary_size=6)
    probabilities = np.array([0.1, 0.05, 0.15, 0.3, 0.2, 0.2])
    model.weights["head.weight"][:] = 0
    model.weights["head.bias"][:] = np.log(probabilities)
    tokens, _ = drawn(model.native_network(), length=n)
    counts = np.bincount(tokens[0], minlength=6)
    assert counts[UNKNOWN_ID] == 0
    expected = n * probabilities[1:] / 0.9
    assert ((counts[1:] - expected) ** 2 / expected).sum() < 18.47  # the 0.999 quantile for 4 degrees of freedom


@needs_library
def test_a_text_does_not_depend_on_how_many_there_are_nor_on_where_calls_begin():
    network = RandomModel("gru", units=33, layers=2).native_network()
    rules = DecodingRules(repetition_penalty=1.2, temperature=1.0)
    tokens, log_probabilities = drawn(network, count=7, rules=rules)
    for count in (1, 2, 5):
        fewer = drawn(network, count=count, rules=rules)
        np.testing.assert_array_equal(fewer[0], tokens[:count])
        np.testing.assert_array_equal(fewer[1], log_probabilities[:count])
    shorter = drawn(network, length=NATIVE_POSITIONS + 11, rules=rules)
    np.testing.assert_array_equal(shorter[1][0], log_probabilities[0, : NATIVE_POSITIONS + 11])


@needs_library
def test_stop_texts_end_texts_where_they_end_those_of_the_step_network():
    model = RandomModel(vocabulary_size=30)
    by_step, natively = (
        texts_of(network, PROMPT, 20, 300, DecodingRules(temperature=1.0), 5, ["ab", "c"])
        for network in (model.step_network(), model.native_network())
    )
    assert [dataclasses.replace(text, log_probabilities=[]) for text in natively] == [
        dataclasses.replace(text, log_probabilities=[]) for text in by_step
    ]
    for text in natively:
        assert text.finished
        assert "".join(text.tokens) in (text.text + "ab", text.text + "c")
        assert len(text.log_probabilities) == len(text.tokens)


@needs_library
@pytest.mark.parametrize("stops", [[], ["c"]])
@pytest.mark.parametrize("prompt", [[], PROMPT])
def test_a_text_in_pieces_is_the_one_that_is_drawn_beside_others(prompt, stops):
    network, rules = RandomModel().native_network(), DecodingRules(temperature=1.0)
    (pieces,) = generator_of(network).sample(Prompt(ids=tuple(prompt)), 1, 200, rules, 3, stops)
    pieces = list(pieces)
    assert GeneratedText.joined(pieces) == texts_of(network, prompt, 2, 200, rules, 3, stops)[0]
    assert len(pieces) > 1


@needs_library
@pytest.mark.parametrize("length", [0, 1, 2])
def test_any_length_can_be_asked_for(length):
    for prompt in ([], [1]):
        (text,) = texts_of(RandomModel().native_network(), prompt, 1, length, DecodingRules(), 3)
        assert len(text.tokens) == length


@needs_library
@pytest.mark.parametrize("value", [1e30, np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("name", ["head.bias", "head.weight", "forward_stack.0.i2h_weight"])
@pytest.mark.parametrize("where", [1, slice(1, None), slice(None)], ids=["one", "but the first", "all"])
def test_numbers_that_overflow_do_no_harm(name, value, where):
    model = RandomModel("rnn", units=20, options=(("activation", "relu"),))
    model.weights[name].reshape(-1)[where] = value
    with np.errstate(all="ignore"):
        network = model.native_network().native
    for rules in (DecodingRules(), DecodingRules(1.0, 3, 0.5, 0.1, 1.2), DecodingRules(temperature=0)):
        last, states, seen = np.array([1]), network.begin(1), np.zeros((1, 30), dtype=bool)
        tokens, _ = network.draw(rules, np.random.default_rng(1).random((1, 300)), last, states, seen)
        assert 1 <= tokens.min() <= tokens.max() < 30


def test_without_the_library_numpy_writes_the_same_text(monkeypatch, tmp_path):
    model = RandomModel()
    arguments = model.architecture, model.spec, model.options, model.weights
    texts = [drawn(step_network(*arguments))[0]]
    monkeypatch.setattr(native, "LIBRARY", tmp_path / "none.so")
    assert type(step_network(*arguments)) is StepNetwork
    texts.append(drawn(step_network(*arguments))[0])
    np.testing.assert_array_equal(*texts)


@needs_library
def test_it_can_be_switched_off(monkeypatch):
    model = RandomModel()
    arguments = model.architecture, model.spec, model.options, model.weights
    assert type(step_network(*arguments)) is NativeNetwork
    monkeypatch.setenv("SEQLM_NATIVE", "0")
    assert type(step_network(*arguments)) is StepNetwork


def test_a_cell_without_a_formula_is_computed_by_numpy():
    model = RandomModel()
    spec = dataclasses.replace(model.spec, native=lambda options: None)
    assert type(step_network(model.architecture, spec, model.options, model.weights)) is StepNetwork


def test_a_damaged_library_is_a_warning(monkeypatch, tmp_path, caplog):
    path = tmp_path / "damaged.so"
    path.write_bytes(b"no library")
    monkeypatch.setattr(native, "LIBRARY", path)
    monkeypatch.delenv("SEQLM_NATIVE", raising=False)
    with caplog.at_level(logging.WARNING, "seqlm"):
        assert native.generation_library() is None
    assert "text is generated by NumPy" in caplog.text


@needs_library
def test_a_library_of_other_sources_is_a_warning(monkeypatch, tmp_path, caplog):
    path = tmp_path / "other.so"
    shutil.copy(native.LIBRARY, path)
    monkeypatch.setattr(native, "LIBRARY", path)
    monkeypatch.setattr(native, "INTERFACE", -1)
    with caplog.at_level(logging.WARNING, "seqlm"):
        assert native.generation_library() is None
    assert "was built from other sources" in caplog.text


@needs_library
def test_what_does_not_fit_is_refused_before_the_library_is_called():
    model = RandomModel().native_network().native
    states, last, uniforms = model.begin(2), np.array([1, 2]), np.zeros((2, 3))

    def draw(uniforms=uniforms, last=last, states=states, seen=None):
        model.draw(DecodingRules(), uniforms, last, states, seen)

    draw()
    for wrong in (
        {"last": np.array([1, 30])},
        {"last": np.array([-1, 2])},
        {"last": np.array([1])},
        {"last": np.array([1.0, 2.0])},
        {"states": model.begin(3)},
        {"states": states[:, ::2]},
        {"states": states.astype(np.float64)},
        {"seen": np.zeros((2, 29), dtype=bool)},
        {"uniforms": np.zeros((3, 3))},
    ):
        with pytest.raises(ValueError, match=r"must be|token"):
            draw(**wrong)
    with pytest.raises(ValueError, match="a token is not from 0 to 29"):
        model.read([30], model.begin(1))
    with pytest.raises(LookupError, match=r"instruction sets \w+(, \w+)*, and not avx9"):
        RandomModel().native_network(instruction_set="avx9")


@needs_library
@pytest.mark.parametrize("name", ["i2h_weight", "i2h_bias", "h2h_weight", "h2h_bias"])
def test_a_formula_that_does_not_fit_its_cell_is_named(name):
    model = RandomModel(layers=2)
    key = f"forward_stack.1.{name}"
    model.weights[key] = model.weights[key][:-1]
    with pytest.raises(seqlm.PluginError, match=f"cell 'lstm': the native formula lstm does not fit it: {name} has"):
        model.native_network()
    del model.weights[key]
    with pytest.raises(seqlm.PluginError, match="a layer has parameters"):
        model.native_network()
    smaller = RandomModel(layers=2).compressed()
    if isinstance(smaller.weights[key], QuantizedMatrix):
        smaller.weights[key] = smaller.weights[key].part(slice(-1))
        with pytest.raises(seqlm.PluginError, match=f"cell 'lstm': the native formula lstm does not fit it: {name}"):
            smaller.native_network()


@pytest.mark.parametrize(
    ("native_field", "step", "message"),
    [
        ("lstn", RandomModel, "native must be rnn_tanh, rnn_relu, gru, lstm, a function"),
        (3, RandomModel, "native must be"),
        ([], RandomModel, "native must be"),
    ],
)
def test_a_cell_cannot_name_a_formula_that_is_not_there(native_field, step, message):
    with pytest.raises(seqlm.PluginError, match=message):
        seqlm.CellSpec("cell", "summary", RandomModel, step=step, native=native_field).validate()
    if step:
        spec = seqlm.CellSpec("cell", "summary", RandomModel, step=step, native=lambda options: native_field)
        with pytest.raises(seqlm.PluginError, match=message):
            spec.native_formula(seqlm.NoOptions())

"""Text from a model: both ways to the next token, and the drawing."""

from __future__ import annotations

import numpy as np
import pytest
from test_numbers import VOCABULARY, make_model

import seqlm_core as seqlm
from seqlm_core.generation.decoding import draw, token_weights
from seqlm_core.generation.generate import Uniforms, generate
from seqlm_core.generation.layer_network import LayerNetwork
from seqlm_core.generation.network import StepNetwork
from seqlm_core.generation.prompts import Prompt
from seqlm_core.model.build import weights_of
from seqlm_core.reading.vocabulary import UNKNOWN, Vocabulary
from seqlm_core.settings.decoding_rules import DecodingRules

CELLS = ["rnn", "gru", "lstm", "birnn", "bigru", "bilstm"]
INPUTS = [
    {"embedding_size": 0},
    {"embedding_size": 3},
    {"tie_weights": True},
    {"tie_weights": True, "embedding_size": 4},
]
SIZES = {1: 5, 2: (5, 3), 3: (2, 5, 3)}


@pytest.mark.parametrize("settings", INPUTS, ids=["one-hot", "embedded", "tied", "projected"])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_step_functions_predict_as_the_training_network_does(cell, layers, settings):
    model = make_model(cell, dtype="float32", hidden_size=SIZES[layers], **settings)
    spec = seqlm.installed_plugins().cells.get(cell)
    both = StepNetwork(model.architecture, spec, spec.options(), weights_of(model)), LayerNetwork(model)
    states = [network.begin(3) for network in both]
    right_states = [network.begin_right(3) if network.bidirectional else None for network in both]
    for tokens in np.random.default_rng(1).integers(0, VOCABULARY, (20, 3)):
        predictions, both_sides = [], []
        for k, network in enumerate(both):
            left, states[k] = network.read(tokens, states[k])
            predictions.append(network.log_probabilities(left))
            if network.bidirectional:
                right, right_states[k] = network.read_right(tokens, right_states[k])
                both_sides.append(network.log_probabilities(left, right))
        np.testing.assert_allclose(*predictions, atol=1e-5)
        if both_sides:
            np.testing.assert_allclose(*both_sides, atol=1e-5)
            assert np.abs(both_sides[0] - predictions[0]).max() > 1e-3


def weights_of_probabilities(probabilities, **rules):
    with np.errstate(divide="ignore"):
        log_probabilities = np.log(np.atleast_2d(probabilities))
    return token_weights(DecodingRules(**{"temperature": 1.0, **rules}), log_probabilities)


def test_draws_follow_the_distribution():
    probabilities = np.array([0.1, 0.05, 0.0, 0.4, 0.25, 0.2])
    n = 100_000
    weights = np.repeat(weights_of_probabilities(probabilities), n, axis=0)
    counts = np.bincount(draw(weights, np.random.default_rng(1).random(n)), minlength=6)
    assert counts[0] == 0  # <unk>
    assert counts[2] == 0
    expected = n * probabilities / 0.9
    kept = [1, 3, 4, 5]
    chi_square = ((counts - expected)[kept] ** 2 / expected[kept]).sum()
    assert chi_square < 16.27  # the 0.999 quantile for 3 degrees of freedom


def test_temperature_sharpens_and_zero_takes_the_most_probable():
    probabilities = [0.5, 0.2, 0.3]
    np.testing.assert_allclose(weights_of_probabilities(probabilities, temperature=0)[0], [0, 0, 1])
    cold = weights_of_probabilities(probabilities, temperature=0.5)[0]
    assert cold[2] / cold.sum() == pytest.approx(0.09 / (0.09 + 0.04))


class CountingNetwork:
    """After token k, token k + 1 is certain; keeps what it was given to read."""

    bidirectional = False

    def __init__(self, size):
        self.size = size
        self.read_tokens = []

    def begin(self, rows):
        return np.zeros(rows, dtype=int)

    def read(self, tokens, states):
        self.read_tokens.append(int(tokens[0]))
        assert (states == len(self.read_tokens) - 1).all()
        return tokens, states + 1

    def log_probabilities(self, left, right=None):
        rows = np.full((len(left), self.size), -np.inf)
        rows[np.arange(len(left)), (left + 1) % self.size] = 0
        return rows

    def select(self, states, rows):
        return states[rows]


def drawn_tokens(network, vocabulary, prompt, length, rules, seed=1):
    drawn = generate(network, vocabulary, Prompt(ids=tuple(prompt)), length, rules, Uniforms.of_seed(seed, range(1)))
    return [token for some in drawn for token in some.tokens[0].tolist()]


def test_the_prompt_is_read_and_its_state_is_kept():
    vocabulary = Vocabulary(list("abcdefgh"), [0] + [1] * 8)
    network = CountingNetwork(len(vocabulary))
    assert drawn_tokens(network, vocabulary, [1, 2, 3], 4, DecodingRules(temperature=1.0)) == [4, 5, 6, 7]
    assert network.read_tokens == [1, 2, 3, 4, 5, 6]


def test_without_a_prompt_the_first_token_is_drawn_by_its_frequency():
    vocabulary = Vocabulary(["a", "b"], [10, 3, 1])
    cold, greedy = DecodingRules(temperature=0.1), DecodingRules(temperature=0)
    firsts = [drawn_tokens(CountingNetwork(3), vocabulary, [], 1, cold, seed)[0] for seed in range(4000)]
    assert np.mean(np.array(firsts) == 1) == pytest.approx(0.75, abs=0.03)
    assert drawn_tokens(CountingNetwork(3), vocabulary, [], 1, greedy) == [1]


def test_a_sample_begins_with_its_prompt_and_repeats_with_its_seed(trained):
    run = trained(cell="gru")
    text = run.sample("The ", length=50, seed=4)
    assert text.startswith("The ")
    assert len(text) == 54
    assert text == run.sample("The ", length=50, seed=4)
    assert text != run.sample("The ", length=50, seed=5)


@pytest.mark.parametrize("settings", [{"cell": "gru"}, {"cell": "bilstm", "embedding_size": 8}], ids=["gru", "bilstm"])
def test_a_run_writes_the_same_natively_and_in_numpy(trained, monkeypatch, settings):
    written = []
    for native in ("1", "0"):
        monkeypatch.setenv("SEQLM_NATIVE", native)
        run = seqlm.LanguageRun(trained(**settings).path)
        texts = run.generate("The ", count=3, length=500, temperature=0.9, stop="zz", seed=7)
        assert "".join(run.stream("The ", length=500, temperature=0.9, stop="zz", seed=7)) == texts[0].text
        written.append(texts)
    for natively, in_numpy in zip(*written):
        assert natively.tokens == in_numpy.tokens
        assert natively.text == in_numpy.text
        assert natively.finished == in_numpy.finished
        np.testing.assert_allclose(natively.log_probabilities, in_numpy.log_probabilities, atol=1e-5)


def test_length_is_in_tokens_and_unknown_is_never_produced(trained):
    run = trained(tokenizer="word", embedding_size=8)
    text = run.sample(length=300, temperature=2.0, seed=1)
    assert UNKNOWN not in text
    assert len(run.tokenizer.tokenize(text)) == pytest.approx(300, abs=60)  # neighbours may read as one word


def test_unseen_characters_of_a_prompt_are_a_warning(trained, caplog):
    run = trained(cell="gru")
    seqlm_logger = __import__("logging").getLogger("seqlm")
    seqlm_logger.addHandler(caplog.handler)
    try:
        assert run.sample("Жук ", length=5, seed=1).startswith("Жук ")
    finally:
        seqlm_logger.removeHandler(caplog.handler)
    assert "'Ж'" in caplog.text
    assert "and 2 more" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"length": -1}, "length: must be at least 0"),
        ({"temperature": -0.5}, "temperature: must be"),
        ({"temperature": float("nan")}, "temperature: must be"),
        ({"seed": -1}, "seed: must be"),
    ],
)
def test_arguments_out_of_range_are_refused(trained, arguments, message):
    with pytest.raises(seqlm.SettingError, match=message):
        trained(cell="gru").sample(**arguments)

"""Decoding rules and beam search against enumeration."""

from __future__ import annotations

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_numbers import VOCABULARY, make_model

import seqlm_core as seqlm
from seqlm_core.generation.assembly import Assembly
from seqlm_core.generation.beam import Hypothesis, beam_search
from seqlm_core.generation.decoding import token_weights
from seqlm_core.generation.network import StepNetwork
from seqlm_core.generation.prompts import Prompt
from seqlm_core.model.build import weights_of
from seqlm_core.reading.vocabulary import UNKNOWN_ID, Vocabulary
from seqlm_core.settings.decoding_rules import DecodingRules

LETTERS = Vocabulary(list("abcde"), [0, 5, 4, 3, 2, 1])


def kept_by_definition(probabilities, top_k, top_p, min_p):
    """Return the renormalized probabilities that are left, token by token, by what each rule says."""
    ranked = sorted(range(1, len(probabilities)), key=lambda token: -probabilities[token])
    left = {token: probabilities[token] for token in ranked}
    if top_k:
        left = {token: p for token, p in left.items() if p >= probabilities[ranked[min(top_k, len(ranked)) - 1]]}
    if top_p < 1:
        total, mass, kept = sum(left.values()), 0.0, []
        for token in sorted(left, key=lambda token: -left[token]):
            if mass >= top_p * total:
                break
            mass += left[token]
            kept.append(token)
        left = {token: left[token] for token in kept}
    left = {token: p for token, p in left.items() if p >= min_p * max(left.values())}
    return {token: p / sum(left.values()) for token, p in left.items()}


@settings(max_examples=200, deadline=None)
@given(
    scores=st.lists(st.floats(-6, 6).map(lambda x: round(x, 3)), min_size=3, max_size=9, unique=True),
    temperature=st.sampled_from([0.3, 1.0, 2.0]),
    top_k=st.integers(0, 10),
    top_p=st.sampled_from([0.1, 0.5, 0.83, 0.97, 1.0]),
    min_p=st.sampled_from([0.0, 0.02, 0.31, 1.0]),
)
def test_the_rules_keep_what_their_definitions_say(scores, temperature, top_k, top_p, min_p):
    log_probabilities = np.array(scores) - np.log(np.exp(scores).sum())
    tempered = np.exp(log_probabilities / temperature)
    tempered[UNKNOWN_ID] = 0
    expected = kept_by_definition(tempered / tempered.sum(), top_k, top_p, min_p)
    weights = token_weights(DecodingRules(temperature, top_k, top_p, min_p), log_probabilities[None, :])[0]
    found = {token: w / weights.sum() for token, w in enumerate(weights) if w > 0}
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected)


def test_the_repetition_penalty_multiplies_the_log_probabilities_of_what_was_seen():
    log_probabilities = np.log([[0.1, 0.5, 0.2, 0.2]])
    seen = np.array([[False, True, False, True]])
    weights = token_weights(DecodingRules(repetition_penalty=1.5, temperature=1.0), log_probabilities, seen)[0]
    assert weights[1:] / weights[2] == pytest.approx([0.5**1.5 / 0.2, 1, 0.2**1.5 / 0.2])


def test_a_share_of_nearly_all_keeps_all():
    scores = np.random.default_rng(1).normal(size=(1000, 60))
    rules = DecodingRules(temperature=1.0, top_p=1 - 2**-53)
    assert (token_weights(rules, scores)[:, UNKNOWN_ID + 1 :] > 0).all()


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("repetition_penalty", 0),
        ("repetition_penalty", 1e4),
        ("temperature", -1),
        ("top_k", -1),
        ("top_p", 0),
        ("top_p", 1.1),
        ("min_p", 1.5),
    ],
)
def test_a_rule_out_of_its_range_is_refused_by_name(rule, value):
    with pytest.raises(seqlm.SettingError, match=f"^{rule}: must be"):
        DecodingRules(**{rule: value})


def network_of(cell):
    model = make_model(cell, dtype="float64")
    spec = seqlm.installed_plugins().cells.get(cell)
    return StepNetwork(model.architecture, spec, spec.options(), weights_of(model))


def log_probability_of(network, prompt, tokens):
    states, log_probabilities = network.begin(1), []
    for token in [*prompt, *tokens]:
        hidden, states = network.read(np.array([token]), states)
        log_probabilities.append(network.log_probabilities(hidden)[0])
    following = log_probabilities[len(prompt) - 1 : -1]
    return sum(float(row[token]) for row, token in zip(following, tokens))


@pytest.mark.parametrize("cell", ["gru", "bilstm"])
def test_a_beam_as_wide_as_all_continuations_is_an_exhaustive_search(cell):
    network, prompt, length = network_of(cell), [2, 4], 3
    everything = itertools.product(range(1, VOCABULARY), repeat=length)
    expected = sorted(((log_probability_of(network, prompt, c), c) for c in everything), reverse=True)
    found = beam_search(network, LETTERS, Prompt(ids=tuple(prompt)), VOCABULARY**length, length)
    assert [hypothesis.tokens for hypothesis in found] == [tokens for _, tokens in expected]
    assert [sum(h.log_probabilities) for h in found] == pytest.approx([total for total, _ in expected])


def test_a_narrow_beam_finds_continuations_with_their_log_probabilities_best_first():
    network, prompt = network_of("lstm"), [1]
    found = beam_search(network, LETTERS, Prompt(ids=tuple(prompt)), 3, 6)
    assert len(found) == 3
    for hypothesis in found:
        assert sum(hypothesis.log_probabilities) == pytest.approx(
            log_probability_of(network, prompt, hypothesis.tokens)
        )
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)
    assert UNKNOWN_ID not in {token for hypothesis in found for token in hypothesis.tokens}


class Letters:
    """Joins letters, and counts how many."""

    def __init__(self):
        self.joined = 0

    def detokenize(self, tokens):
        self.joined += len(tokens)
        return "".join(tokens)


def test_finished_continuations_are_compared_with_others_by_their_mean():
    network, prompt, length = network_of("gru"), [3], 3
    found = beam_search(network, LETTERS, Prompt(ids=tuple(prompt)), 500, length, Assembly(Letters(), ["b"]))
    candidates = [
        tokens
        for n in range(1, length + 1)
        for tokens in itertools.product(range(1, VOCABULARY), repeat=n)
        if 2 not in tokens[:-1] and (tokens[-1] == 2 or n == length)
    ]
    best = max(candidates, key=lambda tokens: log_probability_of(network, prompt, tokens) / len(tokens))
    assert {hypothesis.tokens for hypothesis in found} == set(candidates)
    assert found[0].tokens == best
    assert math.isclose(found[0].score, log_probability_of(network, prompt, best) / len(best))


def test_a_token_more_takes_the_same_memory_however_long_a_continuation_is():
    hypothesis = Hypothesis()
    tracemalloc.start()
    for number in range(20_000):
        hypothesis = hypothesis.extended(number % 7, "a", -0.5)
    peak = tracemalloc.get_traced_memory()[1]
    kept = [hypothesis.extended(token, "a", -0.5) for token in range(100)]
    grown = tracemalloc.get_traced_memory()[1] - peak
    tracemalloc.stop()
    assert grown < 100_000
    assert hypothesis.tokens == tuple(number % 7 for number in range(20_000))
    assert hypothesis.score == kept[0].score == -0.5


def test_looking_for_stop_texts_takes_the_same_work_at_every_token():
    joined = []
    for length in (20, 40):
        letters = Letters()
        beam_search(network_of("gru"), LETTERS, Prompt(ids=(3,)), 4, length, Assembly(letters, ["abcabc"]))
        joined.append(letters.joined)
    assert joined[1] <= 2.1 * joined[0]


class Bytes:
    """Tokens are bytes of UTF-8, as texts of two digits."""

    def detokenize(self, tokens):
        return bytes(int(token, 16) for token in tokens).decode("utf-8", "replace")


@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=20), stop=st.none() | st.text(min_size=1, max_size=3))
def test_text_is_put_together_in_whole_characters_up_to_the_stop_text(text, stop):
    text = text.encode("utf-8", "ignore").decode()
    stop = stop and stop.encode("utf-8", "ignore").decode()
    assembly = Assembly(Bytes(), [stop] if stop else [])
    pieces = []
    for byte in text.encode():
        pieces.append(assembly.add([f"{byte:02x}"])[1])
        if assembly.stopped:
            break
    pieces.append(assembly.end())
    expected = text.partition(stop)[0] if stop else text
    assert "".join(pieces) == expected
    assert assembly.stopped == bool(stop and stop in text)

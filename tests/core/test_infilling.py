"""Gaps filled from both sides: the search against enumeration, and what a user sees of it."""

from __future__ import annotations

import itertools
import logging
import tracemalloc

import numpy as np
import pytest
from test_numbers import VOCABULARY, make_model

import seqlm_core as seqlm
from seqlm_core.engine.numerics import log_softmax
from seqlm_core.generation.chains import CandidateSearch
from seqlm_core.generation.decoding import token_weights
from seqlm_core.generation.gaps import GappedText, cut_gapped_text
from seqlm_core.generation.generate import Uniforms
from seqlm_core.generation.infilling import BOTH_SIDES_WEIGHT, Infiller
from seqlm_core.generation.layer_network import LayerNetwork
from seqlm_core.generation.network import StepNetwork
from seqlm_core.generation.placed_spans import FOLLOWING
from seqlm_core.generation.span import Context, Span
from seqlm_core.model.build import weights_of
from seqlm_core.reading.vocabulary import UNKNOWN, Vocabulary
from seqlm_core.settings.decoding_rules import DecodingRules

BIDIRECTIONAL = ["birnn", "bigru", "bilstm"]
LETTERS = Vocabulary(list("abcde"), [0, 5, 4, 3, 2, 1])


class Letters:
    """A tokenizer of single letters."""

    tokenize = staticmethod(list)
    detokenize = staticmethod("".join)


def networks(cell="bigru", **settings):
    """Return the same small model as both kinds of network."""
    model = make_model(cell, dtype="float32", **settings)
    spec = seqlm.installed_plugins().cells.get(cell)
    return StepNetwork(model.architecture, spec, spec.options(), weights_of(model)), LayerNetwork(model)


def step_network(cell="bigru", **settings):
    return networks(cell, **settings)[0]


def reading(network, tokens, from_left=True):
    """Return the hidden vector and the states after tokens, which come in the order of the text."""
    hidden, states = None, network.begin(1) if from_left else network.begin_right(1)
    read = network.read if from_left else network.read_right
    for token in tokens if from_left else tokens[::-1]:
        hidden, states = read(np.array([token]), states)
    return Context(hidden, states)


def conditional(network, text, position):
    """Return the log-probabilities of a token given all others, each side read from its end."""
    left, right = reading(network, text[:position]), reading(network, text[position + 1 :], from_left=False)
    left_hidden = right.hidden * 0 if left.hidden is None else left.hidden
    return network.log_probabilities(left_hidden, right.hidden)[0]


def likelihood(network, text, start):
    """Return the log-probability of the tokens from ``start`` on, from left to right."""
    terms = []
    for position in range(start, len(text)):
        hidden = reading(network, text[:position]).hidden
        prediction = LETTERS.log_frequencies() if hidden is None else network.log_probabilities(hidden)[0]
        terms.append(prediction[text[position]])
    return sum(terms)


def gapped(text):
    return cut_gapped_text(text, "_", 1, Letters(), LETTERS)


def infill(network, text, count=1, sweeps=3, temperature=0.0, seed=1):
    infiller = Infiller(network, LETTERS, Letters(), 16)
    return list(infiller.fill(gapped(text), count, CandidateSearch(sweeps, temperature, seed)))


def pooled(network, text, gaps, judged_to):
    """Return the score of a text with missing tokens at ``gaps``, by the definition."""
    both_sides = sum(conditional(network, text, position)[text[position]] for position in gaps)
    judged = likelihood(network, text[:judged_to], gaps[0])
    return (1 - BOTH_SIDES_WEIGHT) * judged + BOTH_SIDES_WEIGHT * both_sides


@pytest.mark.parametrize("text", ["abc_deab", "_bcde", "abcd_", "_"])
@pytest.mark.parametrize("cell", BIDIRECTIONAL)
def test_one_missing_token_is_found_by_trying_all(cell, text):
    network = step_network(cell)
    position = text.index("_")
    filled = [LETTERS.ids(text.replace("_", letter)).tolist() for letter in "abcde"]
    if text == "_":
        scores = LETTERS.log_frequencies()[1:]
    else:
        scores = np.array([pooled(network, ids, [position], len(ids)) for ids in filled])
    shares = log_softmax(scores)
    found = infill(network, text, count=5)
    assert [item.fillings[0].text for item in found] == ["abcde"[k] for k in np.argsort(-shares)]
    np.testing.assert_allclose([item.log_probability for item in found], np.sort(shares)[::-1], atol=1e-9)
    if text != "_":
        best = filled[shares.argmax()]
        expected = conditional(network, best, position)[best[position]]
        assert found[0].fillings[0].token_log_probabilities == pytest.approx([expected])


@pytest.mark.parametrize("text", ["abdc__eabc", "abd_c_eabc", "_b_cda", "abcd_e_", "__ab"])
def test_two_missing_tokens_are_found_by_chains_as_by_trying_all(text):
    network = step_network("bilstm", hidden_size=(5, 3))
    gaps = [position for position, letter in enumerate(text) if letter == "_"]
    pairs = list(itertools.product("abcde", repeat=2))
    filled = [LETTERS.ids(text.replace("_", "{}").format(*pair)).tolist() for pair in pairs]
    shares = log_softmax(np.array([pooled(network, ids, gaps, len(ids)) for ids in filled]))
    (found,) = infill(network, text, sweeps=12)
    best = pairs[shares.argmax()]
    assert "".join(filling.text for filling in found.fillings) == "".join(best)
    # Not all of the 25 candidates need to have been found.
    assert shares.max() - 1e-9 <= found.log_probability <= shares.max() + 0.05
    if len(found.fillings) == 2:
        for k, filling in enumerate(found.fillings):
            alike = np.logaddexp.reduce([share for share, pair in zip(shares, pairs) if pair[k] == best[k]])
            assert filling.log_probability == pytest.approx(alike, abs=0.05)


def test_only_the_nearest_following_tokens_are_judged():
    network = step_network()
    text = "ab_" + "cdeab" * 8
    ids = [LETTERS.ids(text.replace("_", letter)).tolist() for letter in "abcde"]
    scores = np.array([pooled(network, of_text[: 3 + FOLLOWING], [2], 3 + FOLLOWING) for of_text in ids])
    (found,) = infill(network, text)
    assert found.log_probability == pytest.approx(log_softmax(scores).max(), abs=1e-9)


def whole_span(network, allowed, before=(1, 2, 3), after=(2, 5, 1)):
    left, right = reading(network, before), reading(network, after, from_left=False)
    return Span(network, LETTERS, allowed, left, right)


def random_numbers(rows, seed=1):
    return Uniforms([np.random.default_rng([seed, row]) for row in range(rows)])


ANY = np.array([False] + [True] * (VOCABULARY - 1))


@pytest.mark.parametrize("cell", BIDIRECTIONAL)
def test_a_sweep_draws_each_token_given_everything_else(cell, monkeypatch):
    asked = []  # the log-probabilities of each draw

    def recorded(rules, log_probabilities):
        asked.append(log_probabilities.copy())
        return token_weights(rules, log_probabilities)

    monkeypatch.setattr("seqlm_core.generation.span.token_weights", recorded)
    network = step_network(cell)
    before, after = [1, 2, 3], [2, 5, 1]
    missing = [0, 1, 3]  # the token at 2 is known
    span = whole_span(network, dict.fromkeys(missing, ANY), before, after)
    rows = 4
    texts = np.tile([0, 0, 4, 0], (rows, 1))
    rules, uniforms = DecodingRules(temperature=1.0), random_numbers(rows)
    passed = span.draft(texts, rules, uniforms)
    for row, position in itertools.product(range(rows), missing):
        so_far = [*before, *texts[row, :position]]
        expected = network.log_probabilities(reading(network, so_far).hidden)[0]
        seen = asked[missing.index(position)][row]
        np.testing.assert_allclose(seen[1:], expected[1:], atol=1e-9)
        assert seen[0] == -np.inf
    for from_left in (False, True, False, True):
        asked.clear()
        earlier = texts.copy()
        passed = span.sweep(texts, passed, rules, uniforms, from_left)
        assert (texts[:, 2] == 4).all()
        assert (texts > 0).all()
        order = missing if from_left else missing[::-1]
        for row, (turn, position) in itertools.product(range(rows), enumerate(order)):
            text = earlier[row].copy()
            for drawn in order[:turn]:
                text[drawn] = texts[row, drawn]
            expected = conditional(network, [*before, *text, *after], len(before) + position)
            np.testing.assert_allclose(asked[turn][row][1:], expected[1:], atol=1e-9)


def test_chains_come_to_the_distribution_that_enumeration_predicts():
    network = step_network("bilstm")
    before, after = [1, 2, 3], [2, 5, 1]
    letters = np.array([1, 3, 4])
    allowed = np.isin(np.arange(VOCABULARY), letters)
    fillings = list(itertools.product(letters.tolist(), repeat=2))
    number = {filling: k for k, filling in enumerate(fillings)}

    def transition(position):
        """Return the matrix of drawing the token at a position anew."""
        matrix = np.zeros((len(fillings), len(fillings)))
        for filling in fillings:
            log_probabilities = conditional(network, [*before, *filling, *after], len(before) + position)[letters]
            for letter, probability in zip(letters.tolist(), np.exp(log_softmax(log_probabilities))):
                drawn = (letter, filling[1]) if position == 0 else (filling[0], letter)
                matrix[number[filling], number[drawn]] += probability
        return matrix

    # From the right and then from the left, over and over.
    sweeps = np.linalg.matrix_power(transition(1) @ transition(0) @ transition(0) @ transition(1), 100)
    rows = 20_000
    span = whole_span(network, {0: allowed, 1: allowed}, before, after)
    texts, rules, uniforms = np.zeros((rows, 2), dtype=int), DecodingRules(temperature=1.0), random_numbers(rows)
    passed = span.draft(texts, rules, uniforms)
    for sweep in range(10):
        passed = span.sweep(texts, passed, rules, uniforms, from_left=sweep % 2 == 1)
    counts = np.bincount([number[tuple(row)] for row in texts.tolist()], minlength=len(fillings))
    expected = sweeps[0] * rows
    assert ((counts - expected) ** 2 / expected).sum() < 26.1  # the 0.999 quantile for 8 degrees of freedom


@pytest.mark.parametrize("settings", [{"embedding_size": 0, "layers": 2}, {"tie_weights": True}], ids=["2", "tied"])
@pytest.mark.parametrize("text", ["abc__deab", "_b_de", "abcd__", "___", "ab_" + "cde" * 9 + "_a"])
def test_layers_fill_as_step_functions_do(text, settings):
    by_steps, by_layers = (infill(network, text, count=2) for network in networks("bigru", **settings))
    assert [item.text for item in by_steps] == [item.text for item in by_layers]
    for one, other in zip(by_steps, by_layers):
        assert one.log_probability == pytest.approx(other.log_probability, abs=1e-4)
        for filling, same in zip(one.fillings, other.fillings):
            assert filling.token_log_probabilities == pytest.approx(same.token_log_probabilities, abs=1e-4)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("text", ["a_c", "__", "_", "ab__", "__ab", "a_b_c__d", "_" + "abc" * 10 + "__" + "de" * 10])
def test_the_text_around_the_gaps_is_kept(text, temperature):
    for item in infill(step_network(), text, count=3, temperature=temperature):
        parts = gapped(text)
        assert len(item.text) == len(text)
        assert all(kept in ("_", now) for kept, now in zip(text, item.text))
        assert [filling.text for filling in item.fillings] == [item.text[g.start : g.stop] for g in parts.gaps]
        assert [len(filling.token_log_probabilities) for filling in item.fillings] == [len(g) for g in parts.gaps]
        assert all(filling.log_probability <= 0 for filling in item.fillings)


def test_the_best_fillings_come_first_and_differ():
    found = infill(step_network(), "ab__c_d" + "abc" * 8 + "_e", count=8)
    assert len({item.text for item in found}) == 8
    log_probabilities = [item.log_probability for item in found]
    assert log_probabilities == sorted(log_probabilities, reverse=True)
    assert infill(step_network(), "ab__c_d" + "abc" * 8 + "_e")[0].text == found[0].text
    assert np.logaddexp.reduce(log_probabilities) <= 1e-9


def test_a_gap_far_from_the_others_is_filled_after_them():
    network = step_network()
    fixed = "abcde" * 4
    (both,) = infill(network, f"ab_{fixed}_c")
    (first,) = infill(network, f"ab_{fixed}")
    (second,) = infill(network, f"{first.text}_c")
    assert both.text == second.text
    assert both.log_probability == pytest.approx(first.log_probability + second.log_probability)


def test_drawn_fillings_repeat_with_their_seed():
    network, text = step_network(), "ab____cd" + "abc" * 8 + "__e"

    def texts(**arguments):
        return [item.text for item in infill(network, text, temperature=1.0, **arguments)]

    drawn = texts(count=4, seed=3)
    assert drawn == texts(count=4, seed=3)
    assert drawn[:2] == texts(count=2, seed=3)
    assert drawn != texts(count=4, seed=4)
    assert len(set(drawn)) == 4
    assert len(set(texts(count=50, seed=3))) > 40  # more than there are chains side by side


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_filling_does_not_depend_on_how_many_there_are(temperature):
    network, text = step_network(), "ab____cd" + "abc" * (8 if temperature else 1) + "__e"
    many = infill(network, text, temperature=temperature, count=80)
    for count in (1, 3, 40):
        assert infill(network, text, temperature=temperature, count=count) == many[:count]


def test_memory_does_not_grow_with_the_number_of_gaps():
    network, peaks = step_network(), []
    for times in (100, 400):
        tracemalloc.start()
        (item,) = infill(network, "ab_de" * times, sweeps=1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(item.fillings) == times
        assert item.text == "".join(f"ab{filling.text}de" for filling in item.fillings)
    assert peaks[1] < 1.3 * peaks[0]


def test_nothing_is_read_beyond_the_next_gap(monkeypatch):
    network = step_network()
    monkeypatch.setattr("seqlm_core.generation.placed_spans.LONGEST_SPAN", 3)
    (both,) = infill(network, "abc_de_abcd")  # a span would have four tokens
    (first,) = infill(network, "abc_de")
    (second,) = infill(network, f"abc{first.fillings[0].text}de_abcd")
    assert both.text == second.text
    assert both.log_probability == pytest.approx(first.log_probability + second.log_probability)
    monkeypatch.setattr("seqlm_core.generation.placed_spans.LONGEST_SPAN", 1)
    assert len(infill(network, "ab_c__d")[0].fillings) == 2


def test_unknown_is_never_drawn():
    class Eager:
        """A network that finds nothing so probable as ``<unk>``."""

        def __init__(self):
            self.network = step_network()

        def __getattr__(self, name):
            return getattr(self.network, name)

        def log_probabilities(self, left, right=None):
            scores = self.network.log_probabilities(left, right)
            scores[:, 0] += 20
            return log_softmax(scores)

    for temperature in (0.0, 3.0):
        for text in ("ab___c", "ab_c", "_", "___"):
            for item in infill(Eager(), text, count=5, temperature=temperature):
                assert UNKNOWN not in item.text


# The run


@pytest.fixture
def told(caplog):
    """Give what seqlm logs."""
    logger = logging.getLogger("seqlm")
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


def test_a_run_fills_gaps_of_several_tokens(trained):
    run = trained(cell="bigru")
    (item,) = run.infill("The boy w_nt to _.", gap=2)
    assert item.text.startswith("The boy w")
    assert [len(filling.tokens) for filling in item.fillings] == [2, 2]
    assert len(item.text) == len("The boy w..nt to ...")
    assert item.text == run.infill("The boy w_nt to _.", gap=2)[0].text
    assert run.infill("a [gap]_b", mark="[gap]")[0].text.endswith("_b")


def test_a_run_whose_cell_has_no_step_function_fills_alike(trained, monkeypatch):
    run = trained(cell="bilstm")
    (by_steps,) = run.infill("The b__ and the w_.")
    monkeypatch.setitem(vars(run), "network", LayerNetwork(run.model))
    (by_layers,) = run.infill("The b__ and the w_.")
    assert by_steps.text == by_layers.text
    assert by_steps.log_probability == pytest.approx(by_layers.log_probability, abs=1e-3)


def test_marks_beside_each_other_are_one_gap(trained):
    run = trained(cell="bigru")
    assert [len(filling.tokens) for filling in run.infill("a___b_")[0].fillings] == [3, 1]
    assert run.infill("a___b_")[0] == run.infill("a###b#", mark="#")[0]


def test_the_space_before_a_word_is_neither_lost_nor_doubled(trained):
    run = trained(cell="bigru", tokenizer="word", embedding_size=8)
    for text in ("He had a _ of the", "He had _ _ of the", "He _ a", "and the _."):
        for temperature in (0.0, 2.0):
            for item in run.infill(text, temperature=temperature, count=3):
                shown = text
                for filling in item.fillings:
                    assert filling.text[:1] == " "
                    assert filling.text[1:].strip() == filling.text[1:] != ""
                    shown = shown.replace(" _", filling.text, 1)
                assert item.text == shown
    assert run.infill("and\n_ a")[0].text.startswith("and\n")
    assert [len(filling.tokens) for filling in run.infill("a ____ of")[0].fillings] == [4]


class JoinedSpaces:
    """A tokenizer of pieces that begin with all the white space before them."""

    def tokenize(self, text):
        import re

        return re.findall(r"\s*\S|\s+\Z", text)

    def detokenize(self, tokens):
        return "".join(tokens)


def test_the_vocabulary_is_looked_through_once():
    class Counting(JoinedSpaces):
        calls = 0

        def detokenize(self, tokens):
            self.calls += 1
            return super().detokenize(tokens)

    tokenizer, known = Counting(), Vocabulary([f"{space}{k}" for k in range(500) for space in ("", " ")], [1] * 1001)
    for text in ("a" + " " * 300 + "_", "a _" * 30):
        tokenizer.calls = 0
        cut_gapped_text(text, "_", 1, tokenizer, known)
        assert tokenizer.calls < 1200


@pytest.mark.parametrize(
    ("tokenizer", "known", "text", "tokens", "beginnings"),
    [
        (Letters(), ["a", " "], "a _ a", ["a", " ", "", " ", "a"], {}),
        (JoinedSpaces(), ["a", " a"], "a _ a", ["a", "", " a"], {1: " "}),
        (JoinedSpaces(), ["a", " a", "  a"], "a  _a", ["a", "", "a"], {1: "  "}),
        (JoinedSpaces(), ["a", " a"], "_ _", ["", ""], {1: " "}),
        (JoinedSpaces(), ["a", "b"], "a _ a", ["a", " ", "", " a"], {}),  # no token takes the space
        (JoinedSpaces(), [" a", "a"], "  a_", ["  a", ""], {}),
    ],
)
def test_white_space_is_the_gaps_where_tokens_begin_with_it(tokenizer, known, text, tokens, beginnings):
    cut = cut_gapped_text(text, "_", 1, tokenizer, Vocabulary(known, [0] + [1] * len(known)))
    assert cut.tokens == tuple(tokens)
    assert cut.beginnings == beginnings
    assert isinstance(cut, GappedText)


def test_unseen_characters_around_a_gap_are_a_warning(trained, told):
    assert trained(cell="bigru").infill("Жу_ к")[0].text[:2] == "Жу"
    assert "the text holds 'Ж', which is not in the vocabulary and is read as <unk> (and 2 more)" in told.text


def test_a_unidirectional_run_is_refused(trained):
    with pytest.raises(seqlm.RunError, match=r"cell 'gru', which reads from the left only") as raised:
        trained(cell="gru").infill("a_b")
    assert all(name in str(raised.value) for name in BIDIRECTIONAL)


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("abc", {}, "the text has no gap: the mark '_' is not in it"),
        ("abc", {"mark": "#"}, "the mark '#'"),
        ("a_c", {"mark": ""}, "mark: must not be empty"),
        ("a_c", {"gap": 0}, "gap: must be at least 1"),
        ("a_c", {"count": 0}, "count: must be at least 1"),
        ("a_c", {"sweeps": -1}, "sweeps: must be at least 0"),
        ("a_c", {"temperature": -1.0}, "temperature: must be"),
        ("a_c", {"seed": -1}, "seed: must be"),
    ],
)
def test_arguments_out_of_range_are_refused(trained, text, arguments, message):
    with pytest.raises(seqlm.UsageError, match=message):
        trained(cell="bigru").infill(text, **arguments)

"""What a model takes from a text while it reads it: dynamic evaluation and the continuous cache."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
import right_plugins as right
from reference_model import ReferenceModel, complex_step_gradients
from test_numbers import VOCABULARY, make_model

import seqlm_core as seqlm
from seqlm_core.evaluation.adaptation import FLOOR_OF_GRADIENTS, AdaptingStream
from seqlm_core.evaluation.continuous_cache import ContinuousCache
from seqlm_core.evaluation.reading import RuledReading, TrainedStream
from seqlm_core.model.build import weights_of
from seqlm_core.model.graph_windows import GraphWindows
from seqlm_core.settings.reading_rules import ReadingRules

ADAPT = {"adapt": True, "adapt_learning_rate": 0.05, "adapt_decay": 0.1, "adapt_window": 3}
CACHE = {"cache": 5, "cache_weight": 0.3, "cache_flatness": 0.7}
RULES = pytest.mark.parametrize("rules", [ADAPT, CACHE, {**ADAPT, **CACHE}], ids=["adapt", "cache", "both"])


@pytest.fixture(scope="module")
def some_text(short_text, tmp_path_factory):
    path = tmp_path_factory.mktemp("some") / "text.txt"
    path.write_text(short_text.read_text()[:701])
    return path


def ids_of(length, seed=0):
    return np.random.default_rng(seed).integers(0, VOCABULARY, length).astype(np.int32)


def reading(model, rules):
    """Return what reads a text by rules."""
    made = ReadingRules(**rules)
    return RuledReading(AdaptingStream(model, made) if made.adapt else TrainedStream(GraphWindows(model)), made)


def losses_of(model, ids, rules):
    return np.concatenate(list(reading(model, rules).losses((token, False) for token in ids)))


def probability_in_cache(hidden, targets, t, token, size, flatness):
    """Return the probability of a token at place ``t``, straight from the formula; None with an empty cache."""
    shares = {}
    for i in range(max(0, t - size), t):
        shares[targets[i]] = shares.get(targets[i], 0.0) + math.exp(flatness * float(hidden[t] @ hidden[i]))
    return shares.get(token, 0.0) / sum(shares.values()) if shares else None


def naive_mixture(losses, hidden, targets, rules):
    mixed = []
    for t, loss in enumerate(losses):
        of_cache = probability_in_cache(hidden, targets, t, targets[t], rules["cache"], rules["cache_flatness"])
        weight = 0 if of_cache is None else rules["cache_weight"]
        mixed.append(-math.log((1 - weight) * math.exp(-loss) + weight * (of_cache or 0)))
    return mixed


@pytest.mark.parametrize("size", [1, 4, 9, 100])
@pytest.mark.parametrize("parts", [[30], [1] * 30, [7, 1, 12, 10]])
def test_the_cache_is_the_formula_however_the_text_is_cut(size, parts):
    random = np.random.default_rng(1)
    hidden, targets, losses = random.normal(size=(30, 4)), random.integers(0, 5, 30), random.uniform(0.1, 5, 30)
    cache = ContinuousCache(size, flatness=0.7, weight=0.3)
    ends = np.cumsum(parts)
    places = [slice(end - part, end) for end, part in zip(ends, parts)]
    found = np.concatenate([cache.mix(losses[p], hidden[p], targets[p]) for p in places])
    expected = naive_mixture(losses, hidden, targets, {"cache": size, "cache_weight": 0.3, "cache_flatness": 0.7})
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_the_probabilities_of_all_tokens_add_up_to_1():
    random = np.random.default_rng(2)
    hidden, targets = random.normal(size=(12, 4)), random.integers(0, 5, 12)
    model = np.array([0.1, 0.2, 0.3, 0.15, 0.25])
    total = 0.0
    for token in range(5):
        last = np.append(targets[:-1], token)
        total += math.exp(-ContinuousCache(6, 1.0, 0.4).mix(-np.log(model[last]), hidden, last)[-1])
    assert total == pytest.approx(1)


def test_large_products_of_hidden_vectors_do_not_overflow():
    hidden = np.full((3, 4), 100.0)
    mixed = ContinuousCache(5, 10.0, 0.5).mix(np.full(3, 50.0), hidden, np.array([1, 1, 2]))
    np.testing.assert_allclose(mixed, [50, math.log(2), 50 + math.log(2)])


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_reading_with_a_cache_mixes_what_the_model_predicts(cell):
    model, ids = make_model(cell, layers=2), ids_of(130)
    reference = ReferenceModel(cell, model.architecture, weights_of(model))
    losses, _ = reference.window_losses(ids)
    hidden, _ = reference.read("forward", ids[:-1], reference.begin())
    expected = naive_mixture(losses, np.array(hidden), ids[1:], CACHE)
    np.testing.assert_allclose(losses_of(model, ids, CACHE), expected, rtol=1e-6)


@pytest.mark.parametrize("settings", [{"embedding_size": 0}, {"embedding_size": 3}, {"tie_weights": True}], ids=str)
@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_adapting_is_predicting_then_a_step_down_the_gradient(cell, settings):
    model, ids = make_model(cell, **settings), ids_of(12)
    trained = weights = weights_of(model)
    squares = dict.fromkeys(weights, 0.0)
    expected, states = [], None
    for first in range(0, 11, 3):
        window = ids[first : first + 4]
        before = states

        def losses(moved, window=window, before=before):
            return ReferenceModel(cell, model.architecture, moved).window_losses(window, before)

        found, states = losses(weights)
        expected.extend(found)
        gradients = complex_step_gradients(weights, lambda moved: losses(moved)[0].mean())
        squares = {name: squares[name] + gradient**2 for name, gradient in gradients.items()}
        for name, gradient in gradients.items():
            root = np.sqrt(squares[name] / (first // 3 + 1) + FLOOR_OF_GRADIENTS**2)
            stepped = weights[name] - 0.05 * gradient / root
            weights = {**weights, name: stepped + 0.1 * (trained[name] - stepped)}
    np.testing.assert_allclose(losses_of(model, ids, ADAPT), expected, rtol=1e-6)


def test_what_is_adapted_feeds_the_cache():
    model, ids = make_model("lstm"), ids_of(40)
    both = losses_of(make_model("lstm"), ids, {**ADAPT, **CACHE})
    assert not np.allclose(both, losses_of(make_model("lstm"), ids, ADAPT))
    assert not np.allclose(both, losses_of(model, ids, CACHE))


@RULES
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_no_prediction_knows_what_comes_after_it(cell, rules):
    ids = ids_of(60)
    losses = losses_of(make_model(cell), ids, rules)
    for place in (1, 2, 3, 4, 29, 30, 59):
        changed = ids.copy()
        changed[place:] = (changed[place:] + 1) % VOCABULARY
        np.testing.assert_array_equal(losses_of(make_model(cell), changed, rules)[: place - 1], losses[: place - 1])
        assert losses_of(make_model(cell), changed, rules)[place - 1] != losses[place - 1]


@RULES
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 51, 52])
def test_all_tokens_but_the_first_are_predicted(rules, length):
    losses = list(reading(make_model("lstm"), rules).losses((token, False) for token in ids_of(length)))
    assert sum(map(len, losses)) == length - 1


@RULES
@pytest.mark.parametrize("cell", [right.Unit, right.Noisy, right.Loop, right.Layer])
def test_cells_of_plugins_are_read_by_the_rules_too(cell, rules, register_specs):
    register_specs(right.cell(cell))
    ids, name = ids_of(30), cell.__name__.lower()
    first, again = (losses_of(make_model(name, dtype="float32"), ids, rules) for _ in range(2))
    np.testing.assert_array_equal(first, again)  # no dropout of a cell's own is drawn
    unchanged = losses_of(make_model(name, dtype="float32"), ids, {"cache": 1, "cache_weight": 1e-9})
    assert np.isfinite(first).all()
    assert first[0] == pytest.approx(unchanged[0], rel=1e-4)
    assert not np.allclose(first[3:], unchanged[3:], rtol=1e-4)


@RULES
def test_the_run_is_as_it_was(trained, some_text, rules):
    run = trained(cell="lstm")

    def digests():
        return {path: hashlib.sha256(path.read_bytes()).digest() for path in run.path.iterdir() if path.is_file()}

    files, weights = digests(), {name: array.copy() for name, array in run.weights.items()}
    before, scores = run.evaluate(some_text), list(run.score_text("The end", per="token"))
    (adapted,) = run.evaluate(some_text, **rules)
    list(run.score(some_text, **rules))
    assert run.evaluate(some_text) == before
    assert list(run.score_text("The end", per="token")) == scores
    assert seqlm.LanguageRun(run.path).evaluate(some_text) == before
    assert digests() == files
    assert all(np.array_equal(run.weights[name], array) for name, array in weights.items())
    assert adapted.nats_per_token != before[0].nats_per_token


@RULES
def test_each_text_begins_with_the_trained_weights_and_an_empty_cache(trained, some_text, tmp_path, rules):
    run = trained(cell="lstm")
    (tmp_path / "other.txt").write_text(some_text.read_text()[50:300])
    alone = run.evaluate(tmp_path / "other.txt", **rules)
    assert run.evaluate(some_text, tmp_path / "other.txt", **rules)[1:] == alone
    first, second = (list(run.score(tmp_path / "other.txt", **rules)) for _ in range(2))
    assert first == second


@RULES
def test_scores_add_up_to_the_figure(trained, some_text, tmp_path, rules):
    run = trained(cell="lstm")
    text = some_text.read_text()
    (tmp_path / "text.txt").write_text(text)
    (evaluation,) = run.evaluate(tmp_path / "text.txt", **rules)
    tokens = list(run.score(tmp_path / "text.txt", per="token", **rules))
    assert "".join(token.token for token in tokens) == text
    assert tokens[0].bits is None
    total = sum(token.bits for token in tokens[1:]) * math.log(2)
    assert total == pytest.approx(evaluation.nats_per_token * evaluation.tokens, rel=1e-9)
    assert list(run.score_text(text, **rules)) == list(run.score(tmp_path / "text.txt", **rules))
    assert sum(line.bits for line in run.score_text(text, **rules)) * math.log(2) == pytest.approx(total)
    assert [token.bits for token in run.score_text("T", per="token", **rules)] == [None]
    assert list(run.score_text("", **rules)) == []


def test_a_text_that_repeats_itself_is_learnt(trained, tmp_path):
    run = trained(cell="lstm")
    (tmp_path / "text.txt").write_text("Of zebras quaint, Xerxes jokingly wove 35 (?) pickled myths.\n" * 12)
    plain, adapted, cached = (
        run.evaluate(tmp_path / "text.txt", **rules)[0].nats_per_token
        for rules in (
            {},
            {"adapt": True, "adapt_learning_rate": 0.01},
            {"cache": 100, "cache_flatness": 20.0, "cache_weight": 0.5},
        )
    )
    assert adapted < 0.9 * plain
    assert cached < 0.9 * plain


def test_figures_say_by_which_rules_they_came_about(trained, some_text):
    run = trained(cell="lstm")
    (plain,), (cached,) = run.evaluate(some_text), run.evaluate(some_text, cache=7)
    (both,) = run.evaluate(some_text, adapt=True, adapt_window=10, cache=7)
    assert plain.reading_rules is None
    assert "reading_rules" not in plain.to_json()
    assert cached.reading_rules == ReadingRules(cache=7)
    assert set(cached.to_json()["reading_rules"]) == {"cache", "cache_weight", "cache_flatness"}
    assert both.to_json()["reading_rules"] == {
        "adapt": True,
        "adapt_learning_rate": ReadingRules.adapt_learning_rate,
        "adapt_decay": ReadingRules.adapt_decay,
        "adapt_window": 10,
        "cache": 7,
        "cache_weight": ReadingRules.cache_weight,
        "cache_flatness": ReadingRules.cache_flatness,
    }


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ({"adapt": 1}, "adapt: must be True or False"),
        ({"adapt": True, "adapt_learning_rate": 0}, "adapt_learning_rate: must be at least 1e-09"),
        ({"adapt": True, "adapt_learning_rate": math.nan}, "adapt_learning_rate: must be a finite number"),
        ({"adapt": True, "adapt_learning_rate": 1e9}, "adapt_learning_rate: must be at most 1,"),
        ({"adapt": True, "adapt_decay": 1.5}, "adapt_decay: must be at most 1"),
        ({"adapt": True, "adapt_window": 0}, "adapt_window: must be at least 1"),
        ({"adapt_window": 5}, "adapt_window: has no use without `adapt`"),
        ({"cache": -1}, "cache: must be at least 0"),
        ({"cache": 2.5}, "cache: must be a whole number"),
        ({"cache": 10**14}, "cache: of 100,000,000,000,000 tokens takes"),
        ({"cache": 5, "cache_weight": 1}, "cache_weight: must be below 1"),
        ({"cache": 5, "cache_flatness": -1}, "cache_flatness: must be at least 0"),
        ({"cache": 0, "cache_weight": 0.1}, "cache_weight: has no use without `cache`"),
        ({"caches": 5}, "no argument or reading rule 'caches'; there are: adapt, "),
    ],
)
def test_rules_that_cannot_be_used_are_refused_before_anything_is_read(trained, tmp_path, rules, told):
    run = trained(cell="lstm")
    for use in (run.evaluate, run.score):
        with pytest.raises(seqlm.UsageError) as error:
            use(tmp_path / "none.txt", **rules)
        assert str(error.value).startswith(told)


@pytest.mark.parametrize("name", ["adapt", "cache"])
def test_bidirectional_models_are_refused(trained, some_text, name):
    run = trained(cell="bigru")
    for use in (run.evaluate, run.score, run.score_text):
        with pytest.raises(
            seqlm.UsageError, match=rf"^{name}: is for models that read from the left only, and .*'bigru'"
        ):
            use(str(some_text), **{name: True if name == "adapt" else 5})


def test_weights_that_are_no_numbers_any_more_are_told():
    model, ids = make_model("lstm", dtype="float32"), ids_of(30)
    model.head.bias.set_data(model.head.bias.data() * np.nan)
    with pytest.raises(seqlm.UsageError, match="adapt_learning_rate: is too high for this text"):
        losses_of(model, ids, ADAPT)


def test_the_smallest_and_the_largest_rates_can_be_computed_with():
    for rate in (1e-9, 1.0):
        for decay in (0, 1e-300, 1.0):
            rules = {"adapt": True, "adapt_learning_rate": rate, "adapt_decay": decay, "adapt_window": 2}
            assert len(losses_of(make_model("lstm", dtype="float32"), ids_of(12), rules)) == 11


def test_a_text_of_one_token_is_refused(trained, tmp_path):
    (tmp_path / "text.txt").write_text("T")
    with pytest.raises(seqlm.TextError, match="single token"):
        trained(cell="lstm").evaluate(tmp_path / "text.txt", cache=5)

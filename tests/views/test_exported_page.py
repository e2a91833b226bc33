"""A model as a page: what it computes in a browser is what seqlm computes, and one can write with it."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest
from page_fixtures import OpenPage
from random_model import RandomModel, vocabulary_of

import seqlm_core as seqlm
from seqlm_core.engine.randomness import generator, number_of
from seqlm_core.generation.document_network import DocumentNetwork
from seqlm_core.generation.generate import Uniforms, generate
from seqlm_core.generation.network import StepNetwork
from seqlm_core.generation.prompts import Prompt, cut_prompt
from seqlm_core.interchange.html_export import model_of
from seqlm_core.interchange.html_weights import ROUNDINGS, left_to_right, packed, rounded
from seqlm_core.reading.vocabulary import Vocabulary
from seqlm_core.settings.decoding_rules import DecodingRules

MODELS = {
    "rnn": RandomModel("rnn", units=(7, 5), embedding_size=3),
    "relu": RandomModel("rnn", units=6, options=(("activation", "relu"),)),
    "gru": RandomModel("gru", units=(9, 4, 6)),
    "lstm": RandomModel("lstm", units=16, embedding_size=11),
    "birnn": RandomModel("birnn", units=(8, 5)),
    "bigru": RandomModel("bigru", units=7, layers=2, tie_weights=True),
    "bilstm": RandomModel("bilstm", units=(6, 9), embedding_size=5, tie_weights=True),
    "tied": RandomModel("lstm", units=8, layers=2, tie_weights=True),
    "projected": RandomModel("gru", units=13, embedding_size=6, tie_weights=True),
    "clusters": RandomModel("lstm", units=17, embedding_size=6, vocabulary_size=60, cutoffs=(5, 20)),
    "clusters of two directions": RandomModel("bilstm", units=10, vocabulary_size=50, cutoffs=(3, 11)),
    "tied clusters": RandomModel("gru", units=8, vocabulary_size=50, tie_weights=True, cutoffs=(4, 21)),
    "projected clusters": RandomModel(
        "birnn", units=5, embedding_size=10, vocabulary_size=50, tie_weights=True, cutoffs=(4, 21)
    ),
}
RULES = [
    DecodingRules(temperature=1.0),
    DecodingRules(temperature=0.0),
    DecodingRules(temperature=0.7, top_k=4),
    DecodingRules(temperature=1.3, top_p=0.8, repetition_penalty=1.4),
    DecodingRules(temperature=0.9, min_p=0.1),
    DecodingRules(temperature=2.0, top_k=9, top_p=0.95, min_p=0.02, repetition_penalty=0.8),
]

PREDICT = """async ([weights, model, ends, ids]) => {
  const network = new seqlm.Network(model, await seqlm.parametersOf(weights), ends), states = network.begin();
  return ids.map((id) => { network.read(id, states); return Array.from(network.logProbabilities(states)); });
}"""
WRITE = """async ([weights, model, ends, vocabulary, prompt, rules, uniforms]) => {
  const network = new seqlm.Network(model, await seqlm.parametersOf(weights), ends);
  return rules.map((rule) => {
    const writing = new seqlm.Writing(network, new seqlm.Vocabulary(vocabulary), { ids: prompt, allowed: null });
    while (writing.isReading) writing.read();
    return uniforms.map((uniform) => writing.draw(rule, uniform));
  });
}"""
READ = """async ([data, ids]) => {
  const network = new seqlm.Network(data.model, await seqlm.parametersOf(data.weights), data.vocabulary.ends);
  const reading = new seqlm.Reading(network, ids, data.vocabulary.start), found = [];
  while (reading.isReading) found.push(reading.read().logProbability);
  return found;
}"""


def rounded_network(model, rounding):
    """Return the network that NumPy computes with the rounded weights."""
    weights = dict(model.weights)
    for name, array in left_to_right(model.architecture, model.weights).items():
        whole = weights[name].copy()
        # Of two directions side by side, the page has the first half of the columns.
        (whole if whole.shape == array.shape else whole[:, : array.shape[1]])[...] = rounded(array, rounding)
        weights[name] = whole
    return StepNetwork(model.architecture, model.spec, model.options, weights)


def in_page(model, rounding):
    return [
        packed(left_to_right(model.architecture, model.weights), rounding),
        model_of(model.architecture, model.formula),
    ]


def exported(run, tmp_path_factory, **options):
    path = tmp_path_factory.mktemp("pages") / "model.html"
    seqlm.export_html(run, path, **options)
    return path


@pytest.fixture(scope="session")
def exported_page(language_run, tmp_path_factory):
    return exported(language_run, tmp_path_factory)


@pytest.fixture(scope="session")
def hook(browser, exported_page):
    """An exported page, of which the functions are called."""
    opened = OpenPage(browser, exported_page)
    yield opened.page
    opened.context.close()
    assert opened.problems == []


def data_of(path):
    return json.loads(re.search(r'id="data">(.*?)</script>', path.read_text(), re.DOTALL)[1])


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("name", MODELS)
def test_log_probabilities_are_those_of_numpy_with_the_rounded_weights(hook, name, rounding):
    model = MODELS[name]
    ids = np.random.default_rng(3).integers(0, model.architecture.vocabulary_size, 12).tolist()
    found = np.array(hook.evaluate(PREDICT, [*in_page(model, rounding), [], ids]))
    network = rounded_network(model, rounding)
    states, expected = network.begin(1), []
    for token in ids:
        hidden, states = network.read(np.array([token]), states)
        expected.append(network.log_probabilities(hidden)[0])
    np.testing.assert_allclose(found, np.array(expected), rtol=0, atol=1e-9)
    assert np.abs(found).max() > 3  # tokens are not all as probable


def page_vocabulary(vocabulary, **facts):
    told = {"tokens": vocabulary.tokens, "counts": vocabulary.counts.tolist(), "unknown": vocabulary.unknown_id}
    return {**told, "start": None, "tokenizer": {"name": "char", "lines": False}, **facts}


@pytest.mark.parametrize("prompt", [[], [3, 1, 4, 1, 5]])
@pytest.mark.parametrize("ends", [[], [2, 7]])
def test_the_same_random_numbers_draw_the_same_tokens(hook, prompt, ends):
    model, vocabulary = MODELS["lstm"], vocabulary_of(30)
    uniforms = np.random.default_rng(5).random(80)
    asked = [*in_page(model, "float16"), ends, page_vocabulary(vocabulary), prompt]
    found = hook.evaluate(WRITE, [*asked, [dataclasses.asdict(rules) for rules in RULES], uniforms.tolist()])

    class Given(Uniforms):
        def __init__(self):
            super().__init__([None])
            self._numbers = uniforms[None, :]

    network = rounded_network(model, "float16")
    if ends:
        network = DocumentNetwork(network, np.isin(np.arange(30), ends))
    expected = []
    for rules in RULES:
        drawn = generate(network, vocabulary, Prompt(ids=tuple(prompt)), len(uniforms), rules, Given())
        expected.append([int(token) for part in drawn for token in part.tokens[0]])
    assert found == expected
    assert len({tuple(tokens) for tokens in found}) == len(RULES)


def test_a_seed_gives_the_random_numbers_that_it_gives_to_seqlm_sample(hook):
    for seed in (0, 1, 2**53 + 12345, 2**63 - 1):
        made = "([seed, key]) => { const u = new seqlm.Uniforms([BigInt(seed), BigInt(key)]);"
        found = hook.evaluate(
            made + " return Array.from({ length: 11 }, () => u.next()); }", [str(seed), str(number_of("sampling"))]
        )
        assert found == generator(seed, 0, "sampling").random(11).tolist()


def test_halves_are_read_bit_for_bit(hook):
    halves = np.arange(65536, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)].astype(np.float32).reshape(-1, 64)
    weights = packed({"m": halves}, "float16")
    read = "async (weights) => Array.from((await seqlm.parametersOf(weights)).get('m').values)"
    found = np.array(hook.evaluate(read, weights), dtype=np.float32)
    np.testing.assert_array_equal(found, halves.ravel())


@pytest.mark.parametrize(("rounding", "most"), [("float16", 0.001), ("8-bit", 0.05)])
def test_the_mean_loss_is_that_of_the_run(
    hook, language_run, exported_page, sample_text, tmp_path_factory, rounding, most
):
    path = exported_page if rounding == "float16" else exported(language_run, tmp_path_factory, weights=rounding)
    text = sample_text.read_text()[6000:9000]
    ids = [language_run.vocabulary.id(token) for token in text]
    first, *found = hook.evaluate(READ, [data_of(path), ids])
    expected = [s.bits * np.log(2) for s in language_run.score_text(text, per="token") if s.bits is not None]
    assert first is None
    assert len(found) == len(expected)
    assert abs(-np.mean(found) - np.mean(expected)) < most
    assert -np.mean(found) != np.mean(expected)  # the weights are rounded


TEXTS = [
    "He said \"don't,\" and cannot -- won't! The 1,000 houses (of the U.S.) \u2014 well...\n\n  The sea\u2019s  end\tgonna",
    "A line.\r\n \n Another  line \nend ",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("name", ["char", "space", "word"])
@pytest.mark.parametrize("lines", [False, True])
def test_texts_are_cut_as_seqlm_cuts_them(hook, name, text, lines):
    from seqlm_core.interchange.html_export import tokenizer_facts
    from seqlm_core.plugins.components import Component, build_tokenizer
    from seqlm_core.reading.documents import Documents, cutting_documents

    registry = seqlm.installed_plugins().tokenizers
    tokenizer = build_tokenizer(Component.choose(registry, name, {}))
    cutting = cutting_documents(tokenizer, "line" if lines else "none")
    tokens = cutting.tokenize(text)
    vocabulary = Vocabulary(sorted(set(tokens)), [0, *[1] * len(set(tokens))])
    documents = Documents.of("line" if lines else "none", vocabulary, tokenizer)
    told = page_vocabulary(vocabulary, tokenizer=tokenizer_facts(name, tokenizer, lines))
    told["start"] = None if documents is None else documents.start
    prompts = [text, text + " ", text + "\n", "The ", "The  ", " ", ""]
    found = hook.evaluate(
        "([told, texts]) => texts.map((text) => { const v = new seqlm.Vocabulary(told); return [v.cut(text), v.prompt(text)]; })",
        [told, prompts],
    )
    for prompt, (cut, told_of_prompt) in zip(prompts, found):
        assert cut == cutting.tokenize(prompt) or prompt not in (text, "")
        expected = cut_prompt(prompt, cutting, vocabulary, documents)
        assert told_of_prompt["ids"] == list(expected.ids)
        assert told_of_prompt["beginning"] == expected.beginning
        allowed = None if expected.allowed is None else expected.allowed.tolist()
        assert told_of_prompt["allowed"] == allowed

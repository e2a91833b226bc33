"""A model as a page: what it computes in a browser is what seqlm computes, and one can write with it."""

from __future__ import annotations

import collections
import dataclasses
import json
import re
import shutil

import numpy as np
import pytest
from page_fixtures import OpenPage
from random_model import RandomModel, vocabulary_of
from tagger_commands import done, run_cli

import seqlm_core as seqlm
from seqlm_core.command_line import export
from seqlm_core.engine.randomness import generator, number_of
from seqlm_core.generation.document_network import DocumentNetwork
from seqlm_core.generation.generate import Uniforms, generate
from seqlm_core.generation.network import StepNetwork
from seqlm_core.generation.prompts import Prompt, cut_prompt
from seqlm_core.interchange.html_export import model_of, tokenizer_facts
from seqlm_core.interchange.html_weights import ROUNDINGS, left_to_right, packed, rounded
from seqlm_core.plugins.components import Component, build_tokenizer
from seqlm_core.reading.documents import Documents, cutting_documents
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
    halves = halves[np.isfinite(halves)][::7].astype(np.float32)[None, :]
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
    "He said \"don't,\" and cannot -- won't! The 1,000 houses (of the U.S.) \u2014 well...",
    "A line.\r\n \n Another  line \nend  of\n\n  The sea\u2019s  end\tgonna ",
    "\u00bfQu\u00e9? l'\u00e9t\u00e9, 3.14 km\u00b2; e\u0301a.b \u6625\u7720\u4e0d \u30b3\u30f3 \U0001f44d\U0001f3fd!",
]
CUT = """([told, texts]) => texts.map((text) => {
  const vocabulary = new seqlm.Vocabulary(told);
  return [vocabulary.cut(text), vocabulary.prompt(text)];
})"""


def tokenizer_of(name, **options):
    registry = seqlm.installed_plugins().tokenizers
    return build_tokenizer(Component.choose(registry, name, options))


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(
    ("name", "options"),
    [("char", {}), ("space", {}), ("word", {"boundaries": "nltk"}), ("word", {"boundaries": "unicode"})],
)
@pytest.mark.parametrize("lines", [False, True])
def test_texts_are_cut_as_seqlm_cuts_them(hook, name, options, text, lines):
    tokenizer, kind = tokenizer_of(name, **options), "line" if lines else "none"
    cutting = cutting_documents(tokenizer, kind)
    tokens = sorted(set(cutting.tokenize(text)))
    vocabulary = Vocabulary(tokens, [0, *[1] * len(tokens)])
    documents = Documents.of(kind, vocabulary, tokenizer)
    told = page_vocabulary(vocabulary, tokenizer=tokenizer_facts(name, tokenizer, lines))
    told["start"] = None if documents is None else documents.start
    prompts = [text, text + " ", text + "\n", "The ", "The  ", " ", ""]
    for prompt, (cut, found) in zip(prompts, hook.evaluate(CUT, [told, prompts])):
        expected = cut_prompt(prompt, cutting, vocabulary, documents)
        allowed = None if expected.allowed is None else expected.allowed.tolist()
        assert (found["ids"], found["beginning"], found["allowed"]) == (list(expected.ids), expected.beginning, allowed)
        assert "".join(cut) == prompt
    assert hook.evaluate(CUT, [told, [text]])[0][0] == cutting.tokenize(text)


@pytest.mark.parametrize(("boundaries", "most_others"), [("nltk", 3), ("unicode", 0)])
def test_words_of_a_text_that_was_not_trained_on_are_cut_alike(hook, sample_text, boundaries, most_others):
    tokenizer, text = tokenizer_of("word", boundaries=boundaries), sample_text.read_text()
    counts = collections.Counter(tokenizer.tokenize(text[:-9000]))
    vocabulary = Vocabulary.from_counts(counts, min_count=2)
    told = page_vocabulary(vocabulary, tokenizer=tokenizer_facts("word", tokenizer, False))
    cut = hook.evaluate(CUT, [told, [text[-9000:]]])[0][0]
    expected = tokenizer.tokenize(text[-9000:])
    others = collections.Counter(cut)
    others.subtract(expected)
    assert sum(map(abs, others.values())) <= most_others
    assert len(expected) > 1500


# The page as a user meets it


DARK_PHONE = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}
HOSTILE = (
    "</script><script>alert(1)</script> <img/src=x/onerror=alert(2)> {{7*7}} ${x} \x1b[31m \u202edne \x01\x7f "
    "<!-- ]]> \n"
)


def ready(page):
    page.locator("#told", has_text="ready").wait_for()
    return page


def written(page):
    page.locator("#told", has_text="seed").wait_for()
    return page.locator("#answer").text_content()


@pytest.mark.parametrize("context", [{}, DARK_PHONE], ids=["wide", "dark phone"])
def test_a_page_can_be_read_by_everybody(exported_page, open_page, context):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = ready(open_page(exported_page, **context))
    page.get_by_label("Beginning").fill("The rain")
    page.get_by_role("button", name="Show the surprisal").click()
    page.locator("#told", has_text="bits per token").wait_for()
    page.locator("summary").click()
    page.get_by_label("temperature").fill("-1")
    page.get_by_role("button", name="Write", exact=True).click()
    page.wait_for_selector("#told.error")
    found = axe.Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_page_writes_what_seqlm_writes_with_the_rounded_weights(language_run, exported_page, open_page):
    page = ready(open_page(exported_page))
    page.get_by_label("Beginning").fill("The rain")
    for name, value in {"temperature": "0.8", "top k": "12", "seed": "7", "length": "90"}.items():
        page.get_by_label(name).fill(value)
    page.get_by_role("button", name="Write", exact=True).click()
    text = written(page)
    run = seqlm.LanguageRun(language_run.path)
    run.weights = {name: rounded(array, "float16") for name, array in run.weights.items()}
    (expected,) = run.generate("The rain", length=90, seed=7, temperature=0.8, top_k=12)
    assert text == "The rain" + expected.text
    told = page.locator("main dl").first.inner_text()
    assert "lstm, 2 x 16 units" in told
    assert "short.txt" in told
    assert "/" not in told
    assert f"{seqlm.find_runs(run.path)[0].best:.4f} nats per token (validation)" in told


def test_writing_can_be_stopped_and_goes_on(exported_page, open_page):
    page = ready(open_page(exported_page))
    assert page.get_by_role("button", name="Write more").is_disabled()
    page.get_by_label("length").fill("100000")
    page.get_by_label("Beginning").focus()
    page.keyboard.press("Control+Enter")
    page.locator("#answer", has_text=re.compile(r"[\s\S]{50}")).wait_for()  # the text streams
    page.keyboard.press("Escape")
    before = written(page)
    assert page.locator("#told").inner_text().startswith("stopped: ")
    assert len(before) < 100_000
    page.get_by_label("length").fill("30")
    page.get_by_role("button", name="Write more").click()
    page.locator("#told", has_text="30 characters").wait_for()
    after = page.locator("#answer").text_content()
    assert after[: len(before)] == before
    assert len(after) == len(before) + 30
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the text").click()
    page.locator("#told", has_text="copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == after


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("temperature", "-1", "temperature must be at least 0"),
        ("top p", "0", "top p must be above 0"),
        ("top k", "1.5", "top k must be a whole number"),
        ("length", "", "length must be a number"),
        ("seed", "-3", "seed must be at least 0"),
        ("seed", "9007199254740992", "seed must be at most 9,007,199,254,740,991"),
    ],
)
def test_a_wrong_rule_is_told(hook, name, value, message):
    ready_again = hook.get_by_label(name)
    before = ready_again.input_value()
    ready_again.fill(value)
    hook.get_by_role("button", name="Write", exact=True).click()
    assert hook.locator("#told.error").inner_text() == message
    assert ready_again.get_attribute("aria-invalid") == "true"
    ready_again.fill(before)


def test_no_token_and_no_name_can_script_a_page(language_run, open_page, tmp_path):
    run = seqlm.LanguageRun(shutil.copytree(language_run.path, tmp_path / "<img src=x onerror=alert(3)>"))
    run.config["texts"]["training"][0]["path"] = "/secret/<script>alert(4)</script>"
    tokens = list(dict.fromkeys([*tokenizer_of("space").tokenize(HOSTILE), *run.vocabulary.tokens[1:]]))
    run.vocabulary = Vocabulary(tokens[: len(run.vocabulary) - 1], run.vocabulary.counts.tolist())
    run.tokenizer, run.settings = tokenizer_of("space"), run.settings.replace(tokenizer="space")
    seqlm.export_html(run, tmp_path / "page.html")
    page = ready(open_page(tmp_path / "page.html"))
    page.get_by_label("Beginning").fill("</textarea><script>alert(5)</script> unseen")
    page.get_by_label("temperature").fill("3")
    page.get_by_role("button", name="Write", exact=True).click()
    shown = written(page)
    assert " <img/src=x/onerror=alert(2)>" in shown
    assert "\x1b[31m" in shown
    unknown = 'not in the vocabulary: "</textarea><script>alert(5)</script>", " unseen"'
    assert unknown in page.locator("#told").inner_text()
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 5
    assert page.title() == f"{run.path.name}: a language model"
    assert "secret" not in page.content()


def test_a_model_of_256_units_is_small_and_fast(hook, exported_page):
    model = RandomModel("lstm", units=256, vocabulary_size=60, embedding_size=60)
    assert sum(array.size for array in model.weights.values()) == 344_652
    weights, description = in_page(model, "float16")
    others = exported_page.stat().st_size - len(data_of(exported_page)["weights"]["data"])
    assert others + len(weights["data"]) < 1_000_000
    measure = """async ([weights, model, rules]) => {
      const network = new seqlm.Network(model, await seqlm.parametersOf(weights), []);
      const writing = new seqlm.Writing(network, null, { ids: [1], allowed: null });
      writing.read();
      let fastest = 0;
      for (let i = 0; i < 30; i++) {
        const started = performance.now();
        for (let k = 0; k < 20; k++) writing.draw(rules, 0.5);
        fastest = Math.max(fastest, 20000 / (performance.now() - started));
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      return fastest;
    }"""
    # Beside other tests, no more is asked of the machine than this. See tests/benchmarks/browser.py for the speed.
    assert hook.evaluate(measure, [weights, description, dataclasses.asdict(DecodingRules())]) > 700


# What cannot be exported


def test_a_cell_without_a_formula_is_refused_in_a_line(language_run, tmp_path):
    run = seqlm.LanguageRun(language_run.path)
    run.cell = dataclasses.replace(run.cell, spec=dataclasses.replace(run.cell.spec, native=None))
    wrong = seqlm.LanguageRun(language_run.path)
    wrong.config["step_problem"] = "the step is not that of the layer"
    for each in (run, wrong):
        with pytest.raises(seqlm.UsageError, match=r"^the cell 'lstm' of seqlm \S+ cannot be exported"):
            seqlm.export_html(each, tmp_path / "page.html")


def test_another_tokenizer_is_refused_in_a_line(language_run, register_specs, tmp_path):
    char = seqlm.installed_plugins().tokenizers.get("char")
    register_specs(dataclasses.replace(char, name="own"))
    run = seqlm.LanguageRun(language_run.path)
    run.tokenizer, run.settings = tokenizer_of("own"), run.settings.replace(tokenizer="own")
    with pytest.raises(
        seqlm.UsageError, match=r"^the tokenizer 'own' of this program cannot be exported: it cuts texts"
    ):
        seqlm.export_html(run, tmp_path / "page.html")


def test_weights_that_float16_cannot_hold_are_refused():
    weights = {"head.weight": np.array([[1e6, 1.0]], dtype=np.float32)}
    with pytest.raises(seqlm.UsageError, match="too large for float16; `weights` 8-bit can hold it"):
        packed(weights, "float16")
    assert rounded(weights["head.weight"], "8-bit")[0, 0] == pytest.approx(1e6)
    weights["head.weight"][0, 1] = np.nan
    with pytest.raises(seqlm.RunError, match="not a finite number"):
        packed(weights, "8-bit")


def test_the_command_writes_a_page_and_replaces_none_unasked(language_run, tmp_path, capsys):
    path = tmp_path / "page.html"
    command = ("export", language_run.path, "--to", "html", "--out", path)
    assert done(capsys, *command, "--weights", "8-bit")[0] == f"{path}\n"
    assert data_of(path)["weights"]["rounding"] == "8-bit"
    code, _, error = run_cli(capsys, *command)
    assert code == 2
    assert error == f"seqlm: error: --out {path} is there already; name another file, or let --overwrite replace it\n"
    done(capsys, *command, "--overwrite")
    assert data_of(path)["weights"]["rounding"] == "float16"


def test_an_option_of_another_format_is_refused(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(export.OF_SOME, "weights", ("another",))
    command = ("export", "RUN", "--to", "html", "--out", tmp_path / "page.html", "--weights", "8-bit")
    assert run_cli(capsys, *command) == (2, "", "seqlm: error: --weights is for another, not for html\n")


@pytest.mark.parametrize(
    ("run", "out", "message"),
    [
        ("nowhere", "page.html", "nowhere is not a run directory"),
        ("RUN", ".", "--out must name a file, not '.'"),
        ("RUN", "nowhere/page.html", "--out nowhere/page.html cannot be written to: No such file or directory"),
    ],
)
def test_a_wrong_request_is_told_in_a_line(language_run, tmp_path, monkeypatch, capsys, run, out, message):
    monkeypatch.chdir(tmp_path)
    code, _, error = run_cli(capsys, "export", language_run.path if run == "RUN" else run, "--to", "html", "--out", out)
    assert code in (1, 2)
    assert re.fullmatch(r"seqlm: error: [^\n]*\n", error)
    assert message in error

"""Words of languages other than English: how ``word`` finds them, and how it chooses."""

# ruff: noqa: RUF001 - the texts are of many scripts

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import SMALL
from hypothesis import example, given, settings
from hypothesis import strategies as st

import seqlm_core as seqlm
from seqlm_core.conformance.kinds import check_plugin
from seqlm_core.plugins.options import make_options
from seqlm_core.reading.corpus import read_corpus
from seqlm_core.reading.tokenizing import tokenize_blocks

SPEC = seqlm.installed_plugins().tokenizers.get("word")
# A poem of Li Bai, twenty characters with their punctuation, in an order that changes from line to line.
POEM = ["床前明月光", "疑是地上霜", "舉頭望明月", "低頭思故鄉"]
CHINESE = "".join(f"{POEM[n % 4]}，{POEM[n // 4 % 4]}。\n" for n in range(200))
SPANISH = "—¿Qué dice usted? —preguntó ella—. ¡No lo sé! Nadie me ha dicho nada de todo esto, y menos él.\n" * 30
TEXTS_THAT_NEED_IT = {
    "Chinese": CHINESE,
    "Japanese": "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。\n",
    "Thai": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์\n",
    "Spanish": SPANISH,
    "Arabic": "يولد جميع الناس أحرارا، متساوين في الكرامة والحقوق؛ وقد وهبوا عقلا وضميرا.\n",
    "Hindi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता प्राप्त है।\n",
}
TEXTS_THAT_DO_NOT = {
    "typeset English": "“Don’t,” she said—‘never’… It’s 5 £ per naïve café, § 3 «so».\n" * 50,
    "French": "« L’été », dit-elle… n’est-ce pas ? Voilà : « oui » — ou non !\n" * 50,
    "Russian": "Все люди рождаются свободными и равными в своём достоинстве и правах.\n",
    "English with a Chinese word": "It is called 月 in Chinese, and " + "the moon in English. " * 100,
}


def build(boundaries="auto"):
    return SPEC.build(make_options(SPEC, {"boundaries": boundaries}))


def chosen(*texts):
    tokenizer = build()
    tokenizer.train(iter(texts))
    return tokenizer.state()["boundaries"]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        # The example of UAX #29, section 4, with the spaces where this tokenizer has them.
        (
            "The quick (“brown”) fox can’t jump 32.3 feet, right?",
            ["The", " quick", " (", "“", "brown", "”", ")", " fox", " can’t", " jump",
             " 32.3", " feet", ",", " right", "?"],
        ),
        ("床前明月光，\n疑是", ["床", "前", "明", "月", "光", "，", "\n", "疑", "是"]),
        ("¿Qué tal? ¡Bien!", ["¿", "Qué", " tal", "?", " ¡", "Bien", "!"]),
        ("أحرارا، كيف؟", ["أحرارا", "،", " كيف", "؟"]),
        ("प्राप्त है।", ["प्राप्त", " है", "।"]),
        ("カタカナと漢字", ["カタカナ", "と", "漢", "字"]),
        ("한국어는 좋다.", ["한국어는", " 좋다", "."]),
        ("a\u0301b\u00adc", ["a\u0301b\u00adc"]),
        ("\U0001f469\u200d\U0001f680\U0001f1e9\U0001f1ea", ["\U0001f469\u200d\U0001f680", "\U0001f1e9\U0001f1ea"]),
    ],
)  # fmt: skip
def test_unicode_boundaries_part_words_of_every_script(text, tokens):
    assert build("unicode").tokenize(text) == tokens


@pytest.mark.parametrize("text", TEXTS_THAT_NEED_IT.values(), ids=list(TEXTS_THAT_NEED_IT))
def test_a_text_that_nltk_leaves_uncut_is_cut_by_unicode(text):
    assert chosen(text) == "unicode"
    assert chosen(*text) == "unicode"  # in pieces of one character


@pytest.mark.parametrize("text", TEXTS_THAT_DO_NOT.values(), ids=list(TEXTS_THAT_DO_NOT))
def test_a_text_that_nltk_can_cut_is_cut_by_nltk(text, sample_text):
    assert chosen(text) == "nltk"
    assert chosen(sample_text.read_text(), text) == "nltk"


def test_without_a_choice_english_is_cut_as_it_was(sample_text):
    text = sample_text.read_text()
    tokenizer = build()
    tokenizer.train([text])
    assert tokenizer.tokenize(text) == build("nltk").tokenize(text)
    assert "n't" in tokenizer.tokenize(text)


LETTERS = st.text(
    st.sampled_from("ab' .,\n¿¡،。，中文かタカ\u0e01\u0e33\u0301\u200d\u00ad\U0001f469\U0001f1e9\u05d0\"\u3000")
)
LONG = st.lists(st.sampled_from(["中" * 199, "中" * 200, "文x" * 130, "。", " ", "\n", "\u0301"])).map("".join)
TEXTS = st.text() | LETTERS | LONG


@settings(deadline=None, database=None, max_examples=300)
@given(blocks=st.lists(TEXTS), size=st.integers(1, 9))
@example(blocks=["中" * 201 + "\u0301 \u0301"], size=7)
def test_unicode_boundaries_lose_nothing_and_cut_blocks_as_the_whole(blocks, size):
    tokenizer = build("unicode")
    text = "".join(blocks)
    whole = tokenizer.tokenize(text)
    assert tokenizer.detokenize(whole) == text
    assert all(whole)
    small = [text[start : start + size] for start in range(0, len(text), size)]
    for parts in (blocks, small):
        assert [token for tokens in tokenize_blocks(parts, tokenizer) for token in tokens] == whole


def test_the_option_passes_every_check_of_a_tokenizer():
    outcomes = list(check_plugin("tokenizer", "word", {"boundaries": "unicode"}))
    assert [str(outcome) for outcome in outcomes if not outcome.passed] == []
    assert len(outcomes) > 5


def test_the_training_part_alone_decides(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("It isn't so, they say.\n" * 100 + CHINESE[:300])
    tokenizer = build()
    corpus = read_corpus([text], tokenizer, validation_fraction=0.12)
    assert tokenizer.boundaries == "nltk"
    assert corpus.validation.unknown_tokens > 10


def train(text, out, **changes):
    return seqlm.train(
        text, out=out, tokenizer="word", quiet=True, **{**SMALL, "schedule": "constant", "epochs": 1, **changes}
    )


@pytest.fixture
def chinese(tmp_path):
    path = tmp_path / "poems.txt"
    path.write_text(CHINESE)
    return path


def test_a_run_keeps_what_was_chosen_and_goes_on_with_it(chinese, short_text, tmp_path):
    run = train(chinese, tmp_path / "run")
    assert json.loads((run.path / "tokenizer.json").read_text())["state"] == {"boundaries": "unicode"}
    assert run.settings.tokenizer_options == {"boundaries": "auto"}
    assert {"月", "。", "\n"} < set(run.vocabulary.tokens)
    assert max(map(len, run.vocabulary.tokens[1:])) == 1
    (evaluation,) = run.evaluate(chinese)
    assert (evaluation.tokens, evaluation.unknown_tokens) == (len(CHINESE) - 1, 0)
    assert "".join(run.stream("月", length=30, seed=1)) == run.sample("月", length=30, seed=1)[1:]
    whole = train(chinese, tmp_path / "whole", epochs=2)
    resumed = seqlm.resume(run.path, quiet=True, epochs=2)
    for name, array in whole.weights.items():
        np.testing.assert_array_equal(array, resumed.weights[name])
    # An English text that such a run goes on with is cut as the run cuts.
    later = train(short_text, tmp_path / "later", init_from=run.path, validation_fraction=0.5)
    assert later.tokenizer.state() == {"boundaries": "unicode"}


def test_the_choice_is_told(chinese, tmp_path, caplog):
    with caplog.at_level("INFO", "seqlm"):
        train(chinese, tmp_path / "run", max_steps=1)
    assert "Unicode's word boundaries, since 92.3 % of the characters" in caplog.text


def as_before_there_was_a_choice(run):
    """Make a run what it was when the tokenizer had neither options nor a state."""
    checkpoints = {path: run.directory.load(path) for path in (run.directory.best, run.directory.last)}
    run.config["settings"]["tokenizer_options"] = {}
    run.directory.write_config({name: value for name, value in run.config.items() if name not in ("format", "digest")})
    before = seqlm.LanguageRun(run.path)
    for path, (arrays, state) in checkpoints.items():
        before.directory.save(path, arrays, state)
    return before


def test_a_run_of_before_reads_as_it_did_and_goes_on(chinese, tmp_path):
    new = train(chinese, tmp_path / "run", tokenizer_options={"boundaries": "nltk"}, min_count=1)
    assert not (new.path / "tokenizer.json").exists()
    (expected,) = new.evaluate(chinese)
    whole = train(chinese, tmp_path / "whole", tokenizer_options={"boundaries": "nltk"}, min_count=1, epochs=2)
    run = as_before_there_was_a_choice(new)
    assert run.evaluate(chinese) == [expected]
    assert max(map(len, run.vocabulary.tokens)) > 5
    seqlm.resume(run.path, quiet=True, epochs=2)
    again = seqlm.LanguageRun(run.path)  # its checkpoints still belong to its configuration
    assert again.settings.epochs == 2
    for name, array in whole.weights.items():
        np.testing.assert_array_equal(array, again.weights[name])
    later = train(chinese, tmp_path / "later", init_from=run.path)
    assert later.tokenizer.state() == {"boundaries": "nltk"}
    assert later.vocabulary.tokens == run.vocabulary.tokens


def test_a_tokenizer_that_needs_what_it_learnt_says_what_is_missing(chinese, tmp_path):
    run = train(chinese, tmp_path / "run")
    (run.path / "tokenizer.json").unlink()
    with pytest.raises(seqlm.RunError, match="belongs to another run"):  # read by NLTK, it is not this model's text
        seqlm.LanguageRun(run.path).sample(length=1)

    class Learner(type(build())):
        def restore(self, state):
            self.cut_by(state["boundaries"])

    with pytest.raises(seqlm.RunError, match=r"tokenizer\.json is missing"):
        run.directory.restore_tokenizer(Learner())


@pytest.mark.parametrize("state", [{"boundaries": "none"}, {"boundaries": 3}])
def test_a_state_that_names_no_boundaries_is_refused(state, chinese, tmp_path):
    run = train(chinese, tmp_path / "run", max_steps=1)
    run.tokenizer.state = lambda: state
    run.directory.write_tokenizer(run.tokenizer)
    with pytest.raises(seqlm.RunError, match="cannot use"):
        _ = seqlm.LanguageRun(run.path).tokenizer

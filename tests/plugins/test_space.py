"""Words between white space: ``space`` counts tokens and perplexity as the papers on Penn Treebank do."""

from __future__ import annotations

import math

import pytest
from conftest import SMALL
from hypothesis import example, given, settings
from hypothesis import strategies as st

import seqlm_core as seqlm
from seqlm_core.plugins.options import make_options
from seqlm_core.reading.corpus import read_corpus
from seqlm_core.reading.tokenizing import tokenize_blocks
from seqlm_plugins.tokenizers import space, word

SPEC = seqlm.installed_plugins().tokenizers.get("space")

# Written like Penn Treebank: a space before each word and before each line end.
TRAINING = " the <unk> rose N % \n in all the index fell N points \n \n the rose fell \n"
VALIDATION = " the rose fell \n the <unk> rose N % \n"
# Counted by hand, line by line, with a line end each.
TRAINING_TOKENS = 6 + 8 + 1 + 4
ENTRIES = len({"the", "<unk>", "rose", "N", "%", "in", "all", "index", "fell", "points", "<eos>"})
VALIDATION_TOKENS = 4 + 6
REPEATED = 120


def tokenizer():
    return SPEC.build(make_options(SPEC, {}))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        (" no it was n't \n", [" no", " it", " was", " n't", " \n"]),
        (" = A title = \n \n", [" =", " A", " title", " =", " \n", " \n"]),
        ("One two.\nThree\n", ["One", " two.", "\n", "Three", "\n"]),
        ("a  b\t c \td", ["a", " ", " b", "\t", " c", " \t", "d"]),
        ("a  \nb \r\n\r\n", ["a", " ", " \n", "b", " \r\n", "\r\n"]),
        ("    x = 1\n", ["   ", " x", " =", " 1", "\n"]),
        ("\n\n\n", ["\n", "\n", "\n"]),
        ("a\u2028b\u00a0c", ["a", "\u2028", "b", "\u00a0", "c"]),
        ("end   ", ["end", "   "]),
    ],
)
def test_words_and_line_ends_take_the_space_before_them(text, tokens):
    assert tokenizer().tokenize(text) == tokens


SPACY = st.text(st.sampled_from("ab.\n\n\r\t   \u00a0\u2028\x85\x1c"))


@settings(deadline=None, database=None, max_examples=500)
@given(text=SPACY | st.text())
@example(text=" \r\r\n")
def test_the_words_are_those_of_split_and_nothing_is_lost(text):
    tokens = tokenizer().tokenize(text)
    assert "".join(tokens) == text
    assert [token.strip() for token in tokens if not token.isspace()] == text.split()
    assert [token for token in tokens if "\n" in token and not token.endswith("\n")] == []
    assert sum("\n" in token for token in tokens) == text.count("\n")


@settings(deadline=None, database=None, max_examples=500)
@given(text=SPACY, size=st.integers(1, 9))
@example(text="a\r\n\r\n  b", size=3)
def test_pieces_have_the_tokens_of_the_whole(text, size):
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    found = [token for tokens in tokenize_blocks(pieces, tokenizer()) for token in tokens]
    assert found == tokenizer().tokenize(text)


def test_lines_without_words_do_not_gather_in_memory():
    assert tokenizer().last_cut("word\n" + "\n" * 1000 + "  ") == 1005


@pytest.fixture
def files(tmp_path):
    training, validation = tmp_path / "train.txt", tmp_path / "valid.txt"
    training.write_text(TRAINING * REPEATED)
    validation.write_text(VALIDATION)
    return training, validation


def test_a_corpus_has_the_entries_and_tokens_that_the_papers_count(files):
    training, validation = files
    corpus = read_corpus([training], tokenizer(), validation_paths=[validation], min_count=SPEC.default_min_count)
    assert len(corpus.training) == REPEATED * TRAINING_TOKENS
    assert len(corpus.validation) == VALIDATION_TOKENS
    assert len(corpus.vocabulary) == 1 + ENTRIES  # seqlm's own <unk> is entry 0
    assert corpus.training.unknown_tokens == corpus.validation.unknown_tokens == 0
    assert corpus.vocabulary.id(" <unk>") != 0
    literature = ["<eos>" if token == " \n" else token[1:] for token in corpus.vocabulary.tokens[1:]]
    assert sorted(literature) == sorted({*TRAINING.split(), "<eos>"})


def test_perplexity_is_that_of_the_papers(files, tmp_path):
    training, validation = files
    settings = {**SMALL, "epochs": 10, "dropout": 0.0}
    run = seqlm.train(training, validation=validation, tokenizer="space", out=tmp_path / "run", quiet=True, **settings)
    # The probabilities that the literature counts: of words and <eos> alone, each after all that is before it.
    words = VALIDATION.replace("\n", "<eos>").split()
    nats = 0.0
    for position in range(1, VALIDATION_TOKENS):
        read = "".join(f" {word}" for word in words[:position]).replace("<eos>", "\n")
        following = {next_.token: next_.log_probability for next_ in run.next_tokens(read)}
        assert math.exp(following.pop("<unk>")) == 0  # seqlm's own takes nothing from the others
        assert len(following) == ENTRIES
        nats -= following[f" {words[position]}".replace("<eos>", "\n")]
    figures = run.evaluate(validation)[0]
    assert figures.tokens == len(words) - 1 == VALIDATION_TOKENS - 1  # the papers do not predict the first word either
    assert figures.perplexity == pytest.approx(math.exp(nats / (VALIDATION_TOKENS - 1)), rel=1e-4)


def test_a_word_that_was_never_seen_is_read_as_the_unk_of_the_text(files, tmp_path):
    training, validation = files
    validation.write_text(VALIDATION * 3)
    unseen = tmp_path / "unseen.txt"
    unseen.write_text(validation.read_text().replace("<unk>", "zebra"))
    settings = {**SMALL, "epochs": 1}
    run = seqlm.train(training, validation=validation, tokenizer="space", out=tmp_path / "run", quiet=True, **settings)
    known, unknown = (run.evaluate(path)[0] for path in (validation, unseen))
    assert unknown.nats_per_token == pytest.approx(known.nats_per_token, rel=1e-5)
    assert (known.unknown_tokens, unknown.unknown_tokens) == (0, 3)


@pytest.mark.parametrize("module", [space, word])
@given(st.text("ab \n\t", max_size=30), st.integers(0, 12))
def test_the_end_of_a_text_says_where_it_may_be_cut_as_the_whole_does(module, text, searched_first):
    found = module.LAST_WORD_END.search(text)
    wanted = found.start() if found else 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SEARCHED_FIRST", searched_first)
        cut = space.SpaceTokenizer().last_cut(text) if module is space else word.WordTokenizer("nltk").last_cut(text)
    assert cut == (max(wanted, text.rfind("\n") + 1) if module is space else wanted)

"""What every installed plugin must keep to, whoever wrote it, and what the built-in ones keep to besides."""

import ast
import importlib
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import nltk
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import seqlm_core
from seqlm_core.plugins.loading import Plugins, installed_plugins
from seqlm_core.plugins.options import describe_options, make_options, option_values
from seqlm_core.reading.tokenizing import tokenize_blocks

PROJECT = Path(__file__).parents[2]
ARGUMENTS = {"cell": 3, "tokenizer": 1, "optimizer": 2}
SPECS = [pytest.param(e.spec, id=e.spec.name) for registry in installed_plugins().registries for e in registry]
TOKENIZERS = [pytest.param(e.spec, id=e.spec.name) for e in installed_plugins().tokenizers]


def declared_entry_points():
    section = re.search(r"\[project\.entry-points\.seqlm\]\n((?:.+\n)+)", (PROJECT / "pyproject.toml").read_text())
    return dict(re.findall(r'^(\S+) = "(\S+)"$', section[1], re.MULTILINE))


def test_the_twelve_built_ins_are_there_and_none_is_broken():
    plugins = installed_plugins()
    built_in = {registry.kind: {e.spec.name for e in registry if e.source.built_in} for registry in plugins.registries}
    assert built_in == {
        "cell": {"rnn", "gru", "lstm", "birnn", "bigru", "bilstm"},
        "tokenizer": {"char", "space", "word"},
        "optimizer": {"sgd", "rmsprop", "adam"},
    }
    assert plugins.broken == []


@pytest.mark.parametrize("spec", SPECS)
def test_a_record_is_valid(spec):
    spec.validate()
    assert spec.summary == spec.summary.strip()
    assert len(spec.summary.splitlines()) == 1


@pytest.mark.parametrize("spec", SPECS)
def test_build_takes_what_the_core_hands_it(spec):
    inspect.signature(spec.build).bind(*range(ARGUMENTS[spec.kind]))


@pytest.mark.parametrize("spec", SPECS)
def test_every_option_has_a_help_text_of_one_line(spec):
    for described in describe_options(spec.options):
        assert described["help"].strip(), described["name"]
        assert "\n" not in described["help"]


@pytest.mark.parametrize("spec", SPECS)
def test_options_survive_being_saved_as_json(spec):
    options = make_options(spec, {})
    assert make_options(spec, json.loads(json.dumps(option_values(options)))) == options


@pytest.mark.parametrize("spec", SPECS)
def test_every_option_can_be_written_on_the_command_line(spec):
    values = option_values(make_options(spec, {}))
    assert option_values(make_options(spec, {name: str(value) for name, value in values.items()})) == values


@pytest.mark.parametrize(("name", "module"), declared_entry_points().items())
def test_a_built_in_module_registers_the_one_name_of_its_entry_point(name, module):
    plugins = Plugins()
    plugins.register(importlib.import_module(module))
    assert [n for registry in plugins.registries for n in registry.names()] == [name]


def test_each_built_in_has_a_module_of_its_own():
    modules = list(declared_entry_points().values())
    assert len(modules) == len(set(modules)) == 12
    files = {".".join(p.relative_to(PROJECT).with_suffix("").parts) for p in PROJECT.glob("seqlm_plugins/*/*.py")}
    assert {file for file in files if not file.endswith("__init__")} == set(modules)


def test_listing_the_plugins_imports_neither_mxnet_nor_nltk(tmp_path):
    program = (
        "import sys; from seqlm_core.plugins.loading import installed_plugins; plugins = installed_plugins();"
        "print(sum(map(len, plugins.registries)), sorted({'mxnet', 'nltk'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == f"{len(SPECS)} []\n"


def names_in(source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize(
    "source", ["import seqlm_plugins.cells", "from seqlm_plugins import cells", "f('seqlm_plugins.cells')"]
)
def test_the_search_for_forbidden_imports_finds_them(source):
    assert any(name.startswith("seqlm_plugins") for name in names_in(source))


def test_the_core_never_imports_the_built_in_plugins():
    files = list(Path(seqlm_core.__file__).parent.rglob("*.py"))
    assert len(files) > 20
    assert [str(f) for f in files if any(n.startswith("seqlm_plugins") for n in names_in(f.read_text()))] == []


def tokenizer_of(spec):
    return spec.build(make_options(spec, {}))


ANY_TEXT = st.text()
SPACY = st.text(st.sampled_from("ab.,\n\r\t \u00a0\u2028\u3000\x1c\x85\u200b"))
WORDS = [
    "don't",
    "cannot",
    "gonna",
    "I'll",
    "it's",
    "'",
    "''",
    '"',
    "``",
    "`",
    "...",
    ".",
    ",",
    "--",
    "$5",
    "(",
    ")",
    "\n",
]
SPEECH = st.lists(st.sampled_from([*WORDS, "\u201cso\u201d", "\u2019s", "[x]", "%"])).map(" ".join)
QUOTES = st.text(st.sampled_from("ab'\"`\u2019\u201c\u201d.,!?$-()[]{}<>&;:# "))
LONG = st.lists(st.sampled_from(["x" * 199, "x" * 200, "y" * 450, "don't", " ", "\n", "."])).map("".join)
TEXTS = ANY_TEXT | SPACY | SPEECH | QUOTES | LONG
unhurried = settings(deadline=None, database=None, max_examples=300)


@pytest.mark.parametrize("spec", TOKENIZERS)
@unhurried
@given(text=TEXTS)
@example(text="")
@example(text="She said, ``don't'' -- \"can't\"...\r\n\r\n  'tis\t so. ")
def test_tokens_joined_are_the_text_and_none_is_empty(spec, text):
    tokenizer = tokenizer_of(spec)
    tokens = tokenizer.tokenize(text)
    assert tokenizer.detokenize(tokens) == text
    assert all(isinstance(token, str) and token for token in tokens)


@pytest.mark.parametrize("spec", TOKENIZERS)
@unhurried
@given(blocks=st.lists(TEXTS))
def test_a_text_read_in_blocks_has_the_tokens_of_the_whole(spec, blocks):
    tokenizer = tokenizer_of(spec)
    in_blocks = [token for tokens in tokenize_blocks(blocks, tokenizer) for token in tokens]
    assert in_blocks == tokenizer.tokenize("".join(blocks))


@pytest.mark.parametrize("spec", TOKENIZERS)
@unhurried
@given(text=TEXTS, size=st.integers(1, 9))
@example(text="y" * 450 + " don't  stop.\r\n\r\n" + "x" * 201 + ". ", size=7)
def test_a_text_read_in_small_blocks_has_the_tokens_of_the_whole(spec, text, size):
    tokenizer = tokenizer_of(spec)
    blocks = [text[start : start + size] for start in range(0, len(text), size)]
    in_blocks = [token for tokens in tokenize_blocks(blocks, tokenizer) for token in tokens]
    assert in_blocks == tokenizer.tokenize(text)


@pytest.mark.parametrize("spec", TOKENIZERS)
def test_a_long_text_can_be_cut_near_its_end(spec):
    text = "A line of words, and another.\n" * 100
    assert len(text) - 30 < tokenizer_of(spec).last_cut(text) <= len(text)


@pytest.mark.parametrize("spec", TOKENIZERS)
def test_what_a_caller_does_to_the_tokens_does_not_change_the_next_ones(spec):
    tokenizer = tokenizer_of(spec)
    first = tokenizer.tokenize("It isn't so.")
    kept = list(first)
    first.clear()
    assert tokenizer.tokenize("It isn't so.") == kept


@pytest.mark.parametrize("text", ["", "a b", "\r\n", "e\u0301", "\U0001f469\u200d\U0001f680"])
def test_char_makes_every_code_point_a_token(text):
    spec = installed_plugins().tokenizers.get("char")
    assert tokenizer_of(spec).tokenize(text) == list(text)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        (" don't", [" do", "n't"]),
        ("I cannot", ["I", " can", "not"]),
        ("the king's men", ["the", " king", "'s", " men"]),
        ("one two", ["one", " two"]),
        ("one  two", ["one", " ", " two"]),
        (" one ", [" one", " "]),
        ("The end. Really.", ["The", " end", ".", " Really", "."]),
        ("Stop.\nGo on, now!", ["Stop", ".", "\n", "Go", " on", ",", " now", "!"]),
        ("a\n\nb\r\n\tc", ["a", "\n\n", "b", "\r\n\t", "c"]),
        ('"Well," he said', ['"', "Well", ",", '"', " he", " said"]),
        ("``Well''", ["``", "Well", "''"]),
        ("caf\u00e9 \u00fcber", ["caf\u00e9", " \u00fcber"]),
        ("Am I? (Yes)", ["Am", " I", "?", " (", "Yes", ")"]),
    ],
)
def test_word_cuts_words_and_punctuation(text, tokens):
    assert tokenizer_of(installed_plugins().tokenizers.get("word")).tokenize(text) == tokens


def test_word_gives_rare_words_to_the_unknown_token_and_char_does_not():
    tokenizers = installed_plugins().tokenizers
    assert tokenizers.get("word").default_min_count == 2
    assert tokenizers.get("char").default_min_count == 1


def test_word_needs_no_data_of_nltk(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError(f"asks for NLTK data: {arguments}")

    for module, function in [(nltk, "download"), (nltk.data, "find"), (nltk.data, "load")]:
        monkeypatch.setattr(module, function, refuse)
    tokens = tokenizer_of(installed_plugins().tokenizers.get("word")).tokenize("Nobody downloads anything, do they?")
    assert tokens == ["Nobody", " downloads", " anything", ",", " do", " they", "?"]


@pytest.mark.parametrize("answer", [ValueError("cannot be placed"), [[]], [[(1, 2)]], [[(0, 1), (2, 3)]]])
def test_word_loses_nothing_whatever_spans_nltk_finds(monkeypatch, answer):
    module = importlib.import_module("seqlm_plugins.tokenizers.word")
    nltk_tokenizer = SimpleNamespace(span_tokenize=Mock(side_effect=answer))
    monkeypatch.setattr(module, "nltk_tokenizer", lambda: nltk_tokenizer)
    tokens = tokenizer_of(installed_plugins().tokenizers.get("word")).tokenize(" odd!")
    assert "".join(tokens) == " odd!"
    assert all(tokens)

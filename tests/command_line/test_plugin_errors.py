"""What a plugin raises while it runs is told as its error, with its name, file and line; --traceback shows all."""

from __future__ import annotations

import re

import pytest

import seqlm_core as seqlm
from seqlm_core.command_line.main import main
from seqlm_core.plugins.foreign import plugin_code

HEAD = "import seqlm_core as seqlm\n\n"
TOKENIZER = """
class Cut:
    def tokenize(self, text):
        return list(text)

    def detokenize(self, tokens):
        return "".join(tokens)

    def last_cut(self, text):
        return len(text)

@seqlm.hookimpl
def seqlm_tokenizers():
    return seqlm.TokenizerSpec("cut", "cuts", lambda options: Cut())
"""
OPTIMIZER = """
def build(learning_rate, options):
    from seqlm_core.engine.mxnet import mx

    class Descent(mx.optimizer.Optimizer):
        def create_state(self, index, weight):
            return None

        def update(self, index, weight, grad, state):
            weight[:] -= learning_rate * grad

    return Descent(learning_rate=learning_rate)

@seqlm.hookimpl
def seqlm_optimizers():
    return seqlm.OptimizerSpec("cut", "cuts", build)
"""
CELL = """
def build(input_size, hidden_size, options):
    from seqlm_core.engine.mxnet import gluon, mx

    class Layer(gluon.HybridBlock):
        def begin_state(self, batch_size, ctx=None, dtype="float32"):
            return []

        def hybrid_forward(self, F, inputs, states):
            return F.tile(inputs.sum(axis=2, keepdims=True), (1, 1, hidden_size)), states

    return Layer()

@seqlm.hookimpl
def seqlm_cells():
    return seqlm.CellSpec("cut", "cuts", build)
"""
OF_KIND = {"tokenizer": TOKENIZER, "optimizer": OPTIMIZER, "cell": CELL}
RAISES = "raise ValueError('not today')"
CASES = {
    "a tokenizer's build": ("tokenizer", "lambda options: Cut()", "lambda options: Cut(1)", "TypeError: "),
    "tokenize": ("tokenizer", "return list(text)", RAISES, "ValueError: not today"),
    "detokenize": ("tokenizer", 'return "".join(tokens)', RAISES, "ValueError: not today"),
    "last_cut": ("tokenizer", "return len(text)", RAISES, "ValueError: not today"),
    "a generator": ("tokenizer", "return list(text)", "yield from text", "tokenize returns a generator, not a list"),
    "no last_cut": ("tokenizer", "def last_cut", "def cut", "has no last_cut; it needs tokenize, detokenize, last_cut"),
    "an optimizer's build": ("optimizer", "    class D", f"    {RAISES}\n    class D", "ValueError: not today"),
    "update": ("optimizer", "weight[:] -= learning_rate * grad", RAISES, "ValueError: not today"),
    "create_state": ("optimizer", "return None", RAISES, "ValueError: not today"),
    "a state that is a dict": ("optimizer", "return None", "return {}", "create_state returns a dict; a state is an"),
    "a cell's build": ("cell", "    return Layer()", f"    {RAISES}", "ValueError: not today"),
    "forward": ("cell", "return F.tile(", f"{RAISES}\n            return F.tile(", "ValueError: not today"),
    "begin_state": ("cell", "return []", RAISES, "ValueError: not today"),
}


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as exit_:
        main(list(arguments))
    return exit_.value.code, capsys.readouterr().err


@pytest.fixture(autouse=True)
def _forget_plugins():
    seqlm.installed_plugins.cache_clear()
    yield
    seqlm.installed_plugins.cache_clear()


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("The same words, again and again.\n" * 60)
    return str(path)


def trained_with(tmp_path, kind, source, text):
    file = tmp_path / "mine.py"
    file.write_text(HEAD + source)
    options = ["--hidden-size", "8", "--max-steps", "1", "--sequence-length", "10", "--batch-size", "4", "--quiet"]
    return ["train", text, "--plugin", str(file), f"--{kind}", "cut", "--out", str(tmp_path / "run"), *options]


@pytest.mark.parametrize("case", CASES)
def test_an_error_of_a_plugin_has_its_name_file_and_line(case, tmp_path, text, capsys):
    kind, before, after, said = CASES[case]
    source = OF_KIND[kind]
    assert before in source
    code, told = run(capsys, *trained_with(tmp_path, kind, source.replace(before, after, 1), text))
    file = tmp_path / "mine.py"
    assert code == 1, told
    assert len(told.splitlines()) == 1
    assert told.startswith(f"seqlm: error: {kind}:cut of file {file} ")
    assert said in told
    assert f"; try seqlm check {kind}:cut --plugin {file}" in told
    (line,) = re.findall(re.escape(str(file)) + r":(\d+)\)", told)
    wanted = HEAD + source.replace(before, after, 1)
    if said.startswith("ValueError"):
        assert "not today" in wanted.splitlines()[int(line) - 1]


def test_without_an_error_these_plugins_train(tmp_path, text, capsys):
    for kind, source in OF_KIND.items():
        seqlm.installed_plugins.cache_clear()
        (tmp_path / kind).mkdir()
        assert run(capsys, *trained_with(tmp_path / kind, kind, source, text)) == (0, "")


def test_a_step_that_raises_is_told_as_the_plugins(tmp_path, text, capsys):
    source = (
        CELL.replace('"cuts", build)', '"cuts", build, step=step)')
        + """
calls = []

def step(weights, inputs, states, options):
    calls.append(1)
    if len(calls) > 3:
        raise RuntimeError("no more")
    import numpy as np
    return np.tile(inputs.sum(axis=1, keepdims=True), (1, 8)), ()
"""
    )
    code, told = run(capsys, *trained_with(tmp_path, "cell", source, text))
    assert code == 0
    file = tmp_path / "mine.py"
    assert f"no text could be sampled: cell:cut of file {file} fails: RuntimeError: no more ({file}:" in told


def test_a_tokenizer_that_loses_text_is_told_with_an_example_and_the_mend(tmp_path, text, capsys):
    source = TOKENIZER.replace("return list(text)", "return text.split()")
    code, told = run(capsys, *trained_with(tmp_path, "tokenizer", source, text))
    assert code == 1, told
    assert f"tokenizer:cut of file {tmp_path / 'mine.py'} loses text: " in told
    assert "loses text: 'The same word' is 'Thesamewords,' after tokenize and detokenize" in told
    assert "keep everything in the tokens, white space and capitals too" in told


def test_the_traceback_is_shown_for_every_error_of_ours_when_it_is_asked_for(tmp_path, text, capsys):
    source = TOKENIZER.replace("return list(text)", RAISES)
    arguments = trained_with(tmp_path, "tokenizer", source, text)
    _, told = run(capsys, "--traceback", *arguments)
    assert "Traceback (most recent call last)" in told
    assert f'File "{tmp_path / "mine.py"}", line ' in told
    assert told.splitlines()[-1].startswith("seqlm: error: tokenizer:cut of file ")
    for missing in (["sample", str(tmp_path / "nothing")], ["train", text, "--hidden-size", "0"]):
        assert "Traceback" in run(capsys, "--traceback", *missing)[1]
        assert "Traceback" not in run(capsys, *missing)[1]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError(), seqlm.TextError("ours"), SystemExit(3)])
def test_what_is_no_error_of_the_plugin_passes_through(error):
    spec = seqlm.TokenizerSpec("cut", "cuts", list)
    with pytest.raises(type(error)) as raised, plugin_code(spec):
        raise error
    assert raised.value is error

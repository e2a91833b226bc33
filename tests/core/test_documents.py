"""Documents: what is before a document has no influence on it, in training, figures and text."""

from __future__ import annotations

import math

import numpy as np
import pytest
from conftest import SMALL
from safetensors.numpy import load_file

import seqlm_core as seqlm
from seqlm_core.engine.mxnet import autograd
from seqlm_core.model.initialization import unique_parameters
from seqlm_core.native.training import MXNET, available_backends, chosen_backend
from seqlm_core.plugins.components import Components
from seqlm_core.reading.corpus import read_corpus
from seqlm_core.runs.training_files import open_training_files
from seqlm_core.sessions.job import language_job
from seqlm_core.sessions.user_code import split_user_code

SETTINGS = {**SMALL, "dropout": 0.0, "quiet": True, "epochs": 1}
LINES = "".join(f"{word} {number}\n" for number in range(120) for word in ("one", "a longer line", "", "x"))


def tokenizer(name="char"):
    spec = seqlm.installed_plugins().tokenizers.get(name)
    return spec.build(spec.options())


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    path = tmp_path_factory.mktemp("lines") / "lines.txt"
    path.write_text(LINES)
    return path


@pytest.fixture(scope="module")
def run_of(lines, tmp_path_factory):
    runs = {}

    def train(cell, documents="line"):
        if (cell, documents) not in runs:
            out = tmp_path_factory.mktemp("run") / "run"
            runs[cell, documents] = seqlm.train(lines, out=out, cell=cell, documents=documents, layers=2, **SETTINGS)
        return runs[cell, documents]

    return train


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files with lines that end in different tokens of `word`, and one without a line end."""
    folder = tmp_path_factory.mktemp("files")
    for name, text in (("a", "one 1\n  \n"), ("b", "a longer line 2"), ("c", LINES[:200])):
        (folder / f"{name}.txt").write_text(text)
    return folder


@pytest.mark.parametrize("documents", ["none", "file", "line"])
@pytest.mark.parametrize("tokenizer_name", ["char", "word"])
@pytest.mark.parametrize("rules", [{}, {"cache": 40}])
def test_scores_of_a_folder_are_its_figures(documents, tokenizer_name, rules, lines, folder, tmp_path):
    settings = {**SETTINGS, "documents": documents, "tokenizer": tokenizer_name, "max_steps": 20}
    run = seqlm.train(lines, out=tmp_path / "run", **settings)
    figures = run.evaluate(folder, **rules)[0]
    scored = [token.bits for token in run.score(folder, per="token", **rules) if token.bits is not None]
    assert len(scored) == figures.tokens
    # Without rules, a text is evaluated in pieces, of which some tokens before each are read, and not all.
    close = 1e-5 if rules else 1e-3
    assert sum(scored) * math.log(2) / figures.tokens == pytest.approx(figures.nats_per_token, rel=close)


@pytest.mark.parametrize("name", ["char", "word", "space"])
def test_each_line_is_cut_alone_and_its_last_token_ends_it(name, tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("one two\n\n  three \nfour")
    cut = tokenizer(name)
    text = read_corpus([path], cut, documents="line").training
    each = [cut.tokenize(line) for line in ("one two\n", "\n", "  three \n", "four\n")]
    assert len(text) == 1 + sum(map(len, each))
    assert np.flatnonzero(text.ends).tolist() == [0, *np.cumsum([len(tokens) for tokens in each]).tolist()]
    assert text.characters == len("one two\n\n  three \nfour\n")


def test_each_file_ends_and_the_lines_in_it_do_not(tmp_path):
    paths = [tmp_path / name for name in "ab"]
    for path, content in zip(paths, ["one\ntwo", "three\n"]):
        path.write_text(content)
    text = read_corpus(paths, tokenizer(), documents="file").training
    assert np.flatnonzero(text.ends).tolist() == [0, len("one\ntwo\n"), len("one\ntwo\nthree\n")]


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_the_validation_part_begins_with_a_document(share, lines, tmp_path):
    corpus = read_corpus([lines], tokenizer(), validation_fraction=share, documents="line")
    validation = "".join(corpus.vocabulary.tokens[i] for i in corpus.validation.ids[1:])
    assert LINES.endswith("\n" + validation)
    files = [tmp_path / str(number) for number in range(10)]
    for number, path in enumerate(files):
        path.write_text(f"file {number} has some text\n" * 3)
    corpus = read_corpus(files, tokenizer(), validation_fraction=share, documents="file")
    assert corpus.validation.ends.sum() == 1 + 10 * share
    assert corpus.training.ends.sum() == 1 + 10 - 10 * share


@pytest.mark.parametrize("cell", ["gru", "lstm", "bilstm"])
def test_figures_of_a_text_are_those_of_its_documents_one_at_a_time(cell, run_of, tmp_path):
    run = run_of(cell)
    documents = ["one 3\n", "a longer line 99\n", "\n", "x 7\n"] * 4
    whole = tmp_path / "whole.txt"
    whole.write_text("".join(documents))
    files = []
    for number, document in enumerate(documents):
        files.append(tmp_path / f"{number}.txt")
        files[-1].write_text(document)
    (together,) = run.evaluate(whole)
    alone = run.evaluate(*files)
    assert together.tokens == sum(one.tokens for one in alone) == len("".join(documents))
    for name in ("nats_per_token", *(["both_sides_nats_per_token"] if cell == "bilstm" else [])):
        expected = sum(getattr(one, name) * one.tokens for one in alone) / together.tokens
        assert getattr(together, name) == pytest.approx(expected, rel=1e-5)
    scored = list(run.score(whole))
    assert sum(line.bits for line in scored) * math.log(2) == pytest.approx(
        together.nats_per_token * together.tokens, rel=1e-5
    )
    assert [line.bits for line in scored[:4]] == pytest.approx([line.bits for line in scored[4:8]])


@pytest.mark.parametrize("rules", [{"cache": 10, "cache_weight": 1e-9}, {"adapt": True, "adapt_learning_rate": 1e-9}])
def test_reading_rules_reset_the_states_too(rules, run_of, lines):
    run = run_of("lstm")
    (ruled,), (plain,) = run.evaluate(lines, **rules), run.evaluate(lines)
    assert ruled.nats_per_token == pytest.approx(plain.nats_per_token, rel=1e-4)
    scored = sum(line.bits for line in run.score(lines, **rules))
    assert scored * math.log(2) / ruled.tokens == pytest.approx(ruled.nats_per_token, rel=1e-5)


def job_of(lines, cell, **settings):
    wanted = seqlm.LanguageSettings(cell=cell, documents="line", reset_probability=0.0, **settings)
    components = Components.choose(wanted, seqlm.installed_plugins())
    with open_training_files(lines) as files:
        user_code, _ = split_user_code([], {})
        return language_job(files, components, components.resolve(wanted), user_code).task


@pytest.mark.parametrize("backend", [MXNET, available_backends()[-1]])
@pytest.mark.parametrize("cell", ["gru", "bilstm"])
def test_losses_and_gradients_of_a_document_do_not_depend_on_others(cell, backend, lines):
    settings = {"hidden_size": 8, "sequence_length": 30, "batch_size": 3, "dropout": 0.0, "hide_right_context": 0.0}
    with chosen_backend(backend):
        task = job_of(lines, cell, **settings)
        ids, ends = (
            next(task.plan.read(array, 1, 0)) for array in (task.corpus.training.ids, task.corpus.training.ends)
        )
        first, last = np.flatnonzero(ends[:-1, 0])[:2]
        other = np.random.default_rng(1).integers(1, len(task.corpus.vocabulary), ids.shape).astype(np.int32)
        other[first : last + 1, 0] = ids[first : last + 1, 0]
        found = []
        for tokens in (ids, other):
            with autograd.record():
                losses = task.loss(task.windows.make(tokens, ends, 0, begins_epoch=True))
                of_document = losses.slice_axis(axis=1, begin=0, end=1).slice_axis(
                    axis=0, begin=int(first), end=int(last)
                )
            of_document.backward()
            gradients = {n: p.grad().asnumpy().copy() for n, p in unique_parameters(task.network).items()}
            found.append((losses.asnumpy(), of_document.asnumpy(), gradients))
    (all_losses, losses, gradients), (other_losses, same_losses, same_gradients) = found
    assert abs(all_losses - other_losses)[last + 1 :, 0].max() > 1e-3
    np.testing.assert_allclose(losses, same_losses, rtol=1e-5)
    assert abs(gradients["head.weight"]).max() > 1e-3
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, same_gradients[name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_a_training_goes_on_exactly_across_boundaries(lines, tmp_path):
    settings = {**SETTINGS, "documents": "line", "schedule": "constant", "checkpoint_every": "7"}
    whole = seqlm.train(lines, out=tmp_path / "whole", max_steps=20, **settings)
    part = seqlm.train(lines, out=tmp_path / "part", max_steps=7, **settings)
    resumed = seqlm.resume(part.path, quiet=True, max_steps=20)
    assert resumed.settings.documents == "line"
    last = [load_file(run.path / "last.safetensors") for run in (whole, resumed)]
    np.testing.assert_equal(*[{k: v for k, v in arrays.items() if k.startswith(("model", "task"))} for arrays in last])


@pytest.mark.parametrize("cell", ["lstm", "bilstm"])
def test_text_begins_with_a_document_and_after_a_line_with_another(cell, run_of):
    run = run_of(cell)
    first, after_line = run.next_tokens(), run.next_tokens("x 7\n")
    assert [token.probability for token in first] == pytest.approx([token.probability for token in after_line])
    scored = run.score_text(first[0].token, per="token")
    assert next(scored).bits == pytest.approx(-math.log2(first[0].probability), rel=1e-4)
    texts = run.generate(count=3, length=80, seed=1)
    assert all(text.log_probabilities for text in texts)
    for text in texts:
        scored = [token.bits for token in run.score_text(text.text, per="token")]
        expected = [-value / math.log(2) for value in text.log_probabilities]
        np.testing.assert_allclose(scored, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("cell", ["lstm", "gru", "birnn"])
@pytest.mark.parametrize("count", [1, 3])
def test_native_and_numpy_texts_of_documents_are_the_same(cell, count, run_of, monkeypatch):
    written = []
    for native in ("1", "0"):
        monkeypatch.setenv("SEQLM_NATIVE", native)
        run = seqlm.LanguageRun(run_of(cell).path)
        written.append(run.generate(prompt="one 4\na lo", count=count, length=100, seed=2))
    assert written[0][0].text.count("\n") > 3
    for natively, in_numpy in zip(*written):
        assert natively.tokens == in_numpy.tokens
        np.testing.assert_allclose(natively.log_probabilities, in_numpy.log_probabilities, atol=1e-5)


def test_infilling_does_not_read_other_lines(run_of):
    run = run_of("bilstm")
    one, other = (
        run.infill(f"{before}x _\n{after}", seed=1)[0] for before, after in (("", ""), ("one 4\n", "one 5\n"))
    )
    assert one.fillings[0].tokens == other.fillings[0].tokens
    assert one.fillings[0].token_log_probabilities == pytest.approx(other.fillings[0].token_log_probabilities)


def test_a_kind_of_documents_that_there_is_not_is_refused(lines):
    with pytest.raises(seqlm.SettingError, match="documents"):
        seqlm.train(lines, documents="page")

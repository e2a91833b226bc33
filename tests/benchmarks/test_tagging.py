"""The comparison of taggers with published figures: its rows, and what it reads, refuses and prints."""

import re

import pytest
import tagging
from click.testing import CliRunner
from tagging_rows import CORPORA, ROWS, Corpus, Row

import seqlm_core as seqlm

SENTENCES = [
    [("Anna", "N", "B-PER"), ("sleeps", "V", "O")],
    [("the", "D", "O"), ("cat", "N", "O"), ("saw", "V", "O"), ("Bob", "N", "B-PER"), ("Hill", "N", "I-PER")],
]
CONLLU = """# text = Don't go
1-2\tDon't\t_\t_
1\tDo\tdo\tAUX
2\tn't\tnot\tPART
3\tgo\tgo\tVERB
3.1\tthere\tthere\tADV

1\tGo\tgo\tVERB

"""
SMALL = {"hidden_size": 6, "epochs": 1, "batch_size": 4}


def columns(copies):
    return "\n\n".join("\n".join(" ".join(row) for row in rows) for rows in SENTENCES * copies) + "\n"


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Return a function that calls the program on made-up corpora, of which one has no test part."""
    (tmp_path / "train.txt").write_text(columns(20))
    (tmp_path / "train.conllu").write_text(CONLLU * 20)
    (tmp_path / "test.conllu").write_text(CONLLU)
    (tmp_path / "wiki.train.tokens").write_text(" = Title = \n The cat @-@ like dog sat . A cat ate .\n" * 9)
    monkeypatch.chdir(tmp_path)
    corpora = {
        "chunks": Corpus("Made up", "F1 of chunks", "train.txt", "test.txt", (140, 7), (1, 3, 2)),
        "words": Corpus("Made up, too", "accuracy", "train.conllu", "test.conllu", (80, 4), (2, 4, 4)),
    }
    monkeypatch.setattr(tagging, "CORPORA", corpora)
    model = {"tokenizer": "space", "cell": "bigru", "hidden_size": 4, "embedding_size": 3, "max_steps": 2}
    monkeypatch.setattr(tagging, "LANGUAGE_MODEL", model)
    monkeypatch.setitem(ROWS, "made-up-chunks", Row("chunks", SMALL, (("others", 1.5),), True, True))
    monkeypatch.setitem(ROWS, "made-up-words", Row("words", SMALL))
    (argument,) = (parameter for parameter in tagging.main.params if parameter.name == "name")
    monkeypatch.setattr(argument.type, "choices", tuple(ROWS))

    def call(row, *options):
        return CliRunner().invoke(tagging.main, [row, "--data", str(tmp_path), *options])

    return call


def test_the_settings_of_every_row_can_be_used():
    for row in ROWS.values():
        assert seqlm.SequenceModel("tokens", "labels", **row.settings).settings
        assert row.corpus in CORPORA


def test_a_row_is_trained_with_several_seeds_and_printed_without_the_test_part(command, tmp_path):
    result = command("made-up-chunks", "--seeds", "2")
    assert result.exit_code == 0, result.output
    runs = [seqlm.SequenceRun(f"data/models/tagging/made-up-chunks/seed-{seed}") for seed in (1, 2)]
    assert [run.settings.seed for run in runs] == [1, 2]
    assert runs[0].architecture.columns
    assert runs[0].architecture.vectors == (11,)
    figures = [100 * run.history()[-1]["validation_chunk_f1"] for run in runs]
    printed = dict(re.findall(r"^(\w+) +(.*)$", result.output, re.MULTILINE))
    assert printed["validation"] == f"{tagging.in_words(figures)} F1 of chunks"
    assert printed["published"] == "1.5  others"
    assert printed["test"] == "not looked at; --test does"
    # What is trained is not trained again.
    history = [run.history() for run in runs]
    (tmp_path / "test.txt").write_text(columns(1))
    again = command("made-up-chunks", "--seeds", "2", "--test")
    assert again.exit_code == 0, again.output
    assert [seqlm.SequenceRun(run.path).history() for run in runs] == history
    scores = [100 * run.evaluate(tagging.checked(tagging.CORPORA["chunks"], tmp_path, True, 1)).score for run in runs]
    assert f"test         {tagging.in_words(scores)} F1 of chunks" in again.output


def test_a_training_of_several_taggers_measures_each_and_all_together(command, tmp_path, monkeypatch):
    monkeypatch.setitem(ROWS, "made-up-chunks", Row("chunks", SMALL, (), True, True, together=2))
    (tmp_path / "test.txt").write_text(columns(1))
    result = command("made-up-chunks", "--seeds", "2", "--at-a-time", "2", "--test")
    assert result.exit_code == 0, result.output
    paths = [f"data/models/tagging/made-up-chunks/seed-{seed}" for seed in (1, 2, 3, 4)]
    runs = [seqlm.SequenceRun(path) for path in paths]
    assert [run.settings.seed for run in runs] == [1, 2, 3, 4]
    corpus = tagging.CORPORA["chunks"]
    training, test = (tagging.checked(corpus, tmp_path, True, number) for number in (0, 1))
    each = tagging.in_words([100 * run.evaluate(test).score for run in runs])
    assert f"test         {each} F1 of chunks" in result.output
    for part in (tagging.divided(training)[1], test):
        both = [100 * seqlm.SequenceEnsemble(pair).evaluate(part).score for pair in (paths[:2], paths[2:])]
        assert f"together     {tagging.in_words(both)} F1 of chunks" in result.output


def test_the_last_tenth_of_the_sentences_is_for_validation():
    assert tagging.divided(list(range(25))) == (list(range(23)), [23, 24])


def test_the_language_model_reads_no_validation_sentence_and_the_sentences_of_wikitext(command, tmp_path):
    command("made-up-chunks", "--seeds", "1")
    lines = (tmp_path / "data/models/tagging/training.txt").read_text().splitlines()
    assert set(lines) == {" A cat ate . ", " Anna sleeps ", " The cat-like dog sat . ", " the cat saw Bob Hill "}
    assert lines.count(" Anna sleeps ") == 18
    assert lines.count(" A cat ate . ") == 9


def test_words_of_universal_dependencies_are_those_that_are_written(command, tmp_path):
    examples = tagging.conllu_examples(tmp_path / "test.conllu", 2, 4)
    assert examples == [(["Do", "n't", "go"], ["AUX", "PART", "VERB"]), (["Go"], ["VERB"])]
    result = command("made-up-words", "--seeds", "1", "--test")
    assert result.exit_code == 0, result.output
    assert "majority     100.00, test" in result.output


def test_the_majority_is_that_of_a_token_and_of_all_where_it_is_new():
    training = [(["a", "a", "a", "b", "b"], ["X", "Y", "Y", "X", "X"])]
    assert tagging.majority(training, [(["a", "b", "c", "c"], ["Y", "X", "X", "Z"])]) == 75


def test_other_editions_and_missing_files_are_told(command, tmp_path):
    (tmp_path / "train.txt").write_text(columns(19))
    assert "train.txt has 133 tokens, not 140: it is another edition" in command("made-up-chunks").output
    (tmp_path / "train.txt").unlink()
    assert "train.txt is missing; this row needs train.txt and test.txt in --data" in command("made-up-chunks").output
    assert command("made-up-chunks", "--peer").exit_code == 2

"""``seqlm tag train``, ``apply`` and ``evaluate`` as a user types them."""

from __future__ import annotations

import dataclasses
import json
import re
import resource
import signal
import subprocess
import sys

import pytest
from tagger_commands import TINY, as_text, done, give_standard_input, run_cli, toy_sequences, write

import seqlm_core as seqlm
from seqlm_core.command_line import tag_apply
from seqlm_core.training.tasks.sequences import SequenceLearning

COMMAND = [sys.executable, "-m", "seqlm_core.command_line.main"]
LEARNS = [
    "--hidden-size", "16", "--batch-size", "8", "--epochs", "8", "--learning-rate", "0.03", "--warmup", "0",
    "--dropout", "0.1", "--quiet",
]  # fmt: skip
TRAINING, NEW = toy_sequences(80), toy_sequences(25, seed=2)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Where ``train.tsv``, ``new.tsv`` and ``new.txt``, without labels, are."""
    folder = tmp_path_factory.mktemp("columns")
    write(folder / "train.tsv", as_text(TRAINING))
    write(folder / "new.tsv", as_text(NEW))
    write(folder / "new.txt", as_text(NEW, columns=[0]))
    return folder


@pytest.fixture(scope="module")
def tagger(files):
    """A run that tags well."""
    examples = seqlm.read_columns(files / "train.tsv")
    settings = {"hidden_size": 16, "batch_size": 8, "epochs": 8, "learning_rate": 0.03, "warmup": 0}
    return seqlm.SequenceModel(**settings).train(examples, out=files / "tagger", quiet=True)


def tokens_of(sequences):
    return [[row[0] for row in rows] for rows in sequences]


def examples_of(path, **columns):
    return [(list(tokens), list(labels)) for tokens, labels in seqlm.read_columns(path, **columns)]


# train


@pytest.mark.parametrize("char_cell", [[], ["--char-cell", "bigru", "--char-hidden-size", "8"]], ids=["", "characters"])
@pytest.mark.parametrize("cell", seqlm.installed_plugins().cells.names())
def test_every_cell_learns_to_tag(cell, char_cell, capsys, tmp_path, files):
    out = tmp_path / "a run"
    printed, told = done(capsys, "tag", "train", files / "train.tsv", *LEARNS, "--cell", cell, *char_cell, "--out", out)
    assert told == ""
    assert re.search(r"best epoch   \d of 8\n", printed)
    assert re.search(r"validation   \d\.\d{4} nats per label, [01]\.\d{4} accuracy, [01]\.\d{4} chunk f1\n", printed)
    assert printed.endswith(f"apply it     seqlm tag apply '{out}' FILE\n")
    run = seqlm.SequenceRun(out)
    assert run.settings.char_cell == (char_cell[1] if char_cell else None)
    assert run.evaluate(seqlm.read_columns(files / "new.tsv")).accuracy > 0.8


@pytest.mark.parametrize(
    ("layout", "options"),
    [
        ({"columns": [0, 1, 2]}, []),
        ({"columns": [1, 0, 2], "separator": "  "}, ["--token-column", "2", "--label-column", "3"]),
        ({"columns": [2, 1, 0], "line_end": "\r\n"}, ["--token-column", "-1", "--label-column", "1"]),
        ({"columns": [1, 0, 2, 1], "separator": " ", "line_end": "\r\n"}, ["--token-column=2", "--label-column=-2"]),
    ],
)
def test_columns_are_found_in_any_layout(layout, options, capsys, tmp_path):
    path = write(tmp_path / "file", as_text(TRAINING, **layout))
    done(capsys, "tag", "train", path, *TINY, *options, "--out", tmp_path / "run", "--validation-fraction", "0")
    kept = (tmp_path / "run" / "training-examples.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in kept] == [[[r[0] for r in rows], [r[2] for r in rows]] for rows in TRAINING]


def test_several_files_and_one_to_validate_on_may_differ_in_their_layout(capsys, tmp_path, files):
    spaced = write(tmp_path / "spaced", as_text(NEW, separator=" ", columns=[0, 1, 2]))
    out = tmp_path / "run"
    done(capsys, "tag", "train", files / "train.tsv", spaced, *TINY, "--validation", files / "new.tsv", "--out", out)
    config = seqlm.SequenceRun(out).config
    assert (config["training_sequences"], config["validation_sequences"]) == (105, 25)


def test_another_encoding_is_read_and_kept(capsys, tmp_path):
    path = write(tmp_path / "file", "Grüße\tA\nan\tB\n", "latin-1")
    done(capsys, "tag", "train", path, *TINY, "--encoding", "latin-1", "--out", tmp_path / "run")
    assert "Grüße" in seqlm.SequenceRun(tmp_path / "run").codecs.inputs.vocabulary


def test_standard_input_is_kept_and_the_run_resumes(capsys, tmp_path, monkeypatch):
    give_standard_input(monkeypatch, as_text(TRAINING))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    printed, _ = done(capsys, "tag", "train", "-", *TINY, "--schedule", "constant")
    assert not list((tmp_path / "temporary").iterdir())
    assert "data/models/standard-input-bilstm-1" in printed
    run = tmp_path / "data/models/standard-input-bilstm-1"
    _, told = done(capsys, "tag", "train", "--resume", run, "--max-steps", "6")
    assert "step 6/6" in told


def test_runs_are_numbered_and_named_for_the_first_file(capsys, tmp_path, monkeypatch, files):
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        given = ["tag", "train", files / "train.tsv", files / "new.tsv", *TINY, "--cell", "gru"]
        assert f"data/models/train-gru-{number}" in done(capsys, *given)[0]


def test_progress_is_told_unless_quiet(capsys, tmp_path, files):
    given = ["tag", "train", files / "train.tsv", *TINY[:-1], "--out", tmp_path / "run"]
    _, told = done(capsys, *given)
    assert re.search(r"72 sequences to train on, 8 to validate on, \d+ tokens in the vocabulary, 4 labels\n", told)
    assert re.search(
        r"epoch \d+/\d+, step 4/4: loss \d\.\d+, validation \d\.\d+ nats per label, [\d,]+ tokens/s, 0:00 left", told
    )


def test_overwrite_replaces_a_run_and_needs_its_name(capsys, tmp_path, files):
    given = ["tag", "train", files / "train.tsv", *TINY]
    for seed in (1, 2):
        done(capsys, *given, "--out", tmp_path / "run", "--overwrite", "--seed", seed)
    assert seqlm.SequenceRun(tmp_path / "run").settings.seed == 2
    code, _, err = run_cli(capsys, *given, "--overwrite")
    assert (code, "--overwrite needs --out" in err) == (2, True)


def interrupt_at(monkeypatch, step):
    original = SequenceLearning.loss

    def loss(task, batch):
        if batch.step == step:
            signal.raise_signal(signal.SIGINT)
        return original(task, batch)

    monkeypatch.setattr(SequenceLearning, "loss", loss)


@pytest.mark.parametrize("given", [["--char-cell", "lstm"], ["--cell", "gru", "--layers", "2"]])
def test_an_interrupted_run_goes_on_as_if_nothing_had_been(given, capsys, tmp_path, monkeypatch, files):
    given = ["tag", "train", files / "train.tsv", *TINY, *given, "--max-steps", "15"]
    done(capsys, *given, "--out", tmp_path / "whole")
    out = tmp_path / "a run"
    with monkeypatch.context() as patch:
        interrupt_at(patch, 11)
        code, printed, told = run_cli(capsys, *given, "--out", out)
    assert (code, printed) == (130, "")
    assert told == f"seqlm: interrupted at step 12 and saved; go on with: seqlm tag train --resume '{out}'\n"
    done(capsys, "tag", "train", "--resume", out, "--quiet")
    whole, resumed = seqlm.SequenceRun(tmp_path / "whole"), seqlm.SequenceRun(out)
    assert {name: array.tobytes() for name, array in whole.weights.items()} == {
        name: array.tobytes() for name, array in resumed.weights.items()
    }
    assert "the run is finished: 15 steps are done" in done(capsys, "tag", "train", "--resume", out)[1]


def test_a_run_begins_with_labels_vocabulary_and_sizes_of_another(capsys, tmp_path, tagger):
    other = write(tmp_path / "other.tsv", "Ada\tB-PER\nEvason\tI-PER\nzebra\tX\n\nin\tO\nRome\tB-LOC\n")
    given = ["tag", "train", other, "--quiet", "--init-from", tagger.path, "--max-steps", "1", "--out"]
    done(capsys, *given, tmp_path / "run", "--learning-rate", "1e-12", "--hidden-size", "16")
    run = seqlm.SequenceRun(tmp_path / "run")
    assert run.codecs.to_json() == tagger.codecs.to_json()
    assert run.settings.hidden_size == 16
    assert run.predict(tokens_of(NEW)) == tagger.predict(tokens_of(NEW))


# apply


@pytest.mark.parametrize(
    ("layout", "column"),
    [
        ({}, 1),
        ({"columns": [0]}, 1),
        ({"columns": [0], "line_end": "\r\n"}, 1),
        ({"separator": " ", "columns": [1, 2, 0]}, 3),
        ({"separator": "   ", "line_end": "\r\n"}, -2),
        ({"columns": [1, 0]}, -1),
    ],
)
def test_what_apply_prints_is_the_file_with_a_column_of_labels(layout, column, capsys, tmp_path, monkeypatch, tagger):
    monkeypatch.setattr(tag_apply, "SEQUENCES_AT_A_TIME", 7)
    path = write(tmp_path / "file", as_text(NEW, **layout))
    printed, told = done(capsys, "tag", "apply", tagger.path, path, "--token-column", column)
    assert told == ""
    separator = layout.get("separator", "\t")[0]
    lines = path.read_bytes().decode().replace("\r", "").removesuffix("\n").split("\n")
    assert [line.rpartition(separator)[0] for line in printed.removesuffix("\n").split("\n")] == lines
    labelled = write(tmp_path / "labelled", printed)
    column = column - 1 if column < 0 else column
    expected = list(zip(tokens_of(NEW), tagger.predict(tokens_of(NEW))))
    assert examples_of(labelled, token_column=column) == expected


@pytest.mark.parametrize("text", ["  Ada \n the\n\n \t \n\nRome", "\ufeffAda\r\nthe\r\n\r\n\r\nRome\r\n"])
def test_spaces_around_a_lone_token_and_further_blank_lines_do_not_come_back(text, capsys, tmp_path, tagger):
    printed, _ = done(capsys, "tag", "apply", tagger.path, write(tmp_path / "file", text))
    assert examples_of(write(tmp_path / "labelled", printed)) == list(
        zip([["Ada", "the"], ["Rome"]], tagger.predict([["Ada", "the"], ["Rome"]]))
    )


def test_apply_reads_standard_input_and_several_files(capsys, monkeypatch, files, tagger):
    one, _ = done(capsys, "tag", "apply", tagger.path, files / "new.txt")
    give_standard_input(monkeypatch, as_text(NEW, columns=[0]))
    assert done(capsys, "tag", "apply", tagger.path, "-", files / "new.txt")[0] == one + "\n" + one


def test_apply_prints_before_it_has_read_all(capsys, tmp_path, monkeypatch, tagger):
    monkeypatch.setattr(tag_apply, "SEQUENCES_AT_A_TIME", 2)
    path = write(tmp_path / "file", "Ada x\n\nin x\n\nRome\n")
    code, printed, err = run_cli(capsys, "tag", "apply", tagger.path, path)
    assert (code, printed.count("\n")) == (1, 3)
    assert f"{path}, line 5 has 1 column" in err


def test_a_reader_who_had_enough_is_no_error(files, tagger):
    command = [*COMMAND, "tag", "apply", str(tagger.path), str(files / "new.txt")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1  # as click has it


# evaluate


def chunks_of(labels):
    """Return the chunks ``(first, last, type)`` of BIO labels in which each chunk begins with ``B``."""
    ends = [i for i, _ in enumerate(labels) if not [*labels, "O"][i + 1].startswith("I")]
    return {(i, next(e for e in ends if e >= i), label[2:]) for i, label in enumerate(labels) if label[0] == "B"}


def test_apply_adds_probabilities_and_the_best_sequences(capsys, files, tagger):
    options = ["--probabilities", "--marginals", "--n-best", "2"]
    out, _ = done(capsys, "tag", "apply", tagger.path, files / "new.tsv", *options)
    blocks = out.split("\n\n")
    assert len(blocks) == len(NEW)
    lines_of_json, _ = done(capsys, "tag", "apply", tagger.path, files / "new.tsv", *options, "--json")
    tokens = tokens_of(NEW)
    shares, best = tagger.probabilities(tokens), [found.best for found in tagger.label(tokens, 2)]
    for number, (block, line) in enumerate(zip(blocks, lines_of_json.splitlines())):
        values = json.loads(line)
        assert values["tokens"] == tokens[number]
        assert values["labels"] == tagger.predict([tokens[number]])[0]
        assert [each["labels"] for each in values["best"]] == [labels for labels, _ in best[number]]
        assert [each["log_probability"] for each in values["best"]] == pytest.approx([p for _, p in best[number]])
        for place, columns in enumerate(block.splitlines()):
            token, truth, first, second, share, *marginals = columns.split("\t")
            assert [token, truth] == [NEW[number][place][0], NEW[number][place][2]]
            assert [first, second] == [labels[place] for labels, _ in best[number]]
            assert float(share) == pytest.approx(shares[number][place, tagger.labels.index(first)], abs=1e-4)
            found = {name: float(value) for name, value in (marginal.rsplit(":", 1) for marginal in marginals)}
            assert sum(found.values()) == pytest.approx(1, abs=0.01)
            assert list(found.values()) == sorted(found.values(), reverse=True)
            assert values["marginals"][place] == pytest.approx(found, abs=1e-3)
            assert values["probabilities"][place] == pytest.approx(float(share), abs=1e-4)


def test_evaluate_agrees_with_what_apply_prints(capsys, tmp_path, monkeypatch, files):
    done(capsys, "tag", "train", files / "train.tsv", *LEARNS, "--epochs", "2", "--out", tmp_path / "run")
    printed, _ = done(capsys, "tag", "apply", tmp_path / "run", files / "new.tsv")
    rows = [line.split("\t")[1:] for line in printed.splitlines() if line]
    values = json.loads(done(capsys, "tag", "evaluate", tmp_path / "run", files / "new.tsv", "--json")[0])
    assert {"accuracy", "nats_per_label", "labels", "chunks", "predictions", "unknown_tokens"} <= set(values)
    assert values["predictions"] == len(rows) == sum(map(len, NEW))
    assert values["accuracy"] == pytest.approx(sum(true == found for true, found in rows) / len(rows))
    assert 0 < values["accuracy"] < 1  # else nothing is compared
    for label, score in values["labels"].items():
        correct = sum(row == [label, label] for row in rows)
        true, found = (sum(row[column] == label for row in rows) for column in (0, 1))
        assert score["support"] == true
        assert score["precision"] == pytest.approx(correct / max(1, found))
        assert score["recall"] == pytest.approx(correct / max(1, true))
    assert values["chunks"]["support"] == sum(len(chunks_of([row[2] for row in rows])) for rows in NEW)
    give_standard_input(monkeypatch, as_text(NEW, separator=" ", columns=[2, 0]))
    options = ["--token-column", "-1", "--label-column", "1", "--json"]
    assert json.loads(done(capsys, "tag", "evaluate", tmp_path / "run", "-", *options)[0]) == values


def test_evaluate_prints_tables_of_labels_and_chunks(capsys, files, tagger):
    values = json.loads(done(capsys, "tag", "evaluate", tagger.path, files / "new.tsv", "--json")[0])
    printed, told = done(capsys, "tag", "evaluate", tagger.path, files / "new.tsv")
    assert told == ""
    assert f"accuracy         {values['accuracy']:.4f} of {values['predictions']} labels\n" in printed
    for name, score in [
        *values["labels"].items(),
        ("all chunks", values["chunks"]),
        *values["chunks"]["types"].items(),
    ]:
        figures = [f"{score[key]:.4f}" for key in ("precision", "recall", "f1")] + [str(score["support"])]
        assert re.search(rf"^{name} +{' +'.join(map(re.escape, figures))}$", printed, re.MULTILINE)


def test_unknown_tokens_and_labels_are_counted_and_warned_of(capsys, tmp_path, tagger):
    path = write(tmp_path / "file", "the O\nzebra X\nyak B-ORG\n")
    printed, told = done(capsys, "tag", "evaluate", tagger.path, path)
    assert told == "seqlm: warning: 2 of 3 labels were not in the training, so the model cannot predict them\n"
    assert "unknown tokens   2\n" in printed
    assert "unknown labels   2, counted as wrong; not in the loss\n" in printed
    assert f"first of them    'X' in {path}, line 2\n" in printed


def test_labels_without_chunks_have_no_table_of_chunks(capsys, tmp_path):
    path = write(tmp_path / "file", "a 1\nb 2\n\na 1\nc 3\n")
    done(capsys, "tag", "train", path, *TINY, "--out", tmp_path / "run")
    printed, _ = done(capsys, "tag", "evaluate", tmp_path / "run", path)
    assert "chunk" not in printed
    assert json.loads(done(capsys, "tag", "evaluate", tmp_path / "run", path, "--json")[0])["chunks"] is None


# The commands themselves


def test_tag_alone_prints_its_help(capsys):
    printed, told = done(capsys, "tag")
    assert (told, printed) == ("", done(capsys, "tag", "--help")[0])
    assert "Commands:\n  apply" in printed


def test_help_loads_no_plugin_and_answers_at_once():
    code = """
import sys
from seqlm_core.command_line.main import main
for command in ["train"], ["apply"], ["evaluate"], []:
    try: main(["tag", *command, "--help"])
    except SystemExit as error: assert not error.code
assert not [m for m in sys.modules if m.split(".")[0] in ("mxnet", "seqlm_plugins", "matplotlib")]
"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ran.returncode == 0, ran.stderr
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.8


def test_every_setting_is_an_option_with_a_help_text(capsys):
    printed, _ = done(capsys, "tag", "train", "--help")
    for field in dataclasses.fields(seqlm.SequenceSettings):
        flag = "--" + field.name.replace("_", "-").replace("-options", "-option")
        assert re.search(rf"^\s+{flag}\b", printed, re.MULTILINE), flag


def test_further_columns_are_read_and_have_to_be_named_again(files, tmp_path, capsys):
    """The labels follow from the second column alone, the token being the same everywhere."""
    rows = [[("w", "AB"[i % 2], "XY"[i % 2]) for i in range(n)] for n in range(1, 30)]
    path = write(tmp_path / "columns.tsv", as_text(rows, columns=(0, 1, 2)))
    out = tmp_path / "run"
    done(capsys, "tag", "train", path, "--column", 2, "--out", out, *LEARNS)
    printed, _ = done(capsys, "tag", "apply", out, path, "--column", "2")
    assert [line.split("\t")[-2:] for line in printed.split("\n") if line] == [
        [label, label] for row in rows for *_, label in row
    ]
    figures = json.loads(done(capsys, "tag", "evaluate", out, path, "--column", "-2", "--json")[0])
    assert figures["accuracy"] == 1
    line = json.loads(done(capsys, "tag", "apply", out, path, "--column", "2", "--json")[0].split("\n")[0])
    assert line["tokens"] == ["w"]
    for command in (("apply", out, path), ("evaluate", out, path), ("apply", out, path, "--column", 2, "--column", 3)):
        code, _, err = run_cli(capsys, "tag", *command)
        given = "2 are" if "--column" in command else "none is"
        assert (code, err) == (
            2, f"seqlm: error: the model reads 1 further column of each token, and {given} given: set --column as in "
            "the training\n",
        )  # fmt: skip


def test_confusions_are_printed_and_drawn(tagger, files, tmp_path, capsys):
    picture = tmp_path / "confusion.png"
    printed, _ = done(
        capsys, "tag", "evaluate", tagger.path, files / "new.tsv", "--confusion", "--confusion-picture", picture
    )
    assert picture.read_bytes().startswith(b"\x89PNG")
    figures = json.loads(done(capsys, "tag", "evaluate", tagger.path, files / "new.tsv", "--json")[0])
    table = [line.split() for line in printed.split("true \\ predicted", 1)[1].split("\n") if line]
    columns = table[0]
    for true, *counts in table[1:]:
        told = {name: int(count) for name, count in zip(columns, counts) if count != "."}
        assert told == figures["confusion"][true]
    assert sum(sum(row.values()) for row in figures["confusion"].values()) == figures["predictions"]
    assert "places where the predicted labels break the scheme of chunks" in printed
    code, _, err = run_cli(
        capsys, "tag", "evaluate", tagger.path, files / "new.tsv", "--confusion-picture", tmp_path / "no" / "c.png"
    )
    assert code == 1
    assert err.endswith("c.png: No such file or directory\n")


def test_vectors_and_a_language_model_are_read(files, tmp_path, capsys):
    words = sorted({row[0] for rows in TRAINING for row in rows})
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("".join(f"{word} {len(word)} {i}\n" for i, word in enumerate(words)))
    text = write(tmp_path / "text.txt", "the cat sat on a mat\n" * 50)
    model, out = tmp_path / "model", tmp_path / "run"
    done(capsys, "train", text, "--cell", "bigru", "--hidden-size", 4, "--max-steps", 2, "--out", model, "--quiet")
    done(
        capsys, "tag", "train", files / "train.tsv", "--vectors", vectors, "--tune-vectors", "--language-model", model,
        "--out", out, *TINY,
    )  # fmt: skip
    assert done(capsys, "tag", "apply", out, files / "new.txt")[0].count("\t") == sum(map(len, NEW))
    code, _, err = run_cli(capsys, "tag", "train", "--resume", out, "--vectors", vectors)
    assert (code, err) == (
        2, "seqlm: error: --resume continues a run with its own data, in its own directory; name no others\n"
    )  # fmt: skip
    code, _, err = run_cli(capsys, "tag", "train", files / "train.tsv", "--tune-vectors")
    assert (code, err) == (2, "seqlm: error: --tune-vectors needs --vectors, and none are given\n")

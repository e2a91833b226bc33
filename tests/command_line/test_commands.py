"""The commands as a user types them."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time

import pytest

import seqlm_core as seqlm
from seqlm_core.command_line.main import main
from seqlm_core.command_line.printed_report import epochs_in_words

TINY = [
    "--hidden-size", "16", "--sequence-length", "20", "--batch-size", "16", "--sample-every", "0", "--max-steps", "60",
    "--log-every", "10", "--learning-rate", "0.01", "--schedule", "constant",
]  # fmt: skip

plugins = seqlm.installed_plugins()


def run_command(capsys, *arguments):
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert exit_.value.code == 0, captured.err
    return captured.out, captured.err


@pytest.mark.parametrize("optimizer", plugins.optimizers.names())
@pytest.mark.parametrize("tokenizer", plugins.tokenizers.names())
@pytest.mark.parametrize("cell", plugins.cells.names())
def test_every_combination_trains_and_its_loss_falls(cell, tokenizer, optimizer, capsys, tmp_path, short_text):
    out = tmp_path / "run"
    options = ["--cell", cell, "--tokenizer", tokenizer, "--optimizer", optimizer, "--out", out, "--quiet"]
    # A model begins with the frequencies of the tokens, so it takes more steps than a few to learn more.
    options += ["--dropout", "0", "--weight-decay", "0", "--activation-penalty", "0"]
    options += ["--epochs", "20", "--max-steps", "80"]
    options += ["--learning-rate", "0.5" if optimizer == "sgd" else "0.03"]
    printed, _ = run_command(capsys, "train", short_text, *TINY, *options)
    run = seqlm.LanguageRun(out)
    losses = [record["training_nats_per_token"] for record in run.history() if record["kind"] == "report"]
    assert losses[-1] < losses[0] - 0.1
    assert f"seqlm sample {out}" in printed
    assert ("both sides" in printed) == cell.startswith("bi")
    assert ("are unknown" in printed) == (tokenizer != "char")


def test_train_reads_the_default_text_and_numbers_its_runs(capsys, tmp_path, monkeypatch, short_text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "input.txt").write_text(short_text.read_text())
    for number in (1, 2):
        printed, _ = run_command(capsys, "train", *TINY, "--max-steps", "3", "--quiet")
        assert f"data/models/input-lstm-{number}" in printed
    assert (tmp_path / "data" / "models" / "input-lstm-2" / "best.safetensors").exists()


def test_without_a_default_text_the_sample_text_of_the_package_is_read(capsys, tmp_path, monkeypatch, sample_text):
    monkeypatch.chdir(tmp_path)
    run_command(capsys, "train", *TINY, "--max-steps", "1", "--quiet", "--out", "run")
    recorded = seqlm.LanguageRun("run").config["texts"]["training"][0]
    assert recorded["bytes"] == sample_text.stat().st_size


def test_train_reports_progress_and_samples_on_standard_error(capsys, tmp_path, short_text):
    printed, told = run_command(
        capsys, "train", short_text, *TINY, "--sample-every", "25", "--out", tmp_path / "run", "--cell", "bigru"
    )
    assert re.search(
        r"^epoch 4/4, step 60/60: loss \d\.\d+, validation \d\.\d+ nats per token, [\d,]+ tokens/s, 0:00 left$",
        told,
        re.MULTILINE,
    )
    assert told.count("--- sample at step") == 2
    assert "bigru with 1 x 16 units" in told
    assert ", 1 thread\n" in told
    assert re.search(r"validation   \d\.\d{4} nats per token, \d\.\d{4} bits per character\n", printed)
    assert re.search(r"both sides   \d\.\d{4} nats per token\n", printed)


def test_quiet_train_prints_results_alone(capsys, tmp_path, short_text):
    printed, told = run_command(capsys, "train", short_text, *TINY, "--out", tmp_path / "run", "--quiet")
    assert told == ""
    assert "best epoch" in printed


def test_several_files_are_one_text(capsys, tmp_path, short_text):
    run_command(capsys, "train", short_text, short_text, *TINY, "--quiet", "--out", tmp_path / "run")
    config = seqlm.LanguageRun(tmp_path / "run").config
    assert config["training_tokens"] + config["validation_tokens"] == 12_000


def test_a_validation_file_is_measured_whole(capsys, tmp_path, short_text):
    options = ["--validation", short_text, "--out", tmp_path / "run", "--quiet"]
    run_command(capsys, "train", short_text, *TINY, *options)
    run = seqlm.LanguageRun(tmp_path / "run")
    assert run.config["training_tokens"] == run.config["validation_tokens"] == 6000


def test_overwrite_replaces_a_run(capsys, tmp_path, short_text):
    for seed in (1, 2):
        options = ["--out", tmp_path / "run", "--overwrite", "--quiet", "--seed", seed]
        run_command(capsys, "train", short_text, *TINY, *options)
    run = seqlm.LanguageRun(tmp_path / "run")
    assert run.settings.seed == 2
    assert [record["step"] for record in run.history() if record["kind"] == "report"] == [10, 20, 30, 40, 50, 60]


def test_resume_of_a_finished_run_says_so(capsys, trained):
    _, told = run_command(capsys, "train", "--resume", trained(cell="gru").path)
    assert "the run is finished: 66 steps are done; --init-from begins another with its weights\n" in told


def test_resume_of_a_finished_run_with_a_constant_schedule_names_the_option_that_goes_on(capsys, trained):
    _, told = run_command(capsys, "train", "--resume", trained(cell="gru", schedule="constant", max_steps=3).path)
    assert "the run is finished: 3 steps are done; a larger --epochs or --max-steps goes on with it\n" in told


@pytest.mark.parametrize(
    ("epochs", "words"), [(20, "20"), (20.0, "20"), (14.5833, "14.6"), (1.25, "1.2"), (0.0312, "0.031"), (0.0, "0")]
)
def test_epochs_are_told_with_the_digits_that_matter(epochs, words):
    assert epochs_in_words(epochs) == words


def test_sample_prints_the_text_alone(capsys, trained):
    run = trained(cell="gru")
    printed, told = run_command(
        capsys, "sample", run.path, "--prompt", "The ", "--length", 30, "--seed", 4, "--temperature", 0.5
    )
    assert printed == run.sample("The ", 30, 0.5, 4) + "\n"
    assert told == ""


def test_evaluate_prints_an_object_for_one_file_and_a_list_for_several(capsys, trained, short_text):
    run = trained(cell="bigru")
    keys = {
        "nats_per_token",
        "bits_per_character",
        "perplexity",
        "tokens",
        "characters",
        "unknown_tokens",
        "unknown_share",
    }
    one = json.loads(run_command(capsys, "evaluate", run.path, short_text, "--json")[0])
    assert set(one) == keys | {"both_sides_nats_per_token"}
    assert (one["tokens"], one["characters"]) == (5999, 5999)
    several = json.loads(run_command(capsys, "evaluate", run.path, short_text, short_text, "--json")[0])
    assert [item["nats_per_token"] for item in several] == pytest.approx([one["nats_per_token"]] * 2)
    table, _ = run_command(capsys, "evaluate", run.path, short_text)
    assert f"nats per token              {one['nats_per_token']:.4f}" in table
    unidirectional = json.loads(run_command(capsys, "evaluate", trained(cell="gru").path, short_text, "--json")[0])
    assert set(unidirectional) == keys


def test_plugin_options_reach_the_run_typed(capsys, tmp_path, short_text):
    options = ["--cell-option", "forget_bias=2", "--optimizer-option", "beta1=0.8", "--optimizer-option", "beta2=0.9"]
    run_command(capsys, "train", short_text, *TINY, *options, "--quiet", "--out", tmp_path / "run")
    settings = seqlm.LanguageRun(tmp_path / "run").settings
    assert settings.cell_options == {"forget_bias": 2.0}
    assert settings.optimizer_options == {"beta1": 0.8, "beta2": 0.9, "epsilon": 1e-8, "weight_decay": 0.0}


def run_process(*arguments, **keywords):
    command = [sys.executable, "-m", "seqlm_core.command_line.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=120, **keywords)


def test_text_from_standard_input_is_kept_in_the_run_and_resumes(tmp_path, short_text, capsys):
    out = tmp_path / "run"
    options = [*TINY, "--max-steps", "5", "--quiet", "--out", out]
    done = run_process("train", "-", *options, input=short_text.read_bytes())
    assert done.returncode == 0, done.stderr
    assert (out / "standard-input.txt").read_bytes() == short_text.read_bytes()
    assert json.loads((out / "config.json").read_text())["texts"]["training"][0]["path"] == "standard-input.txt"
    _, told = run_command(capsys, "train", "--resume", out, "--max-steps", "8")
    assert "step 8/8" in told


@pytest.mark.parametrize("cell", ["lstm", "bigru"])
def test_sampling_built_in_cells_does_not_import_mxnet(cell, trained):
    run = trained(cell=cell)
    code = (
        "import sys; from seqlm_core.command_line.main import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: assert 'mxnet' not in sys.modules and 'matplotlib' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "sample", str(run.path), "--length", "10"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_help_loads_no_plugin_and_answers_at_once():
    code = (
        "import sys; from seqlm_core.command_line.main import main\n"
        "try: main(['--help'])\n"
        "finally: assert not [m for m in sys.modules if m.split('.')[0] in ('mxnet', 'seqlm_plugins', 'matplotlib')]"
    )
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert done.returncode == 0, done.stderr
    assert "train" in done.stdout
    assert min(seconds) < 0.5  # of the processor, so that other tests at the same time do not matter


def test_every_setting_is_an_option_with_a_help_text(capsys):
    import dataclasses

    printed, _ = run_command(capsys, "train", "--help")
    for field in dataclasses.fields(seqlm.LanguageSettings):
        flag = "--" + field.name.replace("_", "-").replace("-options", "-option")
        assert re.search(rf"^\s+{flag}\b", printed, re.MULTILINE), flag


def test_ctrl_c_saves_and_prints_the_line_that_resumes(tmp_path, short_text):
    import signal

    out = tmp_path / "run"
    command = [sys.executable, "-m", "seqlm_core.command_line.main", "train", str(short_text), "--out", str(out)]
    process = subprocess.Popen(
        [*command, "--epochs", "100000", "--hidden-size", "8", "--sample-every", "0"], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (out / "last.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.search(rf"interrupted at step \d+ and saved; go on with: seqlm train --resume {out}\n", told)
    assert "Traceback" not in told

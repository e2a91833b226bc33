"""Trainings with several workers, which are processes of this machine here."""

from __future__ import annotations

import contextlib
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from job_processes import is_running, processes_of
from test_training import assert_same_runs

import seqlm_core as seqlm
from seqlm_core.storage.checkpoint import load_checkpoint
from seqlm_core.workers.local_job import FIRST_PORT, LAST_PORT

JOBS = Path(__file__).resolve().parents[2] / "docs" / "examples" / "jobs"
COMMAND = [sys.executable, "-c", "from seqlm_entry import main; main()"]
TIMEOUT = 120
SMALL = [
    "--hidden-size", "12", "--sequence-length", "10", "--batch-size", "5", "--sample-every", "0", "--log-every", "1",
]  # fmt: skip
EVERYTHING = [
    *SMALL, "--cell", "bigru", "--layers", "2", "--embedding-size", "8", "--embedding-updates", "read",
    "--documents", "line", "--average", "ema", "--input-dropout", "0.1", "--embedding-dropout", "0.1",
    "--layer-dropout", "0.1", "--output-dropout", "0.1", "--recurrent-dropout", "0.2", "--weight-decay", "0.1",
    "--activation-penalty", "1", "--temporal-activation-penalty", "1",
]  # fmt: skip
TAGGER = [
    "--hidden-size", "8", "--batch-size", "5", "--char-cell", "bigru", "--char-hidden-size", "4", "--epochs", "2",
    "--recurrent-dropout", "0.2", "--log-every", "1",
]  # fmt: skip

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")


def seqlm_command(*arguments, **variables):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=TIMEOUT
    )


def train(out, text, *options, workers=2, kind=("train",)):
    with_workers = ["--workers", workers] if workers > 1 else []
    done = seqlm_command(*kind, text, "--out", out, "--quiet", *options, *with_workers)
    assert done.returncode == 0, done.stderr
    return (seqlm.SequenceRun if kind[0] == "tag" else seqlm.LanguageRun)(out)


def go_on(run, *options, workers=2):
    with_workers = ["--workers", workers] if workers > 1 else []
    done = seqlm_command("train", "--resume", run.path, "--quiet", *options, *with_workers)
    assert done.returncode == 0, done.stderr
    return seqlm.LanguageRun(run.path)


def figures(run):
    return [
        [value for name, value in record.items() if isinstance(value, float) and name != "seconds"]
        for record in run.history()
    ]


def assert_alike(one, other):
    """Compare runs to rounding."""
    assert len(figures(one)) == len(figures(other))
    for a, b in zip(figures(one), figures(other)):
        np.testing.assert_allclose(a, b, atol=1e-5, rtol=1e-5)
    for name in ("best", "last"):
        arrays, others = (load_checkpoint(getattr(run.directory, name))[0] for run in (one, other))
        assert arrays.keys() == others.keys()
        for key in arrays:
            np.testing.assert_allclose(arrays[key], others[key], atol=1e-4, rtol=1e-3, err_msg=f"{name} {key}")


@pytest.fixture(scope="session")
def tagged_text(tmp_path_factory):
    random_numbers = random.Random(1)
    labels = {"red": "COLOUR", "blue": "COLOUR", "12": "NUMBER", "7": "NUMBER", "dog": "O", "runs": "O"}
    sentences = [random_numbers.choices([*labels], k=random_numbers.randint(1, 14)) for _ in range(60)]
    path = tmp_path_factory.mktemp("tags") / "tags.tsv"
    path.write_text("\n\n".join("\n".join(f"{word}\t{labels[word]}" for word in words) for words in sentences))
    return path


def test_several_workers_train_the_same_as_one(short_text, tmp_path):
    options = [*EVERYTHING, "--max-steps", 20]
    one = train(tmp_path / "one", short_text, *options, workers=1)
    several = train(tmp_path / "several", short_text, *options, workers=3)
    assert_alike(one, several)
    assert several.config["workers"] == 3
    assert several.sample("The ", length=30, seed=1) == one.sample("The ", length=30, seed=1)


def test_several_workers_train_the_same_tagger_as_one(tagged_text, tmp_path):
    one = train(tmp_path / "one", tagged_text, *TAGGER, workers=1, kind=("tag", "train"))
    assert_alike(one, train(tmp_path / "several", tagged_text, *TAGGER, workers=2, kind=("tag", "train")))


def test_a_run_goes_on_with_as_many_workers_to_the_bit_and_with_others_to_rounding(short_text, tmp_path):
    options = [*EVERYTHING, "--schedule", "constant", "--checkpoint-every", "4"]
    whole = train(tmp_path / "whole", short_text, *options, "--max-steps", 12)
    part = train(tmp_path / "part", short_text, *options, "--max-steps", 8)
    for workers in (1, 2, 3):
        copy = shutil.copytree(part.path, tmp_path / f"by-{workers}")
        resumed = go_on(seqlm.LanguageRun(copy), "--max-steps", 12, workers=workers)
        if workers == 2:
            assert_same_runs(whole, resumed)
        else:
            assert [r["step"] for r in resumed.history() if r["kind"] == "report"] == list(range(1, 13))
            last = [load_checkpoint(run.directory.last)[0] for run in (whole, resumed)]
            for key in last[0]:
                np.testing.assert_allclose(last[1][key], last[0][key], atol=1e-4, rtol=1e-3, err_msg=key)


class Processes:
    """The processes of a job, which were started by a command."""

    def __init__(self, command, **variables):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
        self.parent = subprocess.Popen(
            [*COMMAND, *map(str, command)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.children = {}

    def wait_for_checkpoint(self, run, after=0.0):
        deadline = time.monotonic() + TIMEOUT
        last = Path(run) / "last.safetensors"
        while not (last.exists() and last.stat().st_mtime > after):
            assert time.monotonic() < deadline
            assert self.parent.poll() is None, self.parent.communicate()[1]
            time.sleep(0.1)
        self.children = processes_of(self.parent.pid)
        assert len(self.children) == 4

    def end(self):
        """Return code and errors, when all processes are gone."""
        _, errors = self.parent.communicate(timeout=TIMEOUT)
        deadline = time.monotonic() + 5
        while left := [name for name, pid in self.children.items() if is_running(pid)]:
            assert time.monotonic() < deadline, f"{left} still run"
            time.sleep(0.1)
        return self.parent.returncode, errors


@pytest.fixture
def long_training(short_text, tmp_path):
    options = [
        *SMALL,
        "--quiet",
        "--epochs",
        100_000,
        "--checkpoint-every",
        5,
        "--workers",
        2,
        "--out",
        tmp_path / "run",
    ]
    job = Processes(["train", short_text, *options])
    job.wait_for_checkpoint(tmp_path / "run")
    yield job
    for pid in [job.parent.pid, *job.children.values()]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    job.parent.communicate()


@pytest.mark.parametrize("role", ["worker 1", "server", "scheduler"])
def test_a_killed_process_ends_the_job_with_an_error_that_names_it(role, long_training, tmp_path):
    os.kill(long_training.children[role], signal.SIGKILL)
    code, errors = long_training.end()
    assert code == 1
    assert any(role in line and ("died" in line or "was killed by signal 9" in line) for line in errors.splitlines())
    assert "Traceback" not in errors
    assert seqlm.LanguageRun(tmp_path / "run").last_checkpoint()


def test_no_process_outlives_the_one_that_started_it(long_training):
    long_training.parent.kill()
    assert long_training.end()[0] == -signal.SIGKILL


PARENT_WITH_A_CHILD = """
import subprocess, sys, time
from seqlm_core.workers.lifeline import Lifeline
lifeline = Lifeline()
child = "from seqlm_core.workers.lifeline import follow_lifeline; follow_lifeline(); print('follows', flush=True); "
child += "import time; time.sleep(600)"
process = subprocess.Popen(
    [sys.executable, "-c", child], env=lifeline.environment, pass_fds=(lifeline.reader,), stdout=subprocess.PIPE
)
process.stdout.readline()
print(process.pid, flush=True)
time.sleep(600)
"""


def test_a_lifeline_ends_a_process_with_its_parent_where_the_system_does_not():
    parent = subprocess.Popen([sys.executable, "-c", PARENT_WITH_A_CHILD], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    time.sleep(0.2)
    assert is_running(child)
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 5
    while is_running(child):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_job_is_saved(number, long_training, tmp_path):
    long_training.parent.send_signal(number)
    code, errors = long_training.end()
    assert code == 128 + number
    assert "interrupted at step" in errors
    assert seqlm.LanguageRun(tmp_path / "run").last_checkpoint()


def test_a_job_that_crashes_begins_again_from_its_last_checkpoint(short_text, tmp_path):
    options = [*SMALL, "--checkpoint-every", 20, "--epochs", 6, "--quiet"]
    whole = train(tmp_path / "whole", short_text, *options)
    job = Processes(["train", short_text, *options, "--workers", 2, "--restarts", 1, "--out", tmp_path / "run"])
    job.wait_for_checkpoint(tmp_path / "run")
    os.kill(job.children["worker 1"], signal.SIGKILL)
    code, errors = job.end()
    assert code == 0, errors
    assert "the training begins again from its last checkpoint, and can do so 0 more times" in errors
    assert_same_runs(whole, seqlm.LanguageRun(tmp_path / "run"))


def variables_of(role, port, number=None, workers=2):
    variables = {
        "DMLC_ROLE": role, "DMLC_PS_ROOT_URI": "127.0.0.1", "DMLC_PS_ROOT_PORT": str(port),
        "DMLC_NUM_WORKER": str(workers), "DMLC_NUM_SERVER": "1", "DMLC_INTERFACE": "lo", "DMLC_NODE_HOST": "127.0.0.1",
    }  # fmt: skip
    return variables if number is None else {**variables, "SEQLM_WORKER_NUMBER": str(number)}


def free_port():
    """Return a port that is free, and so is the one after it."""
    for port in random.sample(range(FIRST_PORT, LAST_PORT), 100):
        with contextlib.suppress(OSError), socket.socket() as one, socket.socket() as next_one:
            one.bind(("127.0.0.1", port))
            next_one.bind(("127.0.0.1", port + 1))
            return port
    raise AssertionError("no port is free")


def run_roles(commands):
    """Run commands with their variables at the same time, as a launcher does; return their codes and errors."""
    processes = {
        name: subprocess.Popen(
            [*COMMAND, *map(str, command)], env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for name, (command, variables) in commands.items()
    }  # fmt: skip
    ends = {}
    try:
        for name, process in processes.items():
            _, errors = process.communicate(timeout=TIMEOUT)
            ends[name] = process.returncode, errors
    finally:
        for process in processes.values():
            process.kill()
    return ends


def job_of(port, of_workers, others):
    commands = {role: (others, variables_of(role, port, workers=len(of_workers))) for role in ("scheduler", "server")}
    for number, command in enumerate(of_workers):
        commands[f"worker {number}"] = command, variables_of("worker", port, number, len(of_workers))
    return commands


def test_the_same_command_is_run_in_every_role_by_a_launcher(short_text, tmp_path):
    command = ["train", short_text, *SMALL, "--max-steps", 5, "--kvstore", "dist_sync", "--out", tmp_path / "run"]
    ends = run_roles(job_of(free_port(), [command, command], command))
    assert {code for code, _ in ends.values()} == {0}, ends
    assert_alike(
        train(tmp_path / "one", short_text, *SMALL, "--max-steps", 5, workers=1), seqlm.LanguageRun(tmp_path / "run")
    )


def test_workers_with_different_texts_are_refused_before_the_first_step(short_text, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text(short_text.read_text().swapcase())
    commands = [
        ["train", text, *SMALL, "--max-steps", 5, "--kvstore", "dist_sync", "--out", tmp_path / "run"]
        for text in (short_text, other)
    ]
    ends = run_roles(job_of(free_port(), commands, commands[0]))
    assert {code for code, _ in ends.values()} == {1}, ends
    assert all("the workers differ in texts or examples: worker 0 (" in errors for _, errors in ends.values())
    assert not (tmp_path / "run").exists()


def test_workers_with_different_settings_are_refused(short_text, tmp_path):
    commands = [
        ["train", short_text, *SMALL, "--seed", seed, "--kvstore", "dist_sync", "--out", tmp_path / "run"]
        for seed in (1, 2)
    ]
    ends = run_roles(job_of(free_port(), commands, commands[0]))
    assert {code for code, _ in ends.values()} == {1}, ends
    assert all("the workers differ in settings: worker 0 (" in errors for _, errors in ends.values())


def test_a_worker_that_never_joins_is_told(short_text, tmp_path):
    command = ["train", short_text, *SMALL, "--kvstore", "dist_sync", "--out", tmp_path / "run"]
    commands = job_of(free_port(), [command, command], command)
    del commands["worker 1"]
    ends = run_roles(
        {name: (one, {**variables, "SEQLM_JOIN_TIMEOUT": "4"}) for name, (one, variables) in commands.items()}
    )
    assert {code for code, _ in ends.values()} == {1}, ends
    assert all("1 of 2 workers did not join within 4 s; there are worker 0 (" in errors for _, errors in ends.values())


def test_a_port_in_use_is_told(short_text, tmp_path):
    port = free_port()
    command = ["train", short_text, *SMALL, "--kvstore", "dist_sync", "--out", tmp_path / "run"]
    with socket.create_server(("", port)):
        ends = run_roles({"scheduler": (command, variables_of("scheduler", port))})
    assert ends["scheduler"][0] == 1
    assert f"port {port} of the scheduler cannot be used: Address already in use" in ends["scheduler"][1]


def test_more_workers_than_the_text_has_streams_are_refused(short_text, tmp_path):
    done = seqlm_command("train", short_text, "--batch-size", 2, "--workers", 3, "--out", tmp_path / "run")
    assert done.returncode == 2
    assert "--workers 3 are more than the 2 windows side by side; raise --batch-size" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--workers", "2", "--kvstore", "dist_sync"],
            "--workers starts processes on this machine, and --kvstore joins",
        ),
        (["--restarts", "2"], "--restarts is for trainings with --workers"),
        (["--workers", "0"], "0 is not in the range x>=1"),
        (["--kvstore", "dist_sync"], "DMLC_ROLE is not set"),
        (["--workers", "2", "-"], "several workers cannot read standard input"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message, tmp_path):
    done = seqlm_command("train", *options, "--out", tmp_path / "run")
    assert done.returncode == 2
    assert message in done.stderr


FAKE_SSH = '#!/bin/sh\nshift 2\nexec sh -c "$1"\n'
FAKE_SRUN = """#!/bin/sh
count=$SLURM_JOB_NUM_NODES
while [ "${1#--}" != "$1" ]; do
    case $1 in --nodes=*) count=1 ;; esac
    shift
done
number=1
while [ "$number" -lt "$count" ]; do
    SLURM_PROCID=$number "$@" >/dev/null &
    number=$((number + 1))
done
SLURM_PROCID=0 "$@" || failed=$?
wait
exit ${failed:-0}
"""
LAUNCHERS = {
    "ssh.sh": ({"ssh": FAKE_SSH}, {}, ["127.0.0.1 127.0.0.1"]),
    "slurm.sh": (
        {"srun": FAKE_SRUN, "scontrol": "#!/bin/sh\necho 127.0.0.1\necho 127.0.0.1\n"},
        {"SLURM_JOB_NODELIST": "nodes", "SLURM_JOB_NUM_NODES": "2", "SLURM_CPUS_PER_TASK": "1"},
        [],
    ),
}


@pytest.mark.parametrize("script", LAUNCHERS)
def test_the_documented_launchers_start_a_job(script, short_text, tmp_path):
    programs, variables, arguments = LAUNCHERS[script]
    (tmp_path / "bin").mkdir()
    for name, text in {**programs, "seqlm": f'#!/bin/sh\nexec {shlex.join(COMMAND)} "$@"\n'}.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    text = tmp_path / "a text with 'quotes'.txt"
    text.write_text(short_text.read_text())
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    port = str(free_port())
    environment = {
        **os.environ, **variables, "PATH": path, "OMP_NUM_THREADS": "1", "SCHEDULER_PORT": port,
        "DMLC_INTERFACE": "lo", "DMLC_NODE_HOST": "127.0.0.1",
        "PORT": port,  # Hosts of services set it. A worker that took it would keep the scheduler from it.
    }  # fmt: skip
    command = ["sh", JOBS / script, *arguments, "train", text, *SMALL, "--max-steps", "5", "--out", tmp_path / "run"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 0, done.stderr
    assert seqlm.LanguageRun(tmp_path / "run").config["workers"] == 2

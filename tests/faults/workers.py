"""Kills processes of trainings with several workers, each role in turn, at random moments.

After each kill the job must end within 30 s with an error that names the process, leave no process behind, and go on
to the same weights as an undisturbed one. Jobs are also started many times, since MXNet's parameter server was seen to
fail in some starts.

python tests/faults/workers.py --kills 20 --starts 30
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kill import command, differences

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from job_processes import is_running, processes_of

TEXT = Path(__file__).resolve().parents[2] / "data" / "input.txt"
OPTIONS = ["--hidden-size", "24", "--epochs", "3", "--checkpoint-every", "10", "--sample-every", "0", "--quiet"]
ROLES = ("worker 0", "worker 1", "server", "scheduler")
MOST_SECONDS = 30.0


def training(out: Path) -> list[str]:
    return command("train", str(TEXT), "--out", str(out), *OPTIONS, "--workers", "2")


def run(arguments: list[str]) -> None:
    done = subprocess.run(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def killed(out: Path, role: str, after: float) -> bool:
    """Kill a process of a job after some seconds, check how the job ends, and return whether the kill ended it."""
    shutil.rmtree(out, ignore_errors=True)
    job = subprocess.Popen(training(out), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    time.sleep(after)
    if job.poll() is not None:
        job.communicate()
        return False
    processes = processes_of(job.pid)
    if role not in processes or not is_running(processes[role]):
        job.communicate(timeout=300)
        return False
    os.kill(processes[role], signal.SIGKILL)
    started = time.monotonic()
    _, errors = job.communicate(timeout=120)
    seconds = time.monotonic() - started
    time.sleep(0.5)
    left = [name for name, pid in processes.items() if is_running(pid)]
    assert not left, f"{left} outlived the job"
    if job.returncode == 0:  # it was over before the kill could hinder it
        return False
    assert seconds < MOST_SECONDS, f"the job ended after {seconds:.0f} s"
    assert role in errors, errors
    assert "Traceback" not in errors, errors
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--starts", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if sys.platform != "linux":
        raise SystemExit("processes are found in /proc, which is there on Linux only")
    os.environ["OMP_NUM_THREADS"] = "1"
    choices = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        whole, part = Path(folder) / "whole", Path(folder) / "part"
        started = time.monotonic()
        run(training(whole))
        longest = time.monotonic() - started
        hit = 0
        for number in range(arguments.kills):
            role = ROLES[number % len(ROLES)]
            hit += killed(part, role, choices.uniform(0.5, longest))
            if (part / "last.safetensors").exists():
                run(command("train", "--resume", str(part), "--quiet", "--workers", "2"))
            else:
                shutil.rmtree(part, ignore_errors=True)
                run(training(part))
            assert not differences(whole, part), differences(whole, part)
        print(f"{arguments.kills} jobs, {hit} of them ended by a kill: all went on to the same weights", flush=True)
        for _ in range(arguments.starts):
            shutil.rmtree(part, ignore_errors=True)
            run([*training(part), "--max-steps", "2"])
        print(f"{arguments.starts} starts: all joined", flush=True)


if __name__ == "__main__":
    main()

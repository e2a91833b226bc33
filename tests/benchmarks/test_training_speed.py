"""The benchmark of training speed."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest
from training import peer_python
from training_speed.measuring import Row
from training_speed.model import Model

SCRIPT = Path(__file__).with_name("training.py")
SMALL = ["--cells", "rnn", "--units", "8", "--batch", "2", "--layers", "1", "--threads", "1", "--tables", "grid"]


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, timeout=300)


def test_seqlm_and_mxnets_operator_are_timed_where_no_peer_is_named(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    result = run(*SMALL, "--repetitions", "1", "--seconds", "0.01", "--json", str(figures))
    assert result.returncode == 0, result.stderr
    (row,) = json.loads(figures.read_text())["grid"]
    assert row["model"]["units"] == 8
    assert all(speed > 0 for name in ("seqlm", "MXNet fused") for speed in row["speeds"][name])
    assert "| rnn | 8 | 2 | 1 | 1 |" in result.stdout


def test_the_fastest_peer_counts() -> None:
    speeds = {"seqlm": [90.0, 100.0], "MXNet fused": [80.0, 80.0], "PyTorch": [30.0, 30.0], "JAX": [45.0, 40.0]}
    row = Row(Model("rnn", 8, 2, 1), 1, speeds, {}, 0.0, {}, {}, None)
    assert row.fastest_peer == "JAX"
    assert row.ratio("JAX") == pytest.approx(2.25)


def test_the_python_of_a_peer_is_named() -> None:
    assert peer_python("jax=" + sys.executable) == ("JAX", sys.executable)


@pytest.mark.parametrize("peer", ["numpy=" + sys.executable, "jax", "jax=/no/such/python"])
def test_a_peer_needs_a_known_name_and_a_python(peer: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="one of pytorch, jax, keras and a file"):
        peer_python(peer)

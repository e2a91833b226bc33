"""The layers of the built-in cells by their public names, and cells that name a native formula and have no step."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL

import seqlm_core as seqlm
from seqlm_core.conformance.check import run_checks
from seqlm_core.conformance.kinds import checks_of
from seqlm_core.model import initialization, recurrent_layer
from seqlm_core.plugins.components import Component
from seqlm_core.plugins.loading import installed_plugins

PLUGINS = Path(__file__).resolve().parents[2] / "seqlm_plugins"
SHORT = {**SMALL, "max_steps": 3, "warmup": 0}


def test_public_names_are_the_layers_themselves():
    assert seqlm.RecurrentLayer is recurrent_layer.RecurrentLayer
    assert seqlm.GateBias is initialization.GateBias
    assert seqlm.GateOrthogonal is initialization.GateOrthogonal


def test_importing_the_package_does_not_import_mxnet_until_a_layer_is_asked_for():
    there = "print('mxnet' in sys.modules)"
    program = f"import sys, seqlm_core; {there}; seqlm_core.RecurrentLayer; {there}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'seqlm_core' has no attribute 'Recurrent'"):
        _ = seqlm.Recurrent


def test_built_in_plugins_take_from_the_core_what_is_public():
    text = "".join(path.read_text() for path in PLUGINS.rglob("*.py"))
    modules = {line.split()[1] for line in text.splitlines() if line.strip().startswith("from seqlm_core")}
    assert modules <= {"seqlm_core.mxnet"}


@pytest.fixture(autouse=True)
def fresh_plugins(monkeypatch):
    monkeypatch.setenv("SEQLM_PLUGINS", "")
    installed_plugins.cache_clear()
    yield
    installed_plugins.cache_clear()


def register(native, formula="lstm", **more):
    class Plugin:
        @seqlm.hookimpl
        def seqlm_cells(self):
            return seqlm.CellSpec(
                "mine",
                "mine",
                lambda size, hidden, options: seqlm.RecurrentLayer(formula, size, hidden),
                native=native,
                **more,
            )

    installed_plugins().register(Plugin())


@pytest.mark.parametrize(
    ("formula", "bidirectional"),
    [("lstm", False), ("gru", False), ("rnn_tanh", False), ("rnn_relu", False), ("gru", True)],
)
def test_a_cell_that_names_a_formula_generates_without_a_step_of_its_own(
    short_text, tmp_path, monkeypatch, formula, bidirectional
):
    register(formula, formula, bidirectional=bidirectional)
    run = seqlm.train(short_text, cell="mine", layers=2, out=tmp_path / "run", quiet=True, **SHORT)
    drawn = run.sample("the ", length=60, seed=1)
    monkeypatch.setenv("SEQLM_NATIVE", "0")
    assert seqlm.LanguageRun(run.path).sample("the ", length=60, seed=1) == drawn
    # The same through the layer, for which the cell names no formula.
    register(None, formula, bidirectional=bidirectional)
    by_layer = seqlm.LanguageRun(run.path)
    assert by_layer.cell.spec.step is None
    scored = tmp_path / "scored.txt"
    scored.write_text("".join(short_text.read_text().splitlines(keepends=True)[:5]))
    expected = [line.bits for line in by_layer.score(scored)]
    register(formula, formula, bidirectional=bidirectional)
    np.testing.assert_allclose([line.bits for line in seqlm.LanguageRun(run.path).score(scored)], expected, rtol=1e-4)


def test_a_cell_whose_formula_depends_on_its_options_goes_through_the_layer_where_there_is_none(short_text, tmp_path):
    register(lambda options: None)
    run = seqlm.train(short_text, cell="mine", out=tmp_path / "run", quiet=True, **SHORT)
    assert len(run.sample(length=5, seed=1)) == 5
    assert not run.cell.spec.has_step(run.cell.options)


def test_the_check_tells_of_a_formula_that_is_not_what_the_layer_computes():
    register("rnn_relu", "rnn_tanh")
    (check,) = [
        check for check in checks_of("cell") if "NumPy step function" in check.demand and "layer" in check.demand
    ]
    (outcome,) = run_checks([check], Component.choose(installed_plugins().cells, "mine", {}))
    assert "log-probabilities differ by" in outcome.detail

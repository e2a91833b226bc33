"""The network with which the model of a run makes text."""

from __future__ import annotations

from typing import Any

from seqlm_core.generation.native_network import step_network
from seqlm_core.generation.network import TextNetwork


def text_network(run: Any) -> TextNetwork:
    """Return a run's model as generation uses it; without MXNet, if the cell has a step function that is right."""
    if run.cell.spec.has_step(run.cell.options) and not _has_wrong_step(run):
        return step_network(run.architecture, run.cell.spec, run.cell.options, run.stored_weights(run.weights_file)[0])
    from seqlm_core.generation.layer_network import LayerNetwork

    return LayerNetwork(run.model)


def _has_wrong_step(run: Any) -> bool:
    """Whether the cell's step was found to be wrong when the run was trained, and still is; if so, warn of it."""
    if not run.config.get("step_problem"):
        return False
    from seqlm_core.generation.step_check import step_problem, warn_of_step

    problem = step_problem(run.model, run.cell)
    if problem is not None:
        warn_of_step(run.cell, problem)
    return problem is not None

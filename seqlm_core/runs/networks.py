"""Which networks compute for a run: the graphs of MXNet, or its cells' step functions in NumPy.

There is one rule. Text is made token by token, and so by steps wherever the cells have steps that are right. Whole
texts and sequences are read by graphs where MXNet is installed, and else by steps. Only sequences that are known to be
few are read by steps of built-in cells there too, since the import of MXNet takes longer than that.
"""

from __future__ import annotations

from typing import Any

from seqlm_core.engine.availability import has_mxnet, missing_mxnet
from seqlm_core.generation.native_network import step_network
from seqlm_core.generation.network import TextNetwork
from seqlm_core.model.batch_network import BatchNetwork
from seqlm_core.model.window_network import WindowNetwork
from seqlm_core.plugins.components import Component
from seqlm_core.plugins.specs import CellSpec
from seqlm_core.sequences.encoded_sequences import LONGEST_SPELLING
from seqlm_core.stepwise.batches import StepBatches
from seqlm_core.stepwise.language_model import StepLanguageModel
from seqlm_core.stepwise.windows import StepWindows

FEW_MULTIPLICATIONS = 2_000_000_000
"""With fewer multiplications, NumPy is done before MXNet is imported: it makes some thousand million in a second."""


def text_network(run: Any) -> TextNetwork:
    """Return the model of a language model's run as generation uses it.

    Raises:
        SeqlmError: it needs MXNet, which is not installed.
    """
    if not has_mxnet():
        check_steps(run, [run.cell])
    elif not run.cell.spec.has_step(run.cell.options) or _has_wrong_step(run):
        from seqlm_core.generation.layer_network import LayerNetwork

        return LayerNetwork(run.model)
    return step_network(run.architecture, run.cell.spec, run.cell.options, run.stored_weights(run.weights_file)[0])


def window_network(run: Any, any_batch: bool = False) -> WindowNetwork:
    """Return the model of a language model's run as it reads windows.

    Args:
        run: the run.
        any_batch: whether the number of rows changes from call to call.

    Raises:
        SeqlmError: it needs MXNet, which is not installed.
    """
    if has_mxnet():
        from seqlm_core.model.graph_windows import GraphWindows

        return GraphWindows(run.model, any_batch)
    check_steps(run, [run.cell])
    return StepWindows(StepLanguageModel(run.architecture, run.cell.spec, run.cell.options, run.weights))


def batch_network(run: Any, char_cell: Component[CellSpec] | None, expected: int | None = None) -> BatchNetwork:
    """Return the model of a sequence model's run as it reads batches.

    Args:
        run: the run.
        char_cell: the cell that reads characters; None if none are read.
        expected: how many time steps are read in all; None if that is not known.

    Raises:
        SeqlmError: it needs MXNet, which is not installed.
    """
    cells = [run.cell] if char_cell is None else [run.cell, char_cell]
    if has_mxnet() and not (expected is not None and _are_few(run, cells, expected)):
        from seqlm_core.model.graph_batches import GraphBatches

        return GraphBatches(run.model)
    check_steps(run, cells)
    return StepBatches(run.architecture, run.cell, char_cell, run.weights)


def _are_few(run: Any, cells: list[Component[CellSpec]], time_steps: int) -> bool:
    """Whether NumPy reads so many time steps before MXNet is imported, which nothing else of the run needs."""
    if "language_model" in run.config or not all(cell.source.built_in for cell in cells):
        return False
    of_layers = {name: array.size for name, array in run.weights.items() if "_stack." in name}
    of_characters = sum(size for name, size in of_layers.items() if name.startswith("input."))
    each = sum(of_layers.values()) + (LONGEST_SPELLING - 1) * of_characters
    return time_steps * each <= FEW_MULTIPLICATIONS


def check_steps(run: Any, cells: list[Component[CellSpec]]) -> None:
    """Check that NumPy can compute a run, which is asked where MXNet is not installed.

    Raises:
        SeqlmError: a cell has no step, or one that was found to be wrong when the run was trained.
    """
    for cell in cells:
        if not cell.spec.has_step(cell.options):
            raise missing_mxnet(f"{run.path} has the cell {cell.spec.name!r}, which has no step in NumPy, and so it")
    if run.config.get("step_problem"):
        raise missing_mxnet(
            f"{run.path} has a cell whose step in NumPy {run.config['step_problem']}, as was found when it was "
            "trained, and so it"
        )


def _has_wrong_step(run: Any) -> bool:
    """Whether the cell's step was found to be wrong when the run was trained, and still is; if so, warn of it."""
    if not run.config.get("step_problem"):
        return False
    from seqlm_core.generation.step_check import step_problem, warn_of_step

    problem = step_problem(run.model, run.cell)
    if problem is not None:
        warn_of_step(run.cell, problem)
    return problem is not None

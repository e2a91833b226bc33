"""Checks that a cell can be trained, and that its training can be resumed."""

from __future__ import annotations

from seqlm_core.conformance.check import Checks
from seqlm_core.conformance.small_models import Cell
from seqlm_core.conformance.training import check_learning, check_resuming

checks = Checks()


@checks("learns a small text", "the layer's formula, and the initial values of its parameters")
def learns(cell: Cell) -> str:
    return check_learning("cell", cell)


@checks(
    "resumes: a training that was stopped and resumed equals one that was not, bit for bit",
    "states of the layer that are not parameters, and random numbers that are not MXNet's",
)
def resumes(cell: Cell) -> str:
    return check_resuming("cell", cell)

"""The checks of cells, in the order in which they are run."""

from seqlm_core.conformance.cells import computation, context, generation, layers, training
from seqlm_core.conformance.check import Checks

checks = Checks(layers.checks, context.checks, computation.checks, training.checks, generation.checks)

"""Finds the layer in which a number first becomes infinite or not a number."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqlm_core.errors import NonFiniteLossError
from seqlm_core.training.advice import clipping_advice
from seqlm_core.training.extension import Extension, Training


class Anomalies(Extension):
    """Checks the layers' outputs and the gradients in each step, before the weights change."""

    def on_gradients(self, training: Training, batch: Any) -> None:
        layer = training.task.first_non_finite_part(batch)
        step = training.step + 1
        if layer is not None:
            raise NonFiniteLossError(
                f"the outputs of {layer} are not finite at step {step}; try a lower `learning_rate` or "
                f"{clipping_advice(training.settings.clip_norm)}"
            )
        # Gradients are computed from the head down. So the search for the first that is not finite begins there, too.
        for name, gradient in reversed(training.updates.gradients.items()):
            if not is_finite(gradient):
                raise NonFiniteLossError(
                    f"the gradient of {name} is not finite at step {step}; try a lower `learning_rate`, "
                    f"{clipping_advice(training.settings.clip_norm)} or shorter sequences"
                )


def is_finite(array: Any) -> bool:
    """Whether no element of an MXNet array is infinite or not a number."""
    return bool(np.isfinite(array.asnumpy()).all())

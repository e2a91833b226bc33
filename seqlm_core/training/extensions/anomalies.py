"""Finds the layer where a number first is not finite."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqlm_core.errors import NonFiniteLossError
from seqlm_core.training.advice import clipping_advice
from seqlm_core.training.extension import Extension, Training


class Anomalies(Extension):
    """Looks at the layers' outputs and at the gradients of each step before they change the weights."""

    def on_gradients(self, training: Training, batch: Any) -> None:
        layer = training.task.first_not_finite(batch)
        step = training.step + 1
        if layer is not None:
            raise NonFiniteLossError(
                f"the outputs of {layer} are not finite at step {step}; try a lower `learning_rate` or "
                f"{clipping_advice(training.settings.clip_norm)}"
            )
        # Gradients go from the head down, and so does the search for the first that went bad.
        for name, parameter in reversed(list(zip(training.updates.names, training.updates.parameters))):
            if not is_finite(parameter.list_grad()[0]):
                raise NonFiniteLossError(
                    f"the gradient of {name} is not finite at step {step}; try a lower `learning_rate`, "
                    f"{clipping_advice(training.settings.clip_norm)} or shorter sequences"
                )


def is_finite(array: Any) -> bool:
    """Whether no element of an MXNet array is infinite or not a number."""
    return bool(np.isfinite(array.asnumpy()).all())

"""Updates of the parameters: clipping of the gradients by their global norm, then a step of the optimizer."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqlm_core.engine.arrays import view_of
from seqlm_core.engine.mxnet import mx, nd
from seqlm_core.errors import RunError
from seqlm_core.plugins.foreign import plugin_code, plugin_failure
from seqlm_core.plugins.specs import OptimizerSpec
from seqlm_core.storage.checkpoint import layout, select
from seqlm_core.training.embedding_rows import EmbeddingRows
from seqlm_core.training.missed_steps import coasting_rule
from seqlm_core.training.native_updates import NativeUpdate, can_be_updated_natively
from seqlm_core.training.update_rules import update_rule

# Keeps the clipping factor finite if all gradients are zero.
SMALLEST_NORM = 1e-12
MISSED_STEPS = "missed steps/"
"""How the names begin of what is saved of the embedding of which only the rows that are read are updated."""


def clip_global_norm(gradients: list[Any], largest: float) -> Any:
    """Scale ``gradients`` in place so that their joint norm is at most ``largest`` (Pascanu et al. 2013).

    The norm is not fetched, so training does not wait for it.

    Returns:
        The norm before clipping, an array of one element.
    """
    norm = nd.sqrt(nd.multi_sum_sq(*gradients, num_arrays=len(gradients)).sum())
    factor = nd.minimum(largest / (norm + SMALLEST_NORM), 1.0)
    for gradient in gradients:
        nd.broadcast_mul(gradient, factor.astype(gradient.dtype), out=gradient)
    return norm


class Updates:
    """An optimizer and the parameters that it updates.

    Args:
        parameters: gluon parameters by name. Their arrays must not be replaced later.
        optimizer: the optimizer, made by a plugin.
        clip_norm: the largest norm of the gradient; 0 means no clipping.
        spec: the record of the plugin, to which errors of the optimizer are attributed.
        weight_decay: the share of each weight that, times the learning rate, is taken from it before each update
            (decoupled weight decay, https://arxiv.org/abs/1711.05101). Biases and other vectors are not decayed.
        rows: the embedding of which only the rows that were read are updated; None if there is none.

    Raises:
        PluginRuntimeError: the optimizer cannot make its states, makes them on another device than that of the weights,
            or makes states that no checkpoint can hold.
    """

    def __init__(
        self,
        parameters: dict[str, Any],
        optimizer: mx.optimizer.Optimizer,
        clip_norm: float,
        spec: OptimizerSpec | None = None,
        weight_decay: float = 0.0,
        rows: EmbeddingRows | None = None,
    ) -> None:
        self.names = list(parameters)
        self.parameters = list(parameters.values())
        self.optimizer = optimizer
        self.clip_norm = clip_norm
        self.weight_decay = weight_decay
        self.rows = rows
        self._spec = spec
        self._steps = 0
        optimizer.param_dict = dict(enumerate(self.parameters))
        self._updater = mx.optimizer.get_updater(optimizer)
        self._states = [self._new_state(index, parameter) for index, parameter in enumerate(self.parameters)]
        for index, state in enumerate(self._states):
            self._updater.states[index] = state
            self._updater.states_synced[index] = True
        trained = self.parameters.copy()
        rule = update_rule(optimizer, trained)
        if rows is not None:
            index = self.parameters.index(rows.whole)
            trained[index] = rows.parameter
            self._updater.states[index] = self._new_state(index, rows.parameter)
            whole, small = (_as_list(states[index]) for states in (self._states, self._updater.states))
            rows.add_states(whole, small, coasting_rule(optimizer, trained), spec)
        self._weights = [parameter.list_data()[0] for parameter in trained]
        self._gradients = [parameter.list_grad()[0] for parameter in trained]
        self._decayed = [weight for weight in self._weights if weight.ndim > 1] if weight_decay else []
        self._native: NativeUpdate | None = None
        if rule is not None and can_be_updated_natively(trained):
            states = [_as_list(self._updater.states[index]) for index in range(len(trained))]
            self._native = NativeUpdate(rule, optimizer, self._weights, self._gradients, states, clip_norm)

    @property
    def gradients(self) -> dict[str, Any]:
        """The gradient of each parameter by its name; of :attr:`rows` that of the rows that were read."""
        return dict(zip(self.names, self._gradients))

    def _new_state(self, index: int, parameter: Any) -> Any:
        weight = parameter.list_data()[0]
        with plugin_code(self._spec):
            state = self.optimizer.create_state_multi_precision(index, weight)
        if self._spec is not None and not all(isinstance(array, nd.NDArray) for array in _as_list(state)):
            raise plugin_failure(
                self._spec,
                f"create_state returns a {type(state).__name__}; a state is an MXNet array, a tuple of them, or None",
            )
        elsewhere = [array.context for array in _as_list(state) if array.context != weight.context]
        if self._spec is not None and elsewhere:
            raise plugin_failure(
                self._spec, f"create_state returns an array on {elsewhere[0]} for weights on {weight.context}"
            )
        return state

    def step(self, learning_rate: float) -> None:
        """Update the weights by their gradients at this learning rate; clipping may change the gradients in place."""
        kept = 1 - learning_rate * self.weight_decay
        for weight in self._decayed:
            weight *= kept
        self.optimizer.set_learning_rate(learning_rate)
        self._steps += 1
        self._update()
        if self.rows is not None:
            self.rows.write_back(kept, learning_rate, self._steps)

    def make_up(self) -> None:
        """Make up for what steps have left for later, so that all weights are as after the last one."""
        if self.rows is not None:
            self.rows.make_up()

    def _update(self) -> None:
        if self._native is not None:
            self._native.step()
            return
        if self.clip_norm:
            clip_global_norm(self._gradients, self.clip_norm)
        with plugin_code(self._spec):
            self._updater(list(range(len(self._weights))), self._gradients, self._weights)

    def state(self) -> dict[str, np.ndarray]:
        """Return the optimizer's state arrays; ``NAME/K`` is the ``K``-th array of a parameter."""
        return {name: array.copy() for name, array in self.views().items()}

    def views(self) -> dict[str, np.ndarray]:
        """Return what :meth:`state` returns, but without copies, so that the next step changes it."""
        arrays = {}
        for name, state in zip(self.names, self._states):
            for k, array in enumerate(_as_list(state)):
                arrays[f"{name}/{k}"] = view_of(array)
        if self.rows is not None:
            arrays.update({f"{MISSED_STEPS}{name}": array for name, array in self.rows.state().items()})
        return arrays

    def restore(self, arrays: dict[str, np.ndarray], steps: int) -> None:
        """Restore a state that :meth:`state` returned after ``steps`` updates.

        Raises:
            RunError: the arrays are not those of this optimizer.
        """
        if layout(self.views()) != layout(arrays):
            raise RunError("the checkpoint's optimizer state is not that of the run's optimizer")
        for index in range(len(self.parameters)):
            for k, array in enumerate(_as_list(self._states[index])):
                saved = arrays[f"{self.names[index]}/{k}"]
                array[:] = nd.array(saved, ctx=array.context, dtype=saved.dtype)
        if self.rows is not None:
            self.rows.restore(select(arrays, MISSED_STEPS))
        self._steps = steps
        # Optimizers use these counts to correct a bias or to decay a rate.
        self.optimizer._set_current_context(self.parameters[0].list_ctx()[0].device_id)
        self.optimizer.num_update = steps
        for index in range(len(self.parameters)):
            self.optimizer._index_update_count[index] = steps


def _as_list(state: Any) -> list[Any]:
    if state is None:
        return []
    if isinstance(state, (list, tuple)):
        return [array for item in state for array in _as_list(item)]
    return [state]

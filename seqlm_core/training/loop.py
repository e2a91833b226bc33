"""The training loop: batch, forward, backward, clip, step, notify."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

from seqlm_core.engine.mxnet import autograd, mx
from seqlm_core.engine.randomness import mxnet_seed
from seqlm_core.errors import NonFiniteLossError, RunError, UsageError
from seqlm_core.model.recurrent_network import RecurrentNetwork
from seqlm_core.settings.fields import chosen
from seqlm_core.settings.schedules import Schedule
from seqlm_core.storage.schema import COUNT, NUMBER, OBJECT, check
from seqlm_core.training.advice import clipping_advice
from seqlm_core.training.exchange import Exchange
from seqlm_core.training.extension import Extension, Record, guarded_method, saved_state
from seqlm_core.training.learning_rate import learning_rate
from seqlm_core.training.prefetch import prefetched
from seqlm_core.training.task import Task
from seqlm_core.training.updates import Updates
from seqlm_core.training.weight_dropping import dropped_weights
from seqlm_core.training.weighted_mean import WeightedMean

# MXNet computes asynchronously. This is the largest number of steps that wait for it: few enough that the progress is
# true and that an interrupted training ends soon. When there are more, Python waits until only half of them are left,
# which keeps MXNet busy. It does not wait at every step, since waiting takes a processor from the computing threads.
STEPS_AHEAD = 4
# The number of batches that are made before their step; enough to make up for steps of different lengths.
BATCHES_AHEAD = 4


STATE = {
    "step": COUNT,
    "epoch": COUNT,
    "window": COUNT,
    "losses_since_report": (NUMBER, COUNT),
    "losses_since_epoch": (NUMBER, COUNT),
    "extensions": {...: OBJECT},
}
"""Description of what :meth:`TrainingLoop.state` returns."""


class TrainingLoop:
    """A training. Its extensions see it as a :class:`~seqlm_core.training.extension.Training`.

    Args:
        task: the task that is trained.
        updates: the optimizer on the model's parameters.
        base_learning_rate: the highest learning rate.
        settings: the settings: the limits (``epochs``, ``max_steps``), the schedule, and the interval of reports.
        extensions: the extensions, in the order in which they are called.
        reseed: whether to seed MXNet's random numbers at each step, for layers and optimizers that draw from them. It
            takes 2 ms.
        schedule: a function of a step and the number of all steps that returns the factor of the learning rate; None
            means the schedule that the settings name.
        path: the directory of the run; None if there is no run.

    Attributes:
        step: number of steps done.
        epoch: number of epochs done.
        window: number of steps done in the current epoch.
        stop_reason: the reason why the training ends; None while it goes on. An extension sets it to end the training
            after the current step.
    """

    def __init__(
        self,
        task: Task,
        updates: Updates,
        base_learning_rate: float,
        settings: Any,
        extensions: Sequence[Extension],
        reseed: bool = False,
        schedule: Schedule | None = None,
        path: Path | None = None,
    ) -> None:
        self.task = task
        self.updates = updates
        self.base_learning_rate = base_learning_rate
        self.settings = settings
        self.extensions = list(extensions)
        self.reseed = reseed
        self.schedule: Schedule | str = settings.schedule if schedule is None else schedule
        self.path = path
        for extension in self.extensions:
            saved_state(extension)
        names = [extension.name for extension in self.extensions if extension.name]
        for name in names:
            if names.count(name) > 1:
                raise UsageError(f"two extensions are called {name!r} (seqlm's own count, too); choose another name")
        self.step = self.epoch = self.window = 0
        self.stop_reason: str | None = None
        self._listeners: dict[str, list[Callable[..., None]]] = {}
        self._exchange = Exchange(task.workers, STEPS_AHEAD)
        self._pending: deque[tuple[Any, int]] = deque()  # losses and predictions of the last steps
        self._since_report = WeightedMean()
        self._since_epoch = WeightedMean()

    @property
    def total_steps(self) -> int:
        """The number of steps in the whole training, if nothing ends it early."""
        steps = chosen(self.settings.epochs) * self.task.steps_per_epoch
        return min(steps, self.settings.max_steps or steps)

    @property
    def is_validation_due(self) -> bool:
        """Whether the model is validated after this step, also if the training goes on."""
        every = self.settings.validate_every
        return self.step % every == 0 if every else self.window == 0

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of a step; the first step is 0."""
        return learning_rate(self.base_learning_rate, self.schedule, self.settings.warmup, step, self.total_steps)

    @property
    def model(self) -> RecurrentNetwork:
        """The network that is trained."""
        return self.task.network

    @property
    def parameters(self) -> dict[str, Any]:
        """The gluon parameters that are trained, by name; a shared one has its first name."""
        return dict(zip(self.updates.names, self.updates.parameters))

    @property
    def gradients(self) -> dict[str, Any]:
        """The gradients of the parameters, by name; of an embedding of which only read rows are updated, of these."""
        return self.updates.gradients

    def run(self) -> None:
        """Train until a limit is reached or an extension ends it.

        Raises:
            NonFiniteLossError: the loss is infinite or not a number.
        """
        try:
            self._notify("on_start")
            if self.step >= self.total_steps:
                self.stop_reason = "finished"
            while self.stop_reason is None:
                self._run_epoch()
            self.collect_losses()
            self._notify("on_finish")
        except BaseException as error:
            for extension in self.extensions:
                with contextlib.suppress(Exception):  # the first error is the one to report
                    extension.on_error(self, error)
            raise

    def _run_epoch(self) -> None:
        """Take the remaining steps of an epoch, or fewer if there is a reason to stop."""
        rest = itertools.islice(self.task.batches(self.epoch, self.window), self.total_steps - self.step)
        with prefetched(rest, BATCHES_AHEAD) as batches:
            for batch in batches:
                if self.reseed:
                    mx.random.seed(mxnet_seed(self.settings.seed, self.step, "layers"))
                with dropped_weights(batch.weight_masks):
                    with autograd.record():
                        losses = self.task.loss(batch)
                    losses.backward(batch.weights)
                losses = self._exchange.add_up(self.updates.gradients, losses)
                self._notify("on_gradients", batch)
                self.updates.step(self.learning_rate(self.step))
                self._advance(losses, batch.predictions)
                self._notify("on_step")
                self._end_epoch()
                self._notify("on_step_end")
                if self.stop_reason is not None:
                    break

    def agree(self, request: str, is_wanted: bool) -> bool:
        """Return whether to do what a worker has asked for, after this step. Call it at the end of each step.

        One worker alone has at once what it asks for. Several have it some steps later, all at the end of the same one.
        """
        return self._exchange.agree(request, is_wanted, self.step)

    def _advance(self, losses: Any, predictions: int) -> None:
        self._pending.append((losses, predictions))
        self.step += 1
        self.window += 1
        if self.window == self.task.steps_per_epoch:
            self.epoch += 1
            self.window = 0
        if self.step >= self.total_steps:
            self.stop_reason = "finished"
        if len(self._pending) > STEPS_AHEAD:
            self.collect_losses(but=STEPS_AHEAD // 2)

    def _end_epoch(self) -> None:
        """Notify the extensions if an epoch has ended, or what counts as one, or the training within an epoch."""
        if self.is_validation_due or self.stop_reason is not None:
            self.collect_losses()
            if self.is_validation_due:
                self.updates.make_up()
            if not self.is_validation_due:
                self._notify("on_closing")
            record = self._record("epoch", self.step, self._since_epoch)
            self._since_epoch = WeightedMean()
            self._notify("on_epoch", record)

    def collect_losses(self, but: int = 0) -> None:
        """Fetch the losses of the steps so far, and notify the extensions of reports that are complete now.

        This waits until the losses are computed.

        Args:
            but: the number of last steps whose losses are not fetched.

        Raises:
            NonFiniteLossError: a loss is infinite or not a number.
        """
        if len(self._pending) > but:
            self._pending[-1 - but][0].wait_to_read()  # waits once for all of them
        while len(self._pending) > but:
            step = self.step - len(self._pending) + 1
            losses, predictions = self._pending.popleft()
            loss = self._exchange.loss(losses.asnumpy(), step) / predictions
            if not math.isfinite(loss):
                raise NonFiniteLossError(
                    f"the training loss is {loss} at step {step}; "
                    f"try a lower `learning_rate`, {clipping_advice(self.settings.clip_norm)} or a longer `warmup`"
                )
            self._since_report.add(loss, predictions)
            self._since_epoch.add(loss, predictions)
            if self.settings.log_every and step % self.settings.log_every == 0:
                record = self._record("report", step, self._since_report)
                self._since_report = WeightedMean()
                self._notify("on_report", record)

    def state(self) -> dict[str, Any]:
        """Return the position and the extensions' states for :meth:`restore`, as values that JSON can hold."""
        return {
            "step": self.step,
            "epoch": self.epoch,
            "window": self.window,
            "losses_since_report": self._since_report.state(),
            "losses_since_epoch": self._since_epoch.state(),
            "extensions": {e.name: state for e in self.extensions if (state := saved_state(e))},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`state` returned.

        Raises:
            RunError: the state of an extension would be lost, since the extension is not given.
            ValueError: the values are no such state.
        """
        check(state, STATE, "the training's state")
        states = state["extensions"]
        lost = sorted(states.keys() - {extension.name for extension in self.extensions})
        if lost:
            names = ", ".join(map(repr, lost))
            raise RunError(
                f"the run has the state of extensions that are not given, and it would be lost: {names}; go on from "
                "Python, and give them again: seqlm_core.resume(path, extensions=[...])"
            )
        self.step, self.epoch, self.window = state["step"], state["epoch"], state["window"]
        if self.window >= self.task.steps_per_epoch or self.step != self._position:
            raise ValueError("the training's state names a step that is not in its epoch")
        self._since_report = WeightedMean(*state["losses_since_report"])
        self._since_epoch = WeightedMean(*state["losses_since_epoch"])
        for extension in self.extensions:
            if extension.name in states:
                check(states, {extension.name: extension.state_kind}, "the extensions' states")
                guarded_method(extension, "restore")(states[extension.name])

    @property
    def _position(self) -> int:
        return self.epoch * self.task.steps_per_epoch + self.window

    def _record(self, kind: str, step: int, losses: WeightedMean) -> Record:
        epochs, within = divmod(step, self.task.steps_per_epoch)
        return {
            "kind": kind,
            "step": step,
            "epoch": round(step / self.task.steps_per_epoch, 4) if within else epochs,
            f"training_{self.task.loss_name}": losses.value,
            "learning_rate": self.learning_rate(step - 1),
        }

    def _notify(self, event: str, *arguments: Any) -> None:
        """Call all extensions that override the method of this event."""
        if event not in self._listeners:
            nothing = getattr(Extension, event)
            listening = [extension for extension in self.extensions if getattr(type(extension), event) != nothing]
            self._listeners[event] = [guarded_method(extension, event) for extension in listening]
        for listener in self._listeners[event]:
            listener(self, *arguments)

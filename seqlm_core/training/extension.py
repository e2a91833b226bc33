"""Extensions of the training loop: validation, checkpoints, samples, history, progress, and those of users."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from seqlm_core.errors import PluginError, UsageError
from seqlm_core.plugins.foreign import guarded
from seqlm_core.storage.schema import OBJECT

if TYPE_CHECKING:
    from seqlm_core.model.recurrent_network import RecurrentNetwork
    from seqlm_core.settings.training_settings import TrainingSettings
    from seqlm_core.training.task import Task
    from seqlm_core.training.updates import Updates

Record = dict[str, Any]


STOP, SAVE = "stop", "save"
REQUESTS = (STOP, SAVE)
"""What a worker can ask all others for."""


class Training(Protocol):
    """The training that calls an extension.

    Attributes:
        settings: the settings of the training.
        task: the task that is trained: it makes the batches and their loss, and computes the figures.
        updates: the optimizer on the model's parameters.
        path: the directory of the run; None if the training has no run.
        step: number of steps done.
        epoch: number of epochs done.
        window: number of steps done in the current epoch.
        stop_reason: the reason why the training ends; None while it goes on. An extension sets it to end the training
            after the current step.
    """

    settings: TrainingSettings
    task: Task
    updates: Updates
    path: Path | None
    step: int
    epoch: int
    window: int
    stop_reason: str | None

    @property
    def total_steps(self) -> int:
        """The number of steps in the whole training, if nothing ends it early."""

    @property
    def is_validation_due(self) -> bool:
        """Whether the model is validated after this step, also if the training goes on."""

    @property
    def model(self) -> RecurrentNetwork:
        """The network that is trained."""

    @property
    def parameters(self) -> dict[str, Any]:
        """The gluon parameters that are trained, by name; a shared one has its first name."""

    @property
    def gradients(self) -> dict[str, Any]:
        """The gradients of the parameters, by name; of an embedding of which only read rows are updated, of these."""

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of a step; the first step is 0."""

    def collect_losses(self) -> None:
        """Fetch the losses of all steps so far. This waits until they are computed."""

    def agree(self, request: str, is_wanted: bool) -> bool:
        """Return whether a worker has asked for this, as all of them are told at the end of the same step."""

    def state(self) -> dict[str, Any]:
        """Return the position and the extensions' states, from which the training can go on, as JSON can hold them."""


class Extension:
    """Base class of what watches or changes a training. Its methods do nothing; a subclass overrides those it needs.

    Extensions are called in their order in the training. Each saves and restores its own state.
    """

    name = ""
    """The name under which the state is saved; only extensions with a state need one."""
    state_kind: ClassVar[Any] = OBJECT
    """Description of the states that :meth:`restore` accepts, see :mod:`seqlm_core.storage.schema`."""

    def on_start(self, training: Training) -> None:
        """Called once, before the first step of this process; on resuming, after :meth:`restore`."""

    def on_gradients(self, training: Training, batch: Any) -> None:
        """Called in each step after the gradients are computed, before they are clipped and the weights change."""

    def on_step(self, training: Training) -> None:
        """Called after each step, whose computation may still be going on, and before :meth:`on_epoch`."""

    def on_report(self, training: Training, record: Record) -> None:
        """Called every ``log_every`` steps with the training loss since the last report.

        The losses are fetched late, so that nothing waits for them. So some steps may have followed ``record["step"]``.
        """

    def on_epoch(self, training: Training, record: Record) -> None:
        """Called after each epoch or every ``validate_every`` steps, and after a last step within that.

        It may add figures to ``record``.
        """

    def on_step_end(self, training: Training) -> None:
        """Called at the very end of each step, after :meth:`on_epoch`, too. This is the place to save something."""

    def on_closing(self, training: Training) -> None:
        """Called after a last step on which no validation is due, before :meth:`on_epoch` is called for it."""

    def on_finish(self, training: Training) -> None:
        """Called once, when the training ends without an error."""

    def on_error(self, training: Training, error: BaseException) -> None:
        """Called once, when an error ends the training."""

    def state(self) -> dict[str, Any]:
        """Return a dictionary of values that JSON can hold, from which :meth:`restore` can go on exactly."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`state` returned."""


def check_extensions(extensions: Sequence[Extension]) -> list[Extension]:
    """Return the extensions that a user gives, as a list.

    Raises:
        UsageError: one of them is no extension, or is given twice.
    """
    if not isinstance(extensions, Sequence):
        raise UsageError(f"`extensions` must be a list of extensions, not {extensions!r}")
    for position, extension in enumerate(extensions):
        if not isinstance(extension, Extension):
            made = f"{extension.__name__}()" if isinstance(extension, type) else "instances of seqlm_core.Extension"
            raise UsageError(f"`extensions` must hold {made}, not {extension!r}")
        if any(extension is other for other in extensions[:position]):
            raise UsageError(f"extension {title(extension)} is given twice")
    return list(extensions)


def title(extension: Extension) -> str:
    """Return the name of an extension in messages."""
    return type(extension).__name__


def is_foreign(extension: Extension) -> bool:
    """Whether an extension is not part of seqlm itself."""
    return type(extension).__module__.partition(".")[0] != "seqlm_core"


def guarded_method(extension: Extension, event: str) -> Any:
    """Return a method of an extension; errors of a user's extension are reported with their file and line."""
    method = getattr(extension, event)
    return guarded(f"extension {title(extension)}, called by {event},", method) if is_foreign(extension) else method


def saved_state(extension: Extension) -> dict[str, Any]:
    """Return the state of an extension.

    Raises:
        PluginError: a checkpoint cannot hold the state, or the extension has no name to save it under.
    """
    state: dict[str, Any] = guarded_method(extension, "state")()
    if is_foreign(extension):
        if not isinstance(state, dict):
            raise PluginError(f"extension {title(extension)}: state must return a dictionary, not {state!r}")
        if state and not (isinstance(extension.name, str) and extension.name):
            raise PluginError(f"extension {title(extension)} has a state and no name; give it one: name = 'my-name'")
        try:
            json.dumps(state)
        except (TypeError, ValueError) as error:
            raise PluginError(
                f"extension {title(extension)}: state must hold plain values, such as JSON has: {error}"
            ) from error
    return state

"""What happens around the training loop: validation, checkpoints, samples, history, progress, and what users add."""

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
    from seqlm_core.settings.settings import TrainingSettings
    from seqlm_core.training.task import Task
    from seqlm_core.training.updates import Updates

Record = dict[str, Any]


class Training(Protocol):
    """What an extension is told of the training that calls it.

    Attributes:
        settings: of the training.
        task: what is trained: it makes the batches and their loss, and knows the model's figures.
        updates: the optimizer on the model's parameters.
        path: of the run.
        step: steps done.
        epoch: epochs done.
        window: steps done in the epoch that is going on.
        stop_reason: why training ends, or None while it goes on; an extension sets it to end the training after the
            step.
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
        """Steps of the whole training, if nothing ends it early."""

    @property
    def model(self) -> RecurrentNetwork:
        """The network that is trained."""

    @property
    def parameters(self) -> dict[str, Any]:
        """The gluon parameters that are trained, by name; a shared one by its first name."""

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of a step, from 0."""

    def collect_losses(self) -> None:
        """Fetch the losses of all steps so far, which waits for their computation."""

    def state(self) -> dict[str, Any]:
        """Return plain values from which the training goes on: its position and the extensions' states."""


class Extension:
    """Something that watches a training, or takes a hand in it. Every method does nothing unless a subclass says so.

    Extensions are called in the order in which the training holds them. Each saves and restores its own state.
    """

    name = ""
    """Under which the state is saved; needed only by extensions that have one."""
    state_kind: ClassVar[Any] = OBJECT
    """What :meth:`restore` can be given, as :mod:`seqlm_core.storage.schema` describes it; anything else is refused."""

    def on_start(self, training: Training) -> None:
        """Called once, before the first step of this process; on resuming after :meth:`restore`."""

    def on_gradients(self, training: Training, batch: Any) -> None:
        """Called in each step, when the gradients are there, not clipped yet, and the weights not yet changed."""

    def on_step(self, training: Training) -> None:
        """Called after each step, whose computation may still go on, and before what the end of an epoch leads to."""

    def on_report(self, training: Training, record: Record) -> None:
        """Called every ``log_every`` steps with the training loss since the last report.

        The losses are fetched late, so that nothing waits for them: some steps may have followed ``record["step"]``.
        """

    def on_epoch(self, training: Training, record: Record) -> None:
        """Called after each epoch, and at a last step that ends none, to add figures to ``record``."""

    def on_step_end(self, training: Training) -> None:
        """Called after each step when all that it leads to is done, the end of an epoch too: a place to save at."""

    def on_closing(self, training: Training) -> None:
        """Called after a last step that ends no epoch, before :meth:`on_epoch` is called for it all the same."""

    def on_finish(self, training: Training) -> None:
        """Called once, when training ends for whatever reason but an error."""

    def on_error(self, training: Training, error: BaseException) -> None:
        """Called once, when an error ends the training."""

    def state(self) -> dict[str, Any]:
        """Return plain values, such as JSON holds, from which :meth:`restore` can go on exactly."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Bring back what :meth:`state` returned."""


def check_extensions(extensions: Sequence[Extension]) -> list[Extension]:
    """Return the extensions that a user gives.

    Raises:
        UsageError: one is none, or is given twice.
    """
    if not isinstance(extensions, Sequence):
        raise UsageError(f"extensions must be a list of them, not {extensions!r}")
    for position, extension in enumerate(extensions):
        if not isinstance(extension, Extension):
            made = f"{extension.__name__}()" if isinstance(extension, type) else "instances of seqlm_core.Extension"
            raise UsageError(f"extensions must hold {made}, not {extension!r}")
        if any(extension is other for other in extensions[:position]):
            raise UsageError(f"extension {title(extension)} is given twice")
    return list(extensions)


def title(extension: Extension) -> str:
    """Return what an extension is called in messages."""
    return type(extension).__name__


def is_foreign(extension: Extension) -> bool:
    """Whether an extension is not one of seqlm's own."""
    return type(extension).__module__.partition(".")[0] != "seqlm_core"


def hook_of(extension: Extension, event: str) -> Any:
    """Return a method of an extension; what it raises, if it is not seqlm's own, is reported with its file and line."""
    method = getattr(extension, event)
    return guarded(f"extension {title(extension)}, called by {event},", method) if is_foreign(extension) else method


def saved_state(extension: Extension) -> dict[str, Any]:
    """Return the state of an extension.

    Raises:
        PluginError: it is nothing that a checkpoint can hold, or has no name to be saved under.
    """
    state: dict[str, Any] = hook_of(extension, "state")()
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

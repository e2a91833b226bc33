"""What happens around the training loop: validation, checkpoints, samples, history, progress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seqlm_core.training.loop import Training

Record = dict[str, Any]


class Extension:
    """Something that watches a training. Every method does nothing unless a subclass says so.

    Extensions are called in the order in which the training holds them. Each saves and restores its own state.
    """

    name = ""
    """Under which the state is saved; needed only by extensions that have one."""

    def on_start(self, training: Training) -> None:
        """Called once, before the first step of this process."""

    def on_gradients(self, training: Training, batch: Any) -> None:
        """Called in each step, when the gradients are there and the weights not yet changed."""

    def on_step(self, training: Training) -> None:
        """Called after each step, whose computation may still go on."""

    def on_report(self, training: Training, record: Record) -> None:
        """Called every ``log_every`` steps with the training loss since the last report.

        The losses are fetched late, so that nothing waits for them: some steps may have followed ``record["step"]``.
        """

    def on_epoch(self, training: Training, record: Record) -> None:
        """Called after each epoch, and at a last step that ends none, to add figures to ``record``."""

    def on_closing(self, training: Training) -> None:
        """Called after a last step that ends no epoch, before :meth:`on_epoch` is called for it all the same."""

    def on_finish(self, training: Training) -> None:
        """Called once, when training ends for whatever reason but an error."""

    def on_error(self, training: Training, error: BaseException) -> None:
        """Called once, when an error ends the training."""

    def state(self) -> dict[str, Any]:
        """Return plain values from which :meth:`restore` can go on exactly."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Bring back what :meth:`state` returned."""

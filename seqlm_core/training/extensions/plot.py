"""Draws a picture of the loss of a training."""

from __future__ import annotations

import logging
import time

from seqlm_core.errors import NonFiniteLossError, one_line
from seqlm_core.runs.directory import RunDirectory
from seqlm_core.runs.history import read_history
from seqlm_core.training.extension import Extension, Record, Training
from seqlm_core.views.loss_picture import History, draw_losses

logger = logging.getLogger("seqlm")

SECONDS_BETWEEN_PLOTS = 60.0


class Plot(Extension):
    """Draws ``loss.png`` after an epoch, at most once a minute, and at the end. It must be called after the history.

    Args:
        directory: the run directory.
        title: the title of the picture.
        loss_name: the name of the loss in the history.
    """

    def __init__(self, directory: RunDirectory, title: str, loss_name: str) -> None:
        self.directory = directory
        self.title = title
        self.loss_name = loss_name
        self._drawn = time.monotonic()

    def on_epoch(self, training: Training, record: Record) -> None:
        if time.monotonic() - self._drawn > SECONDS_BETWEEN_PLOTS:
            self._draw()

    def on_finish(self, training: Training) -> None:
        self._draw()

    def on_error(self, training: Training, error: BaseException) -> None:
        if isinstance(error, NonFiniteLossError):  # the picture shows how the loss developed before
            self._draw()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        try:
            records = read_history(self.directory.history, self.directory.run_id)
            draw_losses([History("", records, self.loss_name)], self.directory.picture, self.title)
        except Exception as error:  # a picture that fails must not end the training
            cause = error.strerror if isinstance(error, OSError) and error.strerror else one_line(error)
            logger.warning("%s cannot be drawn: %s", self.directory.picture, cause)

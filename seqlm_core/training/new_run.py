"""A new run: its directory made, described, and trained into."""

from __future__ import annotations

from seqlm_core.destination import check_destination, make_run_directory, run_name
from seqlm_core.errors import RunError
from seqlm_core.locking import locked
from seqlm_core.reading.text import PathLike
from seqlm_core.run_directory import RunDirectory
from seqlm_core.texts import TrainingTexts
from seqlm_core.training.session import Session


def train_into(
    session: Session, texts: TrainingTexts, out: PathLike | None, overwrite: bool, quiet: bool
) -> RunDirectory:
    """Train to the end, and return the directory of the run.

    Args:
        session: the training, not begun.
        texts: what is trained on.
        out: the run directory; ``data/models/TEXT-CELL-N`` without it.
        overwrite: replace the run that is there.
        quiet: show neither progress nor what else the training has to show.

    Raises:
        UsageError: ``out`` cannot be used.
        NonFiniteLossError: training went wrong; the last good checkpoint is in the run directory.
        TrainingInterrupted: a signal ended the training, which can be resumed.
    """
    directory = make_run_directory(out, run_name(texts.name, session.components.cell.spec.name))
    with locked(directory.path):
        check_destination(out, overwrite)  # again, now that nobody else can change the answer
        directory.clear(text.path for text in texts.training + texts.validation)
        try:
            texts = texts.keep(directory)
            session.write_description(directory, texts)
            session.begin(directory, quiet)
            session.run()
        except RunError:  # the disk is full, say: the run can go on
            raise
        except Exception:
            # Of a run without a step there is nothing to keep, unless its text cannot be had again.
            if not session.has_saved_steps and not texts.cannot_be_had_again:
                directory.remove()
            raise
    return directory

"""The interface between what measures a language model and the model, which reads windows of many tokens."""

from __future__ import annotations

import contextlib
from typing import Any, Protocol

import numpy as np

from seqlm_core.model.architecture import LanguageArchitecture


class WindowNetwork(Protocol):
    """A language model that reads many tokens in each of several rows at a time.

    Tokens are int32 ids ``(time, rows)``. Hidden vectors are ``(time, rows, hidden)``, in a form that only the network
    itself needs to know; they can be indexed by time and row as an array can.

    Attributes:
        architecture: the sizes of the model.
    """

    architecture: LanguageArchitecture

    def computing(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context in which all of the following is called.

        Raises:
            SeqlmError: within the context, something could not be computed. The message is of one line.
        """

    def begin(self, rows: int) -> Any:
        """Return the forward states at the beginning of a text."""

    def begin_right(self, rows: int) -> Any:
        """Return the backward states at the end of a text."""

    def read(self, tokens: np.ndarray, states: Any, afresh: np.ndarray | None = None) -> tuple[Any, Any]:
        """Read tokens from left to right.

        Args:
            tokens: the tokens.
            states: from :meth:`begin` or an earlier call.
            afresh: int32 ``(time, rows)``, 1 where the states are those of the beginning again before the token is
                read, else 0; None if they are so nowhere.

        Returns:
            The hidden vector after each token, and the new states.
        """

    def read_right(self, tokens: np.ndarray, states: Any, afresh: np.ndarray | None = None) -> tuple[Any, Any]:
        """Read tokens from right to left; they come in the order in which they are read. See :meth:`read`."""

    def losses(self, targets: np.ndarray, left: Any, right: np.ndarray | None = None) -> np.ndarray:
        """Return the loss of each prediction in nats, ``(time, rows)``.

        Args:
            targets: the tokens to predict.
            left: hidden vectors after reading what is before each of them.
            right: those after reading what is after each of them, from right to left, as an array; None for
                predictions from the left context alone.
        """

    def vectors(self, hidden: Any) -> np.ndarray:
        """Return hidden vectors as an array."""

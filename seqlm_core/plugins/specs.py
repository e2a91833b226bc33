"""What a plugin provides: one frozen record for each cell, tokenizer or optimizer."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable, ClassVar, Protocol, runtime_checkable

from seqlm_core.errors import PluginError
from seqlm_core.native import GATES, steps
from seqlm_core.plugins.options import NoOptions, check_options_class

if TYPE_CHECKING:
    import numpy as np

NAME_PATTERN = re.compile(r"[a-z][a-z0-9_-]*")

States = tuple["np.ndarray", ...]


class ProjectFunction(Protocol):
    """The part of a time step that depends on the inputs alone, in NumPy.

    It is called as ``project(weights, inputs, options)``, with ``weights`` and ``inputs (batch, channels)`` as in
    :class:`StepFunction`. It returns an array ``(batch, ...)``, which the step function is given as its inputs. For the
    lowest layer, it is called only once, on all tokens of the vocabulary.
    """

    def __call__(self, weights: Mapping[str, np.ndarray], inputs: np.ndarray, options: Any) -> np.ndarray: ...


class StepFunction(Protocol):
    """One time step of one layer in NumPy, which generates text without MXNet.

    It is called as ``step(weights, inputs, states, options)``. ``weights`` maps the names of the layer's parameters to
    arrays. ``inputs`` is an array ``(batch, channels)``, or the result of ``project``. ``states`` holds arrays whose
    first axis is ``batch``; it is empty at the beginning of a text. The function returns the output ``(batch, hidden)``
    and the new states.
    """

    def __call__(
        self, weights: Mapping[str, np.ndarray], inputs: np.ndarray, states: States, options: Any
    ) -> tuple[np.ndarray, States]: ...


class Tokenizer(Protocol):
    """Cuts text into tokens, and joins tokens to the same text again."""

    def tokenize(self, text: str) -> list[str]:
        """Return the tokens of ``text`` in order."""

    def detokenize(self, tokens: Sequence[str]) -> str:
        """Return the text of ``tokens``. For every string, ``detokenize(tokenize(text)) == text``."""

    def last_cut(self, text: str) -> int:
        """Return the last position at which ``text`` may be cut, whatever follows ``text``.

        If the part before the position and the part after it are tokenized separately, the tokens are those of the
        whole text. Return 0 if there is no such position.
        """


@runtime_checkable
class TrainableTokenizer(Tokenizer, Protocol):
    """A tokenizer that learns from the training text how to cut. The run directory keeps what it has learnt."""

    def train(self, texts: Iterable[str]) -> None:
        """Learn from the training part of a text, which comes in pieces. It is called once, before any text is cut."""

    def state(self) -> dict[str, Any]:
        """Return what the tokenizer has learnt, as values that JSON can hold."""

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state` returned. Raise ``ValueError`` or a similar error if it cannot be used.

        The state is empty if the run was made by an earlier version of the tokenizer, which did not learn.
        """


@runtime_checkable
class CodingTokenizer(Tokenizer, Protocol):
    """A tokenizer that also gives integers instead of tokens, by which large texts are read many times as fast."""

    def codes(self, text: str) -> np.ndarray:
        """Return a code for each token of ``tokenize(text)``, in order: integers from 0 to 16,777,215 ``(tokens,)``.

        Equal tokens have equal codes, in all texts.
        """

    def token_of(self, code: int) -> str:
        """Return the token of a code that :meth:`codes` returned."""


@dataclasses.dataclass(frozen=True)
class Spec:
    """What all records have in common.

    Attributes:
        name: the name by which users choose it, made of lower-case letters, digits, ``-`` and ``_``.
        summary: one line that says what it is.
        build: a function that makes the cell, tokenizer or optimizer. The modules of plugins are imported whenever
            plugins are listed, so MXNet is imported within ``build``, and not by the module.
        options: a dataclass whose fields are the options. Each has a type (``bool``, ``int``, ``float``, ``str`` or a
            ``Literal`` of strings), a default and a help text (see ``seqlm_core.option``).
    """

    kind: ClassVar[str]

    name: str
    summary: str
    build: Callable[..., Any]
    options: type = NoOptions

    def validate(self) -> None:
        """Raise :class:`~seqlm_core.PluginError` if a field cannot be used. The message names the first such field."""
        if not isinstance(self.name, str) or not NAME_PATTERN.fullmatch(self.name):
            raise PluginError(f"{self.kind} name {self.name!r} is not made of lower-case letters, digits, '-' and '_'")
        where = f"{self.kind} {self.name!r}"
        if not isinstance(self.summary, str) or not self.summary.strip() or len(self.summary.splitlines()) > 1:
            raise PluginError(f"{where}: summary must be one line of text, not {self.summary!r}")
        if not callable(self.build):
            raise PluginError(f"{where}: build must be callable, not {self.build!r}")
        check_options_class(self.options, where)


@dataclasses.dataclass(frozen=True)
class CellSpec(Spec):
    """A recurrent cell.

    Attributes:
        build: ``build(input_size, hidden_size, options)`` returns one layer in one direction. The layer is either a
            *sequence layer* or a one-step gluon ``HybridRecurrentCell``, which is unrolled. A sequence layer is a
            ``HybridBlock``: ``layer(inputs, states)`` takes inputs ``(time, batch, input_size)``, and returns outputs
            ``(time, batch, hidden_size)`` and the new states; ``begin_state(batch_size, ctx, dtype)`` returns the
            states to begin with. The first axis of every state is ``batch``, and all parameters know their shapes when
            ``build`` returns.
        bidirectional: whether sequences are read from both ends, with a stack of layers for each direction.
        step: ``step(weights, inputs, states, options)`` computes one time step in NumPy. Without it, and without
            ``native``, the layer itself generates text, which is slower.
        project: ``project(weights, inputs, options)`` computes the part of a time step that depends on the inputs
            alone. Its result is what ``step`` is given as its inputs.
        native: the native formula that is the same as that of the layer: ``rnn_tanh``, ``rnn_relu``, ``gru`` or
            ``lstm``; or a function that is given the options and returns the name of the formula, or None. Where
            seqlm's native library is installed, it generates the text. The parameters of the layer must then be
            ``i2h_weight (gates * hidden, input)``, ``h2h_weight (gates * hidden, hidden)``, ``i2h_bias`` and
            ``h2h_bias``. The order of the gates is input, forget, candidate, output for ``lstm``; and reset, update,
            candidate for ``gru``, whose reset gate is applied after the recurrent product. A cell with a native formula
            needs no ``step``, since seqlm has step functions of its formulas.
        recurrent_weights: the names of a layer's parameters that its last output is multiplied by. Recurrent dropout
            sets elements of them to 0.
        default_activation_penalty: the factor of the penalty on the outputs of the last layer that language models are
            trained with, if the user does not set one. What suits gated cells harms those that are not.
    """

    kind: ClassVar[str] = "cell"

    bidirectional: bool = False
    step: StepFunction | None = None
    project: ProjectFunction | None = None
    native: str | Callable[[Any], str | None] | None = None
    recurrent_weights: Sequence[str] = ("h2h_weight",)
    default_activation_penalty: float = 0.0

    def __post_init__(self) -> None:
        if self.native is not None and self.step is None and self.project is None:
            object.__setattr__(self, "step", self._step_of_formula)
            object.__setattr__(self, "project", self._project_of_formula)

    def has_step(self, options: Any) -> bool:
        """Whether a NumPy step can generate text with these options: the step of the cell or that of its formula."""
        return self.step is not None and (
            self.step != self._step_of_formula or self.native_formula(options) is not None
        )

    def _step_of_formula(
        self, weights: Mapping[str, np.ndarray], inputs: np.ndarray, states: States, options: Any
    ) -> tuple[np.ndarray, States]:
        return steps.step(self._formula_needed(options), weights, inputs, states)

    def _project_of_formula(self, weights: Mapping[str, np.ndarray], inputs: np.ndarray, options: Any) -> np.ndarray:
        return steps.project(self._formula_needed(options), weights, inputs)

    def _formula_needed(self, options: Any) -> str:
        formula = self.native_formula(options)
        if formula is None:
            raise PluginError(f"cell {self.name!r} has neither a step nor a native formula for these options")
        return formula

    def native_formula(self, options: Any) -> str | None:
        """Return the name of the native formula for these options; None if there is none.

        Raises:
            PluginError: the cell names a formula that does not exist.
        """
        formula = self.native(options) if callable(self.native) else self.native
        if formula is not None and not (isinstance(formula, str) and formula in GATES):
            raise PluginError(
                f"cell {self.name!r}: native must be {', '.join(GATES)}, a function of the options that returns one of "
                f"them, or None, not {formula!r}"
            )
        return formula

    def validate(self) -> None:
        super().validate()
        if not isinstance(self.bidirectional, bool):
            raise PluginError(f"cell {self.name!r}: bidirectional must be True or False")
        names = self.recurrent_weights
        if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) and name for name in names):
            raise PluginError(
                f"cell {self.name!r}: recurrent_weights must be a list of names of parameters, not {names!r}"
            )
        penalty = self.default_activation_penalty
        if type(penalty) not in (int, float) or not 0 <= penalty < float("inf"):
            raise PluginError(f"cell {self.name!r}: default_activation_penalty must be a finite number of at least 0")
        if self.step is not None and not callable(self.step):
            raise PluginError(f"cell {self.name!r}: step must be callable or None, not {self.step!r}")
        if self.project is not None and (self.step is None or not callable(self.project)):
            raise PluginError(f"cell {self.name!r}: project must be callable and go with a step, or be None")
        if not callable(self.native):
            self.native_formula(None)


@dataclasses.dataclass(frozen=True)
class TokenizerSpec(Spec):
    """A tokenizer.

    Attributes:
        build: ``build(options)`` returns a :class:`Tokenizer`, or a :class:`TrainableTokenizer`.
        default_min_count: how often a token must occur in the training text to get a place in the vocabulary, if the
            user does not set ``min_count``.
    """

    kind: ClassVar[str] = "tokenizer"

    default_min_count: int = 1

    def validate(self) -> None:
        super().validate()
        if type(self.default_min_count) is not int or self.default_min_count < 1:
            raise PluginError(f"tokenizer {self.name!r}: default_min_count must be a whole number of at least 1")


@dataclasses.dataclass(frozen=True)
class OptimizerSpec(Spec):
    """An optimizer.

    Attributes:
        build: ``build(learning_rate, options)`` returns an ``mxnet.optimizer.Optimizer``.
        default_learning_rate: the learning rate if the user does not set one.
        elementwise: whether each weight's update depends on nothing but this weight, its gradient, its state and the
            number of steps, and each state is None or made of arrays of the weights' shape. Then the rows of large
            embeddings that a step does not read can be left alone.
    """

    kind: ClassVar[str] = "optimizer"

    default_learning_rate: float = 0.001
    elementwise: bool = False

    def validate(self) -> None:
        super().validate()
        rate = self.default_learning_rate
        if type(rate) not in (int, float) or not 0 < rate < float("inf"):
            raise PluginError(f"optimizer {self.name!r}: default_learning_rate must be a finite number above 0")
        if not isinstance(self.elementwise, bool):
            raise PluginError(f"optimizer {self.name!r}: elementwise must be True or False")


PLUGIN_KINDS: tuple[str, ...] = tuple(spec.kind for spec in (CellSpec, TokenizerSpec, OptimizerSpec))
"""The kinds of plugins, as the command line writes them."""

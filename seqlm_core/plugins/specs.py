"""What a plugin hands over: one frozen record for each cell, tokenizer or optimizer."""

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

    Called as ``project(weights, inputs, options)``, with ``weights`` and ``inputs (batch, channels)`` as for
    :class:`StepFunction`, whose inputs become what is returned: an array ``(batch, ...)``. Of the lowest layer it is
    computed once for every token of the vocabulary.
    """

    def __call__(self, weights: Mapping[str, np.ndarray], inputs: np.ndarray, options: Any) -> np.ndarray: ...


class StepFunction(Protocol):
    """One time step of one layer in NumPy, for generating text without a network library.

    Called as ``step(weights, inputs, states, options)``: ``weights`` maps the layer's parameter names to
    arrays, ``inputs`` is ``(batch, channels)``, or what ``project`` made of it; ``states`` holds arrays with ``batch``
    as their first axis, and is empty at the beginning of a text. Returns the output ``(batch, hidden)`` and the new
    states.
    """

    def __call__(
        self, weights: Mapping[str, np.ndarray], inputs: np.ndarray, states: States, options: Any
    ) -> tuple[np.ndarray, States]: ...


class Tokenizer(Protocol):
    """Cuts text into tokens and joins them again, losing nothing."""

    def tokenize(self, text: str) -> list[str]:
        """Return the tokens of ``text`` in order."""

    def detokenize(self, tokens: Sequence[str]) -> str:
        """Return the text of ``tokens``; ``detokenize(tokenize(text)) == text`` for every string."""

    def last_cut(self, text: str) -> int:
        """Return the last position at which ``text``, whose continuation is unknown, may be cut.

        Tokenizing what is before the position and what follows it gives the tokens of the whole, whatever
        comes after ``text``. 0 where there is no such position.
        """


@runtime_checkable
class TrainableTokenizer(Tokenizer, Protocol):
    """A tokenizer that learns from the training text how to cut, and keeps what it has learnt in the run directory."""

    def train(self, texts: Iterable[str]) -> None:
        """Learn from the training part of a text, which comes in pieces; called once, before anything is cut."""

    def state(self) -> dict[str, Any]:
        """Return what was learnt, as values that JSON can hold."""

    def restore(self, state: dict[str, Any]) -> None:
        """Bring back what :meth:`state` returned; raise ``ValueError`` or the like where it cannot be used.

        A run that was made when the tokenizer did not learn yet gives an empty state.
        """


@dataclasses.dataclass(frozen=True)
class Spec:
    """What all records have in common.

    Attributes:
        name: what users write to choose it: lower-case letters, digits, ``-`` and ``_``.
        summary: one line that says what it is.
        build: makes the thing itself. A module of a plugin is imported whenever plugins are listed, so ``build``
            imports MXNet, and the module does not.
        options: a dataclass whose fields are the options, each with a type (``bool``, ``int``, ``float``,
            ``str`` or a ``Literal`` of strings), a default and a help text (``seqlm_core.option``).
    """

    kind: ClassVar[str]

    name: str
    summary: str
    build: Callable[..., Any]
    options: type = NoOptions

    def validate(self) -> None:
        """Raise :class:`PluginError` that names the first field that cannot be used."""
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
        build: ``build(input_size, hidden_size, options)`` returns one layer in one direction: either a *sequence
            layer*, a ``HybridBlock`` called as ``layer(inputs, states)`` with inputs ``(time, batch, input_size)`` that
            returns outputs ``(time, batch, hidden_size)`` and the new states, and that has ``begin_state(batch_size,
            ctx, dtype)``; or a one-step gluon ``HybridRecurrentCell``, which is unrolled. States have ``batch`` as
            their first axis, and all parameters know their shapes when ``build`` returns.
        bidirectional: read sequences from both ends, with a stack of layers for each direction.
        step: ``step(weights, inputs, states, options)`` computes one time step in NumPy; without it, and without
            ``native``, text is generated through the layer itself, which is slower.
        project: ``project(weights, inputs, options)`` computes the part of a time step that depends on the inputs
            alone; ``step`` is then given what it returns as its inputs.
        native: the formula of seqlm's native library that computes the same: ``rnn_tanh``, ``rnn_relu``, ``gru`` or
            ``lstm``; or a function of the options that returns its name, or None. Where the library is there, text is
            generated by it. The layer's parameters are then ``i2h_weight (gates * hidden, input)``,
            ``h2h_weight (gates * hidden, hidden)``, ``i2h_bias`` and ``h2h_bias``, with the gates in this order: for
            ``lstm`` input, forget, candidate, output; for ``gru`` reset, update, candidate, the reset gate being
            applied after the recurrent product. A cell that names a formula needs no ``step``, since seqlm has those of
            its formulas.
    """

    kind: ClassVar[str] = "cell"

    bidirectional: bool = False
    step: StepFunction | None = None
    project: ProjectFunction | None = None
    native: str | Callable[[Any], str | None] | None = None

    def __post_init__(self) -> None:
        if self.native is not None and self.step is None and self.project is None:
            object.__setattr__(self, "step", self._step_of_formula)
            object.__setattr__(self, "project", self._project_of_formula)

    def has_step(self, options: Any) -> bool:
        """Whether text can be generated by a NumPy step with these options, the cell's own or that of its formula."""
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
        """Return the name of the native formula for these options; None where there is none.

        Raises:
            PluginError: the cell names one that does not exist.
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
        default_min_count: how often a token has to occur in the training text to get a place in the
            vocabulary, where the user does not say.
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
        build: ``build(learning_rate, options)`` returns a ``mxnet.optimizer.Optimizer``.
        default_learning_rate: used where the user gives none.
    """

    kind: ClassVar[str] = "optimizer"

    default_learning_rate: float = 0.001

    def validate(self) -> None:
        super().validate()
        rate = self.default_learning_rate
        if type(rate) not in (int, float) or not 0 < rate < float("inf"):
            raise PluginError(f"optimizer {self.name!r}: default_learning_rate must be a finite number above 0")

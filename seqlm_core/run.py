"""A trained run: what can be done with a run directory."""

from __future__ import annotations

import dataclasses
import functools
import logging
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqlm_core.architecture import Architecture
from seqlm_core.checkpoint import select
from seqlm_core.components import Components, check_plugins_of_run
from seqlm_core.errors import RunError, SettingError, UsageError
from seqlm_core.generation.network import NextTokenNetwork, StepNetwork
from seqlm_core.generation.sampling import DEFAULT_LENGTH, DEFAULT_TEMPERATURE, sample_tokens
from seqlm_core.options import make_options
from seqlm_core.plugins import installed_plugins
from seqlm_core.randomness import generator
from seqlm_core.reading.corpus import read_text, warn_of_unknown_tokens
from seqlm_core.reading.text import PathLike, check_encoding
from seqlm_core.reading.vocabulary import UNKNOWN_ID, Vocabulary
from seqlm_core.run_directory import RunDirectory
from seqlm_core.settings import Settings, make_settings
from seqlm_core.specs import CellSpec, Spec, Tokenizer
from seqlm_core.texts import check_texts, open_texts

if TYPE_CHECKING:
    from seqlm_core.evaluation import Evaluation
    from seqlm_core.model.language_model import LanguageModel

logger = logging.getLogger("seqlm")


class Run:
    """A run on disk.

    Args:
        path: the run directory.

    Raises:
        RunError: it is no run directory, it is damaged, or a plugin that it needs is missing.
    """

    def __init__(self, path: PathLike) -> None:
        self.directory = RunDirectory(Path(path))
        self.config = self.directory.read_config()
        check_plugins_of_run(self.config["plugins"], installed_plugins(), ["cell", "tokenizer"])

    def __repr__(self) -> str:
        return f"Run({os.fspath(self.path)!r})"

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.directory.path

    @functools.cached_property
    def settings(self) -> Settings:
        """The settings of the training, defaults filled in."""
        try:
            return make_settings(**self.config["settings"])
        except UsageError as error:
            raise RunError(f"{self.directory.config} holds a setting that cannot be used: {error}") from error

    @functools.cached_property
    def components(self) -> Components:
        """The plugins of the run, the optimizer included, which only resuming needs."""
        check_plugins_of_run(self.config["plugins"], installed_plugins(), ["optimizer"])
        try:
            return Components.choose(self.settings, installed_plugins())
        except UsageError as error:
            raise self._does_not_fit(error) from error

    @functools.cached_property
    def cell(self) -> CellSpec:
        """The run's cell."""
        return installed_plugins().cells.get(self.settings.cell)

    @functools.cached_property
    def cell_options(self) -> Any:
        """The options of the run's cell."""
        return self._options(self.cell, self.settings.cell_options)

    def _options(self, spec: Spec, values: dict[str, Any]) -> Any:
        try:
            return make_options(spec, values)
        except UsageError as error:
            raise self._does_not_fit(error) from error

    def _does_not_fit(self, error: UsageError) -> RunError:
        return RunError(f"{self.directory.config} does not fit the plugins that are here: {error}")

    @functools.cached_property
    def architecture(self) -> Architecture:
        """The sizes of the model."""
        return Architecture.from_json(self.config["architecture"])

    @functools.cached_property
    def vocabulary(self) -> Vocabulary:
        """The tokens that the model knows."""
        return self.directory.read_vocabulary()

    @functools.cached_property
    def tokenizer(self) -> Tokenizer:
        """The run's tokenizer."""
        spec = installed_plugins().tokenizers.get(self.settings.tokenizer)
        tokenizer: Tokenizer = spec.build(self._options(spec, self.settings.tokenizer_options))
        return tokenizer

    @functools.cached_property
    def weights(self) -> dict[str, np.ndarray]:
        """The parameters of the best epoch by name; of the last step, as long as no epoch is over."""
        directory = self.directory
        arrays, _ = directory.load(directory.best if directory.best.exists() else directory.last)
        return select(arrays, "model")

    @functools.cached_property
    def model(self) -> LanguageModel:
        """The language model, on the CPU."""
        from seqlm_core.build import build_model, load_weights
        from seqlm_core.mxnet import mx

        model = build_model(self.architecture, self.cell, self.cell_options)
        load_weights(model, self.weights, mx.cpu())
        return model

    @functools.cached_property
    def network(self) -> NextTokenNetwork:
        """The model as generation uses it; without MXNet, if the cell has a step function."""
        if self.cell.step is not None:
            return StepNetwork(self.architecture, self.cell, self.cell_options, self.weights)
        from seqlm_core.generation.layer_network import LayerNetwork

        return LayerNetwork(self.model)

    def change_settings(self, settings: Settings) -> None:
        """Write other settings into the run's configuration."""
        self.config["settings"] = dataclasses.asdict(settings)
        self.directory.write_config(self.config)
        self.settings = settings

    def history(self) -> list[dict[str, Any]]:
        """Return the figures of the training; see :mod:`seqlm_core.training.extensions.history`.

        Raises:
            RunError: they are missing or damaged.
        """
        from seqlm_core.training.extensions.history import read_history

        if not self.directory.last.exists():
            return read_history(self.directory.history)
        _, state = self.directory.load(self.directory.last)
        return read_history(self.directory.history, state["history"])

    def sample(
        self,
        prompt: str = "",
        length: int = DEFAULT_LENGTH,
        temperature: float = DEFAULT_TEMPERATURE,
        seed: int | None = None,
    ) -> str:
        """Return the prompt and a text that the model continues it with.

        Args:
            prompt: is read by the model first; what it does not know is said in a warning.
            length: tokens to add.
            temperature: below 1 the text is more probable, above 1 more surprising; 0 always takes the most
                probable token.
            seed: the same seed gives the same text; None draws one.

        Raises:
            SettingError: an argument is out of its range.
        """
        if length < 0:
            raise SettingError("length", f"must be at least 0, not {length}")
        if not 0 <= temperature < float("inf"):
            raise SettingError("temperature", f"must be a number of at least 0, not {temperature}")
        seed = secrets.randbits(63) if seed is None else seed
        if not 0 <= seed < 2**63:
            raise SettingError("seed", f"must be at least 0 and below 2**63, not {seed}")
        prompt_ids = self._prompt_ids(prompt)
        random = generator(seed, 0, "sampling")
        ids = sample_tokens(self.network, self.vocabulary, prompt_ids, length, temperature, random)
        return prompt + self.tokenizer.detokenize([self.vocabulary.tokens[i] for i in ids])

    def evaluate(self, *texts: PathLike | Sequence[PathLike], encoding: str = "utf-8") -> list[Evaluation]:
        """Return the model's figures on each of the texts.

        Args:
            texts: files; a list of files is read as one text, and ``-`` is standard input.
            encoding: of the files.

        Raises:
            TextError: a text cannot be read, or is too short to predict anything.
        """
        check_encoding(encoding)
        for text in texts:
            if not check_texts(text):
                raise UsageError("the list of texts is empty")
        from seqlm_core.evaluation import Evaluator
        from seqlm_core.mxnet import told_failures

        with told_failures():
            model = self.model
        found = []
        for text in texts:
            with open_texts(text) as opened:
                tokenized = read_text(opened.training, self.tokenizer, self.vocabulary, encoding)
            warn_of_unknown_tokens(tokenized)
            s = self.settings
            with told_failures():
                found.append(Evaluator(model, tokenized, s.sequence_length, s.batch_size).evaluate())
        return found

    def _prompt_ids(self, prompt: str) -> list[int]:
        tokens = self.tokenizer.tokenize(prompt)
        ids = [self.vocabulary.id(token) for token in tokens]
        unknown = [token for token, token_id in zip(tokens, ids) if token_id == UNKNOWN_ID]
        if unknown:
            logger.warning(
                "the prompt holds %r, which is not in the vocabulary and is read as <unk>%s",
                unknown[0],
                f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else "",
            )
        return ids

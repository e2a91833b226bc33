"""The run of a language model: sampling and evaluation."""

from __future__ import annotations

import functools
import logging
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

from seqlm_core.architecture import Architecture, architecture_from_json
from seqlm_core.errors import SettingError, UsageError
from seqlm_core.generation.network import NextTokenNetwork, StepNetwork
from seqlm_core.generation.sampling import DEFAULT_LENGTH, DEFAULT_TEMPERATURE, sample_tokens
from seqlm_core.plugins import installed_plugins
from seqlm_core.randomness import generator
from seqlm_core.reading.corpus import read_text, warn_of_unknown_tokens
from seqlm_core.reading.text import PathLike, check_encoding
from seqlm_core.reading.vocabulary import UNKNOWN_ID, Vocabulary
from seqlm_core.run_directory import LANGUAGE_MODEL
from seqlm_core.settings import Settings
from seqlm_core.specs import Tokenizer
from seqlm_core.texts import TrainingTexts, check_texts, open_texts
from seqlm_core.trained_run import TrainedRun

if TYPE_CHECKING:
    from seqlm_core.evaluation import Evaluation
    from seqlm_core.model.language_model import LanguageModel
    from seqlm_core.mxnet import mx
    from seqlm_core.training.session import Session

logger = logging.getLogger("seqlm")


class Run(TrainedRun[Settings]):
    """The run of a language model.

    Args:
        path: the run directory.

    Raises:
        RunError: it is no run directory of a language model, it is damaged, or a plugin that it needs is missing.
    """

    task = LANGUAGE_MODEL
    settings_class = Settings

    @functools.cached_property
    def architecture(self) -> Architecture:
        """The sizes of the model."""
        return architecture_from_json(Architecture, self.config["architecture"])

    @functools.cached_property
    def vocabulary(self) -> Vocabulary:
        """The tokens that the model knows."""
        return self.directory.read_vocabulary()

    @functools.cached_property
    def tokenizer(self) -> Tokenizer:
        """The run's tokenizer, with what it has learnt."""
        component = self._component(installed_plugins().tokenizers, self.settings.tokenizer, "tokenizer_options")
        tokenizer: Tokenizer = component.spec.build(component.options)
        self.directory.restore_tokenizer(tokenizer)
        return tokenizer

    @functools.cached_property
    def model(self) -> LanguageModel:
        """The language model, on the CPU."""
        from seqlm_core.build import build_language_model, load_weights
        from seqlm_core.mxnet import mx

        model = build_language_model(self.architecture, self.cell)
        load_weights(model, self.weights, mx.cpu())
        return model

    @functools.cached_property
    def network(self) -> NextTokenNetwork:
        """The model as generation uses it; without MXNet, if the cell has a step function."""
        if self.cell.spec.step is not None:
            return StepNetwork(self.architecture, self.cell.spec, self.cell.options, self.weights)
        from seqlm_core.generation.layer_network import LayerNetwork

        return LayerNetwork(self.model)

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

    def session(self, texts: TrainingTexts, settings: Settings, device: mx.Context) -> Session:
        from seqlm_core.training.language_modelling import language_model_session, read_training_corpus

        corpus = read_training_corpus(texts, self.tokenizer, settings, self.vocabulary)
        return language_model_session(corpus, self.components, settings, self.architecture, device)

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

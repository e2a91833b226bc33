"""The run of a language model: sampling and evaluation."""

from __future__ import annotations

import dataclasses
import functools
import logging
import os
import secrets
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from seqlm_core.architecture import Architecture, architecture_from_json
from seqlm_core.errors import RunError, SettingError, UsageError
from seqlm_core.generation.decoding import DEFAULT_TEMPERATURE, DecodingRules
from seqlm_core.generation.gaps import DEFAULT_MARK, cut_gapped_text
from seqlm_core.generation.generate import DEFAULT_LENGTH
from seqlm_core.generation.infilling import DEFAULT_SWEEPS, InfilledText, Infiller
from seqlm_core.generation.native_network import step_network
from seqlm_core.generation.network import TextNetwork
from seqlm_core.generation.texts import GeneratedText, TextGenerator
from seqlm_core.plugins import installed_plugins
from seqlm_core.reading.corpus import read_text, warn_of_unknown_tokens
from seqlm_core.reading.text import PathLike, check_encoding, read_blocks
from seqlm_core.reading.vocabulary import UNKNOWN_ID, Vocabulary
from seqlm_core.run_directory import LANGUAGE_MODEL
from seqlm_core.settings import Settings
from seqlm_core.specs import Tokenizer
from seqlm_core.surprisal import LineSurprisal, TokenSurprisal, line_surprisals, token_surprisals, warn_of_unknown
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
        component = self._component(installed_plugins().tokenizers, "tokenizer")
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
    def network(self) -> TextNetwork:
        """The model as generation uses it; without MXNet, if the cell has a step function."""
        if self.cell.spec.step is not None:
            return step_network(self.architecture, self.cell.spec, self.cell.options, self.weights)
        from seqlm_core.generation.layer_network import LayerNetwork

        return LayerNetwork(self.model)

    def sample(
        self,
        prompt: str = "",
        length: int = DEFAULT_LENGTH,
        temperature: float = DEFAULT_TEMPERATURE,
        seed: int | None = None,
    ) -> str:
        """Return the prompt and a text that the model continues it with; :meth:`generate` can do more.

        Args:
            prompt: is read by the model first; what it does not know is said in a warning.
            length: tokens to add.
            temperature: below 1 the text is more probable, above 1 more surprising; 0 always takes the most
                probable token.
            seed: the same seed gives the same text; None draws one.

        Raises:
            SettingError: an argument is out of its range.
        """
        return prompt + self.generate(prompt, length=length, temperature=temperature, seed=seed)[0].text

    def generate(
        self,
        prompt: str = "",
        *,
        count: int = 1,
        length: int = DEFAULT_LENGTH,
        temperature: float = DEFAULT_TEMPERATURE,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        repetition_penalty: float = 1.0,
        beam: int = 0,
        stop: str | Sequence[str] = (),
        seed: int | None = None,
    ) -> list[GeneratedText]:
        """Return texts that the model continues the prompt with, in one batch.

        Args:
            prompt: is read by the model first; what it does not know is said in a warning.
            count: of texts; the k-th sample does not depend on it.
            length: the most tokens of each.
            temperature: see :class:`~seqlm_core.generation.decoding.DecodingRules` for this and the rules that follow.
            top_k: likewise.
            top_p: likewise.
            min_p: likewise.
            repetition_penalty: likewise.
            beam: search for the most probable texts, with a beam of this width, instead of drawing; the rules and the
                seed then have no say, and may not be given. 0 draws.
            stop: a text, or several, that end a text.
            seed: the same seed gives the same texts; None draws one.

        Raises:
            SettingError: an argument is out of its range, or does not go with a beam.
        """
        rules = DecodingRules(repetition_penalty, temperature, top_k, top_p, min_p)
        stops = _check_generation(count, length, beam, stop)
        prompt_ids = self._prompt_ids(prompt)
        if not beam:
            return self._generator.sample(prompt_ids, count, length, rules, _checked_seed(seed), stops)
        plain = DecodingRules()
        for name, value in dataclasses.asdict(rules).items():
            if value != getattr(plain, name):
                raise SettingError(name, "is for drawing, and a beam searches for the most probable text")
        if seed is not None:
            raise SettingError("seed", "is for drawing, and a beam searches for the most probable text")
        return self._generator.most_probable(prompt_ids, count, length, beam, stops)

    def stream(
        self,
        prompt: str = "",
        *,
        length: int = DEFAULT_LENGTH,
        temperature: float = DEFAULT_TEMPERATURE,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        repetition_penalty: float = 1.0,
        stop: str | Sequence[str] = (),
        seed: int | None = None,
    ) -> Iterator[str]:
        """Yield a text that the model continues the prompt with in pieces of whole characters, as it is drawn.

        Joined they are the text of :meth:`generate`, whose arguments and errors these are.
        """
        rules = DecodingRules(repetition_penalty, temperature, top_k, top_p, min_p)
        stops = _check_generation(1, length, 0, stop)
        return self._generator.stream(self._prompt_ids(prompt), length, rules, _checked_seed(seed), stops)

    def infill(
        self,
        text: str,
        *,
        gap: int = 1,
        mark: str = DEFAULT_MARK,
        count: int = 1,
        sweeps: int = DEFAULT_SWEEPS,
        temperature: float = 0.0,
        seed: int | None = None,
    ) -> list[InfilledText]:
        """Return the text with its gaps filled by a bidirectional model; see :mod:`seqlm_core.generation.infilling`.

        Args:
            text: with a mark where something is missing; what the model does not know is said in a warning.
            gap: tokens that each mark stands for.
            mark: what marks a gap.
            count: of texts that are filled differently; there may be fewer at temperature 0.
            sweeps: how often each missing token is drawn anew.
            temperature: 0 returns the most probable fillings that were found, the best first; above 0 each is drawn.
            seed: the same seed gives the same texts; None draws one, or is 0 at temperature 0.

        Raises:
            RunError: the model reads from the left only.
            SettingError: an argument is out of its range.
            UsageError: the text has no mark.
        """
        if not self.architecture.bidirectional:
            cells = [entry.spec.name for entry in installed_plugins().cells if entry.spec.bidirectional]
            raise RunError(
                f"{self.path} holds a model of cell {self.cell.spec.name!r}, which reads from the left only; gaps are "
                f"filled by a bidirectional one: {', '.join(cells)}"
            )
        gapped = cut_gapped_text(text, mark, gap, self.tokenizer, self.vocabulary)
        self._known_ids(gapped.known_tokens(), "the text")
        infiller = Infiller(self.network, self.vocabulary, self.tokenizer, self.settings.sequence_length - 1)
        return infiller.fill(
            gapped, count, sweeps, temperature, _checked_seed(0 if seed is None and temperature == 0 else seed)
        )

    @functools.cached_property
    def _generator(self) -> TextGenerator:
        return TextGenerator(self.network, self.vocabulary, self.tokenizer)

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

    def score(
        self, text: PathLike, *, per: str = "line", encoding: str = "utf-8"
    ) -> Iterator[LineSurprisal | TokenSurprisal]:
        """Return how surprising each line, or each token, of a text is to the model, reading from left to right.

        Args:
            text: a file; ``-`` is standard input.
            per: ``line`` or ``token``.
            encoding: of the file.

        Raises:
            UsageError: ``per`` is something else.
            TextError: the text cannot be read.
        """
        if per not in ("line", "token"):
            raise UsageError(f"per must be line or token, not {per!r}")
        check_encoding(encoding)
        check_texts(text)
        return self._surprisals(text, per, encoding)

    def _surprisals(self, text: PathLike, per: str, encoding: str) -> Iterator[LineSurprisal | TokenSurprisal]:
        with open_texts(text) as opened:
            blocks = (block for path in opened.training for block in read_blocks(path, encoding))
            surprisals = token_surprisals(self.network, self.vocabulary, self.tokenizer, blocks)
            told = warn_of_unknown(surprisals, os.fspath(text))
            yield from told if per == "token" else line_surprisals(told, self.tokenizer)

    def session(self, texts: TrainingTexts, settings: Settings, device: mx.Context) -> Session:
        from seqlm_core.training.language_modelling import language_model_session, read_training_corpus

        corpus = read_training_corpus(texts, self.tokenizer, settings, self.vocabulary)
        return language_model_session(corpus, self.components, settings, self.architecture, device)

    def _prompt_ids(self, prompt: str) -> list[int]:
        return self._known_ids(self.tokenizer.tokenize(prompt), "the prompt")

    def _known_ids(self, tokens: Sequence[str], name: str) -> list[int]:
        """Return the ids of tokens of a text that is called ``name``, with a warning of those that are unknown."""
        ids = [self.vocabulary.id(token) for token in tokens]
        unknown = [token for token, token_id in zip(tokens, ids) if token_id == UNKNOWN_ID]
        if unknown:
            logger.warning(
                "%s holds %r, which is not in the vocabulary and is read as <unk>%s",
                name,
                unknown[0],
                f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else "",
            )
        return ids


def _check_generation(count: int, length: int, beam: int, stop: str | Sequence[str]) -> list[str]:
    """Return the stop texts; raise :class:`SettingError` for an argument that is out of its range."""
    if count < 1:
        raise SettingError("count", f"must be at least 1, not {count}")
    if length < 0:
        raise SettingError("length", f"must be at least 0, not {length}")
    if beam < 0:
        raise SettingError("beam", f"must be at least 0, not {beam}")
    stops = [stop] if isinstance(stop, str) else list(stop)
    if "" in stops:
        raise SettingError("stop", "must not be empty")
    return stops


def _checked_seed(seed: int | None) -> int:
    """Return the seed, or one that is drawn; raise :class:`SettingError` if it is out of range."""
    if seed is None:
        return secrets.randbits(63)
    if not 0 <= seed < 2**63:
        raise SettingError("seed", f"must be at least 0 and below 2**63, not {seed}")
    return seed

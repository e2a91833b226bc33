"""The run of a language model as far as it makes text."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable

from seqlm_core.engine.processes import number_of_jobs
from seqlm_core.generation.checks import check_beam, check_drawing, checked_seed, checked_stops
from seqlm_core.generation.document_network import document_network
from seqlm_core.generation.generate import DEFAULT_LENGTH
from seqlm_core.generation.network import TextNetwork
from seqlm_core.generation.next_tokens import NextToken, next_tokens
from seqlm_core.generation.prompts import Prompt, cut_prompt, warn_of_unknown
from seqlm_core.generation.text_generator import GeneratedText, TextGenerator
from seqlm_core.model.architecture import LanguageArchitecture, architecture_from_json, check_same_architecture
from seqlm_core.model.parameters import check_parameters
from seqlm_core.plugins.components import build_tokenizer
from seqlm_core.plugins.loading import installed_plugins
from seqlm_core.plugins.specs import Tokenizer
from seqlm_core.reading.documents import Documents, cutting_documents
from seqlm_core.reading.vocabulary import Vocabulary
from seqlm_core.runs.config import LANGUAGE_MODEL
from seqlm_core.runs.networks import text_network
from seqlm_core.runs.parallel import Drawing, SharedRun, draw_texts
from seqlm_core.runs.run import Run
from seqlm_core.settings.arguments import check_argument
from seqlm_core.settings.decoding_rules import DEFAULT_TEMPERATURE, DecodingRules
from seqlm_core.settings.fields import make_settings
from seqlm_core.settings.settings import LanguageSettings
from seqlm_core.storage.quantization import Matrix

if TYPE_CHECKING:
    from seqlm_core.model.language_network import LanguageNetwork


class GeneratingRun(Run[LanguageSettings]):
    """The model of a run, and the text that it makes; see :class:`~seqlm_core.runs.language_run.LanguageRun`."""

    task = LANGUAGE_MODEL

    architecture: LanguageArchitecture

    def _checked_architecture(self) -> LanguageArchitecture:
        recorded = architecture_from_json(LanguageArchitecture, self.config["architecture"])
        chosen = LanguageArchitecture.choose(
            self._recorded_settings, self.cell.spec.bidirectional, recorded.vocabulary_size
        )
        check_same_architecture(recorded, chosen, self._recorded_settings)
        return recorded

    @property
    def _token_embedding_size(self) -> int:
        return self.architecture.embedding_size

    @functools.cached_property
    def vocabulary(self) -> Vocabulary:
        """The tokens that the model knows."""
        vocabulary = self.directory.read_vocabulary()
        self._check_against_architecture(self.directory.vocabulary, {"vocabulary_size": len(vocabulary)})
        return vocabulary

    @functools.cached_property
    def tokenizer(self) -> Tokenizer:
        """The run's tokenizer, with what it has learnt."""
        component = self._component(installed_plugins().tokenizers, "tokenizer")
        tokenizer = build_tokenizer(component)
        self.directory.restore_tokenizer(tokenizer)
        return tokenizer

    @functools.cached_property
    def model(self) -> LanguageNetwork:
        """The language model, on the CPU."""
        model: LanguageNetwork = self._new_network()
        return model

    def _build_network(self) -> LanguageNetwork:
        from seqlm_core.model.build import build_language_network

        return build_language_network(self.architecture, self.cell)

    def _check_parameters(self, weights: Mapping[str, Matrix]) -> None:
        check_parameters(weights, self.architecture, self.cell.spec.native_formula(self.cell.options))

    @functools.cached_property
    def network(self) -> TextNetwork:
        """The model as generation uses it; without MXNet, if the cell has a step function that is right."""
        return document_network(text_network(self), self._documents)

    @functools.cached_property
    def _documents(self) -> Documents | None:
        return Documents.of(self.settings.documents, self.vocabulary, self.tokenizer)

    @property
    def _start(self) -> int | None:
        return None if self._documents is None else self._documents.start

    @property
    def _cutting(self) -> Tokenizer:
        return cutting_documents(self.tokenizer, self.settings.documents)

    def sample(
        self,
        prompt: str = "",
        length: int = DEFAULT_LENGTH,
        temperature: float = DEFAULT_TEMPERATURE,
        seed: int | None = None,
    ) -> str:
        """Return the prompt and a text that the model continues it with; :meth:`generate` can do more.

        Args:
            prompt: the text to continue. A warning names tokens that the model does not know.
            length: the number of tokens to add.
            temperature: below 1 the text is more predictable, above 1 more surprising; 0 always takes the most
                probable token.
            seed: the same seed gives the same text; None draws a seed.

        Raises:
            SettingError: an argument is out of its range.
        """
        check_argument("prompt", prompt, str)
        return prompt + self.generate(prompt, length=length, temperature=temperature, seed=seed)[0].text

    def generate(
        self,
        prompt: str = "",
        *,
        count: int = 1,
        length: int = DEFAULT_LENGTH,
        beam: int = 0,
        stop: str | Sequence[str] = (),
        seed: int | None = None,
        **rules: Any,
    ) -> list[GeneratedText]:
        """Return texts that the model continues the prompt with.

        Args:
            prompt: the text to continue. A warning names tokens that the model does not know. If the tokenizer puts a
                space into the token of the word after it, a space at the end of the prompt begins the next word.
            count: the number of texts. The k-th text is the same whatever the count.
            length: the largest number of tokens in a text.
            beam: 0 draws tokens. Above 0, search for the most probable texts with a beam of this width, at most 1000;
                then no rule and no seed may be given, and the length is at most 10,000.
            stop: one text or several; a text ends where one of them would begin.
            seed: the same seed gives the same texts; None draws a seed.
            rules: ``temperature``, ``top_k``, ``top_p``, ``min_p`` and ``repetition_penalty``, the fields of
                :class:`~seqlm_core.settings.decoding_rules.DecodingRules`.

        Raises:
            SettingError: an argument is out of its range, or does not go with a beam.
            UsageError: there is no rule of a given name.
        """
        if beam:
            check_beam(beam, count, length, _made(rules), seed)
            return self.generator.most_probable(self._prompt(prompt), count, length, beam, checked_stops(stop))
        texts = self.stream_each(prompt, count=count, length=length, stop=stop, seed=seed, **rules)
        return [GeneratedText.joined(pieces) for pieces in texts]

    def stream(
        self,
        prompt: str = "",
        *,
        length: int = DEFAULT_LENGTH,
        stop: str | Sequence[str] = (),
        seed: int | None = None,
        **rules: Any,
    ) -> Iterator[str]:
        """Yield a text that continues the prompt while it is drawn, in pieces of whole characters.

        Arguments and errors are those of :meth:`generate`, and the joined pieces are its text. The memory does not grow
        with the length.
        """
        texts = self.stream_each(prompt, length=length, stop=stop, seed=seed, **rules)
        return (piece.text for pieces in texts for piece in pieces if piece.text)

    def stream_each(
        self,
        prompt: str = "",
        *,
        count: int = 1,
        length: int = DEFAULT_LENGTH,
        stop: str | Sequence[str] = (),
        seed: int | None = None,
        **rules: Any,
    ) -> Iterator[Iterator[GeneratedText]]:
        """Yield the texts of :meth:`generate` one after the other, each as an iterator of pieces.

        Arguments and errors are those of :meth:`generate`. The memory does not grow with their number and length.
        """
        made = _made(rules)
        check_drawing(count, length)
        stops, checked = checked_stops(stop), checked_seed(seed)
        return self.generator.sample(self._prompt(prompt), count, length, made, checked, stops)

    def generate_each(
        self,
        prompt: str = "",
        *,
        count: int = 1,
        first: int = 0,
        length: int = DEFAULT_LENGTH,
        stop: str | Sequence[str] = (),
        seed: int | None = None,
        jobs: int = 1,
        make: Callable[[int, GeneratedText], Any] | None = None,
        **rules: Any,
    ) -> Iterator[Any]:
        """Yield the texts of :meth:`generate` one after the other. The memory does not grow with their number.

        Other arguments and errors are those of :meth:`generate`.

        Args:
            prompt: the text to continue.
            count: the number of texts, those that are left out included.
            first: how many texts to leave out, at the beginning.
            length: the largest number of tokens in a text.
            stop: one text or several; a text ends where one of them would begin.
            seed: the same seed gives the same texts, whatever the number of jobs.
            jobs: how many processes draw; 0 is one for each usable core.
            make: what is yielded of each text, made of its number, from 0 on, and the text. It is called by the process
                that drew the text, so with several jobs it has to be a function of a module.
            rules: see :meth:`generate`.

        Raises:
            RunError: with several jobs, if the weights of the run change meanwhile.
        """
        made = _made(rules)
        check_drawing(count, length)
        check_argument("first", first, int, minimum=0)
        check_argument("jobs", jobs, int, minimum=0)
        drawing = Drawing(self._prompt(prompt), length, made, checked_seed(seed), tuple(checked_stops(stop)))
        jobs = number_of_jobs(jobs)
        return draw_texts(self, self._shared(jobs), drawing, range(count)[first:], jobs, make)

    def _shared(self, jobs: int) -> SharedRun | None:
        """Return what other processes open; None if there is one job."""
        if jobs == 1:
            return None
        tokenizer = self._component(installed_plugins().tokenizers, "tokenizer")
        return SharedRun.of(self, [self.cell.source, tokenizer.source])

    def next_tokens(self, prompt: str = "", count: int | None = None) -> list[NextToken]:
        """Return what may follow a prompt and how probable it is, the most probable token first.

        Args:
            prompt: the text before the token. A warning names tokens that the model does not know. After an empty
                prompt, tokens are as probable as they are frequent in the training text. If the prompt ends with a
                space that begins the next token, only tokens that begin with a space are returned, with their
                probabilities among these tokens.
            count: the number of tokens to return. None returns all; their probabilities add up to 1.

        Raises:
            SettingError: an argument is out of its range.
        """
        if count is not None:
            check_argument("count", count, int, minimum=1)
        return next_tokens(self.network, self.vocabulary, self._prompt(prompt))[:count]

    @functools.cached_property
    def generator(self) -> TextGenerator:
        """Draws texts with the model."""
        return TextGenerator(self.network, self.vocabulary, self.tokenizer)

    def _prompt(self, text: str) -> Prompt:
        check_argument("prompt", text, str)
        prompt = cut_prompt(text, self._cutting, self.vocabulary, self._documents)
        warn_of_unknown(prompt.tokens, self.vocabulary, "the prompt")
        return prompt


def _made(rules: Mapping[str, Any]) -> DecodingRules:
    return make_settings(DecodingRules, rules, called="argument or decoding rule")

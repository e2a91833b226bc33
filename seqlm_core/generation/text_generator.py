"""Generates texts with a model, one after the other, each as a whole or in pieces as they are drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from seqlm_core.generation.assembly import Assembly
from seqlm_core.generation.beam import beam_search
from seqlm_core.generation.generate import Uniforms, generate
from seqlm_core.generation.network import TextNetwork
from seqlm_core.generation.prompts import Prompt
from seqlm_core.plugins.specs import Tokenizer
from seqlm_core.reading.vocabulary import Vocabulary
from seqlm_core.settings.decoding_rules import DecodingRules

# Limits for the texts that are drawn side by side. With NumPy, more than this number of texts take longer for each
# text. Their tokens are kept in memory until the texts before them are done; a text that is drawn alone is yielded in
# pieces instead.
MOST_TEXTS = 64
MOST_TOKENS = 1 << 20


@dataclasses.dataclass(frozen=True)
class GeneratedText:
    """A text that a model generated, or a piece of it.

    Attributes:
        text: the text after the prompt, without the stop text that ended it; a piece has only complete characters.
        tokens: the tokens of the text, those of the stop text that ended it included. The first token may begin with
            white space that is in the prompt already.
        log_probabilities: the model's log-probability of each token in nats, before the decoding rules. Without a
            prompt, that of the first token is of its frequency in training.
        finished: whether a stop text ended the text; False for all pieces except the last.
    """

    text: str
    tokens: list[str]
    log_probabilities: list[float]
    finished: bool

    @classmethod
    def joined(cls, pieces: Iterable[GeneratedText]) -> GeneratedText:
        """Join pieces to the whole text."""
        texts: list[str] = []
        tokens: list[str] = []
        log_probabilities: list[float] = []
        finished = False
        for piece in pieces:
            texts.append(piece.text)
            tokens += piece.tokens
            log_probabilities += piece.log_probabilities
            finished = piece.finished
        return cls("".join(texts), tokens, log_probabilities, finished)

    def to_json(self) -> dict[str, object]:
        """Return the attributes as values that JSON can hold."""
        return dataclasses.asdict(self)


def side_by_side(numbers: range, length: int, most: int = MOST_TEXTS) -> Iterator[range]:
    """Yield the numbers of texts that are drawn side by side.

    Args:
        numbers: the numbers of all texts.
        length: the largest number of tokens in a text.
        most: the largest number of texts.
    """
    size = max(1, min(most, MOST_TEXTS, MOST_TOKENS // max(1, length)))
    for first in range(0, len(numbers), size):
        yield numbers[first : first + size]


class TextGenerator:
    """Generates texts with a model.

    Args:
        network: predicts the next token.
        vocabulary: the model's vocabulary.
        tokenizer: joins tokens.
    """

    def __init__(self, network: TextNetwork, vocabulary: Vocabulary, tokenizer: Tokenizer) -> None:
        self.network = network
        self.vocabulary = vocabulary
        self.tokenizer = tokenizer

    def sample(
        self, prompt: Prompt, count: int, length: int, rules: DecodingRules, seed: int, stops: Sequence[str] = ()
    ) -> Iterator[Iterator[GeneratedText]]:
        """Yield texts one after the other, each in pieces. The memory grows neither with their number nor their length.

        Args:
            prompt: the text to go on from.
            count: number of texts; the k-th text does not depend on it.
            length: the largest number of tokens in a text.
            rules: the decoding rules.
            seed: the seed of the random numbers; the same seed gives the same texts.
            stops: stop texts: each of them ends a text.
        """
        for numbers in side_by_side(range(count), length):
            if len(numbers) == 1:
                yield self._pieces(prompt, numbers[0], length, rules, seed, stops)
            else:
                yield from (iter([text]) for text in self.whole_texts(prompt, numbers, length, rules, seed, stops))

    def _pieces(
        self, prompt: Prompt, number: int, length: int, rules: DecodingRules, seed: int, stops: Sequence[str]
    ) -> Iterator[GeneratedText]:
        """Yield the text with this number, in pieces as they are drawn."""
        assembly = Assembly(self.tokenizer, stops, prompt.beginning)
        uniforms = Uniforms.of_seed(seed, range(number, number + 1))
        for drawn in generate(
            self.network, self.vocabulary, prompt, length, rules, uniforms, lambda text: assembly.stopped
        ):
            tokens = self._tokens(drawn.tokens[0])
            taken, text = assembly.add(tokens)
            yield GeneratedText(text, tokens[:taken], drawn.log_probabilities[0, :taken].tolist(), assembly.stopped)
        rest = assembly.end()
        if rest:
            yield GeneratedText(rest, [], [], False)

    def whole_texts(
        self, prompt: Prompt, numbers: range, length: int, rules: DecodingRules, seed: int, stops: Sequence[str]
    ) -> Iterator[GeneratedText]:
        """Yield the texts with these numbers, which are all drawn side by side; see :meth:`sample`."""
        count = len(numbers)
        ids, log_probabilities = np.empty((count, length), dtype=np.int64), np.empty((count, length))
        lengths = np.zeros(count, dtype=np.int64)
        assemblies = [Assembly(self.tokenizer, stops, prompt.beginning) for _ in numbers]
        uniforms = Uniforms.of_seed(seed, numbers)
        for drawn in generate(
            self.network, self.vocabulary, prompt, length, rules, uniforms, lambda text: assemblies[text].stopped
        ):
            start = lengths[drawn.texts[0]]  # all texts that go on have the same length
            ids[drawn.texts, start : start + drawn.tokens.shape[1]] = drawn.tokens
            log_probabilities[drawn.texts, start : start + drawn.tokens.shape[1]] = drawn.log_probabilities
            if not stops:
                lengths += drawn.tokens.shape[1]
                continue
            for text, tokens in zip(drawn.texts.tolist(), drawn.tokens):
                lengths[text] += assemblies[text].add(self._tokens(tokens))[0]
        for assembly, of_text, values, taken in zip(assemblies, ids, log_probabilities, lengths.tolist()):
            tokens = self._tokens(of_text[:taken])
            text = self._text_up_to_stop(tokens, stops, prompt.beginning)
            yield GeneratedText(text, tokens, values[:taken].tolist(), assembly.stopped)

    def most_probable(
        self, prompt: Prompt, count: int, length: int, width: int, stops: Sequence[str] = ()
    ) -> list[GeneratedText]:
        """Return the ``count`` most probable texts that a beam search of this width finds, the best first."""
        assembly = Assembly(self.tokenizer, stops, prompt.beginning) if stops else None
        generated = []
        for hypothesis in beam_search(self.network, self.vocabulary, prompt, width, length, assembly)[:count]:
            tokens = [self.vocabulary.tokens[token] for token in hypothesis.tokens]
            text = self._text_up_to_stop(tokens, stops, prompt.beginning)
            generated.append(GeneratedText(text, tokens, list(hypothesis.log_probabilities), hypothesis.finished))
        return generated

    def _text_up_to_stop(self, tokens: Sequence[str], stops: Sequence[str], beginning: str) -> str:
        if not stops:
            return self.tokenizer.detokenize(tokens)[len(beginning) :]
        assembly = Assembly(self.tokenizer, stops, beginning)
        _, text = assembly.add(tokens)
        return text + assembly.end()

    def _tokens(self, ids: np.ndarray) -> list[str]:
        return [self.vocabulary.tokens[token] for token in ids.tolist()]

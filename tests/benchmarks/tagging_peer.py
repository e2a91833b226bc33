"""The same taggers in PyTorch: the same inputs, sizes, batches, dropout, optimizer and schedule."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqlm_core.sequences.batches import Batch, TrainingBatches, batches_in_order
from seqlm_core.sequences.codecs import Codecs
from seqlm_core.sequences.encoded_sequences import EncodedSequences


class Tagger(nn.Module):
    """Embeddings of tokens and columns, a bidirectional LSTM over characters, one over tokens, and label scores."""

    def __init__(self, codecs: Codecs, settings: Any) -> None:
        super().__init__()
        sizes, s = codecs.sizes, settings
        self.tokens = nn.Embedding(sizes["input_size"], s.embedding_size)
        self.columns = nn.ModuleList(nn.Embedding(n, s.column_embedding_size) for n in sizes["columns"])
        size = s.embedding_size + s.column_embedding_size * len(sizes["columns"])
        self.characters = None
        if s.char_cell is not None:
            self.characters = nn.Embedding(sizes["characters"], s.char_hidden_size)
            self.spelling = nn.LSTM(s.char_hidden_size, s.char_hidden_size, bidirectional=True)
            size += 2 * s.char_hidden_size
        self.layers = nn.LSTM(size, s.hidden_sizes[0], s.layers, bidirectional=True, dropout=s.dropout)
        self.dropout = nn.Dropout(s.dropout)
        self.head = nn.Linear(2 * s.hidden_sizes[0], sizes["output_size"])

    def forward(self, inputs: list[torch.Tensor], lengths: torch.Tensor) -> torch.Tensor:
        """Return scores of labels, ``(time, batch, labels)``."""
        tokens, *rest = inputs
        parts = [self.tokens(tokens), *(read(ids) for read, ids in zip(self.columns, rest))]
        if self.characters is not None:
            characters, counts = rest[-2:]
            read = self.characters(characters.flatten(0, 1)).transpose(0, 1)
            counts = counts.flatten().clamp(min=1)
            _, (last, _) = self.spelling(pack_padded_sequence(read, counts, enforce_sorted=False))
            parts.append(torch.cat([last[0], last[1]], dim=1).reshape(*tokens.shape, -1))
        packed = pack_padded_sequence(self.dropout(torch.cat(parts, dim=2)), lengths, enforce_sorted=False)
        outputs, _ = pad_packed_sequence(self.layers(packed)[0], total_length=len(tokens))
        return self.head(self.dropout(outputs))


def train_peer(training: Any, validation: Any, test: Any, codecs: Codecs, settings: Any) -> tuple[float, float, float]:
    """Train; return the accuracies on both parts in percent, of the epoch that is best on the first, and seconds."""
    torch.manual_seed(settings.seed)
    encoded = [EncodedSequences.of_examples(part, "labels", codecs) for part in (training, validation, test)]
    model = Tagger(codecs, settings)
    optimizer = torch.optim.Adam(model.parameters(), settings.learning_rate)
    batches = TrainingBatches(encoded[0], settings.batch_size)
    steps = settings.epochs * len(batches)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, steps, settings.warmup))
    best = (0.0, 0.0)
    started, evaluating = time.perf_counter(), 0.0
    for epoch in range(settings.epochs):
        model.train()
        for batch in batches.read(settings.seed, epoch):
            optimizer.zero_grad()
            scores = model(*tensors(batch))
            known = torch.tensor(batch.counted) > 0
            loss = nn.functional.cross_entropy(scores[known], torch.tensor(batch.targets)[known].long())
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
            optimizer.step()
            schedule.step()
        paused = time.perf_counter()
        best = max(best, (accuracy(model, encoded[1], settings), accuracy(model, encoded[2], settings)))
        evaluating += time.perf_counter() - paused
    return (*best, time.perf_counter() - started - evaluating)


def rate(step: int, steps: int, warmup: int) -> float:
    """Return the factor of the learning rate: a rise, and a cosine down to a twentieth."""
    return min(1.0, (step + 1) / warmup) * (0.05 + 0.95 * (1 + math.cos(math.pi * step / steps)) / 2)


def tensors(batch: Batch) -> tuple[list[torch.Tensor], torch.Tensor]:
    return [torch.tensor(part.astype(np.int64)) for part in batch.inputs], torch.tensor(batch.lengths)


@torch.no_grad()
def accuracy(model: Tagger, sequences: EncodedSequences, settings: Any) -> float:
    model.eval()
    right = total = 0
    for batch in batches_in_order(sequences, settings.batch_size):
        predicted = model(*tensors(batch)).argmax(dim=2).numpy()
        right += int(((predicted == batch.targets) * batch.counted).sum())
        total += int(batch.counted.sum())
    return 100 * right / total

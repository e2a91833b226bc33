"""Checks of what a prediction depends on (the tokens before it, or on both sides), and on what it must not depend."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqlm_core.conformance.check import Checks, demand
from seqlm_core.conformance.small_models import (
    BATCH,
    EMBEDDING,
    HIDDEN,
    ROUNDING,
    TIME,
    VOCABULARY,
    Cell,
    compared,
    predictions_of,
    small_model,
    some_tokens,
    with_another_token,
)
from seqlm_core.engine.mxnet import mx, nd
from seqlm_core.model.architecture import SequenceArchitecture
from seqlm_core.model.build import build_sequence_network
from seqlm_core.model.graphs import LeftReading
from seqlm_core.model.initialization import initialize
from seqlm_core.model.sequence_network import SequenceOutputs

checks = Checks()


@checks(
    "carries its states from window to window: two short windows give what a long one gives",
    "the states that the layer returns, and whether it begins with those that it is given",
)
def states_carry_over(cell: Cell) -> str:
    model = small_model(cell, layers=2)
    tokens = some_tokens(2 * TIME, BATCH)
    whole, _ = LeftReading(model, 2 * TIME)(tokens, model.begin_state(BATCH))
    half = LeftReading(model, TIME)
    first, states = half(tokens[:TIME], model.begin_state(BATCH))
    second, _ = half(tokens[TIME:], states)
    return compared(nd.concat(first, second, dim=0), whole, "outputs differ by {}")


@checks(
    "never sees the token that is predicted, nor one beyond it",
    "whether an output depends on inputs of later time steps",
)
def no_prediction_sees_its_target(cell: Cell) -> str:
    model = small_model(cell, layers=2)
    tokens = some_tokens(TIME + 1, 1).asnumpy()
    before = predictions_of(model, tokens)
    for position in range(1, TIME + 1):
        after = predictions_of(model, with_another_token(tokens, position))
        for prediction in range(position):
            # Prediction t is of token t + 1, so the right context of a bidirectional model begins at t + 2.
            if not cell.spec.bidirectional or prediction == position - 1:
                moved = float(np.abs(after[prediction] - before[prediction]).max())
                demand(
                    moved < ROUNDING,
                    f"the prediction of token {prediction + 1} moves by {moved:.2g} nats with token {position}",
                )
    return ""


@checks(
    "sees what came before, and what follows if it is bidirectional",
    "whether the layer uses its inputs and its states",
)
def predictions_depend_on_the_context(cell: Cell) -> str:
    model = small_model(cell, layers=2)
    tokens = some_tokens(TIME + 1, 1).asnumpy()
    before = predictions_of(model, tokens)
    for position in range(TIME - 1):
        after = predictions_of(model, with_another_token(tokens, position))
        for prediction in (position, position + 1):
            moved = np.abs(after[prediction] - before[prediction]).max()
            demand(moved > ROUNDING, f"the prediction of token {prediction + 1} does not depend on token {position}")
    if cell.spec.bidirectional:
        for position in range(2, TIME + 1):
            moved = np.abs(
                predictions_of(model, with_another_token(tokens, position))[position - 2] - before[position - 2]
            ).max()
            demand(
                moved > ROUNDING, f"the prediction of token {position - 1} does not depend on token {position} after it"
            )
    return ""


@checks(
    "keeps the rows of a batch apart: each row gives what it gives alone",
    "operations over the batch axis, such as a mean or a normalization",
)
def rows_are_independent(cell: Cell) -> str:
    model = small_model(cell, layers=2)
    tokens = some_tokens(TIME, BATCH)
    together, _ = LeftReading(model, TIME)(tokens, model.begin_state(BATCH))
    alone = LeftReading(model, TIME)
    rows = [alone(tokens[:, row : row + 1], model.begin_state(1))[0] for row in range(BATCH)]
    return compared(nd.concat(*rows, dim=1), together, "outputs differ by {}")


@checks(
    "reads sequences of unequal length side by side as it reads each alone",
    "whether an output depends on inputs of later time steps, or on other rows",
)
def padding_changes_nothing(cell: Cell) -> str:
    architecture = SequenceArchitecture(
        inputs="tokens", outputs="labels", input_size=VOCABULARY, output_size=3, hidden_size=HIDDEN, layers=2,
        embedding_size=EMBEDDING, bidirectional=cell.spec.bidirectional, characters=0, char_hidden_size=0,
        char_bidirectional=False,
    )  # fmt: skip
    network = build_sequence_network(architecture, cell)
    initialize(network, 1, mx.cpu())
    tokens, lengths = some_tokens(TIME, BATCH), [TIME, 1, TIME // 2]

    def outputs(read: Any, of_lengths: list[int]) -> Any:
        time, batch = read.shape
        known = nd.array(of_lengths, dtype="int32") if network.reads_lengths else None
        return SequenceOutputs(network, time)([read], known, network.begin_state(time, batch))

    together = outputs(tokens, lengths)
    found, wanted = [], []
    for row, length in enumerate(lengths):
        found.append(together[:length, row].asnumpy())
        wanted.append(outputs(tokens[:length, row : row + 1], [length])[:, 0].asnumpy())
    return compared(np.concatenate(found), np.concatenate(wanted), "log-probabilities differ by {}")

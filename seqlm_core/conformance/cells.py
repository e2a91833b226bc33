"""What a recurrent cell has to do."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from seqlm_core.conformance.check import Checks, demand
from seqlm_core.conformance.small_models import (
    BATCH,
    EMBEDDING,
    HIDDEN,
    ROUNDING,
    TIME,
    TOLERANCE,
    VOCABULARY,
    Cell,
    compared,
    initial_model,
    loss_of,
    predictions_of,
    runs_in_float64,
    small_model,
    some_tokens,
    with_another_token,
)
from seqlm_core.conformance.training import TEXT, check_learning, check_resuming, train_small
from seqlm_core.engine.mxnet import autograd, mx, nd
from seqlm_core.generation.layer_network import LayerNetwork
from seqlm_core.generation.native_network import NativeNetwork, step_network
from seqlm_core.generation.network import StepNetwork
from seqlm_core.model.architecture import SequenceArchitecture
from seqlm_core.model.build import build_sequence_network, check_cells_work, weights_of
from seqlm_core.model.graphs import LeftReading
from seqlm_core.model.initialization import initialize, unique_parameters
from seqlm_core.model.sequence_network import SequenceOutputs
from seqlm_core.native import layer_shapes
from seqlm_core.native.generation import generation_library
from seqlm_core.settings.decoding_rules import DecodingRules

checks = Checks()


@checks(
    "builds layers that map (time, batch, channels) to (time, batch, units)",
    "what build(input_size, hidden_size, options) returns, and the shapes of its parameters and states",
)
def layers_have_the_right_shapes(cell: Cell) -> str:
    for input_size, hidden_size in ((EMBEDDING, HIDDEN), (1, 1), (HIDDEN, HIDDEN)):
        model = small_model(cell, embedding_size=input_size, hidden_size=hidden_size)
        check_cells_work(model, {"": cell.spec.name})
        for batch in (1, BATCH):
            hidden, states = LeftReading(model, TIME)(some_tokens(TIME, batch), model.begin_state(batch))
            demand(
                hidden.shape == (TIME, batch, hidden_size),
                f"outputs have shape {hidden.shape} instead of {(TIME, batch, hidden_size)}",
            )
            demand(hidden.dtype == np.float32, f"outputs are {np.dtype(hidden.dtype)} instead of float32")
            for state in (state for layer in states for state in layer):
                demand(
                    state.shape[0] == batch,
                    f"a state has shape {state.shape}, and its first axis must be batch, {batch}",
                )
    return ""


@checks(
    "is the same whenever it is built from the same seed",
    "initializers that draw from NumPy's or Python's random numbers; MXNet's are seeded",
)
def the_seed_decides_the_weights(cell: Cell) -> str:
    first, second, other = (weights_of(initial_model(cell, seed=seed)) for seed in (1, 1, 2))
    for name, array in first.items():
        demand(np.array_equal(array, second[name]), f"parameter {name} differs between two models of the same seed")
    of_layers = [name for name in first if name.startswith("forward_stack.")]
    demand(
        not of_layers or any(not np.array_equal(first[name], other[name]) for name in of_layers),
        "no parameter of the layer differs between two models of different seeds",
    )
    return ""


@checks(
    "gives the same figures at every call: it is not in training mode, and nothing drops out, while figures are taken",
    "dropout that does not go by MXNet's training mode, such as F.Dropout with mode='always', and other random numbers",
)
def figures_repeat(cell: Cell) -> str:
    model = small_model(cell, layers=2)
    tokens = some_tokens(TIME, BATCH)
    readings: dict[str, Any] = {
        "the layer in windows": LeftReading(model, TIME),
        "the layer step by step": LayerNetwork(model),
    }

    def outputs(name: str) -> np.ndarray:
        reading = readings[name]
        if isinstance(reading, LayerNetwork):
            states, steps = reading.begin(BATCH), []
            for token in tokens.asnumpy():
                hidden, states = reading.read(token, states)
                steps.append(hidden.asnumpy())
            return np.concatenate(steps)
        with model.repeatable():
            return reading(tokens, model.begin_state(BATCH))[0].asnumpy()

    for name in readings:
        first, *others = (outputs(name) for _ in range(3))
        moved = max(float(np.abs(other - first).max()) for other in others)
        demand(
            moved < ROUNDING,
            f"outputs of {name} differ by {moved:.2g} from call to call: something is drawn, or drops out, while "
            "figures are taken",
        )
    return ""


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


@checks(
    "computes the same whether it is hybridized or not",
    "hybrid_forward: what it does with F, and Python values that it keeps between calls",
)
def hybridized_equals_imperative(cell: Cell) -> str:
    model = small_model(cell, layers=2)
    tokens = some_tokens(TIME, BATCH)
    graph, _ = LeftReading(model, TIME)(tokens, model.begin_state(BATCH))
    model.hybridize(False)
    imperative, _ = model.read_left(tokens, model.begin_state(BATCH), TIME)
    return compared(graph, imperative, "outputs differ by {}")


@checks(
    "has gradients that agree with finite differences, for every parameter of 1 to 3 layers",
    "operations of the layer whose gradient is not theirs (stop_gradient, custom operators), and unused parameters",
)
def gradients_are_right(cell: Cell) -> str:
    largest = 0.0
    exact = runs_in_float64(cell)
    step, tolerance = (1e-6, 1e-5) if exact else (1e-2, 3e-2)
    for layers in (1, 2, 3):
        model = small_model(cell, layers=layers)
        if exact:
            model.cast("float64")
        random = np.random.default_rng(layers)
        loss = loss_of(model)
        with autograd.record():
            value = loss()
        value.backward()
        for name, parameter in unique_parameters(model).items():
            weights = parameter.data().asnumpy()
            direction = random.normal(size=weights.shape) / np.sqrt(weights.size)
            by_gradient = float((parameter.grad().asnumpy() * direction).sum())
            losses = []
            for sign in (1, -1):
                parameter.set_data(nd.array(weights + sign * step * direction, dtype=weights.dtype))
                losses.append(float(loss().asscalar()))
            parameter.set_data(nd.array(weights, dtype=weights.dtype))
            by_difference = (losses[0] - losses[1]) / (2 * step)
            error = abs(by_gradient - by_difference) / max(abs(by_gradient), abs(by_difference), 1e-2)
            largest = max(largest, error)
            demand(
                error < tolerance,
                f"{layers} layers: along a random direction the gradient of {name} gives {by_gradient:.6g}, and finite "
                f"differences give {by_difference:.6g}",
            )
            demand(
                np.abs(parameter.grad().asnumpy()).max() > 0,
                f"{layers} layers: the loss does not depend on parameter {name}",
            )
    return f"largest relative error {largest:.1g}{'' if exact else ', in float32, as it does not run in float64'}"


@checks("learns a small text", "the layer's formula, and how its parameters begin")
def learns(cell: Cell) -> str:
    return check_learning("cell", cell)


@checks(
    "resumes: a training that was stopped and resumed equals one that was not, bit for bit",
    "states of the layer that are no parameters, and random numbers that are not MXNet's",
)
def resumes(cell: Cell) -> str:
    return check_resuming("cell", cell)


@checks(
    "predicts alike by the layer and by the NumPy step function",
    "step(weights, inputs, states, options): compare it with the layer, formula by formula",
)
def both_ways_to_generate_agree(cell: Cell) -> str:
    if not cell.spec.has_step(cell.options):
        return "no step function: text is generated through the layer, which is slower"
    largest = 0.0
    for layers in (1, 2, 3):
        model = small_model(cell, layers=layers)
        by_layer = LayerNetwork(model)
        by_step = StepNetwork(model.architecture, cell.spec, cell.options, weights_of(model))
        for batch in (1, BATCH):
            where = f"{layers} layers, batch {batch}"
            layer_states, step_states = by_layer.begin(batch), by_step.begin(batch)
            for position, token in enumerate(some_tokens(20, batch).asnumpy()):
                layer_hidden, layer_states = by_layer.read(token, layer_states)
                step_hidden, step_states = by_step.read(token, step_states)
                for state in (state for layer in step_states for state in layer):
                    demand(
                        state.shape[:1] == (batch,),
                        f"{where}: a state of the step function has shape {state.shape}, and its first axis must be "
                        "batch",
                    )
                expected, found = by_layer.log_probabilities(layer_hidden), by_step.log_probabilities(step_hidden)
                demand(
                    found.shape == expected.shape,
                    f"{where}: the step function leads to shape {found.shape}, and the layer to {expected.shape}",
                )
                error = float(np.abs(found - expected).max())
                largest = max(largest, error)
                demand(
                    error < TOLERANCE,
                    f"{where}: log-probabilities differ by {error:.2g} nats after {position + 1} tokens",
                )
    return f"{largest:.1g} nats"


@checks(
    "draws natively by the probabilities of the NumPy step function, if it names a native kernel",
    "the field native, and the names, the shapes and the order of gates of the layer's parameters",
)
def native_drawing_agrees(cell: Cell) -> str:
    kernel = cell.spec.native_kernel(cell.options)
    if kernel is None:
        return "no native kernel: text is generated by the step function or the layer, which is slower"
    library = generation_library()
    largest = 0.0
    for layers in (1, 2, 3):
        model = small_model(cell, layers=layers)
        weights = weights_of(model)
        for layer in range(layers):
            prefix = f"forward_stack.{layer}."
            found = {n[len(prefix) :]: array.shape for n, array in weights.items() if n.startswith(prefix)}
            expected = layer_shapes(kernel, HIDDEN, HIDDEN if layer else EMBEDDING)
            demand(found == expected, f"the layer's parameters are {found}, and kernel {kernel} needs {expected}")
        if library is None:
            continue
        network = NativeNetwork(model.architecture, cell.spec, cell.options, weights, library, kernel)
        first = np.array([1])
        uniforms = np.random.default_rng(1).random((1, 20))
        tokens, natively = network.native.draw(
            DecodingRules(temperature=1.0), uniforms, first.copy(), network.native.begin(1), None
        )
        states = network.begin(1)
        for position, token in enumerate([*first, *tokens[0, :-1]]):
            hidden, states = network.read(np.array([token]), states)
            by_step = network.log_probabilities(hidden)[0, tokens[0, position]]
            largest = max(largest, float(abs(natively[0, position] - by_step)))
            demand(
                largest < TOLERANCE,
                f"{layers} layers: log-probabilities differ by {largest:.2g} nats after {position + 1} tokens",
            )
    return f"{largest:.1g} nats" if library else "not tried: the native library is not here"


@checks(
    "is kept by a run: loaded again it gives the same figures, and the same text by either way to generate",
    "what the layer computes with besides its inputs, states and parameters, such as numbers drawn in build",
)
def a_run_keeps_it(cell: Cell) -> str:
    import seqlm_core as seqlm

    with tempfile.TemporaryDirectory() as folder:
        held_out = Path(folder, "held-out.txt")
        held_out.write_text(TEXT[:500])
        run = train_small(Path(folder), "cell", cell, epochs=1, validation=held_out)
        (expected,) = (r["validation_nats_per_token"] for r in run.history() if r["kind"] == "epoch")
        loaded = seqlm.LanguageRun(run.path)
        found = loaded.evaluate(held_out)[0].nats_per_token
        demand(
            abs(found - expected) < ROUNDING,
            f"its loss on a text is {expected:.6g} nats per token after training, and {found:.6g} when it is loaded",
        )
        first, again = (_by_step(seqlm.LanguageRun(run.path)).sample(length=30, seed=1) for _ in range(2))
        loaded.network = LayerNetwork(loaded.model)
        by_layer = loaded.sample(length=30, seed=1)
    demand(first == again, f"the same seed gives two texts, {first!r} and {again!r}")
    demand(by_layer == first, f"the step function writes {first!r}, and the layer {by_layer!r}")
    return ""


def _by_step(run: Any) -> Any:
    """Return the run, generating by the cell's step, if there is one, even where it was found to be wrong."""
    if run.cell.spec.has_step(run.cell.options):
        run.network = step_network(run.architecture, run.cell.spec, run.cell.options, run.weights)
    return run

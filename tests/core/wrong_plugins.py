"""Plugins that are wrong on purpose, one for each mistake, with the check that finds it and what it says of it."""

from __future__ import annotations

import functools
import random
import re
import unicodedata
from typing import Any, Callable, NamedTuple

import numpy as np
from right_plugins import Characters, Descent, Layer, Merges, Runs, Unit, unit_step

import seqlm_core as seqlm
from seqlm_core.conformance import cells, optimizers, tokenizers
from seqlm_core.conformance.cells import computation, context, generation, layers, training
from seqlm_core.engine.mxnet import gluon, mx


class Wrong(NamedTuple):
    """One wrong plugin.

    Attributes:
        spec: the plugin.
        check: the function of the check that finds it; others may find it too.
        said: a regular expression that matches what the check says.
    """

    spec: Any
    check: Callable[[Any], str]
    said: str


WRONG: list[Wrong] = []


def wrong(check: Callable[[Any], str], said: str, **fields: Any) -> Callable[[Any], Any]:
    """Add a plugin that builds the class below, or what the function below returns, for the arguments of ``build``."""

    def add(build: Any) -> Any:
        name = re.sub(r"(?<!^)(?=[A-Z])", "-", build.__name__).lower().replace("_", "-")
        if check.__module__.startswith(f"{cells.__name__}."):
            spec = seqlm.CellSpec(name, "wrong", lambda size, hidden, options: build(size, hidden), **fields)
        elif check.__module__ == tokenizers.__name__:
            spec = seqlm.TokenizerSpec(name, "wrong", lambda options: build(), **fields)
        else:
            fields.setdefault("default_learning_rate", 0.05)
            spec = seqlm.OptimizerSpec(name, "wrong", lambda rate, options: build(learning_rate=rate), **fields)
        WRONG.append(Wrong(spec, check, said))
        return build

    return add


# Cells: shapes and types


@wrong(layers.layers_have_the_right_shapes, r"outputs have shape \(1, 6, 5\) instead of \(6, 1, 5\)")
class BatchFirst(Layer):
    def after(self, F, outputs, states):
        return F.swapaxes(outputs, 0, 1), states


@wrong(layers.layers_have_the_right_shapes, "outputs are float16 instead of float32")
class HalfPrecision(Layer):
    def after(self, F, outputs, states):
        return F.cast(outputs, "float16"), states


@wrong(layers.layers_have_the_right_shapes, "outputs are float64 instead of float32")
class DoublePrecision(Layer):
    def after(self, F, outputs, states):
        return F.cast(outputs, "float64"), states


@wrong(layers.layers_have_the_right_shapes, r"a state has shape \(1, 3, 5\), and its first axis must be batch, 3")
class TimeFirstStates(Layer):
    """Hands out states as MXNet's fused operator takes them."""

    def begin_state(self, batch_size, ctx=None, dtype="float32"):
        return [mx.nd.zeros((1, batch_size, self.hidden_size), ctx=ctx, dtype=dtype)]

    def before(self, F, inputs, states):
        return inputs, [state.reshape((-3, -2)) for state in states]

    def after(self, F, outputs, states):
        return outputs, [state.expand_dims(0) for state in states]


@wrong(layers.layers_have_the_right_shapes, "returns states of other shapes than it begins with")
class BeginsForOneRow(Layer):
    def begin_state(self, batch_size, ctx=None, dtype="float32"):
        return [mx.nd.zeros((1, self.hidden_size), ctx=ctx, dtype=dtype)]

    def before(self, F, inputs, states):
        rows = F.slice_axis(inputs, axis=0, begin=0, end=1).reshape((-3, -2)).slice_axis(axis=1, begin=0, end=1)
        return inputs, [F.broadcast_add(F.zeros_like(rows), states[0])]


@wrong(layers.layers_compute_on_the_given_device, r"given ctx=cpu\(1\), and returns a state on cpu\(0\)")
class BeginsOnTheProcessor(Layer):
    def begin_state(self, batch_size, ctx=None, dtype="float32"):
        return [mx.nd.zeros((batch_size, self.hidden_size), dtype=dtype)]


@wrong(layers.layers_have_the_right_shapes, r"returns outputs of shape \(2, 2, 4\) instead of \(2, 2, 5\)")
class ReturnsItsInput(Unit):
    def after(self, F, x, h):
        return x, [h]


@wrong(layers.layers_have_the_right_shapes, r"MXNetError: .*Incompatible attr")
class AddsItsInput(Unit):
    """A residual connection, which needs as many inputs as units."""

    def after(self, F, x, h):
        return x + h, [h]


@wrong(layers.layers_have_the_right_shapes, "does not know its shape: give it the input size")
def no_input_size(input_size, hidden_size):
    return gluon.rnn.GRUCell(hidden_size)


@wrong(layers.layers_have_the_right_shapes, "built a type, not a gluon HybridBlock")
def returns_the_class(input_size, hidden_size):
    return Unit


@wrong(
    layers.layers_have_the_right_shapes,
    r"^AttributeError: .*'hiden_size' \(wrong_plugins.py, line \d+\)",
)
class Misspelt(Unit):
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.size = self.hiden_size


@wrong(layers.layers_have_the_right_shapes, r"(?i)KeyError|not been initialized")
class UnregisteredParameter(Unit):
    """Parameters in a list are none of the layer's."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.scales = [self.params.get("scale", shape=(hidden_size,), init="ones")]

    def after(self, F, x, h):
        scale = self.scales[0].var() if F is mx.sym else self.scales[0].data()
        h = F.broadcast_mul(h, scale.expand_dims(0))
        return h, [h]


# Cells: seeds


class FromNumPy(mx.init.Initializer):
    def __init__(self, draw):
        super().__init__()
        self._draw = draw

    def _init_weight(self, name, array):
        array[:] = self._draw(size=array.shape)


@wrong(layers.the_seed_decides_the_weights, r"parameter forward_stack\.0\.i2h differs between two models of the same")
class DrawsFromNumPy(Unit):
    weight_init = FromNumPy(np.random.normal)


@wrong(layers.the_seed_decides_the_weights, "no parameter of the layer differs between two models of different seeds")
class AlwaysTheSameWeights(Unit):
    weight_init = FromNumPy(lambda size: np.random.default_rng(0).normal(size=size))


# Cells: figures


@wrong(
    layers.figures_repeat,
    r"^outputs of the layer in windows differ by [\d.]+ from call to call: something is drawn, or drops out, while",
)
class DropsOutAlways(Layer):
    def after(self, F, outputs, states):
        return F.Dropout(outputs, p=0.3, mode="always"), states


@wrong(layers.figures_repeat, r"^outputs of the layer in windows differ by [\d.]+ from call to call")
class NoisyAlways(Unit):
    def after(self, F, x, h):
        h = h + F.random.normal_like(h, scale=0.1)
        return h, [h]


# Cells: states and time


@wrong(context.states_carry_over, r"outputs differ by \d\.\d+")
class ForgetsItsStates(Layer):
    def before(self, F, inputs, states):
        return inputs, [F.zeros_like(state) for state in states]


@wrong(context.states_carry_over, r"outputs differ by \d\.\d+")
class ReturnsTheBeginStates(Layer):
    def before(self, F, inputs, states):
        self.begun_with = states
        return inputs, states

    def after(self, F, outputs, states):
        return outputs, [state * 1 for state in self.begun_with]


@wrong(context.states_carry_over, r"outputs differ by \d\.\d+")
class RoundsItsStates(Layer):
    """A state in half precision is not quite the one that goes on."""

    def after(self, F, outputs, states):
        return outputs, [F.round(state * 8) / 8 for state in states]


@wrong(context.no_prediction_sees_its_target, r"the prediction of token \d moves by [\d.e-]+ nats with token \d")
class ReadsFromTheRight(Layer):
    def before(self, F, inputs, states):
        return F.reverse(inputs, axis=0), states

    def after(self, F, outputs, states):
        return F.reverse(outputs, axis=0), states


@wrong(context.no_prediction_sees_its_target, r"the prediction of token 1 moves by")
class CentredOverTime(Layer):
    def after(self, F, outputs, states):
        return F.broadcast_sub(outputs, F.mean(outputs, axis=0, keepdims=True)), states


class OneStepAhead(Layer):
    def after(self, F, outputs, states):
        ahead = F.slice_axis(outputs, axis=0, begin=1, end=None)
        return F.concat(ahead, F.slice_axis(outputs, axis=0, begin=-1, end=None), dim=0), states


@wrong(context.no_prediction_sees_its_target, r"the prediction of token 1 moves by [\d.e-]+ nats with token 1")
class OneStepAheadFromTheLeft(OneStepAhead):
    pass


@wrong(context.no_prediction_sees_its_target, r"the prediction of token \d moves by", bidirectional=True)
class OneStepAheadFromBothSides(OneStepAhead):
    pass


@wrong(context.predictions_depend_on_the_context, "the prediction of token 1 does not depend on token 0")
class IgnoresItsInput(Unit):
    def total(self, F, x, h, i2h, h2h, bias):
        return super().total(F, x * 0, h, i2h, h2h, bias)


@wrong(context.predictions_depend_on_the_context, "the prediction of token 2 does not depend on token 0")
class IgnoresItsState(Unit):
    def total(self, F, x, h, i2h, h2h, bias):
        return super().total(F, x, h * 0, i2h, h2h, bias)


@wrong(context.predictions_depend_on_the_context, r"the prediction of token \d does not depend", bidirectional=True)
class IgnoresItsStateOnBothSides(IgnoresItsState):
    pass


# Cells: batches


@wrong(context.rows_are_independent, r"outputs differ by [\d.]+")
class NormalizedOverTheBatch(Unit):
    def after(self, F, x, h):
        h = F.broadcast_sub(h, F.mean(h, axis=0, keepdims=True))
        return h, [h]


@wrong(context.rows_are_independent, r"outputs differ by \d\.\d+")
class KnowsOneRow(Layer):
    """Reshapes as if there were one row only, and so mixes the rows of several."""

    def after(self, F, outputs, states):
        return F.reshape(F.swapaxes(outputs, 0, 1), shape=(-1, 0, 0)).reshape_like(outputs), states


@wrong(context.padding_changes_nothing, r"log-probabilities differ by 0\.\d+")
class DividesByTheLength(Layer):
    """Another window length, other outputs."""

    def after(self, F, outputs, states):
        return F.broadcast_div(outputs, F.sum(F.ones_like(outputs), axis=0, keepdims=True)), states


# Cells: hybridization


@wrong(computation.hybridized_equals_imperative, r"outputs differ by \d\.\d+")
class BranchesOnF(Unit):
    def after(self, F, x, h):
        h = h if F is mx.nd else h / 2
        return h, [h]


@wrong(computation.hybridized_equals_imperative, r"outputs differ by \d\.\d+")
class CountsItsCalls(Unit):
    calls = 0

    def after(self, F, x, h):
        self.calls += 1
        return h * self.calls, [h]


# Cells: gradients and learning


@wrong(
    computation.gradients_are_right,
    r"1 layers: along a random direction the gradient of \S+ gives -?[\d.e-]+, and finite differences give -?[\d.e-]+",
)
class BlocksTheGradient(Unit):
    def total(self, F, x, h, i2h, h2h, bias):
        return super().total(F, x, F.BlockGrad(h), i2h, h2h, bias)


@wrong(computation.gradients_are_right, r"along a random direction the gradient of")
class BlocksTheGradientInFloat32(BlocksTheGradient):
    """Does not run in float64, so that the check has to do with coarser differences."""

    def after(self, F, x, h):
        return F.cast(h, "float32"), [F.cast(h, "float32")]


@wrong(computation.gradients_are_right, "1 layers: the loss does not depend on parameter forward_stack.0.spare")
class UnusedParameter(Unit):
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        with self.name_scope():
            self.spare = self.params.get("spare_weight", shape=(hidden_size, hidden_size))

    def hybrid_forward(self, F, x, states, spare, **parameters):
        return super().hybrid_forward(F, x, states, **parameters)


@wrong(computation.gradients_are_right, r"RuntimeError: Cannot get gradient .* grad_req='null'")
class FixedParameter(Unit):
    """The optimizer asks every parameter for its gradient."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        with self.name_scope():
            self.scale = self.params.get("scale", shape=(1, hidden_size), init="ones", grad_req="null")

    def hybrid_forward(self, F, x, states, scale, **parameters):
        h, after = super().hybrid_forward(F, x, states, **parameters)
        return F.broadcast_mul(h, scale), after


@wrong(training.learns, r"the loss goes from \d\.\d+ to \d\.\d+ nats per token within 8 epochs; .* alone give 2\.\d+")
class HardlyMoves(Unit):
    def after(self, F, x, h):
        return h / 1000, [h]


@wrong(training.learns, r"the loss goes from")
class ForgetsEveryToken(IgnoresItsInput):
    """Learns how often each token occurs, and nothing else."""


@wrong(training.resumes, r"\S+ differs by [\d.e-]+ after another epoch")
class BeginsAtRandom(Unit):
    def begin_state(self, **kwargs):
        return [mx.nd.array(np.random.normal(size=state.shape)) for state in super().begin_state(**kwargs)]


# Cells: generation


def swapped_gates(weights, inputs, states, options):
    """The step of a GRU that takes update for reset."""
    size = weights["h2h_weight"].shape[1]
    hidden = states[0] if states else np.zeros((len(inputs), size), inputs.dtype)
    from_input = inputs @ weights["i2h_weight"].T + weights["i2h_bias"]
    from_state = hidden @ weights["h2h_weight"].T + weights["h2h_bias"]
    update, reset = np.split(seqlm.sigmoid(from_input + from_state)[:, : 2 * size], 2, axis=1)
    candidate = np.tanh(from_input[:, 2 * size :] + reset * from_state[:, 2 * size :])
    hidden = update * hidden + (1 - update) * candidate
    return hidden, (hidden,)


@wrong(
    generation.both_ways_to_generate_agree,
    r"1 layers, batch 1: log-probabilities differ by .* tokens",
    step=swapped_gates,
)
class GatesInAnotherOrder(Layer):
    mode = "gru"


def one_layer_step(weights, inputs, states, options):
    hidden, after = unit_step(weights, inputs, states, options)
    return (hidden + inputs if hidden.shape == inputs.shape else hidden), after


@wrong(generation.both_ways_to_generate_agree, "2 layers, batch 1: log-probabilities differ by", step=one_layer_step)
class StepForOneLayer(Unit):
    pass


def one_row_step(weights, inputs, states, options):
    return unit_step(weights, inputs, tuple(state[:1] for state in states), options)


@wrong(generation.both_ways_to_generate_agree, "1 layers, batch 3: log-probabilities differ by", step=one_row_step)
class StepForOneRow(Unit):
    pass


def many_rows_step(weights, inputs, states, options):
    hidden, after = unit_step(weights, inputs, states, options)
    return hidden, tuple(state - state.mean() if len(state) == 1 else state for state in after)


@wrong(generation.both_ways_to_generate_agree, "1 layers, batch 1: log-probabilities differ by", step=many_rows_step)
class StepForManyRows(Unit):
    pass


def no_bias_step(weights, inputs, states, options):
    return unit_step({**weights, "bias": weights["bias"] * 0}, inputs, states, options)


@wrong(generation.both_ways_to_generate_agree, "1 layers, batch 1: log-probabilities differ by", step=no_bias_step)
class StepWithoutBias(Unit):
    """Which is zero when it begins."""


def no_states_step(weights, inputs, states, options):
    return unit_step(weights, inputs, states, options)[0], ()


@wrong(
    generation.both_ways_to_generate_agree,
    r"log-probabilities differ by .* nats after 2 tokens",
    step=no_states_step,
)
class StepThatForgets(Unit):
    pass


def transposed_step(weights, inputs, states, options):
    hidden, _ = unit_step(weights, inputs, tuple(state.T for state in states), options)
    return hidden, (hidden.T,)


@wrong(
    generation.both_ways_to_generate_agree,
    r"1 layers, batch 1: a state of the step function has shape \(5, 1\), and its first axis must be batch",
    step=transposed_step,
)
class StepWithTransposedStates(Unit):
    pass


def unit_projection(weights, inputs, options):
    return inputs @ weights["i2h"].T + weights["bias"]


def projected_step(weights, projected, states, options):
    total = projected + weights["bias"] + (states[0] @ weights["h2h"].T if states else 0)
    return np.tanh(total), (np.tanh(total),)


@wrong(
    generation.both_ways_to_generate_agree,
    "1 layers, batch 1: log-probabilities differ by",
    step=projected_step,
    project=unit_projection,
)
class AddsTheBiasTwice(Unit):
    pass


def misnamed_step(weights, inputs, states, options):
    return inputs @ weights["i2h_weight"].T, states


@wrong(
    generation.both_ways_to_generate_agree,
    r"^KeyError: 'i2h_weight' \(wrong_plugins.py, line \d+\)$",
    step=misnamed_step,
)
class StepWithAnotherName(Unit):
    pass


@wrong(
    generation.native_drawing_agrees,
    r"the layer's parameters are .*, and formula rnn_tanh needs \{'i2h_weight'",
    step=unit_step,
    native="rnn_tanh",
)
class NamesTheFormulaOfOtherParameters(Unit):
    pass


@wrong(
    generation.a_run_keeps_it,
    r"its loss on a text is [\d.]+ nats per token after training, and [\d.]+ when it is loaded",
)
class DrawsInBuild(Unit):
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.scale = random.uniform(0.1, 2)

    def after(self, F, x, h):
        return h * self.scale, [h]


@wrong(generation.a_run_keeps_it, "the step function writes '.*', and the layer '", step=no_states_step)
class WritesAnotherText(Unit):
    pass


# Tokenizers: losing nothing


@wrong(tokenizers.tokens_joined_are_the_text, r"^'(\\?.|\\x..|\\u....)' becomes \[\], which joined is ''$")
class Strips(Characters):
    def tokenize(self, text):
        return list(text.strip())


@wrong(tokenizers.tokens_joined_are_the_text, r"^'.{2,8}' becomes \['.{1,6}'\], which joined is")
class Normalizes(Characters):
    def tokenize(self, text):
        return list(unicodedata.normalize("NFC", text))


@wrong(tokenizers.tokens_joined_are_the_text, r"^'[A-Z]' becomes \['[a-z]'\], which joined is '[a-z]'$")
class LowerCases(Characters):
    def tokenize(self, text):
        return list(text.lower())


@wrong(tokenizers.tokens_joined_are_the_text, r"^'.{1,10}' becomes \[\], which joined is ''$")
class DropsOddCharacters(Characters):
    def tokenize(self, text):
        return re.findall(r"[^\W\d_]+|\d+|[^\w\s]|[ \n\r\t_]", text)


@wrong(tokenizers.tokens_joined_are_the_text, r"^tokenize\('\\n'\) returns an empty token: \[''\]$")
class JoinsLines(Characters):
    def tokenize(self, text):
        return text.splitlines()

    def detokenize(self, tokens):
        return "\n".join(tokens)


@wrong(tokenizers.tokens_joined_are_the_text, r"^'' becomes \[' '\]|^'.{1,3}' becomes")
class JoinsWords(Characters):
    def tokenize(self, text):
        return text.split()

    def detokenize(self, tokens):
        return " ".join(tokens)


@wrong(tokenizers.tokens_joined_are_the_text, r"^tokenize\(''\) returns an empty token: \[''\]$")
class EmptyTokens(Characters):
    def tokenize(self, text):
        return re.split(r"(\s)", text)


@wrong(tokenizers.tokens_joined_are_the_text, r"^tokenize\(''\) returns \(\), not a list of texts$")
class ReturnsTuples(Characters):
    def tokenize(self, text):
        return tuple(text)


@wrong(tokenizers.tokens_joined_are_the_text, r"^tokenize\('.{1,6}'\) returns \[\d+\], not a list of texts$")
class ReturnsNumbers(Characters):
    def tokenize(self, text):
        return list(map(ord, text))


@wrong(
    tokenizers.tokens_joined_are_the_text,
    r"^'' leads to IndexError: string index out of range \(wrong_plugins.py, line \d+\)$",
)
class LooksAtTheFirstCharacter(Characters):
    def tokenize(self, text):
        return list(text) if text[0] else []


@wrong(tokenizers.tokens_joined_are_the_text, r"^'.{1,10}' leads to UnicodeEncodeError: 'ascii' codec .* \(wrong_pl")
class KnowsAsciiOnly(Characters):
    def tokenize(self, text):
        return [chr(byte) for byte in text.encode("ascii")]


# Tokenizers: pieces


@wrong(tokenizers.pieces_have_the_tokens_of_the_whole, r"^'(\w\w)' is \['\1'\], and in pieces of 1 characters")
class CutsTooFar(Runs):
    def last_cut(self, text):
        return len(text)


@wrong(tokenizers.pieces_have_the_tokens_of_the_whole, r"^last_cut\(''\) is -1$")
class CutsBeforeTheBeginning(Runs):
    def last_cut(self, text):
        return text.rfind(" ")


@wrong(tokenizers.pieces_have_the_tokens_of_the_whole, r"^last_cut\(''\) is 1$")
class CutsBehindTheEnd(Runs):
    def last_cut(self, text):
        return text.rfind(" ") + 2


@wrong(
    tokenizers.pieces_have_the_tokens_of_the_whole,
    r"^'' leads to AttributeError: 'NoneType' object .* \(wrong_plugins.py, line \d+\)$",
)
class FindsNoCut(Runs):
    def last_cut(self, text):
        return re.search(r"\w+\Z", text).start()


@wrong(tokenizers.pieces_have_the_tokens_of_the_whole, r"^'\\r\\n' is \['\\r\\n'\], and in pieces of 1 characters")
class CutsLineEndsInTwo(Characters):
    def tokenize(self, text):
        return re.findall(r"\r\n|.", text, re.DOTALL)


@wrong(tokenizers.pieces_have_the_tokens_of_the_whole, r"^'.{3,30}' is \[")
class MarksTheBeginning(Runs):
    """The first word of a text is another token than that word in the middle."""

    def tokenize(self, text):
        return re.findall(r"\A\w+\W?|\w+|\W", text)


@wrong(tokenizers.long_texts_can_be_cut, r"^last_cut of \d{4} characters is 0$")
class NeverCuts(Characters):
    def last_cut(self, text):
        return 0


@wrong(
    tokenizers.tokens_are_the_callers,
    r"^after its tokens \['I', 't'.*\] were removed from the list, the same text gives \[\]$",
)
class KeepsItsTokens(Characters):
    @functools.lru_cache(maxsize=8)  # noqa: B019 - the mistake
    def tokenize(self, text):
        return list(text)


# Tokenizers: codes


class CodedCharacters(Characters):
    def codes(self, text):
        return np.array([ord(character) for character in text], dtype=np.int64)

    def token_of(self, code):
        return chr(code)


@wrong(tokenizers.codes_stand_for_the_tokens, r"^'.' is \['.'\], and its codes \[\d+\] stand for \['.'\]$")
class CodesOfLowerCase(CodedCharacters):
    def codes(self, text):
        return super().codes("".join(c.lower() if len(c.lower()) == 1 else c for c in text))


@wrong(tokenizers.codes_stand_for_the_tokens, r"^the code of '.*' is -\d+, and must be from 0 to 16777215$")
class NegativeCodes(CodedCharacters):
    def codes(self, text):
        return -super().codes(text) - 1

    def token_of(self, code):
        return chr(-code - 1)


@wrong(tokenizers.codes_stand_for_the_tokens, r"^the code of '.*' is \d+ in '.*', and was \d+ before$")
class CodesOfEachText(CodedCharacters):
    """Numbers the characters of each text anew."""

    def codes(self, text):
        self.known = list(dict.fromkeys(text))
        return np.array([self.known.index(character) for character in text], dtype=np.int64)

    def token_of(self, code):
        return self.known[code]


@wrong(tokenizers.codes_stand_for_the_tokens, r"^codes\(''\) returns \[\], not an array of integers \(tokens,\)$")
class ListsOfCodes(CodedCharacters):
    def codes(self, text):
        return [ord(character) for character in text]


# Tokenizers: learning


@wrong(tokenizers.what_is_learnt_is_kept, r"^TypeError: keys must be str, int, float, bool or None, not tuple$")
class StateWithPairsAsKeys(Merges):
    def state(self):
        return {tuple(merge): rank for rank, merge in enumerate(self.merges)}


@wrong(tokenizers.what_is_learnt_is_kept, "^its state is not the same after it was written as JSON and read$")
class StateWithTuples(Merges):
    def state(self):
        return {"merges": tuple(map(tuple, self.merges))}


@wrong(tokenizers.what_is_learnt_is_kept, r"^TypeError: Object of type set is not JSON serializable$")
class StateWithASet(Merges):
    def state(self):
        return {"merges": set(map("".join, self.merges))}


@wrong(tokenizers.what_is_learnt_is_kept, r"is \['\w{3,}.*\], and by one restored \['T', 'h', 'e'")
class RestoresNothing(Merges):
    def restore(self, state):
        pass


@wrong(tokenizers.what_is_learnt_is_kept, r"is \['\w.*\], and by one restored \['")
class RestoresInAnotherOrder(Merges):
    def restore(self, state):
        self.merges = sorted(state["merges"])


@wrong(tokenizers.what_is_learnt_is_kept, r"and by one that learnt from pieces of 7 characters \['")
class LearnsFromEachPiece(Merges):
    def train(self, texts):
        for text in texts:
            super().train([text])


@wrong(tokenizers.learns, r"the loss goes from \d\.\d+ to \d\.\d+ nats per token")
class WholeLines(Characters):
    """Hardly a token occurs twice."""

    def tokenize(self, text):
        return text.splitlines(keepends=True)

    def last_cut(self, text):
        return text.rfind("\n") + 1


@wrong(tokenizers.resumes, r"\S+ differs by [\d.]+ after another epoch|Error: ")
class ResumesWithNothing(RestoresNothing):
    pass


class Capitals(Characters):
    """A capital letter is a mark and the small letter."""

    def tokenize(self, text):
        return [c for character in text for c in (["^", character.lower()] if character.isupper() else [character])]


@wrong(
    tokenizers.joins_what_a_model_makes_up, r"^ValueError: nothing to capitalize in '[ .,\n]'|^IndexError: list index"
)
class JoinsOnlyItsOwn(Capitals):
    def detokenize(self, tokens):
        text = ""
        for position, token in enumerate(tokens):
            if token == "^":
                if not tokens[position + 1].isalpha():
                    raise ValueError(f"nothing to capitalize in {tokens[position + 1]!r}")
            else:
                text += token.upper() if position and tokens[position - 1] == "^" else token
        return text


# Optimizers


@wrong(
    optimizers.builds_an_optimizer, "^PluginError: optimizer 'returns-a-function' built a function, not an mxnet Opt"
)
def returns_a_function(learning_rate):
    return lambda weight, gradient: weight - learning_rate * gradient


@wrong(optimizers.builds_an_optimizer, "^the learning rate is 0.01 instead of 0.05$")
class IgnoresTheRate(Descent):
    def __init__(self, learning_rate):
        super().__init__(learning_rate=0.01)


@wrong(optimizers.builds_an_optimizer, "^the learning rate is 0.005 instead of 0.05$")
class HasAScheduleOfItsOwn(Descent):
    def __init__(self, learning_rate):
        super().__init__(lr_scheduler=mx.lr_scheduler.FactorScheduler(10, 0.5, base_lr=learning_rate / 10))


@wrong(
    optimizers.descends_on_a_quadratic, r"^after 300 steps .* the loss is [\d.e+]+ times that of the beginning at best$"
)
class Ascends(Descent):
    def direction(self, index, weight, grad, state):
        return -grad


@wrong(optimizers.descends_on_a_quadratic, "the loss is 1 times that", default_learning_rate=1e-9)
class HardlyDescends(Descent):
    pass


@wrong(optimizers.follows_the_schedule, "^at 2 times the learning rate the first step is 1 times as long$")
class FixedRate(Descent):
    def __init__(self, learning_rate):
        super().__init__(learning_rate=learning_rate)
        self.rate = learning_rate

    def _get_lr(self, index):
        return self.rate


@wrong(optimizers.follows_the_schedule, r"^at 0.01 times the learning rate the first step is 0\.[\d]+ times as long$")
class DecaysAtAnyRate(Descent):
    def update(self, index, weight, grad, state):
        super().update(index, weight, grad, state)
        weight[:] *= 0.9


@wrong(optimizers.follows_the_schedule, "^the first step does not move the weights$")
class SkipsTheFirstStep(Descent):
    def direction(self, index, weight, grad, state):
        return grad * (self._index_update_count[index] > 1)


@wrong(optimizers.follows_the_schedule, "at 2 times the learning rate the first step is 1 times as long")
def adadelta_of_mxnet(learning_rate):
    return mx.optimizer.AdaDelta(learning_rate=learning_rate)


class KeepsMomentumInADictionary(Descent):
    def __init__(self, learning_rate):
        super().__init__(learning_rate=learning_rate)
        self.momentum = {}

    def direction(self, index, weight, grad, state):
        self.momentum[index] = 0.9 * self.momentum.get(index, 0) + grad
        return self.momentum[index]


@wrong(optimizers.state_is_saved_and_restored, r"^5 steps after it was restored, weight differs by [\d.]+$")
class MomentumInADictionary(KeepsMomentumInADictionary):
    pass


@wrong(optimizers.state_is_saved_and_restored, r"^5 steps after it was restored, weight differs by [\d.e-]+$")
class CountsByItself(Descent):
    steps = 0

    def direction(self, index, weight, grad, state):
        self.steps += 1
        return grad / self.steps


@wrong(optimizers.state_is_saved_and_restored, r"create_state returns a float; a state is an MXNet array")
class StateOfPython(Descent):
    def create_state(self, index, weight):
        return 0.0


@wrong(optimizers.states_are_on_the_given_device, r"returns an array on cpu\(0\) for weights on cpu\(1\)")
class StatesOnTheProcessor(Descent):
    def create_state(self, index, weight):
        return mx.nd.zeros(weight.shape)


@wrong(optimizers.state_is_saved_and_restored, r"^5 steps after it was restored, weight differs by")
def nadam_of_mxnet(learning_rate):
    return mx.optimizer.Nadam(learning_rate=learning_rate)


@wrong(optimizers.stays_finite, "^after 3 steps with gradients of a size of 0, clipped to 1, a weight is not finite$")
class NoEpsilon(Descent):
    def direction(self, index, weight, grad, state):
        return grad / grad.norm()


@wrong(
    optimizers.stays_finite, "^after 3 steps with gradients of a size of 1e-30, clipped to 1, a weight is not finite$"
)
class ThinksOfZeroOnly(Descent):
    def direction(self, index, weight, grad, state):
        return mx.nd.where(grad == 0, grad, grad / (grad * grad).sqrt())


@wrong(optimizers.stays_finite, "^after 3 steps with gradients of a size of 0, clipped to 1, a weight is not finite$")
def adamax_of_mxnet(learning_rate):
    return mx.optimizer.Adamax(learning_rate=learning_rate)


@wrong(optimizers.rows_are_updated_alike, "^after 3 steps the weights differ by", elementwise=True)
class ScalesByAllWeights(Descent):
    def direction(self, index, weight, grad, state):
        return grad * weight.norm()


@wrong(
    optimizers.rows_are_updated_alike,
    r"it is said to be elementwise, and the state of weights \(6, 3\) has the shape \(6,\)",
    elementwise=True,
)
class OneMeanForARow(Descent):
    def create_state(self, index, weight):
        return mx.nd.zeros((weight.shape[0],))


@wrong(optimizers.learns, r"^the loss goes from|^NonFiniteLossError", default_learning_rate=1000)
class TooFast(Descent):
    pass


@wrong(optimizers.learns, "^the loss goes from", default_learning_rate=0.001)
class TooSlow(Descent):
    pass


@wrong(optimizers.resumes, r"^\S+ differs by [\d.e-]+ after another epoch$")
class ResumesWithoutMomentum(KeepsMomentumInADictionary):
    pass

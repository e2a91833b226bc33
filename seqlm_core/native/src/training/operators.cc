// The kernels as operators of MXNet, through its interface for operators of others (lib_api.h).
//
// An operator's state lives as long as the graph that it belongs to; MXNet gives every use of a graph that is not yet
// differentiated a state of its own. seqlm_core/native/training.py calls this.

#include <algorithm>
#include <exception>
#include <string>
#include <unordered_map>
#include <vector>

#include "kernels.h"
#include "lib_api.h"
#include "team.h"

namespace {

using namespace mxnet::ext;

using Attributes = std::unordered_map<std::string, std::string>;
using Shape = std::vector<unsigned int>;
using Tensors = std::vector<MXTensor>;

int threads = 1;
const seqlm::Kernels* kernels = &seqlm::portable::kernels;
std::vector<double> sums(1);  // of each thread

MXReturnValue fail(const std::string& message) {
    MX_ERROR_MSG << message;
    return MX_FAIL;
}

std::string text(const Attributes& attributes, const std::string& name) {
    const auto found = attributes.find(name);
    return found == attributes.end() ? std::string() : found->second;
}

bool flag(const Attributes& attributes, const std::string& name) { return text(attributes, name) == "1"; }

double number(const Attributes& attributes, const std::string& name) { return std::stod(text(attributes, name)); }

float* floats(MXTensor& tensor) { return tensor.data<float>(); }

const std::int32_t* integers(MXTensor& tensor) { return tensor.data<std::int32_t>(); }

// Whether all are from `first` to below `end`.
bool are_within(const std::int32_t* values, std::size_t count, std::int64_t first, std::int64_t end) {
    return std::all_of(values, values + count, [=](std::int32_t value) { return first <= value && value < end; });
}

// Inputs are of float32, but for those whose numbers are in `integers`, and so are outputs.
MXReturnValue set_types(
    std::vector<int>* inputs, std::vector<int>* outputs, const std::vector<std::size_t>& integer_inputs
) {
    for (std::size_t i = 0; i < inputs->size(); ++i) {
        const bool is_integer = std::count(integer_inputs.begin(), integer_inputs.end(), i) > 0;
        const int wanted = is_integer ? kInt32 : kFloat32;
        int& type = (*inputs)[i];
        if (type != wanted && type != -1 && type != kUNSET)
            return fail("input " + std::to_string(i) + " must be of " + (is_integer ? "int32" : "float32"));
        type = wanted;
    }
    for (int& type : *outputs) type = kFloat32;
    return MX_SUCCESS;
}

// Which inputs a recurrent layer has, as its attributes say:
//   cell     rnn_tanh, rnn_relu, gru or lstm
//   reverse  1 to read each sequence from its end
//   tokens   1 where the inputs are a table with a row for each token
//   lengths  1 where the sequences are of unequal length
struct LayerAttributes {
    seqlm::Cell cell;
    bool reverse, tokens, lengths;

    explicit LayerAttributes(const Attributes& attributes)
        : reverse(flag(attributes, "reverse")), tokens(flag(attributes, "tokens")), lengths(flag(attributes, "lengths")) {
        const std::string name = text(attributes, "cell");
        cell = name == "lstm"       ? seqlm::Cell::lstm
               : name == "gru"      ? seqlm::Cell::gru
               : name == "rnn_relu" ? seqlm::Cell::rnn_relu
                                    : seqlm::Cell::rnn_tanh;
    }

    bool has_memory() const { return cell == seqlm::Cell::lstm; }
    std::size_t gates() const { return seqlm::gates_of(cell); }

    // The inputs: what is read, weight, bias, hidden, and those that there are of memory, tokens and lengths.
    std::size_t tokens_input() const { return has_memory() ? 5 : 4; }
    std::size_t lengths_input() const { return tokens_input() + (tokens ? 1 : 0); }
    std::size_t inputs() const { return lengths_input() + (lengths ? 1 : 0); }
    std::size_t outputs() const { return has_memory() ? 3 : 2; }
};

MXReturnValue layer_attributes(const Attributes& attributes, int* inputs, int* outputs) {
    const std::string name = text(attributes, "cell");
    if (name != "lstm" && name != "gru" && name != "rnn_relu" && name != "rnn_tanh")
        return fail("seqlm_layer: there is no cell " + name);
    const LayerAttributes layer(attributes);
    *inputs = static_cast<int>(layer.inputs());
    *outputs = static_cast<int>(layer.outputs());
    return MX_SUCCESS;
}

MXReturnValue layer_types(const Attributes& attributes, std::vector<int>* inputs, std::vector<int>* outputs) {
    const LayerAttributes layer(attributes);
    std::vector<std::size_t> integer_inputs;
    if (layer.tokens) integer_inputs.push_back(layer.tokens_input());
    if (layer.lengths) integer_inputs.push_back(layer.lengths_input());
    return set_types(inputs, outputs, integer_inputs);
}

MXReturnValue layer_shapes(const Attributes& attributes, std::vector<Shape>* inputs, std::vector<Shape>* outputs) {
    const LayerAttributes layer(attributes);
    const std::vector<Shape>& in = *inputs;
    const Shape& read = in[layer.tokens ? layer.tokens_input() : 0];
    if (read.size() != (layer.tokens ? 2 : 3) || in[1].size() != 2 || in[3].size() != 2)
        return fail("seqlm_layer: an input has the wrong number of axes");
    const unsigned time = read[0], batch = read[1], units = in[1][1];
    const auto rows = static_cast<unsigned>(layer.gates() * units);
    const Shape state{batch, units};
    const bool table_fits = !layer.tokens || (in[0].size() == 2 && in[0][1] == rows);
    if (!time || !batch || !units || !table_fits || (!layer.tokens && read[2] != rows) || in[1][0] != rows ||
        in[2] != Shape{rows} || in[3] != state || (layer.has_memory() && in[4] != state) ||
        (layer.lengths && in[layer.lengths_input()] != Shape{batch}))
        return fail("seqlm_layer: the shapes of the inputs do not fit together");
    *outputs = std::vector<Shape>(layer.outputs(), state);
    outputs->front() = {time, batch, units};
    return MX_SUCCESS;
}

class LayerOperator : public CustomStatefulOp {
public:
    explicit LayerOperator(const Attributes& attributes) : attributes_(attributes) { ignore_warn = true; }

    MXReturnValue Forward(Tensors* inputs, Tensors* outputs, const OpResource&) override try {
        const seqlm::LayerForward layer = describe(inputs->data(), outputs->data());
        const std::size_t batch = layer.sizes.batch;
        if (layer.tokens && !are_within(layer.tokens, layer.sizes.rows(), 0, (*inputs)[0].shape[0]))
            return fail("a token is not in the vocabulary");
        if (layer.lengths && !are_within(layer.lengths, batch, 1, static_cast<std::int64_t>(layer.sizes.time) + 1))
            return fail("the length of a sequence must be at least 1 and at most the number of time steps");
        kernels->layer_forward(layer, state_, threads);
        return MX_SUCCESS;
    } catch (const std::exception& error) {
        return fail(std::string("seqlm_layer: ") + error.what());
    }

    // The inputs are the gradients of the outputs, then the inputs and the outputs.
    MXReturnValue Backward(Tensors* inputs, Tensors* outputs, const OpResource&) override try {
        MXTensor* const gradients = inputs->data();
        MXTensor* const in = gradients + attributes_.outputs();
        MXTensor* const out = outputs->data();
        const seqlm::LayerForward layer = describe(in, in + attributes_.inputs());
        const bool has_memory = attributes_.has_memory();
        const seqlm::LayerBackward work{
            floats(gradients[0]),
            floats(gradients[1]),
            has_memory ? floats(gradients[2]) : nullptr,
            floats(out[0]),
            attributes_.tokens ? static_cast<std::size_t>(in[0].shape[0]) : 0,
            floats(out[1]),
            floats(out[2]),
            floats(out[3]),
            has_memory ? floats(out[4]) : nullptr,
        };
        kernels->layer_backward(layer, work, state_, threads);
        // Tokens and lengths have none; MXNet asks for it nevertheless.
        for (std::size_t i = attributes_.tokens_input(); i < attributes_.inputs(); ++i)
            std::fill_n(out[i].data<std::int32_t>(), out[i].size(), 0);
        return MX_SUCCESS;
    } catch (const std::exception& error) {
        return fail(std::string("seqlm_layer: ") + error.what());
    }

private:
    seqlm::LayerForward describe(MXTensor* in, MXTensor* out) const {
        const MXTensor& outputs = out[0];
        return {
            {attributes_.cell, static_cast<std::size_t>(outputs.shape[0]), static_cast<std::size_t>(outputs.shape[1]),
             static_cast<std::size_t>(outputs.shape[2]), attributes_.reverse},
            floats(in[0]),
            attributes_.tokens ? integers(in[attributes_.tokens_input()]) : nullptr,
            attributes_.lengths ? integers(in[attributes_.lengths_input()]) : nullptr,
            floats(in[1]),
            floats(in[2]),
            floats(in[3]),
            attributes_.has_memory() ? floats(in[4]) : nullptr,
            floats(out[0]),
            floats(out[1]),
            attributes_.has_memory() ? floats(out[2]) : nullptr,
        };
    }

    LayerAttributes attributes_;
    seqlm::LayerState state_;
};

MXReturnValue new_layer(
    const Attributes& attributes, const MXContext&, const std::vector<Shape>&, const std::vector<int>,
    CustomStatefulOp** created
) {
    *created = CustomStatefulOp::create<LayerOperator>(attributes);
    return MX_SUCCESS;
}

// The inputs of a projection are rows (..., inputs), weight (outputs, inputs) and bias (outputs).
MXReturnValue check_projection(const std::vector<Shape>& in, const std::string& name) {
    const bool fits = !in[0].empty() && in[1].size() == 2 && in[0].back() == in[1][1] && in[2] == Shape{in[1][0]};
    return fits ? MX_SUCCESS : fail(name + ": the shapes of the inputs do not fit together");
}

seqlm::ProjectionForward describe_projection(MXTensor* in) {
    const std::vector<std::int64_t>& shape = in[0].shape;
    const auto inputs = static_cast<std::size_t>(shape.back());
    const std::size_t rows = inputs ? static_cast<std::size_t>(in[0].size()) / inputs : 0;
    const std::size_t batch = shape.size() < 2 ? 1 : static_cast<std::size_t>(shape[shape.size() - 2]);
    const auto outputs = static_cast<std::size_t>(in[1].shape[0]);
    return {batch ? rows / batch : 0, batch, inputs, outputs, floats(in[0]), floats(in[1]), floats(in[2])};
}

// The projection, (..., outputs).
MXReturnValue projection_attributes(const Attributes&, int* inputs, int* outputs) {
    *inputs = 3;
    *outputs = 1;
    return MX_SUCCESS;
}

MXReturnValue projection_types(const Attributes&, std::vector<int>* inputs, std::vector<int>* outputs) {
    return set_types(inputs, outputs, {});
}

MXReturnValue projection_shapes(const Attributes&, std::vector<Shape>* inputs, std::vector<Shape>* outputs) {
    if (!check_projection(*inputs, "seqlm_projection")) return MX_FAIL;
    outputs->front() = (*inputs)[0];
    outputs->front().back() = (*inputs)[1][0];
    return MX_SUCCESS;
}

class ProjectionOperator : public CustomStatefulOp {
public:
    ProjectionOperator() { ignore_warn = true; }

    MXReturnValue Forward(Tensors* inputs, Tensors* outputs, const OpResource&) override try {
        kernels->projection_forward(describe_projection(inputs->data()), floats(outputs->front()), state_, threads);
        return MX_SUCCESS;
    } catch (const std::exception& error) {
        return fail(std::string("seqlm_projection: ") + error.what());
    }

    MXReturnValue Backward(Tensors* inputs, Tensors* outputs, const OpResource&) override try {
        MXTensor* const in = inputs->data();
        MXTensor* const out = outputs->data();
        const seqlm::ProjectionBackward gradients{floats(out[0]), floats(out[1]), floats(out[2])};
        kernels->projection_backward(describe_projection(in + 1), floats(in[0]), gradients, state_, threads);
        return MX_SUCCESS;
    } catch (const std::exception& error) {
        return fail(std::string("seqlm_projection: ") + error.what());
    }

private:
    seqlm::ProjectionState state_;
};

MXReturnValue new_projection(
    const Attributes&, const MXContext&, const std::vector<Shape>&, const std::vector<int>, CustomStatefulOp** created
) {
    *created = CustomStatefulOp::create<ProjectionOperator>();
    return MX_SUCCESS;
}

// The softmax loss (...) of a projection to classes. A further input is targets (...).
MXReturnValue softmax_attributes(const Attributes&, int* inputs, int* outputs) {
    *inputs = 4;
    *outputs = 1;
    return MX_SUCCESS;
}

MXReturnValue softmax_types(const Attributes&, std::vector<int>* inputs, std::vector<int>* outputs) {
    return set_types(inputs, outputs, {3});
}

MXReturnValue softmax_shapes(const Attributes&, std::vector<Shape>* inputs, std::vector<Shape>* outputs) {
    if (!check_projection(*inputs, "seqlm_softmax_loss")) return MX_FAIL;
    Shape rows = (*inputs)[0];
    rows.pop_back();
    if ((*inputs)[3] != rows) return fail("seqlm_softmax_loss: there must be one target for each hidden vector");
    outputs->front() = rows;
    return MX_SUCCESS;
}

class SoftmaxOperator : public CustomStatefulOp {
public:
    SoftmaxOperator() { ignore_warn = true; }

    MXReturnValue Forward(Tensors* inputs, Tensors* outputs, const OpResource&) override try {
        MXTensor* const in = inputs->data();
        const seqlm::ProjectionForward head = describe_projection(in);
        const std::int32_t* const targets = integers(in[3]);
        if (!are_within(targets, head.time * head.batch, 0, static_cast<std::int64_t>(head.outputs)))
            return fail("a target is not one of the classes");
        kernels->softmax_forward(head, targets, floats(outputs->front()), state_, threads);
        return MX_SUCCESS;
    } catch (const std::exception& error) {
        return fail(std::string("seqlm_softmax_loss: ") + error.what());
    }

    MXReturnValue Backward(Tensors* inputs, Tensors* outputs, const OpResource&) override try {
        MXTensor* const in = inputs->data();
        MXTensor* const out = outputs->data();
        const seqlm::ProjectionBackward gradients{floats(out[0]), floats(out[1]), floats(out[2])};
        kernels->softmax_backward(
            describe_projection(in + 1), integers(in[4]), floats(in[0]), gradients, state_, threads
        );
        std::fill_n(out[3].data<std::int32_t>(), out[3].size(), 0);
        return MX_SUCCESS;
    } catch (const std::exception& error) {
        return fail(std::string("seqlm_softmax_loss: ") + error.what());
    }

private:
    seqlm::SoftmaxState state_;
};

MXReturnValue new_softmax(
    const Attributes&, const MXContext&, const std::vector<Shape>&, const std::vector<int>, CustomStatefulOp** created
) {
    *created = CustomStatefulOp::create<SoftmaxOperator>();
    return MX_SUCCESS;
}

// The update of `count` parameters. Inputs: all weights, then all gradients, then all means, then all squares, of which
// there are as many as the rule has. The weights, means and squares are changed in place; the output means nothing.
struct UpdateAttributes {
    seqlm::UpdateRule::Kind kind;
    std::size_t count;

    explicit UpdateAttributes(const Attributes& attributes)
        : count(static_cast<std::size_t>(std::stoul(text(attributes, "count")))) {
        using Kind = seqlm::UpdateRule::Kind;
        const std::string name = text(attributes, "rule");
        kind = name == "adam"       ? Kind::adam
               : name == "rmsprop"  ? Kind::rmsprop
               : name == "nesterov" ? Kind::nesterov
               : name == "momentum" ? Kind::momentum
                                    : Kind::sgd;
    }

    bool has_mean() const {
        using Kind = seqlm::UpdateRule::Kind;
        return kind == Kind::momentum || kind == Kind::nesterov || kind == Kind::adam;
    }
    bool has_square() const {
        using Kind = seqlm::UpdateRule::Kind;
        return kind == Kind::rmsprop || kind == Kind::adam;
    }
    std::size_t inputs() const { return count * (2 + (has_mean() ? 1 : 0) + (has_square() ? 1 : 0)); }
};

MXReturnValue update_attributes(const Attributes& attributes, int* inputs, int* outputs) {
    *inputs = static_cast<int>(UpdateAttributes(attributes).inputs());
    *outputs = 1;
    return MX_SUCCESS;
}

MXReturnValue update_types(const Attributes&, std::vector<int>* inputs, std::vector<int>* outputs) {
    return set_types(inputs, outputs, {});
}

MXReturnValue update_shapes(const Attributes& attributes, std::vector<Shape>* inputs, std::vector<Shape>* outputs) {
    const std::size_t count = UpdateAttributes(attributes).count;
    for (std::size_t i = count; i < inputs->size(); ++i)
        if ((*inputs)[i] != (*inputs)[i % count]) return fail("seqlm_update: an array does not fit its weights");
    outputs->front() = {1};
    return MX_SUCCESS;
}

MXReturnValue update_mutates(const Attributes& attributes, std::vector<int>* mutated) {
    const UpdateAttributes update(attributes);
    for (std::size_t i = 0; i < update.inputs(); ++i)
        if (i / update.count != 1) mutated->push_back(static_cast<int>(i));
    return MX_SUCCESS;
}

MXReturnValue update(const Attributes& attributes, Tensors* inputs, Tensors* outputs, const OpResource&) try {
    const UpdateAttributes update(attributes);
    const seqlm::UpdateRule rule{
        update.kind,
        static_cast<float>(number(attributes, "learning_rate")),
        static_cast<float>(number(attributes, "weight_decay")),
        static_cast<float>(number(attributes, "mean_decay")),
        static_cast<float>(number(attributes, "square_decay")),
        static_cast<float>(number(attributes, "epsilon")),
        static_cast<float>(number(attributes, "rescale")),
        number(attributes, "clip_norm"),
    };
    MXTensor* const in = inputs->data();
    std::vector<seqlm::Parameter> parameters;
    for (std::size_t i = 0; i < update.count; ++i) {
        MXTensor* next = in + 2 * update.count + i;
        float* const mean = update.has_mean() ? floats(*next) : nullptr;
        if (update.has_mean()) next += update.count;
        float* const square = update.has_square() ? floats(*next) : nullptr;
        parameters.push_back({
            static_cast<std::size_t>(in[i].size()), floats(in[i]), floats(in[update.count + i]), mean, square
        });
    }
    kernels->update(rule, parameters.data(), parameters.size(), sums.data(), threads);
    floats(outputs->front())[0] = 0;
    return MX_SUCCESS;
} catch (const std::exception& error) {
    return fail(std::string("seqlm_update: ") + error.what());
}

REGISTER_OP(seqlm_layer)
    .setParseAttrs(layer_attributes)
    .setInferType(layer_types)
    .setInferShape(layer_shapes)
    .setCreateOpState(new_layer, "cpu");

REGISTER_OP(seqlm_projection)
    .setParseAttrs(projection_attributes)
    .setInferType(projection_types)
    .setInferShape(projection_shapes)
    .setCreateOpState(new_projection, "cpu");

REGISTER_OP(seqlm_softmax_loss)
    .setParseAttrs(softmax_attributes)
    .setInferType(softmax_types)
    .setInferShape(softmax_shapes)
    .setCreateOpState(new_softmax, "cpu");

REGISTER_OP(seqlm_update)
    .setForward(update, "cpu")
    .setParseAttrs(update_attributes)
    .setInferType(update_types)
    .setInferShape(update_shapes)
    .setMutateInputs(update_mutates);

}  // namespace

extern "C" __attribute__((visibility("default"))) MXReturnValue initialize(int version) {
    if (version >= 10901) return MX_SUCCESS;
    return fail("seqlm needs MXNet 1.9.1");
}

// The number of this interface. It changes whenever the interface does.
extern "C" __attribute__((visibility("default"))) int seqlm_training_interface() { return 3; }

// How many instruction sets there are to choose from, from 0 (portable) on. The last is the fastest.
extern "C" __attribute__((visibility("default"))) int seqlm_training_instruction_sets() {
#if defined(SEQLM_X86_64)
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 1;
    const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                            __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
    return has_avx512 ? 3 : 2;
#else
    return 1;
#endif
}

// Sets the number of threads, the multiplications that each has at least between two meetings, both at least 1, and the
// instruction set. Not to be called while operators run.
extern "C" __attribute__((visibility("default"))) void seqlm_training_configure(
    int count, std::size_t least_multiplications, int instruction_set
) {
    threads = count;
    sums.assign(static_cast<std::size_t>(count), 0);
    seqlm::set_least_multiplications(least_multiplications);
#if defined(SEQLM_X86_64)
    const seqlm::Kernels* const all[] = {&seqlm::portable::kernels, &seqlm::avx2::kernels, &seqlm::avx512::kernels};
    kernels = all[instruction_set];
#else
    static_cast<void>(instruction_set);
#endif
}

// The kernels as operators of MXNet, through its interface for operators of others (lib_api.h).
//
// An operator's state lives as long as the graph that it belongs to; MXNet gives every use of a graph that is not yet
// differentiated a state of its own. seqlm_core/native/training.py calls this.

#include <algorithm>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "attributes.h"
#include "kernels.h"
#include "lib_api.h"
#include "team.h"

namespace {

using namespace mxnet::ext;

using seqlm::Attributes;
using seqlm::flag;
using seqlm::text;
using Shape = std::vector<unsigned int>;
using Tensors = std::vector<MXTensor>;

// Which kernels compute, and among how many the work is divided, on which the results depend.
struct Computing {
    const seqlm::Kernels* kernels = &seqlm::portable::kernels;
    int members = 1;
};

Computing configured;
std::vector<double> sums(1);  // of each member

MXReturnValue fail(const std::string& message) {
    MX_ERROR_MSG << message;
    return MX_FAIL;
}

// Does the work; what it throws becomes the operator's error.
template <class Work>
MXReturnValue attempt(const char* name, const Work& work) {
    try {
        work();
        return MX_SUCCESS;
    } catch (const std::exception& error) {
        return fail(std::string(name) + ": " + error.what());
    }
}

void demand(bool is_so, const char* otherwise) {
    if (!is_so) throw std::runtime_error(otherwise);
}

// The numbers of a tensor, of which there must be so many.
template <class Number>
Number* numbers(MXTensor& tensor, MXDType type, std::size_t size) {
    demand(tensor.dtype == type, "an array is of the wrong type");
    demand(static_cast<std::size_t>(tensor.size()) == size, "an array has the wrong size");
    return static_cast<Number*>(tensor.data_ptr);
}

float* floats(MXTensor& tensor, std::size_t size) { return numbers<float>(tensor, kFloat32, size); }

// Integers that are all from `first` to below `end`.
const std::int32_t* integers(
    MXTensor& tensor, std::size_t size, std::int64_t first, std::int64_t end, const char* otherwise
) {
    const std::int32_t* const values = numbers<std::int32_t>(tensor, kInt32, size);
    demand(
        std::all_of(values, values + size, [=](std::int32_t value) { return first <= value && value < end; }), otherwise
    );
    return values;
}

// The gradient of integers, which have none; MXNet asks for it nevertheless.
void clear(MXTensor& gradient, const MXTensor& of) {
    const auto size = static_cast<std::size_t>(of.size());
    std::fill_n(numbers<std::int32_t>(gradient, kInt32, size), size, 0);
}

std::size_t extent(const MXTensor& tensor, std::size_t axis) { return static_cast<std::size_t>(tensor.shape.at(axis)); }

// An operator with a state that its forward pass fills and its gradient reads. MXNet tells of a pass that has failed
// only when something waits for it, and asks for the gradient all the same. So the state knows whether it was filled,
// and who has filled it, since another would have filled it otherwise. `Sizes` are those of the arrays.
template <class Sizes>
class Operator : public CustomStatefulOp {
public:
    explicit Operator(const char* name) : name_(name) { ignore_warn = true; }

    MXReturnValue Forward(Tensors* inputs, Tensors* outputs, const OpResource&) override {
        failure_ = "its forward pass did not end";
        by_ = configured;
        return attempt(name_, [&] {
            try {
                filled_ = forward(inputs->data(), outputs->data(), by_);
                failure_.clear();
            } catch (const std::exception& error) {
                failure_ = error.what();
                throw;
            }
        });
    }

    MXReturnValue Backward(Tensors* inputs, Tensors* outputs, const OpResource&) override {
        return attempt(name_, [&] {
            demand(failure_.empty(), failure_.c_str());
            backward(inputs->data(), outputs->data(), filled_, by_);
        });
    }

protected:
    // Return the sizes of what was read, for which the state is filled then.
    virtual Sizes forward(MXTensor* in, MXTensor* out, const Computing& by) = 0;
    // `in` are the gradients of the outputs, then the inputs and the outputs; `out` the gradients of the inputs.
    virtual void backward(MXTensor* in, MXTensor* out, const Sizes& filled, const Computing& by) = 0;

private:
    const char* const name_;
    std::string failure_ = "there was no forward pass to differentiate";
    Computing by_;
    Sizes filled_{};
};

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

class LayerOperator : public Operator<seqlm::LayerSizes> {
public:
    explicit LayerOperator(const Attributes& attributes) : Operator("seqlm_layer"), attributes_(attributes) {}

private:
    seqlm::LayerSizes forward(MXTensor* in, MXTensor* out, const Computing& by) override {
        const seqlm::LayerSizes sizes{
            attributes_.cell, extent(out[0], 0), extent(out[0], 1), extent(out[0], 2), attributes_.reverse
        };
        by.kernels->layer_forward(describe(in, out, sizes), state_, by.members);
        return sizes;
    }

    void backward(MXTensor* in, MXTensor* out, const seqlm::LayerSizes& sizes, const Computing& by) override {
        MXTensor* const gradients = in;
        in += attributes_.outputs();
        const seqlm::LayerForward layer = describe(in, in + attributes_.inputs(), sizes);
        const bool has_memory = attributes_.has_memory();
        const std::size_t state = sizes.batch * sizes.units;
        const seqlm::LayerBackward work{
            floats(gradients[0], sizes.time * state),
            floats(gradients[1], state),
            has_memory ? floats(gradients[2], state) : nullptr,
            floats(out[0], read_rows(in, sizes) * sizes.outputs()),
            attributes_.tokens ? read_rows(in, sizes) : 0,
            floats(out[1], sizes.outputs() * sizes.units),
            floats(out[2], sizes.outputs()),
            floats(out[3], state),
            has_memory ? floats(out[4], state) : nullptr,
        };
        by.kernels->layer_backward(layer, work, state_, by.members);
        for (std::size_t i = attributes_.tokens_input(); i < attributes_.inputs(); ++i) clear(out[i], in[i]);
    }

    // The rows of what is read: of a table, or of all time steps and sequences.
    std::size_t read_rows(MXTensor* in, const seqlm::LayerSizes& sizes) const {
        return attributes_.tokens ? extent(in[0], 0) : sizes.rows();
    }

    seqlm::LayerForward describe(MXTensor* in, MXTensor* out, const seqlm::LayerSizes& sizes) const {
        const std::size_t state = sizes.batch * sizes.units, rows = read_rows(in, sizes);
        const bool has_memory = attributes_.has_memory();
        return {
            sizes,
            floats(in[0], rows * sizes.outputs()),
            attributes_.tokens ? integers(
                in[attributes_.tokens_input()], sizes.rows(), 0, static_cast<std::int64_t>(rows),
                "a token is not in the vocabulary"
            ) : nullptr,
            attributes_.lengths ? integers(
                in[attributes_.lengths_input()], sizes.batch, 1, static_cast<std::int64_t>(sizes.time) + 1,
                "the length of a sequence must be at least 1 and at most the number of time steps"
            ) : nullptr,
            floats(in[1], sizes.outputs() * sizes.units),
            floats(in[2], sizes.outputs()),
            floats(in[3], state),
            has_memory ? floats(in[4], state) : nullptr,
            floats(out[0], sizes.time * state),
            floats(out[1], state),
            has_memory ? floats(out[2], state) : nullptr,
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

seqlm::ProjectionSizes sizes_of_projection(MXTensor* in) {
    const std::vector<std::int64_t>& shape = in[0].shape;
    const std::size_t inputs = extent(in[0], shape.size() - 1), outputs = extent(in[1], 0);
    const std::size_t batch = shape.size() < 2 ? 1 : extent(in[0], shape.size() - 2);
    demand(inputs && outputs && batch && in[0].size(), "an input is empty");
    return {static_cast<std::size_t>(in[0].size()) / inputs / batch, batch, inputs, outputs};
}

seqlm::ProjectionForward describe_projection(MXTensor* in, const seqlm::ProjectionSizes& sizes) {
    return {
        sizes, floats(in[0], sizes.rows() * sizes.inputs), floats(in[1], sizes.outputs * sizes.inputs),
        floats(in[2], sizes.outputs)
    };
}

seqlm::ProjectionBackward describe_gradients(MXTensor* out, const seqlm::ProjectionSizes& sizes) {
    return {
        floats(out[0], sizes.rows() * sizes.inputs), floats(out[1], sizes.outputs * sizes.inputs),
        floats(out[2], sizes.outputs)
    };
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

class ProjectionOperator : public Operator<seqlm::ProjectionSizes> {
public:
    ProjectionOperator() : Operator("seqlm_projection") {}

private:
    seqlm::ProjectionSizes forward(MXTensor* in, MXTensor* out, const Computing& by) override {
        const seqlm::ProjectionSizes sizes = sizes_of_projection(in);
        float* const products = floats(out[0], sizes.rows() * sizes.outputs);
        by.kernels->projection_forward(describe_projection(in, sizes), products, state_, by.members);
        return sizes;
    }

    void backward(MXTensor* in, MXTensor* out, const seqlm::ProjectionSizes& sizes, const Computing& by) override {
        const float* const products = floats(in[0], sizes.rows() * sizes.outputs);
        by.kernels->projection_backward(
            describe_projection(in + 1, sizes), products, describe_gradients(out, sizes), state_, by.members
        );
    }

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

class SoftmaxOperator : public Operator<seqlm::ProjectionSizes> {
public:
    SoftmaxOperator() : Operator("seqlm_softmax_loss") {}

private:
    seqlm::ProjectionSizes forward(MXTensor* in, MXTensor* out, const Computing& by) override {
        const seqlm::ProjectionSizes sizes = sizes_of_projection(in);
        float* const losses = floats(out[0], sizes.rows());
        by.kernels->softmax_forward(
            describe_projection(in, sizes), targets(in[3], sizes), losses, state_, by.members
        );
        return sizes;
    }

    void backward(MXTensor* in, MXTensor* out, const seqlm::ProjectionSizes& sizes, const Computing& by) override {
        const float* const losses = floats(in[0], sizes.rows());
        by.kernels->softmax_backward(
            describe_projection(in + 1, sizes), targets(in[4], sizes), losses, describe_gradients(out, sizes), state_,
            by.members
        );
        clear(out[3], in[4]);
    }

    static const std::int32_t* targets(MXTensor& tensor, const seqlm::ProjectionSizes& sizes) {
        const auto classes = static_cast<std::int64_t>(sizes.outputs);
        return integers(tensor, sizes.rows(), 0, classes, "a target is not one of the classes");
    }

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

    explicit UpdateAttributes(const Attributes& attributes) : count(seqlm::count(attributes, "count")) {
        using Kind = seqlm::UpdateRule::Kind;
        const std::string name = text(attributes, "rule");
        kind = name == "adam"       ? Kind::adam
               : name == "rmsprop"  ? Kind::rmsprop
               : name == "nesterov" ? Kind::nesterov
               : name == "momentum" ? Kind::momentum
                                    : Kind::sgd;
        if (kind == Kind::sgd && name != "sgd") throw std::invalid_argument("there is no rule " + name);
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
    return attempt("seqlm_update", [&] {
        *inputs = static_cast<int>(UpdateAttributes(attributes).inputs());
        *outputs = 1;
    });
}

MXReturnValue update_types(const Attributes&, std::vector<int>* inputs, std::vector<int>* outputs) {
    return set_types(inputs, outputs, {});
}

MXReturnValue update_shapes(const Attributes& attributes, std::vector<Shape>* inputs, std::vector<Shape>* outputs) {
    return attempt("seqlm_update", [&] {
        const std::size_t count = UpdateAttributes(attributes).count;
        for (std::size_t i = count; i < inputs->size(); ++i)
            demand((*inputs)[i] == (*inputs)[i % count], "an array does not fit its weights");
        outputs->front() = {1};
    });
}

MXReturnValue update_mutates(const Attributes& attributes, std::vector<int>* mutated) {
    return attempt("seqlm_update", [&] {
        const UpdateAttributes update(attributes);
        for (std::size_t i = 0; i < update.inputs(); ++i)
            if (i / update.count != 1) mutated->push_back(static_cast<int>(i));
    });
}

MXReturnValue update(const Attributes& attributes, Tensors* inputs, Tensors* outputs, const OpResource&) {
    return attempt("seqlm_update", [&] {
        const UpdateAttributes update(attributes);
        const seqlm::UpdateRule rule{
            update.kind,
            seqlm::small_number(attributes, "learning_rate"),
            seqlm::small_number(attributes, "weight_decay"),
            seqlm::small_number(attributes, "mean_decay"),
            seqlm::small_number(attributes, "square_decay"),
            seqlm::small_number(attributes, "epsilon"),
            seqlm::small_number(attributes, "rescale"),
            seqlm::number(attributes, "clip_norm"),
        };
        demand(inputs->size() == update.inputs(), "an array is missing");
        MXTensor* const in = inputs->data();
        std::vector<seqlm::Parameter> parameters;
        for (std::size_t i = 0; i < update.count; ++i) {
            const auto size = static_cast<std::size_t>(in[i].size());
            MXTensor* next = in + 2 * update.count + i;
            float* const mean = update.has_mean() ? floats(*next, size) : nullptr;
            if (update.has_mean()) next += update.count;
            float* const square = update.has_square() ? floats(*next, size) : nullptr;
            parameters.push_back({size, floats(in[i], size), floats(in[update.count + i], size), mean, square});
        }
        configured.kernels->update(rule, parameters.data(), parameters.size(), sums.data(), configured.members);
        floats(outputs->front(), 1)[0] = 0;
    });
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
extern "C" __attribute__((visibility("default"))) int seqlm_training_interface() { return 4; }

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

// Sets among how many the work is divided, how many threads do it, the multiplications that each member has at least in
// a phase, all at least 1, and the instruction set. Not to be called while operators run.
extern "C" __attribute__((visibility("default"))) void seqlm_training_configure(
    int members, int threads, std::size_t least_multiplications, int instruction_set
) {
    configured.members = members;
    sums.assign(static_cast<std::size_t>(members), 0);
    seqlm::set_threads(threads);
    seqlm::set_least_multiplications(least_multiplications);
#if defined(SEQLM_X86_64)
    const seqlm::Kernels* const all[] = {&seqlm::portable::kernels, &seqlm::avx2::kernels, &seqlm::avx512::kernels};
    configured.kernels = all[instruction_set];
#else
    static_cast<void>(instruction_set);
#endif
}

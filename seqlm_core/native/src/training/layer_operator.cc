// The operator of a recurrent layer.

#include "operator.h"

namespace seqlm {
namespace {

// Which inputs a recurrent layer has, as its attributes say:
//   cell     rnn_tanh, rnn_relu, gru or lstm
//   reverse  1 to read each sequence from its end
//   tokens   1 where the inputs are a table with a row for each token
//   lengths  1 where the sequences are of unequal length
//   resets   1 where it is said before which rows the state is 0 again
struct LayerAttributes {
    const CellFacts& cell;
    bool reverse, tokens, lengths, resets;

    explicit LayerAttributes(const Attributes& attributes)
        : cell(cell_of(attributes)),
          reverse(flag(attributes, "reverse")),
          tokens(flag(attributes, "tokens")),
          lengths(flag(attributes, "lengths")),
          resets(flag(attributes, "resets")) {}

    static const CellFacts& cell_of(const Attributes& attributes) {
        const std::string name = text(attributes, "cell");
        const CellFacts* const found = cell_named(name.c_str());
        if (!found) throw std::invalid_argument("there is no cell " + name);
        return *found;
    }

    bool has_memory() const { return cell.has_memory; }

    // The inputs: what is read, weight, bias, hidden, and those that there are of memory, tokens, lengths and resets.
    std::size_t tokens_input() const { return has_memory() ? 5 : 4; }
    std::size_t lengths_input() const { return tokens_input() + (tokens ? 1 : 0); }
    std::size_t resets_input() const { return lengths_input() + (lengths ? 1 : 0); }
    std::size_t inputs() const { return resets_input() + (resets ? 1 : 0); }
    std::size_t outputs() const { return has_memory() ? 3 : 2; }
};

MXReturnValue layer_attributes(const Attributes& attributes, int* inputs, int* outputs) {
    return attempt("seqlm_layer", [&] {
        const LayerAttributes layer(attributes);
        *inputs = static_cast<int>(layer.inputs());
        *outputs = static_cast<int>(layer.outputs());
    });
}

MXReturnValue layer_types(const Attributes& attributes, std::vector<int>* inputs, std::vector<int>* outputs) {
    const LayerAttributes layer(attributes);
    std::vector<std::size_t> integer_inputs;
    if (layer.tokens) integer_inputs.push_back(layer.tokens_input());
    if (layer.lengths) integer_inputs.push_back(layer.lengths_input());
    if (layer.resets) integer_inputs.push_back(layer.resets_input());
    return set_types(inputs, outputs, integer_inputs);
}

MXReturnValue layer_shapes(const Attributes& attributes, std::vector<Shape>* inputs, std::vector<Shape>* outputs) {
    const LayerAttributes layer(attributes);
    const std::vector<Shape>& in = *inputs;
    const Shape& read = in[layer.tokens ? layer.tokens_input() : 0];
    if (read.size() != (layer.tokens ? 2 : 3) || in[1].size() != 2 || in[3].size() != 2)
        return fail("seqlm_layer: an input has the wrong number of axes");
    const unsigned time = read[0], batch = read[1], units = in[1][1];
    const auto rows = static_cast<unsigned>(layer.cell.gates * units);
    const Shape state{batch, units};
    const bool table_fits = !layer.tokens || (in[0].size() == 2 && in[0][1] == rows);
    if (!time || !batch || !units || !table_fits || (!layer.tokens && read[2] != rows) || in[1][0] != rows ||
        in[2] != Shape{rows} || in[3] != state || (layer.has_memory() && in[4] != state) ||
        (layer.lengths && in[layer.lengths_input()] != Shape{batch}) ||
        (layer.resets && in[layer.resets_input()] != Shape{time, batch}))
        return fail("seqlm_layer: the shapes of the inputs do not fit together");
    *outputs = std::vector<Shape>(layer.outputs(), state);
    outputs->front() = {time, batch, units};
    return MX_SUCCESS;
}

class LayerOperator : public Operator<LayerSizes> {
public:
    explicit LayerOperator(const Attributes& attributes) : Operator("seqlm_layer"), attributes_(attributes) {}

private:
    LayerSizes forward(MXTensor* in, MXTensor* out, const Computing& by) override {
        const LayerSizes sizes{
            attributes_.cell.kind, extent(out[0], 0), extent(out[0], 1), extent(out[0], 2), attributes_.reverse
        };
        by.kernels->layer_forward(describe(in, out, sizes), state_, by.members);
        return sizes;
    }

    void backward(MXTensor* in, MXTensor* out, const LayerSizes& sizes, const Computing& by) override {
        MXTensor* const gradients = in;
        in += attributes_.outputs();
        const LayerForward layer = describe(in, in + attributes_.inputs(), sizes);
        const bool has_memory = attributes_.has_memory();
        const std::size_t state = sizes.batch * sizes.units;
        const LayerBackward work{
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
    std::size_t read_rows(MXTensor* in, const LayerSizes& sizes) const {
        return attributes_.tokens ? extent(in[0], 0) : sizes.rows();
    }

    LayerForward describe(MXTensor* in, MXTensor* out, const LayerSizes& sizes) const {
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
            attributes_.resets ? integers(
                in[attributes_.resets_input()], sizes.rows(), 0, 2, "a state is reset (1) or not (0)"
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
    LayerState state_;
};

MXReturnValue new_layer(
    const Attributes& attributes, const MXContext&, const std::vector<Shape>&, const std::vector<int>,
    CustomStatefulOp** created
) {
    *created = CustomStatefulOp::create<LayerOperator>(attributes);
    return MX_SUCCESS;
}

REGISTER_OP(seqlm_layer)
    .setParseAttrs(layer_attributes)
    .setInferType(layer_types)
    .setInferShape(layer_shapes)
    .setCreateOpState(new_layer, "cpu");

}  // namespace
}  // namespace seqlm

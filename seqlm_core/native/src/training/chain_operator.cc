// The operator of the loss of a linear chain of labels.

#include "operator.h"

namespace seqlm {
namespace {

// Inputs: the score of each label at each place (time, batch, labels); of each label at the beginning (labels); of each
// label after another (labels, labels); of each label at the end (labels); the targets (time, batch), int32, where -1 is
// any label; the lengths of the sequences (batch), int32. The output is the loss of each sequence in nats, (batch).
constexpr std::size_t scores = 0, first = 1, transitions = 2, last = 3, targets = 4, lengths = 5, inputs_in_all = 6;

MXReturnValue chain_attributes(const Attributes&, int* inputs, int* outputs) {
    *inputs = static_cast<int>(inputs_in_all);
    *outputs = 1;
    return MX_SUCCESS;
}

MXReturnValue chain_types(const Attributes&, std::vector<int>* inputs, std::vector<int>* outputs) {
    return set_types(inputs, outputs, {targets, lengths});
}

MXReturnValue chain_shapes(const Attributes&, std::vector<Shape>* inputs, std::vector<Shape>* outputs) {
    const std::vector<Shape>& in = *inputs;
    bool fits = in[scores].size() == 3;
    if (fits) {
        const unsigned int time = in[scores][0], batch = in[scores][1], labels = in[scores][2];
        fits = in[first] == Shape{labels} && in[transitions] == Shape{labels, labels} && in[last] == Shape{labels} &&
               in[targets] == Shape{time, batch} && in[lengths] == Shape{batch};
        outputs->front() = {batch};
    }
    return fits ? MX_SUCCESS : fail("seqlm_chain_loss: the shapes of the inputs do not fit together");
}

ChainForward describe_chain(MXTensor* in, const ChainSizes& sizes) {
    const auto labels = static_cast<std::int64_t>(sizes.labels), time = static_cast<std::int64_t>(sizes.time);
    return {
        sizes,
        floats(in[scores], sizes.time * sizes.batch * sizes.labels),
        floats(in[first], sizes.labels),
        floats(in[transitions], sizes.labels * sizes.labels),
        floats(in[last], sizes.labels),
        integers(in[targets], sizes.time * sizes.batch, -1, labels, "a target is neither one of the labels nor -1"),
        integers(in[lengths], sizes.batch, 1, time + 1, "the length of a sequence is not one from 1 to the time steps"),
    };
}

class ChainOperator : public Operator<ChainSizes> {
public:
    ChainOperator() : Operator("seqlm_chain_loss") {}

private:
    ChainSizes forward(MXTensor* in, MXTensor* out, const Computing& by) override {
        const ChainSizes sizes{extent(in[scores], 0), extent(in[scores], 1), extent(in[scores], 2)};
        demand(sizes.time && sizes.batch && sizes.labels, "an input is empty");
        const ChainForward work = describe_chain(in, sizes);
        lengths_.assign(work.lengths, work.lengths + sizes.batch);
        by.kernels->chain_forward(work, floats(out[0], sizes.batch), state_, by.members);
        return sizes;
    }

    void backward(MXTensor* in, MXTensor* out, const ChainSizes& sizes, const Computing&) override {
        const float* const losses = floats(in[0], sizes.batch);
        describe_chain(in + 1, sizes);  // only checked: what the gradients are made of is from the forward pass
        float* const of_scores = floats(out[scores], sizes.time * sizes.batch * sizes.labels);
        float* const of_first = floats(out[first], sizes.labels);
        float* const of_transitions = floats(out[transitions], sizes.labels * sizes.labels);
        float* const of_last = floats(out[last], sizes.labels);
        clear(out[targets], in[1 + targets]);
        clear(out[lengths], in[1 + lengths]);
        std::fill_n(of_first, sizes.labels, 0.0f);
        std::fill_n(of_transitions, sizes.labels * sizes.labels, 0.0f);
        std::fill_n(of_last, sizes.labels, 0.0f);
        for (std::size_t row = 0; row < sizes.time * sizes.batch; ++row)
            for (std::size_t label = 0; label < sizes.labels; ++label) {
                const std::size_t place = row * sizes.labels + label;
                of_scores[place] = losses[row % sizes.batch] * state_.scores.data()[place];
            }
        for (std::size_t sequence = 0; sequence < sizes.batch; ++sequence) {
            const float* const pairs = state_.transitions.data() + sequence * sizes.labels * sizes.labels;
            for (std::size_t i = 0; i < sizes.labels * sizes.labels; ++i)
                of_transitions[i] += losses[sequence] * pairs[i];
            const auto end = static_cast<std::size_t>(lengths_[sequence] - 1) * sizes.batch + sequence;
            for (std::size_t label = 0; label < sizes.labels; ++label) {
                of_first[label] += of_scores[sequence * sizes.labels + label];
                of_last[label] += of_scores[end * sizes.labels + label];
            }
        }
    }

    ChainState state_;
    std::vector<std::int32_t> lengths_;
};

REGISTER_OP(seqlm_chain_loss)
    .setParseAttrs(chain_attributes)
    .setInferType(chain_types)
    .setInferShape(chain_shapes)
    .setCreateOpState(create<ChainOperator>, "cpu");

}  // namespace
}  // namespace seqlm

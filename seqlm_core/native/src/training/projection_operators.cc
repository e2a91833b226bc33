// The operators of a linear projection, and of one to classes with a softmax.

#include "operator.h"

namespace seqlm {
namespace {

// The inputs of a projection are rows (..., inputs), weight (outputs, inputs) and bias (outputs).
MXReturnValue check_projection(const std::vector<Shape>& in, const std::string& name) {
    const bool fits = !in[0].empty() && in[1].size() == 2 && in[0].back() == in[1][1] && in[2] == Shape{in[1][0]};
    return fits ? MX_SUCCESS : fail(name + ": the shapes of the inputs do not fit together");
}

ProjectionSizes sizes_of_projection(MXTensor* in) {
    const std::vector<std::int64_t>& shape = in[0].shape;
    const std::size_t inputs = extent(in[0], shape.size() - 1), outputs = extent(in[1], 0);
    const std::size_t batch = shape.size() < 2 ? 1 : extent(in[0], shape.size() - 2);
    demand(inputs && outputs && batch && in[0].size(), "an input is empty");
    return {static_cast<std::size_t>(in[0].size()) / inputs / batch, batch, inputs, outputs};
}

ProjectionForward describe_projection(MXTensor* in, const ProjectionSizes& sizes) {
    return {
        sizes, floats(in[0], sizes.rows() * sizes.inputs), floats(in[1], sizes.outputs * sizes.inputs),
        floats(in[2], sizes.outputs)
    };
}

ProjectionBackward describe_gradients(MXTensor* out, const ProjectionSizes& sizes) {
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

class ProjectionOperator : public Operator<ProjectionSizes> {
public:
    ProjectionOperator() : Operator("seqlm_projection") {}

private:
    ProjectionSizes forward(MXTensor* in, MXTensor* out, const Computing& by) override {
        const ProjectionSizes sizes = sizes_of_projection(in);
        float* const products = floats(out[0], sizes.rows() * sizes.outputs);
        by.kernels->projection_forward(describe_projection(in, sizes), products, state_, by.members);
        return sizes;
    }

    void backward(MXTensor* in, MXTensor* out, const ProjectionSizes& sizes, const Computing& by) override {
        const float* const products = floats(in[0], sizes.rows() * sizes.outputs);
        by.kernels->projection_backward(
            describe_projection(in + 1, sizes), products, describe_gradients(out, sizes), state_, by.members
        );
    }

    ProjectionState state_;
};

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

class SoftmaxOperator : public Operator<ProjectionSizes> {
public:
    SoftmaxOperator() : Operator("seqlm_softmax_loss") {}

private:
    ProjectionSizes forward(MXTensor* in, MXTensor* out, const Computing& by) override {
        const ProjectionSizes sizes = sizes_of_projection(in);
        float* const losses = floats(out[0], sizes.rows());
        by.kernels->softmax_forward(
            describe_projection(in, sizes), targets(in[3], sizes), losses, state_, by.members
        );
        return sizes;
    }

    void backward(MXTensor* in, MXTensor* out, const ProjectionSizes& sizes, const Computing& by) override {
        const float* const losses = floats(in[0], sizes.rows());
        by.kernels->softmax_backward(
            describe_projection(in + 1, sizes), targets(in[4], sizes), losses, describe_gradients(out, sizes), state_,
            by.members
        );
        clear(out[3], in[4]);
    }

    static const std::int32_t* targets(MXTensor& tensor, const ProjectionSizes& sizes) {
        const auto classes = static_cast<std::int64_t>(sizes.outputs);
        return integers(tensor, sizes.rows(), 0, classes, "a target is not one of the classes");
    }

    SoftmaxState state_;
};

// The same loss, but for rows that have one of the classes as their target; for others, whose target is -1, it is 0.
class SomeSoftmaxOperator : public Operator<ProjectionSizes> {
public:
    SomeSoftmaxOperator() : Operator("seqlm_some_softmax_loss") {}

private:
    ProjectionSizes forward(MXTensor* in, MXTensor* out, const Computing& by) override {
        const ProjectionSizes sizes = sizes_of_projection(in);
        const ProjectionForward all = describe_projection(in, sizes);
        float* const losses = floats(out[0], sizes.rows());
        const std::int32_t* const of_rows = targets(in[3], sizes);
        chosen_.clear();
        targets_.clear();
        for (std::size_t row = 0; row < sizes.rows(); ++row)
            if (of_rows[row] >= 0) {
                chosen_.push_back(row);
                targets_.push_back(of_rows[row]);
            }
        std::fill_n(losses, sizes.rows(), 0.0f);
        if (chosen_.empty()) return sizes;
        float* const rows = rows_.room(chosen_.size() * sizes.inputs);
        for (std::size_t i = 0; i < chosen_.size(); ++i)
            std::copy_n(all.rows + chosen_[i] * sizes.inputs, sizes.inputs, rows + i * sizes.inputs);
        float* const of_chosen = losses_.room(chosen_.size());
        by.kernels->softmax_forward(some(all, rows), targets_.data(), of_chosen, state_, by.members);
        for (std::size_t i = 0; i < chosen_.size(); ++i) losses[chosen_[i]] = of_chosen[i];
        return sizes;
    }

    void backward(MXTensor* in, MXTensor* out, const ProjectionSizes& sizes, const Computing& by) override {
        const float* const losses = floats(in[0], sizes.rows());
        const ProjectionForward all = describe_projection(in + 1, sizes);
        const ProjectionBackward gradients = describe_gradients(out, sizes);
        targets(in[4], sizes);  // only checked: the rows that were chosen are those of the forward pass
        std::fill_n(gradients.rows, sizes.rows() * sizes.inputs, 0.0f);
        clear(out[3], in[4]);
        if (chosen_.empty()) {
            std::fill_n(gradients.weight, sizes.outputs * sizes.inputs, 0.0f);
            std::fill_n(gradients.bias, sizes.outputs, 0.0f);
            return;
        }
        float* const of_chosen = losses_.room(chosen_.size());
        for (std::size_t i = 0; i < chosen_.size(); ++i) of_chosen[i] = losses[chosen_[i]];
        float* const of_rows = gradients_.room(chosen_.size() * sizes.inputs);
        by.kernels->softmax_backward(
            some(all, rows_.data()), targets_.data(), of_chosen, {of_rows, gradients.weight, gradients.bias}, state_,
            by.members
        );
        for (std::size_t i = 0; i < chosen_.size(); ++i)
            std::copy_n(of_rows + i * sizes.inputs, sizes.inputs, gradients.rows + chosen_[i] * sizes.inputs);
    }

    // The same projection, of the chosen rows alone.
    ProjectionForward some(const ProjectionForward& all, const float* rows) const {
        return {{1, chosen_.size(), all.inputs, all.outputs}, rows, all.weight, all.bias};
    }

    static const std::int32_t* targets(MXTensor& tensor, const ProjectionSizes& sizes) {
        const auto classes = static_cast<std::int64_t>(sizes.outputs);
        return integers(tensor, sizes.rows(), -1, classes, "a target is neither one of the classes nor -1");
    }

    std::vector<std::size_t> chosen_;
    std::vector<std::int32_t> targets_;
    Buffer rows_, losses_, gradients_;
    SoftmaxState state_;
};

REGISTER_OP(seqlm_projection)
    .setParseAttrs(projection_attributes)
    .setInferType(projection_types)
    .setInferShape(projection_shapes)
    .setCreateOpState(create<ProjectionOperator>, "cpu");

REGISTER_OP(seqlm_softmax_loss)
    .setParseAttrs(softmax_attributes)
    .setInferType(softmax_types)
    .setInferShape(softmax_shapes)
    .setCreateOpState(create<SoftmaxOperator>, "cpu");

REGISTER_OP(seqlm_some_softmax_loss)
    .setParseAttrs(softmax_attributes)
    .setInferType(softmax_types)
    .setInferShape(softmax_shapes)
    .setCreateOpState(create<SomeSoftmaxOperator>, "cpu");

}  // namespace
}  // namespace seqlm

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

MXReturnValue new_softmax(
    const Attributes&, const MXContext&, const std::vector<Shape>&, const std::vector<int>, CustomStatefulOp** created
) {
    *created = CustomStatefulOp::create<SoftmaxOperator>();
    return MX_SUCCESS;
}

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

}  // namespace
}  // namespace seqlm

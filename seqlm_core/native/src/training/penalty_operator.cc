// The operator of penalties on the outputs of the last layer.

#include "operator.h"
#include "team.h"

namespace seqlm {
namespace {

// Inputs: losses (time, batch) and outputs (time, batch, hidden). The output are the losses as they are; the gradient is
// that of the losses and of penalties on the mean square of the outputs (`activation`) and of their differences from one
// time step to the next (`temporal`). A penalty counts as much as the loss at its place does.
constexpr std::size_t losses = 0, outputs = 1, inputs_in_all = 2;
constexpr const char* name = "seqlm_penalties";

struct PenaltySizes {
    std::size_t time, batch, hidden;
    std::size_t rows() const { return time * batch; }
};

struct Gradient {
    PenaltySizes sizes;
    float activation, temporal;  // twice the penalty's factor, for each unit
    const float* of_losses;
    const float* values;
    float* of_values;

    void write_part_of(const Member& member) const {
        const auto index = static_cast<std::size_t>(member.index), members = static_cast<std::size_t>(member.members);
        const std::size_t end = sizes.rows() * (index + 1) / members;
        for (std::size_t row = sizes.rows() * index / members; row < end; ++row) write(row);
    }

    void write(std::size_t row) const {
        const float* const now = values + row * sizes.hidden;
        float* const written = of_values + row * sizes.hidden;
        const float share = activation * of_losses[row];
        for (std::size_t unit = 0; unit < sizes.hidden; ++unit) written[unit] = share * now[unit];
        if (temporal == 0) return;
        if (row >= sizes.batch) add_difference(written, now, row, row - sizes.batch);
        if (row + sizes.batch < sizes.rows()) add_difference(written, now, row + sizes.batch, row + sizes.batch);
    }

    // Add what the penalty of time step `of` has to say of `now` beside its neighbour `other`.
    void add_difference(float* written, const float* now, std::size_t of, std::size_t other) const {
        const float share = temporal * of_losses[of];
        const float* const neighbour = values + other * sizes.hidden;
        for (std::size_t unit = 0; unit < sizes.hidden; ++unit) written[unit] += share * (now[unit] - neighbour[unit]);
    }
};

MXReturnValue penalty_attributes(const Attributes& attributes, int* inputs, int* results) {
    return attempt(name, [&] {
        small_number(attributes, "activation");
        small_number(attributes, "temporal");
        *inputs = static_cast<int>(inputs_in_all);
        *results = 1;
    });
}

MXReturnValue penalty_types(const Attributes&, std::vector<int>* inputs, std::vector<int>* results) {
    return set_types(inputs, results, {});
}

MXReturnValue penalty_shapes(const Attributes&, std::vector<Shape>* inputs, std::vector<Shape>* results) {
    const Shape& of_losses = (*inputs)[losses];
    const Shape& of_outputs = (*inputs)[outputs];
    if (of_outputs.size() != 3 || of_losses != Shape{of_outputs[0], of_outputs[1]})
        return fail(std::string(name) + ": the shapes of the inputs do not fit together");
    results->front() = of_losses;
    return MX_SUCCESS;
}

class PenaltyOperator : public Operator<PenaltySizes> {
public:
    explicit PenaltyOperator(const Attributes& attributes)
        : Operator(name),
          activation_(small_number(attributes, "activation")),
          temporal_(small_number(attributes, "temporal")) {}

private:
    PenaltySizes forward(MXTensor* in, MXTensor* out, const Computing&) override {
        const PenaltySizes sizes{extent(in[outputs], 0), extent(in[outputs], 1), extent(in[outputs], 2)};
        demand(sizes.rows() && sizes.hidden, "an input is empty");
        floats(in[outputs], sizes.rows() * sizes.hidden);
        std::copy_n(floats(in[losses], sizes.rows()), sizes.rows(), floats(out[0], sizes.rows()));
        return sizes;
    }

    void backward(MXTensor* in, MXTensor* out, const PenaltySizes& sizes, const Computing& by) override {
        const std::size_t size = sizes.rows() * sizes.hidden;
        const float twice_per_unit = 2.0f / static_cast<float>(sizes.hidden);
        const float* const of_losses = floats(in[0], sizes.rows());
        floats(in[1 + losses], sizes.rows());
        const Gradient gradient{
            sizes, twice_per_unit * activation_, twice_per_unit * temporal_,
            of_losses, floats(in[1 + outputs], size), floats(out[outputs], size)
        };
        std::copy_n(of_losses, sizes.rows(), floats(out[losses], sizes.rows()));
        run_in_team(
            useful_members(by.members, size, 1), 1,
            [](const void* context, const Member& member, std::size_t) {
                static_cast<const Gradient*>(context)->write_part_of(member);
            },
            &gradient
        );
    }

    const float activation_, temporal_;
};

MXReturnValue new_penalties(
    const Attributes& attributes, const MXContext&, const std::vector<Shape>&, const std::vector<int>,
    CustomStatefulOp** created
) {
    return attempt(name, [&] { *created = CustomStatefulOp::create<PenaltyOperator>(attributes); });
}

REGISTER_OP(seqlm_penalties)
    .setParseAttrs(penalty_attributes)
    .setInferType(penalty_types)
    .setInferShape(penalty_shapes)
    .setCreateOpState(new_penalties, "cpu");

}  // namespace
}  // namespace seqlm

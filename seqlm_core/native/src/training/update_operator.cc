// The operator that updates parameters.

#include "operator.h"

namespace seqlm {
namespace {

struct RuleFacts {
    const char* name;
    UpdateRule::Kind kind;
    bool has_mean, has_square;
};

constexpr RuleFacts rules[] = {
    {"sgd", UpdateRule::Kind::sgd, false, false},
    {"momentum", UpdateRule::Kind::momentum, true, false},
    {"nesterov", UpdateRule::Kind::nesterov, true, false},
    {"rmsprop", UpdateRule::Kind::rmsprop, false, true},
    {"adam", UpdateRule::Kind::adam, true, true},
};

const RuleFacts& rule_named(const std::string& name) {
    for (const RuleFacts& rule : rules)
        if (name == rule.name) return rule;
    throw std::invalid_argument("there is no rule " + name);
}

// The update of `count` parameters. Inputs: all weights, then all gradients, then all means, then all squares, of which
// there are as many as the rule has. The weights, means and squares are changed in place; the output means nothing.
struct UpdateAttributes {
    const RuleFacts& rule;
    std::size_t count;

    explicit UpdateAttributes(const Attributes& attributes)
        : rule(rule_named(text(attributes, "rule"))), count(seqlm::count(attributes, "count")) {}

    std::size_t inputs() const { return count * (2 + (rule.has_mean ? 1 : 0) + (rule.has_square ? 1 : 0)); }
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
        const UpdateRule rule{
            update.rule.kind,
            small_number(attributes, "learning_rate"),
            small_number(attributes, "weight_decay"),
            small_number(attributes, "mean_decay"),
            small_number(attributes, "square_decay"),
            small_number(attributes, "epsilon"),
            small_number(attributes, "rescale"),
            number(attributes, "clip_norm"),
        };
        demand(inputs->size() == update.inputs(), "an array is missing");
        MXTensor* const in = inputs->data();
        std::vector<Parameter> parameters;
        for (std::size_t i = 0; i < update.count; ++i) {
            const auto size = static_cast<std::size_t>(in[i].size());
            MXTensor* next = in + 2 * update.count + i;
            float* const mean = update.rule.has_mean ? floats(*next, size) : nullptr;
            if (update.rule.has_mean) next += update.count;
            float* const square = update.rule.has_square ? floats(*next, size) : nullptr;
            parameters.push_back({size, floats(in[i], size), floats(in[update.count + i], size), mean, square});
        }
        std::vector<double> sums(static_cast<std::size_t>(configured.members));
        configured.kernels->update(rule, parameters.data(), parameters.size(), sums.data(), configured.members);
        floats(outputs->front(), 1)[0] = 0;
    });
}

REGISTER_OP(seqlm_update)
    .setForward(update, "cpu")
    .setParseAttrs(update_attributes)
    .setInferType(update_types)
    .setInferShape(update_shapes)
    .setMutateInputs(update_mutates);

}  // namespace
}  // namespace seqlm

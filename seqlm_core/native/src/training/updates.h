// Updates of the parameters: one pass for the norm of their gradients, and one that reads and writes everything once.
//
// Included by compiled_for.h, in the namespace of one instruction set.

// Calls work(parameter, range) for those parts of the parameters that are a member's: mostly those whose gradients its
// thread has added up itself.
template <class Work>
SEQLM_INLINE void for_own_parts(const Parameter* parameters, std::size_t count, const Member& member, const Work& work) {
    for (std::size_t i = 0; i < count; ++i) {
        const Range own = part_of(parameters[i].size, member, lanes);
        if (own.size()) work(parameters[i], own);
    }
}

SEQLM_INLINE double sum_of_squares(const float* __restrict values, Range range) {
    double total = 0;
    for (std::size_t first = range.first; first < range.last;) {
        const std::size_t last = smaller(first + 4096, range.last);
        Vector sums{};
        for (; first + lanes <= last; first += lanes) sums += load(values + first) * load(values + first);
        for (std::size_t u = 0; u < lanes; ++u) total += sums[u];
        for (; first < last; ++first) total += static_cast<double>(values[first]) * values[first];
    }
    return total;
}

template <UpdateRule::Kind kind>
SEQLM_INLINE void update_part(const UpdateRule& rule, float rescale, const Parameter& parameter, Range range) {
    using Kind = UpdateRule::Kind;
    float* __restrict weight = parameter.weight;
    const float* __restrict gradient = parameter.gradient;
    float* __restrict mean = parameter.mean;
    float* __restrict square = parameter.square;
    const float rate = rule.learning_rate, decay = rule.weight_decay, epsilon = rule.epsilon;
    const float mean_decay = rule.mean_decay, square_decay = rule.square_decay;
    for (std::size_t i = range.first; i < range.last; ++i) {
        const float g = gradient[i] * rescale + decay * weight[i];
        if (kind == Kind::sgd) weight[i] -= rate * g;
        if (kind == Kind::momentum) weight[i] += mean[i] = mean_decay * mean[i] - rate * g;
        if (kind == Kind::nesterov) {
            mean[i] = mean_decay * mean[i] - rate * g;
            weight[i] += mean_decay * mean[i] - rate * g;
        }
        if (kind == Kind::rmsprop) {
            square[i] = square_decay * square[i] + (1 - square_decay) * g * g;
            weight[i] -= rate * g / std::sqrt(square[i] + epsilon);
        }
        if (kind == Kind::adam) {
            mean[i] = mean_decay * mean[i] + (1 - mean_decay) * g;
            square[i] = square_decay * square[i] + (1 - square_decay) * g * g;
            weight[i] -= rate * mean[i] / (std::sqrt(square[i]) + epsilon);
        }
    }
}

template <UpdateRule::Kind kind>
void update_all(const UpdateRule& rule, const Parameter* parameters, std::size_t count, double* sums, int members) {
    const bool clips = rule.clip_norm > 0;
    in_phases(members, clips ? 2 : 1, [&](const Member& member, std::size_t phase) {
        if (clips && phase == 0) {
            double sum = 0;
            for_own_parts(parameters, count, member, [&](const Parameter& parameter, Range range) {
                sum += sum_of_squares(parameter.gradient, range);
            });
            sums[member.index] = sum;
            return;
        }
        float rescale = rule.rescale;
        if (clips) {
            double total = 0;
            for (int i = 0; i < member.members; ++i) total += sums[i];
            const double norm = std::sqrt(total);
            // Written so that a norm that is not a number makes everything so.
            if (!(norm <= rule.clip_norm)) rescale *= static_cast<float>(rule.clip_norm / norm);
        }
        for_own_parts(parameters, count, member, [&](const Parameter& parameter, Range range) {
            update_part<kind>(rule, rescale, parameter, range);
        });
    });
}

void update(const UpdateRule& rule, const Parameter* parameters, std::size_t count, double* sums, int members) {
    using Kind = UpdateRule::Kind;
    std::size_t size = 0;
    for (std::size_t i = 0; i < count; ++i) size += parameters[i].size;
    members = useful_members(members, 32 * size);  // a number of a parameter takes as long as so many multiplications
    switch (rule.kind) {
        case Kind::sgd: return update_all<Kind::sgd>(rule, parameters, count, sums, members);
        case Kind::momentum: return update_all<Kind::momentum>(rule, parameters, count, sums, members);
        case Kind::nesterov: return update_all<Kind::nesterov>(rule, parameters, count, sums, members);
        case Kind::rmsprop: return update_all<Kind::rmsprop>(rule, parameters, count, sums, members);
        case Kind::adam: return update_all<Kind::adam>(rule, parameters, count, sums, members);
    }
}

// The projection to classes with a softmax, and its cross-entropy, in groups of rows.
//
// Included by compiled_for.h, in the namespace of one instruction set.

// Turns scores (size, whole vectors) into probabilities. Returns the cross-entropy with the target, in nats.
SEQLM_INLINE float normalize(float* __restrict scores, std::size_t size, std::size_t target) {
    Vector largest = load(scores);
    for (std::size_t c = lanes; c < size; c += lanes) {
        const Vector here = load(scores + c);
        largest = largest < here ? here : largest;
    }
    float highest = largest[0];
    for (std::size_t u = 1; u < lanes; ++u) highest = highest < largest[u] ? largest[u] : highest;
    const float below_highest = highest - scores[target];
    Vector sums{};
    for (std::size_t c = 0; c < size; c += lanes) {
        const Vector value = OfVector::exponential(load(scores + c) - highest);
        store(value, scores + c);
        sums += value;
    }
    double total = 0;
    for (std::size_t u = 0; u < lanes; ++u) total += sums[u];
    const auto share = static_cast<float>(1 / total);
    for (std::size_t c = 0; c < size; ++c) scores[c] *= share;
    return static_cast<float>(std::log(total) + below_highest);
}

void softmax_forward(const SoftmaxForward& head, SoftmaxState& state, int threads) {
    const std::size_t columns = padded(head.classes);
    float* const probabilities = state.probabilities.room(head.rows * columns);
    const Packed weights{state.packed.room(Packed::size(head.units, columns)), head.units, columns};
    float* const bias = state.scratch.room(columns);
    in_parallel(threads, [&](const Member& member) {
        const Range part = part_of(columns, member, panel);
        for (std::size_t column = part.first; column < part.last; column += panel) {
            const float* pointers[panel];
            for (std::size_t c = 0; c < panel; ++c) {
                const bool is_there = column + c < head.classes;
                pointers[c] = is_there ? head.weight + (column + c) * head.units : nullptr;
                // What is no class has no probability.
                if (column + c < columns) bias[column + c] = is_there ? head.bias[column + c] : -1e30f;
            }
            pack_panel(pointers, weights, column);
        }
        member.wait();
        const Range rows = part_of(head.rows, member);
        for (std::size_t first = rows.first; first < rows.last; first += row_group) {
            const std::size_t count = smaller(row_group, rows.last - first);
            multiply(
                head.hidden + first * head.units, head.units, count, weights, 0, columns,
                probabilities + first * columns, columns, false
            );
            for (std::size_t row = first; row < first + count; ++row) {
                float* const scores = probabilities + row * columns;
                for (std::size_t c = 0; c < columns; ++c) scores[c] += bias[c];
                head.losses[row] = normalize(scores, columns, static_cast<std::size_t>(head.targets[row]));
            }
        }
    });
}

void softmax_backward(
    const SoftmaxForward& head, const SoftmaxBackward& gradients, SoftmaxState& state, int threads
) {
    const std::size_t columns = padded(head.classes), units = padded(head.units);
    const float* const probabilities = state.probabilities.data();
    const Packed weights{state.packed.room(Packed::size(head.classes, units)), head.classes, units};
    const std::size_t group = smaller(head.rows, block_depth), own = product_scratch(group, columns) + row_group * units;
    float* const scratch = state.scratch.room(2 * group * columns + own * threads);
    in_parallel(threads, [&](const Member& member) {
        float* const products = scratch + 2 * group * columns + own * member.index;
        float* const hidden = products + product_scratch(group, columns);
        const Range part = part_of(units, member, panel), classes = part_of(head.classes, member);
        pack_rows(head.weight, head.units, head.units, weights, part.first, part.last);
        member.wait();
        bool add = false;
        for (std::size_t first = 0; first < head.rows; first += group, add = true) {
            const std::size_t count = smaller(group, head.rows - first);
            float* const scores = scratch + (first / group % 2) * group * columns;
            const Range rows = part_of(count, member);
            for (std::size_t row = rows.first; row < rows.last; ++row) {
                const float gradient = gradients.losses[first + row];
                const float* from = probabilities + (first + row) * columns;
                float* to = scores + row * columns;
                for (std::size_t c = 0; c < columns; ++c) to[c] = from[c] * gradient;
                to[head.targets[first + row]] -= gradient;
            }
            for (std::size_t row = rows.first; row < rows.last; row += row_group) {
                const std::size_t taken = smaller(row_group, rows.last - row);
                float* const to = gradients.hidden + (first + row) * head.units;
                const bool is_whole = units == head.units;
                multiply(
                    scores + row * columns, columns, taken, weights, 0, units, is_whole ? to : hidden, units, false
                );
                for (std::size_t i = 0; !is_whole && i < taken; ++i)
                    std::memcpy(to + i * head.units, hidden + i * units, head.units * sizeof(float));
            }
            member.wait();
            // Of the gradient of the weights each thread computes some classes, or some units if there are more.
            const bool by_units = head.units > head.classes;
            accumulate_products(
                [&](std::size_t k) { return scores + k * columns; }, by_units ? Range{0, head.classes} : classes,
                [&](std::size_t k) { return head.hidden + (first + k) * head.units; },
                by_units ? part.below(head.units) : Range{0, head.units}, count, gradients.weight, head.units, add,
                products
            );
            for (std::size_t row = 0; row < count; ++row)
                for (std::size_t c = classes.first; c < classes.last; ++c) {
                    const float value = scores[row * columns + c];
                    gradients.bias[c] = add || row ? gradients.bias[c] + value : value;
                }
        }
    });
}

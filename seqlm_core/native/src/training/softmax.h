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

class Softmax {
public:
    Softmax(const SoftmaxForward& head, SoftmaxState& state, int threads)
        : head_(head),
          state_(state),
          threads_(threads),
          columns_(padded(head.classes)),
          // As a layer of that size divides its sequences, so that a thread reads here what it has made there. If the
          // weights are large, the gradients of all groups would take too much memory.
          division_(Division::of(
              static_cast<std::size_t>(threads), head.batch,
              head.units * head.classes <= small_weights ? tile_rows : head.batch + 1
          )) {}

    void forward() {
        float* const probabilities = state_.probabilities.room(head_.rows() * columns_);
        const Packed weights{state_.packed.room(Packed::size(head_.units, columns_)), head_.units, columns_};
        float* const bias = state_.scratch.room(columns_);
        in_parallel(threads_, [&](const Member& member) {
            pack(weights, bias, part_of(columns_, member, panel));
            member.wait();
            const Range sequences = sequences_of(member), rows{0, head_.time * sequences.size()};
            for_runs(sequences, own_part(rows, member), [&](std::size_t, std::size_t row, std::size_t count) {
                multiply(
                    head_.hidden + row * head_.units, head_.units, count, weights, 0, columns_,
                    probabilities + row * columns_, columns_, false
                );
                for (const std::size_t end = row + count; row < end; ++row) {
                    float* const scores = probabilities + row * columns_;
                    for (std::size_t c = 0; c < columns_; ++c) scores[c] += bias[c];
                    head_.losses[row] = normalize(scores, columns_, static_cast<std::size_t>(head_.targets[row]));
                }
            });
        });
    }

    void backward(const SoftmaxBackward& gradients) {
        const std::size_t units = padded(head_.units), group = block_depth * columns_;
        const std::size_t own = product_scratch(block_depth) + row_group * units;
        const std::size_t sums = head_.classes * head_.units + head_.classes;
        const Packed weights{state_.packed.room(Packed::size(head_.classes, units)), head_.classes, units};
        float* const scores = state_.scratch.room(
            2 * group * division_.groups + (division_.groups - 1) * sums + own * static_cast<std::size_t>(threads_)
        );
        float* const others = scores + 2 * group * division_.groups;
        float* const scratch = others + (division_.groups - 1) * sums;
        in_parallel(threads_, [&](const Member& member) {
            const Range part = part_of(units, member, panel);
            pack_rows(head_.weight, head_.units, head_.units, weights, part.first, part.last);
            member.wait();
            const std::size_t index = division_.group_of(member);
            float* const weight = index ? others + (index - 1) * sums : gradients.weight;
            float* const bias = index ? weight + head_.classes * head_.units : gradients.bias;
            read_back(
                gradients, weights, weight, bias, scores + 2 * group * index,
                scratch + own * static_cast<std::size_t>(member.index), member
            );
            if (division_.groups == 1) return;
            member.wait();
            for (std::size_t i = 0; i + 1 < division_.groups; ++i) {
                const float* const other = others + i * sums;
                add(other, gradients.weight, part_of(head_.classes * head_.units, member, lanes));
                add(other + head_.classes * head_.units, gradients.bias, part_of(head_.classes, member, lanes));
            }
        });
    }

private:
    Range sequences_of(const Member& member) const {
        return part_of(head_.batch, division_.group_of(member), division_.groups);
    }

    // A thread's part of what is its group's.
    Range own_part(Range range, const Member& member, std::size_t unit = 1) const {
        const Range part = part_of(range.size(), division_.share_of(member), division_.shares, unit);
        return {range.first + part.first, range.first + part.last};
    }

    // Calls work(index, row, count) for rows that lie below each other. `rows` counts those of some sequences alone,
    // time step by time step, as `index` does.
    template <class Work>
    SEQLM_INLINE void for_runs(Range sequences, Range rows, const Work& work) const {
        while (rows.first < rows.last) {
            const std::size_t left = smaller(row_group, rows.size());
            const std::size_t in_step = sequences.size() - rows.first % sequences.size();
            const std::size_t count = sequences.size() == head_.batch ? left : smaller(left, in_step);
            work(rows.first, row_of(sequences, rows.first), count);
            rows.first += count;
        }
    }

    std::size_t row_of(Range sequences, std::size_t index) const {
        return index / sequences.size() * head_.batch + sequences.first + index % sequences.size();
    }

    void pack(const Packed& weights, float* bias, Range part) const {
        for (std::size_t column = part.first; column < part.last; column += panel) {
            const float* pointers[panel];
            for (std::size_t c = 0; c < panel; ++c) {
                const bool is_there = column + c < head_.classes;
                pointers[c] = is_there ? head_.weight + (column + c) * head_.units : nullptr;
                // What is no class has no probability.
                if (column + c < columns_) bias[column + c] = is_there ? head_.bias[column + c] : -1e30f;
            }
            pack_panel(pointers, weights, column);
        }
    }

    void read_back(
        const SoftmaxBackward& gradients, const Packed& weights, float* weight, float* bias, float* scores,
        float* scratch, const Member& member
    ) const {
        const float* const probabilities = state_.probabilities.data();
        float* const products = scratch + product_scratch(block_depth);
        const Range sequences = sequences_of(member);
        const std::size_t rows = head_.time * sequences.size();
        // All groups take as many turns, since their threads may wait for each other.
        const std::size_t most = head_.time * ((head_.batch + division_.groups - 1) / division_.groups);
        const bool by_units = head_.units > head_.classes;
        const Range classes = own_part({0, head_.classes}, member);
        const Range units = own_part({0, padded(head_.units)}, member, panel).below(head_.units);
        for (std::size_t first = 0; first < most; first += block_depth) {
            const Range turn = Range{first, first + block_depth}.below(rows);
            float* const of_turn = scores + first / block_depth % 2 * block_depth * columns_;
            for_runs(sequences, own_part(turn, member), [&](std::size_t index, std::size_t row, std::size_t count) {
                float* const to = of_turn + (index - first) * columns_;
                for (std::size_t i = 0; i < count; ++i) {
                    const float gradient = gradients.losses[row + i];
                    const float* __restrict from = probabilities + (row + i) * columns_;
                    float* __restrict score = to + i * columns_;
                    for (std::size_t c = 0; c < columns_; ++c) score[c] = from[c] * gradient;
                    score[head_.targets[row + i]] -= gradient;
                }
                float* const hidden = gradients.hidden + row * head_.units;
                const bool is_whole = padded(head_.units) == head_.units;
                multiply(
                    to, columns_, count, weights, 0, weights.columns, is_whole ? hidden : products, weights.columns, false
                );
                for (std::size_t i = 0; !is_whole && i < count; ++i)
                    std::memcpy(hidden + i * head_.units, products + i * weights.columns, head_.units * sizeof(float));
            });
            if (division_.shares > 1) member.wait();
            if (turn.size() == 0) continue;
            // Of the gradient of the weights each thread computes some classes, or some units if there are more.
            accumulate_products(
                [&](std::size_t k) { return of_turn + k * columns_; }, by_units ? Range{0, head_.classes} : classes,
                [&](std::size_t k) { return head_.hidden + row_of(sequences, first + k) * head_.units; },
                by_units ? units : Range{0, head_.units}, turn.size(), weight, head_.units, first > 0, scratch
            );
            for (std::size_t row = 0; row < turn.size(); ++row)
                for (std::size_t c = classes.first; c < classes.last; ++c) {
                    const float value = of_turn[row * columns_ + c];
                    bias[c] = first || row ? bias[c] + value : value;
                }
        }
    }

    static void add(const float* __restrict from, float* __restrict to, Range range) {
        for (std::size_t i = range.first; i < range.last; ++i) to[i] += from[i];
    }

    const SoftmaxForward& head_;
    SoftmaxState& state_;
    const int threads_;
    const std::size_t columns_;
    const Division division_;
};

void softmax_forward(const SoftmaxForward& head, SoftmaxState& state, int threads) {
    Softmax(head, state, threads).forward();
}

void softmax_backward(const SoftmaxForward& head, const SoftmaxBackward& gradients, SoftmaxState& state, int threads) {
    Softmax(head, state, threads).backward(gradients);
}

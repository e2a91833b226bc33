// Linear projections of rows, forward and backward: of the inputs of a layer, and to classes with a softmax.
//
// The members share the sequences as those of a layer do, so that a thread mostly reads what it has made itself.
//
// Included by compiled_for.h, in the namespace of one instruction set.

class Projection {
public:
    Projection(const ProjectionForward& work, ProjectionState& state, int members)
        : work_(work),
          state_(state),
          members_(useful_members(members, work.time * work.batch * work.inputs * work.outputs)),
          columns_(padded(work.outputs)),
          // If the weights are large, their gradients of all groups would take too much memory.
          division_(Division::of(
              static_cast<std::size_t>(members_), work.batch,
              work.inputs * work.outputs <= small_weights ? fewest_sequences : work.batch + 1
          )) {}

    std::size_t columns() const { return columns_; }

    // Projects all rows. to(row) is where `columns` products of a row go, and those of the next `stride` further on; for
    // some rows below each other it calls finish(row, count, products, bias). Without `stride` the products go to a
    // place of the member's.
    template <class To, class Finish>
    void forward(const To& to, std::size_t stride, const Finish& finish) {
        const std::size_t size = apart(Packed::size(work_.inputs, columns_));
        float* const packed = state_.packed.room(size * copies());
        const std::size_t own = apart(columns_ + (stride ? 0 : row_group * columns_));
        float* const scratch = state_.scratch.room(own * static_cast<std::size_t>(members_));
        const Turns turns{copies() == 1, 1};
        in_phases(members_, turns.phases(), [&](const Member& member, std::size_t phase) {
            const Packed weights{packed + size * copy_of(member), work_.inputs, columns_};
            if (phase == 0) pack(weights, packed_part(columns_, member));
            if (!turns.is_one(phase)) return;
            float* const bias = scratch + own * static_cast<std::size_t>(member.index);
            float* const products = bias + columns_;
            pad_bias(bias);
            const Range sequences = sequences_of(member), rows{0, work_.time * sequences.size()};
            for_runs(sequences, own_part(rows, member), [&](std::size_t, std::size_t row, std::size_t count) {
                float* const here = stride ? to(row) : products;
                multiply(
                    work_.rows + row * work_.inputs, work_.inputs, count, weights, 0, columns_, here,
                    stride ? stride : columns_, false
                );
                finish(row, count, here, bias);
            });
        });
    }

    // Gradients, given those of the products. of(chunk, sequences, index, first) is where the gradients of the index-th
    // row of some sequences lie, those of the next `stride` further on; before that it calls prepare(row, count, to) for
    // rows below each other, where `to` is that place. `chunk` is a place for the numbers of block_depth rows, or of
    // all if they are fewer, and `first` the index of the row with which it begins.
    template <class Of, class Prepare>
    void backward(const ProjectionBackward& gradients, std::size_t stride, const Of& of, const Prepare& prepare) {
        const std::size_t inputs = padded(work_.inputs);
        const std::size_t chunk = apart(smaller(block_depth, work_.time * work_.batch) * columns_);
        const std::size_t own_places = smaller(2, chunk_count()) * chunk;
        const std::size_t own = apart(product_scratch + row_group * inputs);
        const std::size_t sums = apart(work_.outputs * work_.inputs + work_.outputs);
        const std::size_t size = apart(Packed::size(work_.outputs, inputs));
        float* const packed = state_.packed.room(size * copies());
        float* const chunks = state_.scratch.room(
            own_places * division_.groups + (division_.groups - 1) * sums + own * static_cast<std::size_t>(members_)
        );
        float* const others = chunks + own_places * division_.groups;
        float* const scratch = others + (division_.groups - 1) * sums;
        // Members that share rows prepare those of a chunk for each other, and then each adds up some of the gradients.
        // A turn more than there are chunks: the second half of one comes with the first half of the one before it.
        const bool adds_groups = division_.groups > 1;
        const Turns turns{copies() == 1, division_.shares > 1 ? chunk_count() + 1 : 1};
        in_phases(members_, turns.phases() + (adds_groups ? 1 : 0), [&](const Member& member, std::size_t phase) {
            const Packed weights{packed + size * copy_of(member), work_.outputs, inputs};
            if (phase == 0) {
                const Range part = packed_part(inputs, member);
                pack_rows(work_.weight, work_.inputs, work_.inputs, weights, part.first, part.last);
            }
            if (!turns.is_one(phase)) return;
            if (adds_groups && phase == turns.phases()) {
                for (std::size_t i = 0; i + 1 < division_.groups; ++i) {
                    const float* const other = others + i * sums;
                    add(other, gradients.weight, part_of(work_.outputs * work_.inputs, member, lanes));
                    add(other + work_.outputs * work_.inputs, gradients.bias, part_of(work_.outputs, member, lanes));
                }
                return;
            }
            const std::size_t group = division_.group_of(member);
            float* const weight = group ? others + (group - 1) * sums : gradients.weight;
            float* const bias = group ? weight + work_.outputs * work_.inputs : gradients.bias;
            float* const own_scratch = scratch + own * static_cast<std::size_t>(member.index);
            float* const own_chunks = chunks + own_places * group;
            const Range own_turns = part_of(chunk_count() + 1, turns.number(phase), turns.count);
            for (std::size_t turn = own_turns.first; turn < own_turns.last; ++turn) {
                const auto place = [&](std::size_t number) { return own_chunks + number % 2 * chunk; };
                if (turn > 0) add_up(place(turn - 1), turn - 1, of, weight, bias, own_scratch, member);
                if (turn < chunk_count())
                    project_back(gradients, weights, place(turn), turn, stride, of, prepare, own_scratch, member);
            }
        });
    }

    std::size_t row_of(Range sequences, std::size_t index) const {
        return index / sequences.size() * work_.batch + sequences.first + index % sequences.size();
    }

private:
    Range sequences_of(const Member& member) const {
        return part_of(work_.batch, division_.group_of(member), division_.groups);
    }

    // A member's part of what is its group's.
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
            const std::size_t count = sequences.size() == work_.batch ? left : smaller(left, in_step);
            work(rows.first, row_of(sequences, rows.first), count);
            rows.first += count;
        }
    }

    // The packed weights: one copy of each member or one for all, which is whose, and which columns a member packs.
    std::size_t copies() const {
        const bool are_small = work_.inputs * work_.outputs <= small_weights;
        return division_.shares == 1 && are_small ? division_.groups : 1;
    }
    std::size_t copy_of(const Member& member) const {
        return copies() > 1 ? static_cast<std::size_t>(member.index) : 0;
    }
    Range packed_part(std::size_t columns, const Member& member) const {
        return copies() > 1 ? Range{0, columns} : part_of(columns, member, panel);
    }

    // For a softmax: what is no class has no probability.
    void pad_bias(float* bias) const {
        for (std::size_t c = 0; c < columns_; ++c) bias[c] = c < work_.outputs ? work_.bias[c] : -1e30f;
    }

    void pack(const Packed& weights, Range part) const {
        for (std::size_t column = part.first; column < part.last; column += panel) {
            const float* pointers[panel];
            for (std::size_t c = 0; c < panel; ++c) {
                const bool is_there = column + c < work_.outputs;
                pointers[c] = is_there ? work_.weight + (column + c) * work_.inputs : nullptr;
            }
            pack_panel(pointers, weights, column);
        }
    }

    // How many chunks of block_depth rows the largest group has. Groups with fewer have nothing to do in the last.
    std::size_t chunk_count() const {
        const std::size_t most = work_.time * ((work_.batch + division_.groups - 1) / division_.groups);
        return (most + block_depth - 1) / block_depth;
    }

    // Which of the rows of some sequences are in a chunk.
    Range rows_of(std::size_t chunk, Range sequences) const {
        return Range{chunk * block_depth, (chunk + 1) * block_depth}.below(work_.time * sequences.size());
    }

    // The gradients of the rows of a chunk.
    template <class Of, class Prepare>
    SEQLM_INLINE void project_back(
        const ProjectionBackward& gradients, const Packed& weights, float* chunk, std::size_t number, std::size_t stride,
        const Of& of, const Prepare& prepare, float* scratch, const Member& member
    ) const {
        float* const products = scratch + product_scratch;
        const Range sequences = sequences_of(member), rows = rows_of(number, sequences);
        const std::size_t first = number * block_depth;
        for_runs(sequences, own_part(rows, member), [&](std::size_t index, std::size_t row, std::size_t count) {
            const float* const from = of(chunk, sequences, index, first);
            prepare(row, count, chunk + (index - first) * columns_);
            float* const to = gradients.rows + row * work_.inputs;
            const bool is_whole = padded(work_.inputs) == work_.inputs;
            multiply(
                from, stride, count, weights, 0, weights.columns, is_whole ? to : products, weights.columns, false
            );
            for (std::size_t i = 0; !is_whole && i < count; ++i)
                std::memcpy(to + i * work_.inputs, products + i * weights.columns, work_.inputs * sizeof(float));
        });
    }

    // Adds to the gradients of weight and bias what a chunk brings. Of the weight's each member computes those of some
    // outputs, or of some inputs if there are more.
    template <class Of>
    SEQLM_INLINE void add_up(
        float* chunk, std::size_t number, const Of& of, float* weight, float* bias, float* scratch, const Member& member
    ) const {
        const Range sequences = sequences_of(member), rows = rows_of(number, sequences);
        if (rows.size() == 0) return;
        const std::size_t first = number * block_depth;
        const bool by_inputs = work_.inputs > work_.outputs;
        const Range outputs = own_part({0, work_.outputs}, member);
        const Range inputs = own_part({0, padded(work_.inputs)}, member, panel).below(work_.inputs);
        accumulate_products(
            [&](std::size_t k) { return of(chunk, sequences, first + k, first); },
            by_inputs ? Range{0, work_.outputs} : outputs,
            [&](std::size_t k) { return work_.rows + row_of(sequences, first + k) * work_.inputs; },
            by_inputs ? inputs : Range{0, work_.inputs}, rows.size(), weight, work_.inputs, first > 0, scratch
        );
        for (std::size_t index = first; index < rows.last; ++index) {
            const float* __restrict from = of(chunk, sequences, index, first);
            for (std::size_t i = outputs.first; i < outputs.last; ++i) bias[i] = index ? bias[i] + from[i] : from[i];
        }
    }

    static void add(const float* __restrict from, float* __restrict to, Range range) {
        for (std::size_t i = range.first; i < range.last; ++i) to[i] += from[i];
    }

    const ProjectionForward& work_;
    ProjectionState& state_;
    const int members_;
    const std::size_t columns_;
    const Division division_;
};

void projection_forward(const ProjectionForward& work, float* products, ProjectionState& state, int members) {
    Projection projection(work, state, members);
    const bool is_whole = projection.columns() == work.outputs;
    projection.forward(
        [&](std::size_t row) { return products + row * work.outputs; }, is_whole ? work.outputs : 0,
        [&](std::size_t row, std::size_t count, const float* from, const float* bias) {
            for (std::size_t i = 0; i < count; ++i) {
                float* const to = products + (row + i) * work.outputs;
                const float* const here = from + i * projection.columns();
                for (std::size_t c = 0; c < work.outputs; ++c) to[c] = here[c] + bias[c];
            }
        }
    );
}

void projection_backward(
    const ProjectionForward& work, const float* products, const ProjectionBackward& gradients, ProjectionState& state,
    int members
) {
    Projection projection(work, state, members);
    projection.backward(
        gradients, work.outputs,
        [&](float*, Range sequences, std::size_t index, std::size_t) {
            return products + projection.row_of(sequences, index) * work.outputs;
        },
        [](std::size_t, std::size_t, float*) {}
    );
}

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

void softmax_forward(
    const ProjectionForward& head, const std::int32_t* targets, float* losses, SoftmaxState& state, int members
) {
    Projection projection(head, state.projection, members);
    const std::size_t columns = projection.columns();
    float* const probabilities = state.probabilities.room(head.time * head.batch * columns);
    projection.forward(
        [&](std::size_t row) { return probabilities + row * columns; }, columns,
        [&](std::size_t row, std::size_t count, float* scores, const float* bias) {
            for (std::size_t i = 0; i < count; ++i, ++row, scores += columns) {
                for (std::size_t c = 0; c < columns; ++c) scores[c] += bias[c];
                losses[row] = normalize(scores, columns, static_cast<std::size_t>(targets[row]));
            }
        }
    );
}

void softmax_backward(
    const ProjectionForward& head, const std::int32_t* targets, const float* losses, const ProjectionBackward& gradients,
    SoftmaxState& state, int members
) {
    Projection projection(head, state.projection, members);
    const std::size_t columns = projection.columns();
    const float* const probabilities = state.probabilities.data();
    projection.backward(
        gradients, columns,
        [&](float* chunk, Range, std::size_t index, std::size_t first) { return chunk + (index - first) * columns; },
        [&](std::size_t row, std::size_t count, float* to) {
            for (std::size_t i = 0; i < count; ++i, ++row, to += columns) {
                const float gradient = losses[row];
                const float* __restrict from = probabilities + row * columns;
                float* __restrict score = to;
                for (std::size_t c = 0; c < columns; ++c) score[c] = from[c] * gradient;
                score[targets[row]] -= gradient;
            }
        }
    );
}

// A recurrent layer, forward and backward, for any cell.
//
// The threads share the sequences of a batch, or the units, or both. Those that share the units of a sequence wait for
// each other at every time step; those that share only sequences need not.
//
// Included by compiled_for.h, in the namespace of one instruction set.

// Rows whose products with a chunk of the weights are computed before their cells, so that they stay in the cache.
constexpr std::size_t row_group = 48;

// What of a layer is a thread's.
struct Share {
    std::size_t group;
    Range sequences, units;
    Range outputs;  // of the gates' units, whose weights' gradients it adds up
};

template <class Cell>
class Layer {
public:
    Layer(const LayerForward& layer, LayerState& state, int threads)
        : layer_(layer),
          state_(state),
          batch_(layer.sizes.batch),
          units_(layer.sizes.units),
          time_(layer.sizes.time),
          blocks_(padded(units_) / lanes),
          outputs_(Cell::gates * units_),
          threads_(useful_threads(threads, time_ * batch_ * outputs_ * units_)) {}

    void forward() {
        activations_ = state_.activations.room(time_ * blocks_ * batch_ * kept_size);
        history_ = layer_.sizes.reverse ? state_.hidden.room(time_ * batch_ * units_) : layer_.outputs;
        const Division division = divide(static_cast<std::size_t>(threads_));
        const std::size_t columns = blocks_ * block_columns, size = Packed::size(units_, columns);
        float* const packed = state_.packed.room(size * copies(division));
        const std::size_t own = columns + row_group * chunk_columns;
        float* const scratch = state_.scratch.room(own * static_cast<std::size_t>(threads_));
        in_parallel(threads_, [&](const Member& member) {
            float* const bias = scratch + own * static_cast<std::size_t>(member.index);
            const Packed weights{packed + size * copy_of(division, member), units_, columns};
            pack_bias(bias);
            pack_weights(weights, packed_part(division, columns, member));
            if (copies(division) == 1) member.wait();
            read(division, weights, bias, bias + columns, member);
        });
    }

    void backward(const LayerBackward& gradients) {
        activations_ = state_.activations.data();
        history_ = layer_.sizes.reverse ? state_.hidden.data() : layer_.outputs;
        const std::size_t columns = padded(units_);
        const Division division = divide(static_cast<std::size_t>(threads_));
        const std::size_t size = Packed::size(outputs_, columns);
        float* const packed = state_.packed.room(size * copies(division));
        const std::size_t sequences = (batch_ + division.groups - 1) / division.groups;
        Backward work{gradients, division};
        work.steps = smaller(time_, (block_depth + sequences - 1) / sequences);
        work.ring = work.steps * sequences * outputs_;
        work.sums = outputs_ * units_ + outputs_ + gradients.vocabulary * outputs_;
        const std::size_t own = product_scratch(block_depth);
        const std::size_t rings = rings_of_group * work.ring * division.groups;
        float* scratch = state_.scratch.room(
            2 * batch_ * columns + rings + (division.groups - 1) * work.sums + own * static_cast<std::size_t>(threads_)
        );
        work.hidden = scratch;
        work.memory = work.hidden + batch_ * columns;
        work.rings = work.memory + batch_ * columns;
        work.others = work.rings + rings;
        float* const own_scratch = work.others + (division.groups - 1) * work.sums;
        in_parallel(threads_, [&](const Member& member) {
            const Packed weights{packed + size * copy_of(division, member), outputs_, columns};
            const Range part = packed_part(division, columns, member);
            pack_rows(layer_.weight, units_, units_, weights, part.first, part.last);
            if (copies(division) == 1) member.wait();
            read_back(work, weights, own_scratch + own * static_cast<std::size_t>(member.index), member);
            if (division.groups == 1) return;
            member.wait();
            add_groups(work, member);
        });
    }

private:
    static constexpr std::size_t block_columns = Cell::gates * lanes;
    static constexpr std::size_t chunk_columns = Cell::blocks * block_columns;
    static constexpr std::size_t kept_size = Cell::kept * lanes;
    static_assert(chunk_columns % panel == 0, "the chunks of the weights are whole panels");

    // What reaches the inputs may differ from what reaches h. Two of each: one is filled while others read the other.
    static constexpr std::size_t rings_of_group = Cell::reaches_back ? 4 : 2;

    struct Backward {
        const LayerBackward& gradients;
        Division division;
        std::size_t steps = 0;   // of a chunk of time steps, after which the gradients of the weights are added up
        std::size_t ring = 0;    // numbers in what a group has of a chunk: (steps * sequences, gates * units)
        std::size_t sums = 0;    // numbers in the gradients of weight, bias and tokens
        float* hidden = nullptr;  // (batch, padded units): the gradient of the output of the step before
        float* memory = nullptr;  // likewise
        float* rings = nullptr;
        float* others = nullptr;  // the gradients of weight, bias and tokens of each group but the first

        float* to_hidden(std::size_t group, std::size_t turn) const {
            return rings + (group * rings_of_group + turn) * ring;
        }
        float* to_input(std::size_t group, std::size_t turn) const {
            return to_hidden(group, Cell::reaches_back ? turn + 2 : turn);
        }
    };

    std::size_t length(std::size_t sequence) const {
        return layer_.lengths ? static_cast<std::size_t>(layer_.lengths[sequence]) : time_;
    }

    // The row that is read in this step.
    std::size_t row_of(std::size_t step, std::size_t sequence) const {
        const std::size_t end = length(sequence);
        const std::size_t position = layer_.sizes.reverse && step < end ? end - 1 - step : step;
        return position * batch_ + sequence;
    }

    const float* hidden_before(std::size_t step) const {
        return step ? history_ + (step - 1) * batch_ * units_ : layer_.hidden;
    }

    float* kept(std::size_t step, std::size_t block, std::size_t sequence) const {
        return activations_ + ((step * blocks_ + block) * batch_ + sequence) * kept_size;
    }

    std::size_t width(std::size_t block) const { return smaller(lanes, units_ - block * lanes); }

    // Units of a block, before the step.
    Vector output_before(std::size_t step, std::size_t block, std::size_t sequence) const {
        return load_part(hidden_before(step) + sequence * units_ + block * lanes, width(block));
    }

    Vector memory_before(std::size_t step, std::size_t block, std::size_t sequence) const {
        if (step) return load(kept(step - 1, block, sequence) + (Cell::kept - 1) * lanes);
        return load_part(layer_.memory + sequence * units_ + block * lanes, width(block));
    }

    // Each group reads all weights, so a group of few sequences takes longer to read them than to compute.
    Division divide(std::size_t threads) const {
        const std::size_t weights = outputs_ * units_;
        return Division::of(threads, batch_, weights <= small_weights ? tile_rows : weights <= (1 << 20) ? 24 : 48);
    }

    // The packed weights: one copy of each thread or one for all, which is whose, and which columns a thread packs.
    std::size_t copies(const Division& division) const {
        return division.shares == 1 && outputs_ * units_ <= small_weights ? division.groups : 1;
    }
    std::size_t copy_of(const Division& division, const Member& member) const {
        return copies(division) > 1 ? static_cast<std::size_t>(member.index) : 0;
    }
    Range packed_part(const Division& division, std::size_t columns, const Member& member) const {
        return copies(division) > 1 ? Range{0, columns} : part_of(columns, member, panel);
    }

    // unit: how units may be cut.
    Share share(const Division& division, const Member& member, std::size_t unit) const {
        const std::size_t group = division.group_of(member), of_group = division.share_of(member);
        return {
            group,
            part_of(batch_, group, division.groups),
            part_of(padded(units_), of_group, division.shares, unit),
            part_of(outputs_, of_group, division.shares, tile_rows),
        };
    }

    void pack_weights(const Packed& weights, Range part) const {
        for (std::size_t column = part.first; column < part.last; column += panel) {
            const float* columns[panel];
            for (std::size_t c = 0; c < panel; ++c) {
                const std::size_t block = (column + c) / block_columns, gate = (column + c) % block_columns / lanes;
                const std::size_t unit = block * lanes + (column + c) % lanes;
                columns[c] = unit < units_ ? layer_.weight + (gate * units_ + unit) * units_ : nullptr;
            }
            pack_panel(columns, weights, column);
        }
    }

    void pack_bias(float* bias) const {
        for (std::size_t block = 0; block < blocks_; ++block)
            for (std::size_t gate = 0; gate < Cell::gates; ++gate)
                for (std::size_t u = 0; u < lanes; ++u)
                    bias[(block * Cell::gates + gate) * lanes + u] =
                        u < width(block) ? layer_.bias[gate * units_ + block * lanes + u] : 0;
    }

    void read(
        const Division& division, const Packed& weights, const float* bias, float* products, const Member& member
    ) {
        const Share own = share(division, member, Cell::blocks * lanes);
        for (std::size_t step = 0; step < time_; ++step) {
            if (division.shares > 1 && step) member.wait();
            const float* before = hidden_before(step);
            for (std::size_t unit = own.units.first; unit < own.units.last; unit += Cell::blocks * lanes) {
                const std::size_t first = unit / lanes, last = smaller(first + Cell::blocks, own.units.last / lanes);
                for (std::size_t row = own.sequences.first; row < own.sequences.last; row += row_group) {
                    const std::size_t rows = smaller(row_group, own.sequences.last - row);
                    multiply(
                        before + row * units_, units_, rows, weights, first * block_columns, last * block_columns,
                        products, chunk_columns, false
                    );
                    for (std::size_t block = first; block < last; ++block)
                        for (std::size_t i = 0; i < rows; ++i)
                            read_block(
                                step, block, row + i, products + i * chunk_columns + (block - first) * block_columns,
                                bias + block * block_columns
                            );
                }
            }
        }
    }

    // Computes the cells of one block of units of one sequence.
    SEQLM_INLINE void read_block(
        std::size_t step, std::size_t block, std::size_t sequence, const float* __restrict products,
        const float* __restrict bias
    ) {
        const std::size_t row = row_of(step, sequence), there = width(block), end = length(sequence);
        Vector hidden{}, kept_here[Cell::kept] = {};
        if (step < end) {
            const std::size_t read = layer_.tokens ? static_cast<std::size_t>(layer_.tokens[row]) : row;
            const float* const inputs = layer_.inputs + read * outputs_ + block * lanes;
            Vector from_input[Cell::gates], from_hidden[Cell::gates], before{}, memory{};
            for (int gate = 0; gate < Cell::gates; ++gate) {
                from_input[gate] = load_part(inputs + gate * units_, there);
                from_hidden[gate] = load(products + gate * lanes) + load(bias + gate * lanes);
            }
            if (Cell::reaches_back) before = output_before(step, block, sequence);
            if (Cell::has_memory) memory = memory_before(step, block, sequence);
            hidden = Cell::forward(from_input, from_hidden, before, memory, kept_here);
        }
        for (int i = 0; i < Cell::kept; ++i) store(kept_here[i], kept(step, block, sequence) + i * lanes);
        store_part(hidden, there, layer_.outputs + row * units_ + block * lanes);
        if (history_ != layer_.outputs)
            store_part(hidden, there, history_ + (step * batch_ + sequence) * units_ + block * lanes);
        if (step + 1 == end) {
            const std::size_t place = sequence * units_ + block * lanes;
            store_part(hidden, there, layer_.last_hidden + place);
            if (Cell::has_memory) store_part(kept_here[Cell::kept - 1], there, layer_.last_memory + place);
        }
    }

    void read_back(const Backward& work, const Packed& weights, float* scratch, const Member& member) {
        const Share own = share(work.division, member, panel);
        const std::size_t columns = padded(units_);
        const bool units_are_shared = work.division.shares > 1;
        clear_tokens(work, own);
        bool add = false;
        std::size_t turn = 0;
        for (std::size_t last = time_; last > 0; turn ^= 1) {
            const std::size_t first = last > work.steps ? last - work.steps : 0;
            for (std::size_t step = last; step-- > first;) {
                const std::size_t place = (step - first) * own.sequences.size() * outputs_;
                float* const to_hidden = work.to_hidden(own.group, turn) + place;
                float* const to_input = work.to_input(own.group, turn) + place;
                for (std::size_t unit = own.units.first; unit < own.units.last; unit += lanes)
                    for (std::size_t row = own.sequences.first; row < own.sequences.last; ++row) {
                        const std::size_t ours = (row - own.sequences.first) * outputs_;
                        read_block_back(work, step, unit / lanes, row, to_hidden + ours, to_input + ours);
                    }
                if (units_are_shared) member.wait();
                multiply(
                    to_hidden, outputs_, own.sequences.size(), weights, own.units.first, own.units.last,
                    work.hidden + own.sequences.first * columns + own.units.first, columns, Cell::reaches_back
                );
            }
            add_to_weights(work, own, turn, first, last, add, scratch);
            add = true;
            last = first;
        }
        for (std::size_t row = own.sequences.first; row < own.sequences.last; ++row)
            for (std::size_t unit = own.units.first; unit < smaller(units_, own.units.last); ++unit) {
                work.gradients.hidden[row * units_ + unit] = work.hidden[row * columns + unit];
                if (Cell::has_memory) work.gradients.memory[row * units_ + unit] = work.memory[row * columns + unit];
            }
    }

    SEQLM_INLINE void read_block_back(
        const Backward& work, std::size_t step, std::size_t block, std::size_t sequence, float* to_hidden_row,
        float* to_input_row
    ) {
        const std::size_t row = row_of(step, sequence), there = width(block), end = length(sequence);
        const std::size_t place = sequence * units_ + block * lanes;
        float* const carried = work.hidden + sequence * padded(units_) + block * lanes;
        float* const carried_memory = work.memory + sequence * padded(units_) + block * lanes;
        CellGradient<Cell::gates> to{};
        if (step < end) {
            const bool is_last = step + 1 == end;
            Vector kept_here[Cell::kept], before{}, memory{}, memory_gradient{};
            for (int i = 0; i < Cell::kept; ++i) kept_here[i] = load(kept(step, block, sequence) + i * lanes);
            const Vector gradient = load_part(work.gradients.outputs + row * units_ + block * lanes, there) +
                                    (is_last ? load_part(work.gradients.last_hidden + place, there) : load(carried));
            if (Cell::reaches_back) before = output_before(step, block, sequence);
            if (Cell::has_memory) {
                memory = memory_before(step, block, sequence);
                memory_gradient =
                    is_last ? load_part(work.gradients.last_memory + place, there) : load(carried_memory);
            }
            to = Cell::backward(kept_here, before, memory, gradient, memory_gradient);
        }
        if (Cell::reaches_back) store(to.before, carried);
        if (Cell::has_memory) store(to.memory, carried_memory);
        for (int gate = 0; gate < Cell::gates; ++gate) {
            const std::size_t column = gate * units_ + block * lanes;
            store_part(to.hidden[gate], there, to_hidden_row + column);
            if (Cell::reaches_back) store_part(to.input[gate], there, to_input_row + column);
            if (!layer_.tokens) store_part(to.input[gate], there, work.gradients.inputs + row * outputs_ + column);
        }
    }

    // The gradients of weight, bias and tokens that a group adds up: the first group's are the whole ones.
    float* weight_sums(const Backward& work, std::size_t group) const {
        return group ? work.others + (group - 1) * work.sums : work.gradients.weight;
    }
    float* bias_sums(const Backward& work, std::size_t group) const {
        return group ? weight_sums(work, group) + outputs_ * units_ : work.gradients.bias;
    }
    float* token_sums(const Backward& work, std::size_t group) const {
        return group ? bias_sums(work, group) + outputs_ : work.gradients.inputs;
    }

    void clear_tokens(const Backward& work, const Share& own) const {
        float* const sums = token_sums(work, own.group) + own.outputs.first;
        for (std::size_t token = 0; token < work.gradients.vocabulary; ++token)
            std::memset(sums + token * outputs_, 0, own.outputs.size() * sizeof(float));
    }

    // Adds to the gradients of weight, bias and tokens what a chunk of time steps brings. Each thread of a group does so
    // for some of the gates' units.
    void add_to_weights(
        const Backward& work, const Share& own, std::size_t turn, std::size_t first, std::size_t last, bool add,
        float* scratch
    ) {
        const std::size_t sequences = own.sequences.size(), rows = (last - first) * sequences;
        const float* const to_hidden = work.to_hidden(own.group, turn);
        const float* const to_input = work.to_input(own.group, turn);
        for (std::size_t row = 0; row < rows; row += block_depth)
            accumulate_products(
                [&](std::size_t k) { return to_hidden + (row + k) * outputs_; }, own.outputs,
                [&](std::size_t k) {
                    const std::size_t sequence = own.sequences.first + (row + k) % sequences;
                    return hidden_before(first + (row + k) / sequences) + sequence * units_;
                },
                {0, units_}, smaller(block_depth, rows - row), weight_sums(work, own.group), units_, add || row, scratch
            );
        float* __restrict bias = bias_sums(work, own.group);
        for (std::size_t row = 0; row < rows; ++row)
            for (std::size_t i = own.outputs.first; i < own.outputs.last; ++i) {
                const float value = to_hidden[row * outputs_ + i];
                bias[i] = add || row ? bias[i] + value : value;
            }
        if (!layer_.tokens) return;
        for (std::size_t row = 0; row < rows; ++row) {
            const std::size_t read = row_of(first + row / sequences, own.sequences.first + row % sequences);
            const float* __restrict from = to_input + row * outputs_;
            float* __restrict to =
                token_sums(work, own.group) + static_cast<std::size_t>(layer_.tokens[read]) * outputs_;
            for (std::size_t i = own.outputs.first; i < own.outputs.last; ++i) to[i] += from[i];
        }
    }

    // Adds up what the groups have.
    void add_groups(const Backward& work, const Member& member) const {
        const auto add = [&](float* __restrict to, std::size_t offset, std::size_t size) {
            const Range part = part_of(size, member, lanes);
            for (std::size_t group = 1; group < work.division.groups; ++group) {
                const float* __restrict from = weight_sums(work, group) + offset;
                for (std::size_t i = part.first; i < part.last; ++i) to[i] += from[i];
            }
        };
        add(work.gradients.weight, 0, outputs_ * units_);
        add(work.gradients.bias, outputs_ * units_, outputs_);
        if (layer_.tokens)
            add(work.gradients.inputs, outputs_ * units_ + outputs_, work.gradients.vocabulary * outputs_);
    }

    const LayerForward& layer_;
    LayerState& state_;
    const std::size_t batch_, units_, time_, blocks_, outputs_;
    const int threads_;
    float* activations_ = nullptr;
    float* history_ = nullptr;  // the outputs in the order in which they are read
};

template <class Work>
SEQLM_INLINE void with_cell(const LayerForward& layer, LayerState& state, int threads, const Work& work) {
    switch (layer.sizes.cell) {
        case Cell::rnn_tanh: return work(Layer<Rnn<false>>(layer, state, threads));
        case Cell::rnn_relu: return work(Layer<Rnn<true>>(layer, state, threads));
        case Cell::gru: return work(Layer<Gru>(layer, state, threads));
        case Cell::lstm: return work(Layer<Lstm>(layer, state, threads));
    }
}

void layer_forward(const LayerForward& layer, LayerState& state, int threads) {
    with_cell(layer, state, threads, [](auto&& work) { work.forward(); });
}

void layer_backward(const LayerForward& layer, const LayerBackward& gradients, LayerState& state, int threads) {
    with_cell(layer, state, threads, [&](auto&& work) { work.backward(gradients); });
}

// A recurrent layer, forward and backward, for any cell.
//
// The threads share the sequences of a batch, or the units, or both. Those that share the units of a sequence wait for
// each other at every time step; those that share only sequences need not.
//
// Included by compiled_for.h, in the namespace of one instruction set.

// Rows whose products with a chunk of the weights are computed before their cells, so that they stay in the cache.
constexpr std::size_t row_group = 48;

// Which sequences and units a thread computes.
struct Share {
    Range sequences, units;
    bool units_are_shared;
};

template <class Cell>
class Layer {
public:
    Layer(const LayerForward& layer, LayerState& state)
        : layer_(layer),
          state_(state),
          batch_(layer.sizes.batch),
          units_(layer.sizes.units),
          time_(layer.sizes.time),
          blocks_(padded(units_) / lanes),
          outputs_(Cell::gates * units_) {}

    void forward(int threads) {
        activations_ = state_.activations.room(time_ * blocks_ * batch_ * kept_size);
        history_ = layer_.sizes.reverse ? state_.hidden.room(time_ * batch_ * units_) : layer_.outputs;
        const Packed weights{
            state_.packed.room(Packed::size(units_, blocks_ * block_columns)), units_, blocks_ * block_columns
        };
        const std::size_t own = row_group * chunk_columns;
        float* bias = state_.scratch.room(blocks_ * block_columns + own * threads);
        in_parallel(threads, [&](const Member& member) {
            pack_weights(weights, member);
            pack_bias(bias, member);
            member.wait();
            read(weights, bias, bias + blocks_ * block_columns + own * member.index, member);
        });
    }

    void backward(const LayerBackward& gradients, int threads) {
        activations_ = state_.activations.data();
        history_ = layer_.sizes.reverse ? state_.hidden.data() : layer_.outputs;
        const std::size_t columns = padded(units_);
        const Packed weights{state_.packed.room(Packed::size(outputs_, columns)), outputs_, columns};
        const std::size_t steps = smaller(time_, (block_depth + batch_ - 1) / batch_), ring = steps * batch_ * outputs_;
        const std::size_t own = product_scratch(block_depth, outputs_);
        constexpr int rings = Cell::reaches_back ? 4 : 2;  // what reaches the inputs differs from what reaches h
        float* scratch = state_.scratch.room(2 * batch_ * columns + rings * ring + own * threads);
        Backward work{gradients, scratch, scratch + batch_ * columns, {}, {}, steps, weights};
        for (int i = 0; i < 2; ++i) {
            work.to_hidden[i] = scratch + 2 * batch_ * columns + i * ring;
            work.to_input[i] = Cell::reaches_back ? work.to_hidden[i] + 2 * ring : work.to_hidden[i];
        }
        in_parallel(threads, [&](const Member& member) {
            const Range columns_of_member = part_of(columns, member, panel);
            pack_rows(
                layer_.weight, units_, units_, weights, columns_of_member.first, columns_of_member.last
            );
            if (layer_.tokens) {
                const Range part = part_of(gradients.vocabulary * outputs_, member);
                std::memset(gradients.inputs + part.first, 0, part.size() * sizeof(float));
            }
            member.wait();
            read_back(work, scratch + 2 * batch_ * columns + rings * ring + own * member.index, member);
        });
    }

private:
    static constexpr std::size_t block_columns = Cell::gates * lanes;
    static constexpr std::size_t chunk_columns = Cell::blocks * block_columns;
    static constexpr std::size_t kept_size = Cell::kept * lanes;
    static_assert(chunk_columns % panel == 0, "the chunks of the weights are whole panels");

    struct Backward {
        const LayerBackward& gradients;
        float* hidden;        // (batch, padded units): the gradient of the output of the step before
        float* memory;        // likewise
        float* to_hidden[2];  // (steps * batch, gates * units), of one chunk of time steps and of the next
        float* to_input[2];
        std::size_t steps;
        Packed weights;
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

    // unit: how units may be cut.
    Share share(const Member& member, std::size_t unit) const {
        const auto members = static_cast<std::size_t>(member.members);
        // Small parts of the batch waste registers. Large weights are better read by half than by everybody.
        std::size_t parts = members;
        const std::size_t fewest = outputs_ * units_ > 128 * 1024 ? 48 : tile_rows;
        while (parts > 1 && (members % parts || batch_ / parts < fewest)) --parts;
        const std::size_t shares = members / parts;
        const auto index = static_cast<std::size_t>(member.index);
        return {
            part_of(batch_, index / shares, parts), part_of(padded(units_), index % shares, shares, unit), shares > 1
        };
    }

    void pack_weights(const Packed& weights, const Member& member) const {
        const Range part = part_of(weights.columns, member, panel);
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

    void pack_bias(float* bias, const Member& member) const {
        if (member.index) return;
        for (std::size_t block = 0; block < blocks_; ++block)
            for (std::size_t gate = 0; gate < Cell::gates; ++gate)
                for (std::size_t u = 0; u < lanes; ++u)
                    bias[(block * Cell::gates + gate) * lanes + u] =
                        u < width(block) ? layer_.bias[gate * units_ + block * lanes + u] : 0;
    }

    void read(const Packed& weights, const float* bias, float* products, const Member& member) {
        const Share own = share(member, Cell::blocks * lanes);
        for (std::size_t step = 0; step < time_; ++step) {
            if (own.units_are_shared && step) member.wait();
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

    void read_back(const Backward& work, float* scratch, const Member& member) {
        const Share own = share(member, panel);
        const std::size_t columns = padded(units_);
        bool add = false;
        int turn = 0;
        for (std::size_t last = time_; last > 0; turn ^= 1) {
            const std::size_t first = last > work.steps ? last - work.steps : 0;
            for (std::size_t step = last; step-- > first;) {
                float* to_hidden = work.to_hidden[turn] + (step - first) * batch_ * outputs_;
                float* to_input = work.to_input[turn] + (step - first) * batch_ * outputs_;
                for (std::size_t unit = own.units.first; unit < own.units.last; unit += lanes)
                    for (std::size_t row = own.sequences.first; row < own.sequences.last; ++row)
                        read_block_back(work, step, unit / lanes, row, to_hidden, to_input);
                if (own.units_are_shared) member.wait();
                multiply(
                    to_hidden + own.sequences.first * outputs_, outputs_, own.sequences.size(), work.weights,
                    own.units.first, own.units.last, work.hidden + own.sequences.first * columns + own.units.first,
                    columns, Cell::reaches_back
                );
            }
            member.wait();
            add_to_weights(work, turn, first, last, add, scratch, member);
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
        const Backward& work, std::size_t step, std::size_t block, std::size_t sequence, float* to_hidden_rows,
        float* to_input_rows
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
            store_part(to.hidden[gate], there, to_hidden_rows + sequence * outputs_ + column);
            if (Cell::reaches_back) store_part(to.input[gate], there, to_input_rows + sequence * outputs_ + column);
            if (!layer_.tokens) store_part(to.input[gate], there, work.gradients.inputs + row * outputs_ + column);
        }
    }

    // Adds to the gradients of the weights, the bias and the tokens what a chunk of time steps brings. Each thread does
    // so for some of the gates' units, so that the sums are the same whatever the number of threads.
    void add_to_weights(
        const Backward& work, int turn, std::size_t first, std::size_t last, bool add, float* scratch,
        const Member& member
    ) {
        const Range part = part_of(outputs_, member, tile_rows);
        const float* to_hidden = work.to_hidden[turn];
        const std::size_t rows = (last - first) * batch_;
        for (std::size_t row = 0; row < rows;) {
            // The outputs before the first time step lie elsewhere.
            const std::size_t step = first + row / batch_;
            const std::size_t end = step ? rows : batch_;
            const std::size_t depth = smaller(block_depth, end - row);
            const float* before = step ? history_ + (first * batch_ + row - batch_) * units_ : layer_.hidden + row * units_;
            accumulate_products(
                to_hidden + row * outputs_, outputs_, part, before, units_, units_, depth, work.gradients.weight, units_,
                add || row, scratch
            );
            row += depth;
        }
        for (std::size_t row = 0; row < rows; ++row)
            for (std::size_t i = part.first; i < part.last; ++i) {
                const float value = to_hidden[row * outputs_ + i];
                work.gradients.bias[i] = add || row ? work.gradients.bias[i] + value : value;
            }
        if (!layer_.tokens) return;
        for (std::size_t row = 0; row < rows; ++row) {
            const std::size_t read = row_of(first + row / batch_, row % batch_);
            const float* __restrict from = work.to_input[turn] + row * outputs_;
            float* __restrict to = work.gradients.inputs + static_cast<std::size_t>(layer_.tokens[read]) * outputs_;
            for (std::size_t i = part.first; i < part.last; ++i) to[i] += from[i];
        }
    }

    const LayerForward& layer_;
    LayerState& state_;
    const std::size_t batch_, units_, time_, blocks_, outputs_;
    float* activations_ = nullptr;
    float* history_ = nullptr;  // the outputs in the order in which they are read
};

template <class Work>
SEQLM_INLINE void with_cell(const LayerForward& layer, LayerState& state, const Work& work) {
    switch (layer.sizes.cell) {
        case Cell::rnn_tanh: return work(Layer<Rnn<false>>(layer, state));
        case Cell::rnn_relu: return work(Layer<Rnn<true>>(layer, state));
        case Cell::gru: return work(Layer<Gru>(layer, state));
        case Cell::lstm: return work(Layer<Lstm>(layer, state));
    }
}

void layer_forward(const LayerForward& layer, LayerState& state, int threads) {
    with_cell(layer, state, [&](auto&& work) { work.forward(threads); });
}

void layer_backward(const LayerForward& layer, const LayerBackward& gradients, LayerState& state, int threads) {
    with_cell(layer, state, [&](auto&& work) { work.backward(gradients, threads); });
}

// A recurrent layer, forward and backward, for any cell.
//
// The members of a task share the sequences of a batch, or the units, or both. Where they share the units of a sequence,
// every time step is a phase; where they share only sequences, all of them are one.
//
// Included by compiled_for.h, in the namespace of one instruction set.

// How many of these products there are room for.
constexpr std::size_t chunk_size = row_group * 256;

// What of a layer is a member's.
struct Share {
    std::size_t group;
    Range sequences, units;
    Range outputs;  // of the gates' units, whose weights' gradients it adds up
};

template <class Cell>
class Layer {
public:
    Layer(const LayerForward& layer, LayerState& state, int members)
        : layer_(layer),
          state_(state),
          batch_(layer.sizes.batch),
          units_(layer.sizes.units),
          time_(layer.sizes.time),
          blocks_(padded(units_) / lanes),
          outputs_(Cell::gates * units_),
          division_(divide(members)),
          members_(static_cast<int>(division_.groups * division_.shares)) {}

    void forward() {
        activations_ = state_.activations.room(division_.groups * activations_of_group());
        history_ = layer_.sizes.reverse ? state_.hidden.room(time_ * batch_ * units_) : layer_.outputs;
        const std::size_t columns = blocks_ * cell_columns, size = apart(Packed::size(units_, columns));
        float* const packed = state_.packed.room(size * copies());
        const std::size_t own = apart(columns + chunk_size);
        float* const scratch = state_.scratch.room(own * static_cast<std::size_t>(members_));
        const Turns turns{copies() == 1, units_are_shared() ? time_ : 1};
        in_phases(members_, turns.phases(), [&](const Member& member, std::size_t phase) {
            float* const bias = scratch + own * static_cast<std::size_t>(member.index);
            const Packed weights{packed + size * copy_of(member), units_, columns};
            if (phase == 0) {
                pack_bias(bias);
                pack_weights(weights, packed_part(columns, member));
            }
            if (turns.is_one(phase))
                read(weights, bias, bias + columns, member, part_of(time_, turns.number(phase), turns.count));
        });
    }

    void backward(const LayerBackward& gradients) {
        activations_ = state_.activations.data();
        history_ = layer_.sizes.reverse ? state_.hidden.data() : layer_.outputs;
        if (layer_.resets) zeros_ = state_.zeros.room(units_);
        const std::size_t columns = padded(units_), size = apart(Packed::size(outputs_, columns));
        float* const packed = state_.packed.room(size * copies());
        const std::size_t sequences = sequences_of_group();
        Backward work{gradients};
        work.steps = smaller(time_, (block_depth + sequences - 1) / sequences);
        work.stride = spread_stride(outputs_);
        work.carried = sequences * columns;
        work.ring = work.steps * sequences * work.stride;
        work.of_group = apart(2 * work.carried + rings * work.ring);
        work.sums = apart(outputs_ * units_ + outputs_ + gradients.vocabulary * outputs_);
        const std::size_t own = apart(product_scratch);
        work.groups = state_.scratch.room(
            division_.groups * work.of_group + (division_.groups - 1) * work.sums +
            own * static_cast<std::size_t>(members_)
        );
        work.others = work.groups + division_.groups * work.of_group;
        float* const scratch = work.others + (division_.groups - 1) * work.sums;
        // A turn more than there are time steps: the first half of one comes with the second half of the one after it.
        const Turns turns{copies() == 1, units_are_shared() ? time_ + 1 : 1};
        const bool adds_groups = division_.groups > 1;
        in_phases(members_, turns.phases() + (adds_groups ? 1 : 0), [&](const Member& member, std::size_t phase) {
            if (adds_groups && phase == turns.phases()) return add_groups(work, member);
            const Packed weights{packed + size * copy_of(member), outputs_, columns};
            if (phase == 0) {
                const Range part = packed_part(columns, member);
                pack_rows(layer_.weight, units_, units_, weights, part.first, part.last);
            }
            float* const own_scratch = scratch + own * static_cast<std::size_t>(member.index);
            if (turns.is_one(phase))
                read_back(work, weights, own_scratch, member, part_of(time_ + 1, turns.number(phase), turns.count));
        });
    }

private:
    static constexpr std::size_t cell_columns = Cell::gates * lanes;  // those of a block of units
    static constexpr std::size_t kept_size = Cell::kept * lanes;
    // The weights are packed by chunks of so many blocks that all of their gates fill whole panels, of 2 or 4 vectors.
    static constexpr std::size_t chunk_blocks = Cell::gates % 4 == 0 ? 1 : 4;
    static_assert(chunk_blocks * cell_columns % panel == 0, "the chunks of the weights are whole panels");
    static_assert(row_group * chunk_blocks * cell_columns <= chunk_size, "there is room for one");

    // What reaches the inputs may differ from what reaches h. Two of each: one is filled while others read the other.
    static constexpr std::size_t rings = Cell::reaches_back ? 4 : 2;

    struct Backward {
        const LayerBackward& gradients;
        std::size_t steps = 0;    // of a chunk of time steps, after which the gradients of the weights are added up
        std::size_t stride = 0;   // from row to row of what a group has of a chunk: (steps * sequences, gates * units)
        std::size_t ring = 0;     // numbers in it
        std::size_t carried = 0;  // numbers in the gradients of the last outputs: (sequences, padded units)
        std::size_t sums = 0;     // numbers in the gradients of weight, bias and tokens
        std::size_t of_group = 0;
        float* groups = nullptr;  // of each group: the gradients of the outputs and of the memory, and the rings
        float* others = nullptr;  // the gradients of weight, bias and tokens of each group but the first

        float* hidden(std::size_t group) const { return groups + group * of_group; }
        float* memory(std::size_t group) const { return hidden(group) + carried; }
        float* to_hidden(std::size_t group, std::size_t turn) const { return memory(group) + carried + turn * ring; }
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

    // Whether the state is 0 again before this step, whatever it was.
    bool is_reset(std::size_t step, std::size_t sequence) const {
        return layer_.resets && layer_.resets[row_of(step, sequence)];
    }

    const float* hidden_before(std::size_t step) const {
        return step ? history_ + (step - 1) * batch_ * units_ : layer_.hidden;
    }

    // The most that a group has.
    std::size_t sequences_of_group() const { return (batch_ + division_.groups - 1) / division_.groups; }

    // Of each step and sequence of a group, what is kept of its blocks.
    std::size_t activations_of_group() const { return apart(time_ * sequences_of_group() * blocks_ * kept_size); }

    float* kept(const Share& own, std::size_t step, std::size_t sequence, std::size_t block) const {
        const std::size_t row = step * own.sequences.size() + sequence - own.sequences.first;
        return activations_ + own.group * activations_of_group() + (row * blocks_ + block) * kept_size;
    }

    std::size_t width(std::size_t block) const { return smaller(lanes, units_ - block * lanes); }

    // Units of a block, before the step.
    Vector output_before(std::size_t step, std::size_t sequence, std::size_t block) const {
        return load_part(hidden_before(step) + sequence * units_ + block * lanes, width(block));
    }

    Vector memory_before(const Share& own, std::size_t step, std::size_t sequence, std::size_t block) const {
        if (step) return load(kept(own, step - 1, sequence, block) + (Cell::kept - 1) * lanes);
        return load_part(layer_.memory + sequence * units_ + block * lanes, width(block));
    }

    // Each group reads all weights, so a group of few sequences takes longer to read them than to compute.
    Division divide(int members) const {
        const std::size_t weights = outputs_ * units_;
        const std::size_t fewest = weights <= small_weights ? fewest_sequences : weights <= (1 << 20) ? 24 : 48;
        for (;; --members) {
            const Division division = Division::of(static_cast<std::size_t>(members), batch_, fewest);
            const std::size_t phases = division.shares > 1 ? time_ : 0;
            if (useful_members(members, time_ * batch_ * weights, phases) == members) return division;
        }
    }

    // The packed weights: one copy of each member or one for all, which is whose, and which columns a member packs.
    std::size_t copies() const {
        return division_.shares == 1 && outputs_ * units_ <= small_weights ? division_.groups : 1;
    }
    std::size_t copy_of(const Member& member) const {
        return copies() > 1 ? static_cast<std::size_t>(member.index) : 0;
    }
    Range packed_part(std::size_t columns, const Member& member) const {
        return copies() > 1 ? Range{0, columns} : part_of(columns, member, panel);
    }

    // unit: how units may be cut.
    Share share(const Member& member, std::size_t unit) const {
        const std::size_t group = division_.group_of(member), of_group = division_.share_of(member);
        return {
            group,
            part_of(batch_, group, division_.groups),
            part_of(padded(units_), of_group, division_.shares, unit),
            part_of(outputs_, of_group, division_.shares, tile_rows),
        };
    }

    void pack_weights(const Packed& weights, Range part) const {
        for (std::size_t column = part.first; column < part.last; column += panel) {
            const float* columns[panel];
            for (std::size_t c = 0; c < panel; ++c) {
                const std::size_t block = (column + c) / cell_columns, gate = (column + c) % cell_columns / lanes;
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

    bool units_are_shared() const { return division_.shares > 1; }

    void read(const Packed& weights, const float* bias, float* products, const Member& member, Range steps) {
        const Share own = share(member, chunk_blocks * lanes);
        // As many blocks at a time as there is room for their products with a group of rows.
        const std::size_t rows_at_once = smaller(row_group, own.sequences.size());
        const std::size_t blocks_at_once = chunk_size / (rows_at_once * cell_columns) / chunk_blocks * chunk_blocks;
        for (std::size_t step = steps.first; step < steps.last; ++step) {
            const float* before = hidden_before(step);
            for (std::size_t first = own.units.first / lanes; first < own.units.last / lanes; first += blocks_at_once) {
                const std::size_t last = smaller(first + blocks_at_once, own.units.last / lanes);
                const std::size_t columns = (last - first) * cell_columns;
                for (std::size_t row = own.sequences.first; row < own.sequences.last; row += row_group) {
                    const std::size_t rows = smaller(row_group, own.sequences.last - row);
                    multiply(
                        before + row * units_, units_, rows, weights, first * cell_columns, last * cell_columns,
                        products, columns, false
                    );
                    for (std::size_t i = 0; i < rows; ++i)
                        for (std::size_t block = first; block < last; ++block)
                            read_block(
                                own, step, row + i, block, products + i * columns + (block - first) * cell_columns,
                                bias + block * cell_columns
                            );
                }
            }
        }
    }

    // Computes the cells of one block of units of one sequence.
    SEQLM_INLINE void read_block(
        const Share& own, std::size_t step, std::size_t sequence, std::size_t block, const float* __restrict products,
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
                from_hidden[gate] = load(bias + gate * lanes);
            }
            if (!is_reset(step, sequence)) {
                for (int gate = 0; gate < Cell::gates; ++gate)
                    from_hidden[gate] = load(products + gate * lanes) + from_hidden[gate];
                if (Cell::reaches_back) before = output_before(step, sequence, block);
                if (Cell::has_memory) memory = memory_before(own, step, sequence, block);
            }
            hidden = Cell::forward(from_input, from_hidden, before, memory, kept_here);
        }
        float* const keep = kept(own, step, sequence, block);
        for (int i = 0; i < Cell::kept; ++i) store(kept_here[i], keep + i * lanes);
        store_part(hidden, there, layer_.outputs + row * units_ + block * lanes);
        if (history_ != layer_.outputs)
            store_part(hidden, there, history_ + (step * batch_ + sequence) * units_ + block * lanes);
        if (step + 1 == end) {
            const std::size_t place = sequence * units_ + block * lanes;
            store_part(hidden, there, layer_.last_hidden + place);
            if (Cell::has_memory) store_part(kept_here[Cell::kept - 1], there, layer_.last_memory + place);
        }
    }

    // A chunk of time steps, whose gradients are added to those of the weights together. Counted from the end.
    struct Chunk {
        std::size_t number, first, last;
    };

    Chunk chunk_of(const Backward& work, std::size_t step) const {
        const std::size_t number = (time_ - 1 - step) / work.steps, last = time_ - number * work.steps;
        return {number, last > work.steps ? last - work.steps : 0, last};
    }

    // Turn t, from 0 to time_, goes on with time step time_ - t, if there is one, where all members have begun with it,
    // and begins with the one before.
    void read_back(const Backward& work, const Packed& weights, float* scratch, const Member& member, Range turns) {
        const Share own = share(member, panel);
        if (turns.first == 0) clear_tokens(work, own);
        for (std::size_t turn = turns.first; turn < turns.last; ++turn) {
            if (turn > 0) end_step_back(work, weights, own, time_ - turn, scratch);
            if (turn < time_) begin_step_back(work, own, time_ - 1 - turn);
        }
        if (turns.last <= time_) return;
        const std::size_t columns = padded(units_);
        for (std::size_t row = own.sequences.first; row < own.sequences.last; ++row) {
            const std::size_t carried = (row - own.sequences.first) * columns;
            const bool reaches_start = !is_reset(0, row);
            for (std::size_t unit = own.units.first; unit < smaller(units_, own.units.last); ++unit) {
                work.gradients.hidden[row * units_ + unit] =
                    reaches_start ? work.hidden(own.group)[carried + unit] : 0;
                if (Cell::has_memory)
                    work.gradients.memory[row * units_ + unit] =
                        reaches_start ? work.memory(own.group)[carried + unit] : 0;
            }
        }
    }

    void begin_step_back(const Backward& work, const Share& own, std::size_t step) {
        const Chunk chunk = chunk_of(work, step);
        const std::size_t place = (step - chunk.first) * own.sequences.size() * work.stride;
        float* const to_hidden = work.to_hidden(own.group, chunk.number % 2) + place;
        float* const to_input = work.to_input(own.group, chunk.number % 2) + place;
        for (std::size_t row = own.sequences.first; row < own.sequences.last; ++row)
            for (std::size_t unit = own.units.first; unit < own.units.last; unit += lanes) {
                const std::size_t ours = (row - own.sequences.first) * work.stride;
                read_block_back(work, own, step, row, unit / lanes, to_hidden + ours, to_input + ours);
            }
    }

    void end_step_back(
        const Backward& work, const Packed& weights, const Share& own, std::size_t step, float* scratch
    ) {
        const Chunk chunk = chunk_of(work, step);
        const float* const to_hidden = work.to_hidden(own.group, chunk.number % 2);
        multiply(
            to_hidden + (step - chunk.first) * own.sequences.size() * work.stride, work.stride, own.sequences.size(),
            weights, own.units.first, own.units.last, work.hidden(own.group) + own.units.first, padded(units_),
            Cell::reaches_back
        );
        if (step == chunk.first) add_to_weights(work, own, chunk, scratch);
    }

    SEQLM_INLINE void read_block_back(
        const Backward& work, const Share& own, std::size_t step, std::size_t sequence, std::size_t block,
        float* to_hidden_row, float* to_input_row
    ) {
        const std::size_t row = row_of(step, sequence), there = width(block), end = length(sequence);
        const std::size_t place = sequence * units_ + block * lanes;
        const std::size_t carried = (sequence - own.sequences.first) * padded(units_) + block * lanes;
        float* const hidden = work.hidden(own.group) + carried;
        float* const carried_memory = work.memory(own.group) + carried;
        typename Cell::Gradient to{};
        if (step < end) {
            const bool is_last = step + 1 == end;
            const float* const keep = kept(own, step, sequence, block);
            Vector kept_here[Cell::kept], before{}, memory{}, memory_gradient{};
            for (int i = 0; i < Cell::kept; ++i) kept_here[i] = load(keep + i * lanes);
            Vector gradient = load_part(work.gradients.outputs + row * units_ + block * lanes, there);
            if (is_last) {
                gradient = gradient + load_part(work.gradients.last_hidden + place, there);
                if (Cell::has_memory) memory_gradient = load_part(work.gradients.last_memory + place, there);
            } else if (!is_reset(step + 1, sequence)) {
                gradient = gradient + load(hidden);
                if (Cell::has_memory) memory_gradient = load(carried_memory);
            }
            if (!is_reset(step, sequence)) {
                if (Cell::reaches_back) before = output_before(step, sequence, block);
                if (Cell::has_memory) memory = memory_before(own, step, sequence, block);
            }
            to = Cell::backward(kept_here, before, memory, gradient, memory_gradient);
        }
        if (Cell::reaches_back) store(to.before, hidden);
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

    // Adds to the gradients of weight, bias and tokens what a chunk of time steps brings. Each member of a group does so
    // for some of the gates' units.
    void add_to_weights(const Backward& work, const Share& own, const Chunk& chunk, float* scratch) {
        const std::size_t first = chunk.first;
        const bool add = chunk.number > 0;
        const std::size_t sequences = own.sequences.size(), rows = (chunk.last - first) * sequences;
        const float* const to_hidden = work.to_hidden(own.group, chunk.number % 2);
        const float* const to_input = work.to_input(own.group, chunk.number % 2);
        for (std::size_t row = 0; row < rows; row += block_depth)
            accumulate_products(
                [&](std::size_t k) { return to_hidden + (row + k) * work.stride; }, own.outputs,
                [&](std::size_t k) {
                    const std::size_t step = first + (row + k) / sequences;
                    const std::size_t sequence = own.sequences.first + (row + k) % sequences;
                    return is_reset(step, sequence) ? zeros_ : hidden_before(step) + sequence * units_;
                },
                {0, units_}, smaller(block_depth, rows - row), weight_sums(work, own.group), units_, add || row, scratch
            );
        float* __restrict bias = bias_sums(work, own.group);
        for (std::size_t row = 0; row < rows; ++row)
            for (std::size_t i = own.outputs.first; i < own.outputs.last; ++i) {
                const float value = to_hidden[row * work.stride + i];
                bias[i] = add || row ? bias[i] + value : value;
            }
        if (!layer_.tokens) return;
        for (std::size_t row = 0; row < rows; ++row) {
            const std::size_t read = row_of(first + row / sequences, own.sequences.first + row % sequences);
            const float* __restrict from = to_input + row * work.stride;
            float* __restrict to =
                token_sums(work, own.group) + static_cast<std::size_t>(layer_.tokens[read]) * outputs_;
            for (std::size_t i = own.outputs.first; i < own.outputs.last; ++i) to[i] += from[i];
        }
    }

    // Adds up what the groups have.
    void add_groups(const Backward& work, const Member& member) const {
        const auto add = [&](float* __restrict to, std::size_t offset, std::size_t size) {
            const Range part = part_of(size, member, lanes);
            for (std::size_t group = 1; group < division_.groups; ++group) {
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
    const Division division_;
    const int members_;
    float* activations_ = nullptr;
    float* history_ = nullptr;  // the outputs in the order in which they are read
    const float* zeros_ = nullptr;  // the output before a step that begins with a state of 0
};

template <class Work>
SEQLM_INLINE void with_cell(const LayerForward& layer, LayerState& state, int members, const Work& work) {
    switch (layer.sizes.cell) {
        case CellKind::rnn_tanh: return work(Layer<Rnn<OfVector, false>>(layer, state, members));
        case CellKind::rnn_relu: return work(Layer<Rnn<OfVector, true>>(layer, state, members));
        case CellKind::gru: return work(Layer<Gru<OfVector>>(layer, state, members));
        case CellKind::lstm: return work(Layer<Lstm<OfVector>>(layer, state, members));
    }
}

void layer_forward(const LayerForward& layer, LayerState& state, int members) {
    with_cell(layer, state, members, [](auto&& work) { work.forward(); });
}

void layer_backward(const LayerForward& layer, const LayerBackward& gradients, LayerState& state, int members) {
    with_cell(layer, state, members, [&](auto&& work) { work.backward(gradients); });
}

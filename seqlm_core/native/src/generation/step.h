// One time step of a cell, of what the products with its inputs and its hidden vector gave.

#pragma once

#include <cstddef>

#include "../cells/cells.h"

namespace seqlm {

// Vectors that a layer carries from one time step to the next. The first is its output, the second its memory.
constexpr std::size_t states_of(CellKind kind) { return facts_of(kind).has_memory ? 2 : 1; }

// from_input and from_hidden: the gates one after the other, `size` numbers each, biases included. hidden and memory, for
// cells that have one, become the new ones. `size` is a multiple of the block: the units beyond a layer's own have
// weights and states of 0, and their states stay 0.
template <class Cell>
SEQLM_INLINE void step(
    const float* __restrict from_input, const float* __restrict from_hidden, float* __restrict hidden,
    float* __restrict memory, std::size_t size
) {
    for (std::size_t i = 0; i < size; ++i) {
        float of_input[Cell::gates], of_hidden[Cell::gates], kept[Cell::kept];
        for (std::size_t gate = 0; gate < Cell::gates; ++gate) {
            of_input[gate] = from_input[gate * size + i];
            of_hidden[gate] = from_hidden[gate * size + i];
        }
        hidden[i] = Cell::forward(of_input, of_hidden, hidden[i], Cell::has_memory ? memory[i] : 0, kept);
        if (Cell::has_memory) memory[i] = kept[Cell::kept - 1];
    }
}

// states: those of a layer, one after the other.
SEQLM_INLINE void step(
    CellKind kind, const float* from_input, const float* from_hidden, float* states, std::size_t size
) {
    float* const memory = states + size;
    switch (kind) {
        case CellKind::rnn_tanh: return step<Rnn<OfFloat, false>>(from_input, from_hidden, states, memory, size);
        case CellKind::rnn_relu: return step<Rnn<OfFloat, true>>(from_input, from_hidden, states, memory, size);
        case CellKind::gru: return step<Gru<OfFloat>>(from_input, from_hidden, states, memory, size);
        case CellKind::lstm: return step<Lstm<OfFloat>>(from_input, from_hidden, states, memory, size);
    }
}

}  // namespace seqlm

// One time step of each kind of cell, of what the products with its inputs and its hidden vector gave.
//
// `from_input` and `from_hidden` hold the gates one after the other, `size` numbers each, biases included. `size` is a
// multiple of the block. The units beyond a layer's own have weights and states of 0, and their states stay 0.

#pragma once

#include <cstddef>

#include "../mathematics.h"

namespace seqlm {

// The numbers are those by which seqlm_core/native/generation.py names them.
enum class Kernel { rnn_tanh = 0, rnn_relu = 1, gru = 2, lstm = 3 };

constexpr std::size_t gates_of(Kernel kernel) {
    return kernel == Kernel::lstm ? 4 : kernel == Kernel::gru ? 3 : 1;
}

// Vectors that a layer carries from one time step to the next. The first is its output.
constexpr std::size_t states_of(Kernel kernel) { return kernel == Kernel::lstm ? 2 : 1; }

SEQLM_INLINE void step_rnn_tanh(
    const float* __restrict from_input, const float* __restrict from_hidden, float* __restrict hidden, std::size_t size
) {
    for (std::size_t i = 0; i < size; ++i) hidden[i] = tanh(from_input[i] + from_hidden[i]);
}

SEQLM_INLINE void step_rnn_relu(
    const float* __restrict from_input, const float* __restrict from_hidden, float* __restrict hidden, std::size_t size
) {
    for (std::size_t i = 0; i < size; ++i) {
        const float sum = from_input[i] + from_hidden[i];
        hidden[i] = sum > 0 ? sum : 0;
    }
}

// Gates: reset, update, candidate.
SEQLM_INLINE void step_gru(
    const float* __restrict from_input, const float* __restrict from_hidden, float* __restrict hidden, std::size_t size
) {
    for (std::size_t i = 0; i < size; ++i) {
        const float reset = logistic(from_input[i] + from_hidden[i]);
        const float update = logistic(from_input[size + i] + from_hidden[size + i]);
        const float candidate = tanh(from_input[2 * size + i] + reset * from_hidden[2 * size + i]);
        hidden[i] = candidate + update * (hidden[i] - candidate);
    }
}

// Gates: input, forget, candidate, output.
SEQLM_INLINE void step_lstm(
    const float* __restrict from_input,
    const float* __restrict from_hidden,
    float* __restrict hidden,
    float* __restrict memory,
    std::size_t size
) {
    for (std::size_t i = 0; i < size; ++i) {
        const float input = logistic(from_input[i] + from_hidden[i]);
        const float forget = logistic(from_input[size + i] + from_hidden[size + i]);
        const float candidate = tanh(from_input[2 * size + i] + from_hidden[2 * size + i]);
        const float output = logistic(from_input[3 * size + i] + from_hidden[3 * size + i]);
        memory[i] = forget * memory[i] + input * candidate;
        hidden[i] = output * tanh(memory[i]);
    }
}

}  // namespace seqlm

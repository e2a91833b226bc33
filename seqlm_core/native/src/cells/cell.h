// What the formula of a cell is. It stands once for training, which computes with vectors of units, and for generation,
// which computes with one unit: Mathematics says what a Number is, and has its functions.
//
// gates and kept say how many numbers of each it has, and two functions compute a unit, or a vector of them:
//
//   Number forward(from_input, from_hidden, before, memory, kept)
//
// returns the output. Of each gate it is given the products with weights and biases, of what the cell reads and of its
// last output. `before` is that output, for cells whose output reaches back to it past the products (reaches_back);
// `memory` is the last of what was kept in the time step before, for cells that have one (has_memory). It writes what
// its derivative takes to kept.
//
//   CellGradient backward(kept, before, memory, gradient, memory_gradient)
//
// is given the gradients of the output and the memory.

#pragma once

#include "../mathematics.h"

namespace seqlm {

template <class Number, int gates>
struct CellGradient {
    Number input[gates], hidden[gates];  // of from_input, from_hidden
    Number before{}, memory{};           // of the output before, past the products; of the memory before
};

}  // namespace seqlm

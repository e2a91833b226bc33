// What a cell is: gates and kept, how many vectors of each it has; and two functions of a vector of units.
//
//   Vector forward(from_input, from_hidden, before, memory, kept)
//
// returns the output. Of each gate it is given the products with weights and biases, of what the cell reads and of its
// last output. `before` is that output, for cells whose output reaches back to it past the products (reaches_back);
// `memory` is the last of what was kept in the time step before, for cells that have one (has_memory). It writes what
// its derivative takes to kept.
//
//   CellGradient backward(kept, before, memory, gradient, memory_gradient)
//
// is given the gradients of the output and the memory.
//
// The weights are packed by chunks of so many vectors of units (blocks) that all of their gates fill whole panels.
//
// Included by compiled_for.h, in the namespace of one instruction set.

template <int gates>
struct CellGradient {
    Vector input[gates], hidden[gates];  // of from_input, from_hidden
    Vector before{}, memory{};           // of the output before, past the products; of the memory before
};

// Matrices packed for products with one vector.

#pragma once

#include <cstddef>
#include <cstring>
#include <vector>

#include "../instruction_sets.h"
#include "../mathematics.h"

namespace seqlm {

// What the loop of a product computes at a time. Where the compiler is told for which instruction set to compile a
// function, these are single numbers, of which it makes vectors of the width that the instruction set has. Elsewhere
// they are vectors of the compiler's: Clang would not keep the sums of a product in registers if it had to make them.
#if defined(__GNUC__) && !defined(SEQLM_X86_64)
using Lanes = float __attribute__((vector_size(16)));
#else
using Lanes = float;
#endif
constexpr std::size_t lanes = sizeof(Lanes) / sizeof(float);

SEQLM_INLINE Lanes load(const float* from) {
    Lanes value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

SEQLM_INLINE void store(Lanes value, float* to) { std::memcpy(to, &value, sizeof value); }

// Vectors are padded with zeros to whole blocks of so many numbers, so that no loop has a rest.
constexpr std::size_t block = 8;

constexpr std::size_t padded(std::size_t size, std::size_t multiple = block) {
    return (size + multiple - 1) / multiple * multiple;
}

// An array of zeros to begin with, which begins at a cache line.
class Array {
public:
    Array() = default;
    explicit Array(std::size_t size) : lines_(padded(size, line) / line) {}
    float* data() { return lines_.empty() ? nullptr : lines_.front().numbers; }
    const float* data() const { return lines_.empty() ? nullptr : lines_.front().numbers; }

private:
    static constexpr std::size_t line = 64 / sizeof(float);
    struct alignas(64) Line {
        float numbers[line] = {};
    };
    std::vector<Line> lines_;
};

// Returns the largest of at least one number. There is one comparison for each place in a block at a time, since a
// single one would have to wait for the one before it.
template <typename Number>
SEQLM_INLINE Number largest_of(const Number* numbers, std::size_t count) {
    Number largest[block];
    const std::size_t whole = count / block * block;
    for (std::size_t i = 0; i < block; ++i) largest[i] = numbers[i < count ? i : 0];
    for (std::size_t first = block; first < whole; first += block)
        for (std::size_t i = 0; i < block; ++i)
            largest[i] = numbers[first + i] > largest[i] ? numbers[first + i] : largest[i];
    for (std::size_t i = whole; i < count; ++i) largest[0] = numbers[i] > largest[0] ? numbers[i] : largest[0];
    for (std::size_t i = 1; i < block; ++i) largest[0] = largest[i] > largest[0] ? largest[i] : largest[0];
    return largest[0];
}

// Copies `parts` stretches of `size` numbers to where each begins a block of its own.
inline void copy_padded(const float* from, std::size_t parts, std::size_t size, float* to) {
    for (std::size_t part = 0; part < parts; ++part)
        for (std::size_t i = 0; i < size; ++i) to[part * padded(size) + i] = from[part * size + i];
}

// Weights and biases of a product with a vector.
//
// The outputs are in panels of 32. A panel holds its weights of one input after those of another, so that they are read
// in the order in which they lie in memory, while the sums of the panel stay in registers.
class Affine {
public:
    static constexpr std::size_t panel = 4 * block;

    Affine() = default;

    // weights (parts * size, inputs) and bias (parts * size). Each part of the outputs, which is a gate, is padded.
    Affine(const float* weights, const float* bias, std::size_t parts, std::size_t size, std::size_t inputs)
        : inputs_(padded(inputs, 2)),
          outputs_(padded(parts * padded(size), panel)),
          weights_(inputs_ * outputs_),
          bias_(outputs_) {
        copy_padded(bias, parts, size, bias_.data());
        for (std::size_t part = 0; part < parts; ++part)
            for (std::size_t i = 0; i < size; ++i) {
                const std::size_t output = part * padded(size) + i;
                float* column = weights_.data() + output / panel * panel * inputs_ + output % panel;
                for (std::size_t input = 0; input < inputs; ++input)
                    column[input * panel] = weights[(part * size + i) * inputs + input];
            }
    }

    std::size_t outputs() const { return outputs_; }
    float* bias() { return bias_.data(); }

    // to[o] = bias[o] + sum over i of weights[o, i] from[i]; `from` is padded, `to` has room for outputs().
    SEQLM_INLINE void operator()(const float* __restrict from, float* __restrict to) const {
        const float* __restrict weights = weights_.data();
        const float* __restrict bias = bias_.data();
        for (std::size_t first = 0; first < outputs_; first += panel) {
            // Two sums of each output, over even and odd inputs, since one addition has to wait for the one before it.
            Lanes even[panel / lanes], odd[panel / lanes];
            for (std::size_t o = 0; o < panel / lanes; ++o) {
                even[o] = load(bias + first + o * lanes);
                odd[o] = Lanes{};
            }
            for (std::size_t i = 0; i < inputs_; i += 2, weights += 2 * panel)
                for (std::size_t o = 0; o < panel / lanes; ++o) {
                    even[o] += from[i] * load(weights + o * lanes);
                    odd[o] += from[i + 1] * load(weights + panel + o * lanes);
                }
            for (std::size_t o = 0; o < panel / lanes; ++o) store(even[o] + odd[o], to + first + o * lanes);
        }
    }

private:
    std::size_t inputs_ = 0, outputs_ = 0;
    Array weights_, bias_;
};

}  // namespace seqlm

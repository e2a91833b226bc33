// Matrices packed for products with one vector.

#pragma once

#include <cstddef>
#include <cstdint>
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
template <class Number>
class ArrayOf {
public:
    ArrayOf() = default;
    explicit ArrayOf(std::size_t size) : lines_(padded(size, line) / line) {}
    Number* data() { return lines_.empty() ? nullptr : lines_.front().numbers; }
    const Number* data() const { return lines_.empty() ? nullptr : lines_.front().numbers; }

private:
    static constexpr std::size_t line = 64 / sizeof(Number);
    struct alignas(64) Line {
        Number numbers[line] = {};
    };
    std::vector<Line> lines_;
};

using Array = ArrayOf<float>;

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

// Weights (outputs, inputs) and biases (outputs) as Python gives them.
struct Weights {
    const void* numbers;  // float32, or whole numbers of 8 bits
    const float* scales;  // what one of the whole numbers of each output stands for; null where they are float32
    const float* bias;
};

// Weights and biases of a product with a vector.
//
// The outputs are in panels of 32. A panel holds its weights of one input after those of another, so that they are read
// in the order in which they lie in memory, while the sums of the panel stay in registers.
//
// Weights of 8 bits are in words, each with those of an output and four inputs. They become floats in registers, and the
// vector stays as it is: so nothing is lost but what they lost before, and a large matrix takes the time of reading
// a quarter of the memory.
class Affine {
public:
    static constexpr std::size_t panel = 4 * block;

    Affine() = default;

    // given (parts * size, inputs). Each part of the outputs, which is a gate, is padded.
    Affine(const Weights& given, std::size_t parts, std::size_t size, std::size_t inputs)
        : inputs_(padded(inputs, given.scales ? bytes : 2)),
          outputs_(padded(parts * padded(size), panel)),
          weights_(given.scales ? 0 : inputs_ * outputs_),
          words_(given.scales ? inputs_ / bytes * outputs_ : 0),
          scales_(given.scales ? outputs_ : 0),
          bias_(outputs_) {
        copy_padded(given.bias, parts, size, bias_.data());
        if (given.scales) {
            copy_padded(given.scales, parts, size, scales_.data());
            for (std::size_t o = 0; o < outputs_; ++o) scales_.data()[o] /= 1 << 24;
        }
        for (std::size_t part = 0; part < parts; ++part)
            for (std::size_t i = 0; i < size; ++i) {
                const std::size_t output = part * padded(size) + i, row = (part * size + i) * inputs;
                const std::size_t before = output / panel * panel * inputs_;
                if (given.scales) {
                    const std::int8_t* const numbers = static_cast<const std::int8_t*>(given.numbers) + row;
                    std::uint32_t* const column = words_.data() + before / bytes + output % panel;
                    for (std::size_t input = 0; input < inputs; ++input) {
                        const auto byte = static_cast<std::uint8_t>(numbers[input]);
                        column[input / bytes * panel] |= static_cast<std::uint32_t>(byte) << 8 * (input % bytes);
                    }
                } else {
                    const float* const numbers = static_cast<const float*>(given.numbers) + row;
                    float* const column = weights_.data() + before + output % panel;
                    for (std::size_t input = 0; input < inputs; ++input) column[input * panel] = numbers[input];
                }
            }
    }

    std::size_t outputs() const { return outputs_; }
    float* bias() { return bias_.data(); }

    // to[o] = bias[o] + sum over i of weights[o, i] from[i]; `from` is padded, `to` has room for outputs().
    SEQLM_INLINE void operator()(const float* from, float* to) const {
        scales_.data() ? multiply_words(from, to) : multiply_floats(from, to);
    }

private:
    static constexpr std::size_t bytes = 4;  // of a word

    SEQLM_INLINE void multiply_floats(const float* __restrict from, float* __restrict to) const {
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

    SEQLM_INLINE void multiply_words(const float* __restrict from, float* __restrict to) const {
        const std::uint32_t* __restrict words = words_.data();
        const float* __restrict bias = bias_.data();
        const float* __restrict scales = scales_.data();
        for (std::size_t first = 0; first < outputs_; first += panel) {
            float even[panel], odd[panel];
            for (std::size_t o = 0; o < panel; ++o) even[o] = odd[o] = 0;
            for (std::size_t i = 0; i < inputs_; i += bytes, words += panel)
                for (std::size_t o = 0; o < panel; ++o) {
                    const std::uint32_t word = words[o];
                    even[o] += from[i] * highest_byte(word << 24);
                    odd[o] += from[i + 1] * highest_byte(word << 16);
                    even[o] += from[i + 2] * highest_byte(word << 8);
                    odd[o] += from[i + 3] * highest_byte(word);
                }
            for (std::size_t o = 0; o < panel; ++o)
                to[first + o] = bias[first + o] + (even[o] + odd[o]) * scales[first + o];
        }
    }

    // The byte, with its sign, times 2^24: to leave it in its place takes one operation less than to move it down.
    SEQLM_INLINE static float highest_byte(std::uint32_t word) {
        return static_cast<float>(static_cast<std::int32_t>(word & 0xff000000u));
    }

    std::size_t inputs_ = 0, outputs_ = 0;
    Array weights_;  // either these
    ArrayOf<std::uint32_t> words_;  // or these
    Array scales_, bias_;  // the scales of words, divided by 2^24
};

}  // namespace seqlm

// exp, tanh and the logistic function in float32, of plain operations: of one number or of a vector of the compiler's.
//
// Relative errors are below 3e-7. Nothing here branches or calls a library.

#pragma once

#include <cstdint>
#include <cstring>

#if defined(__GNUC__)
// What is inlined into a function is compiled for the instruction set of that function.
#define SEQLM_INLINE inline __attribute__((always_inline))
#else
#define SEQLM_INLINE inline
#endif

namespace seqlm {

// Float: float, or a vector of them; Bits: an unsigned integer of 32 bits, or as many of them.
template <class Float, class Bits>
struct Mathematics {
    using Number = Float;

    // exp(x) in two parts: power * (1 + rest), where power is a power of two.
    struct Exponential {
        Float power;
        Float rest;
    };

    // x is from -87 to 88: what is beyond has no normal float32 as its exponential.
    SEQLM_INLINE static Exponential split_exponential(Float x) {
        // Adding this leaves no bits for a fraction: the sum's lowest bits are the rounded number, and 127.
        const float rounding = 12582912.0f + 127;  // 1.5 * 2^23
        const Float shifted = x * 1.44269504f + rounding;
        const Float n = shifted - rounding;
        // ln 2 in two parts. The first has few bits, so that its product with n is exact.
        const Float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
        // (exp(r) - 1) / r for r within half of ln 2, interpolated at Chebyshev's points; the error is below 3e-8.
        Float series = r * 0.0013941134f + 0.008369166f;
        series = series * r + 0.04166635f;
        series = series * r + 0.16666505f;
        series = series * r + 0.5f;
        series = series * r + 1.0f;
        // 2^n has n + 127 in the bits of its exponent.
        Bits bits;
        std::memcpy(&bits, &shifted, sizeof bits);
        bits = bits << 23;
        Float power;
        std::memcpy(&power, &bits, sizeof power);
        return {power, series * r};
    }

    // What is not a number stays so.
    SEQLM_INLINE static Float clamp(Float x, float lowest, float highest) {
        const Float low = variable(Float{} + lowest), high = variable(Float{} + highest);
        x = x < low ? low : x;
        return x > high ? high : x;
    }

    // The value, of which the compiler does not know that it is a constant: GCC 12 makes one instruction of
    // a < b ? b : a unless one of them is.
    SEQLM_INLINE static Float variable(Float value) {
#if defined(__GNUC__) && defined(__SSE__)
        asm("" : "+v"(value));
#endif
        return value;
    }

    SEQLM_INLINE static Float exponential(Float x) {
        const Exponential e = split_exponential(clamp(x, -87.0f, 88.0f));
        return x < Float{} - 87.0f ? Float{} : e.power * e.rest + e.power;
    }

    // 1 / (1 + exp(-x))
    SEQLM_INLINE static Float logistic(Float x) {
        const Exponential e = split_exponential(-clamp(x, -87.0f, 87.0f));
        return 1.0f / (1.0f + (e.power * e.rest + e.power));
    }

    // tanh(x) = d / (d + 2) with d = exp(2x) - 1, which keeps its digits where x is close to 0.
    SEQLM_INLINE static Float tanh(Float x) {
        const Exponential e = split_exponential(2.0f * clamp(x, -10.0f, 10.0f));
        const Float d = e.power * e.rest + (e.power - 1.0f);
        return d / (d + 2.0f);
    }
};

using OfFloat = Mathematics<float, std::uint32_t>;

SEQLM_INLINE float exponential(float x) { return OfFloat::exponential(x); }
SEQLM_INLINE float logistic(float x) { return OfFloat::logistic(x); }
SEQLM_INLINE float tanh(float x) { return OfFloat::tanh(x); }

}  // namespace seqlm

// exp, tanh and the logistic function in float32, of plain operations that a compiler can vectorise.
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

// exp(x) in two parts: power * (1 + rest), where power is a power of two.
struct Exponential {
    float power;
    float rest;
};

// x is from -87 to 88: what is beyond has no normal float32 as its exponential.
SEQLM_INLINE Exponential split_exponential(float x) {
    // Adding this leaves no bits for a fraction: the sum's lowest bits are the rounded number.
    const float rounding = 12582912.0f;  // 1.5 * 2^23
    const float shifted = x * 1.44269504f + rounding;
    const float n = shifted - rounding;
    // ln 2 in two parts. The first has few bits, so that its product with n is exact.
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    // The Taylor series of exp(r) - 1 for r within half of ln 2; the first term left out is below 6e-9.
    float series = 1.0f / 5040;
    series = series * r + 1.0f / 720;
    series = series * r + 1.0f / 120;
    series = series * r + 1.0f / 24;
    series = series * r + 1.0f / 6;
    series = series * r + 0.5f;
    series = series * r + 1.0f;
    // 2^n has n + 127 in the bits of its exponent.
    std::uint32_t bits;
    std::memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 127) << 23;
    float power;
    std::memcpy(&power, &bits, sizeof power);
    return {power, series * r};
}

SEQLM_INLINE float clamp(float x, float lowest, float highest) {
    x = x < lowest ? lowest : x;
    return x > highest ? highest : x;
}

SEQLM_INLINE float exponential(float x) {
    const Exponential e = split_exponential(clamp(x, -87.0f, 88.0f));
    const float value = e.power * e.rest + e.power;
    return x < -87.0f ? 0.0f : value;
}

// 1 / (1 + exp(-x))
SEQLM_INLINE float logistic(float x) {
    const Exponential e = split_exponential(clamp(-x, -87.0f, 87.0f));
    return 1.0f / (1.0f + (e.power * e.rest + e.power));
}

// tanh(x) = d / (d + 2) with d = exp(2x) - 1, which keeps its digits where x is close to 0.
SEQLM_INLINE float tanh(float x) {
    const Exponential e = split_exponential(clamp(2 * x, -20.0f, 20.0f));
    const float d = e.power * e.rest + (e.power - 1.0f);
    return d / (d + 2.0f);
}

}  // namespace seqlm

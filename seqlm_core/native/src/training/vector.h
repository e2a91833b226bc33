// Vectors of floats, which the compiler turns into what the instruction set has.
//
// Included by compiled_for.h, in the namespace of one instruction set.

constexpr std::size_t lanes = SEQLM_LANES;  // floats in a vector

using Vector = float __attribute__((vector_size(SEQLM_LANES * sizeof(float))));
using Bits = std::uint32_t __attribute__((vector_size(SEQLM_LANES * sizeof(float))));
using OfVector = Mathematics<Vector, Bits>;

// Sizes are padded to whole vectors where that makes things simple.
constexpr std::size_t padded(std::size_t size) { return (size + lanes - 1) / lanes * lanes; }

SEQLM_INLINE Vector load(const float* from) {
    Vector value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

SEQLM_INLINE void store(Vector value, float* to) { std::memcpy(to, &value, sizeof value); }

// The first `width` of the vector; the others are 0.
SEQLM_INLINE Vector load_part(const float* from, std::size_t width) {
    if (width == lanes) return load(from);
    float values[lanes] = {};
    for (std::size_t u = 0; u < width; ++u) values[u] = from[u];
    return load(values);
}

SEQLM_INLINE void store_part(Vector value, std::size_t width, float* to) {
    if (width == lanes) return store(value, to);
    float values[lanes];
    store(value, values);
    for (std::size_t u = 0; u < width; ++u) to[u] = values[u];
}

// Vectors of floats, which the compiler turns into what the instruction set has.
//
// Included by compiled_for.h, in the namespace of one instruction set.

constexpr std::size_t lanes = SEQLM_LANES;  // floats in a vector

using Vector = float __attribute__((vector_size(SEQLM_LANES * sizeof(float))));
using Bits = std::uint32_t __attribute__((vector_size(SEQLM_LANES * sizeof(float))));
using OfVector = Mathematics<Vector, Bits>;

// Sizes are padded to whole vectors where that makes things simple.
constexpr std::size_t padded(std::size_t size) { return (size + lanes - 1) / lanes * lanes; }

// Sizes of arrays of different threads, so that none of them begins on a page on which another ends: processors fetch
// ahead within a page, and what one fetches another must give.
constexpr std::size_t apart(std::size_t size) { return (size + 1023) / 1024 * 1024; }

// A distance from row to row with which rows below each other do not fall on the same few sets of a cache: an odd
// number of its lines of 16 floats.
constexpr std::size_t spread_stride(std::size_t size) { return ((size + 15) / 16 | 1) * 16; }

SEQLM_INLINE Vector load(const float* from) {
    Vector value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

SEQLM_INLINE void store(Vector value, float* to) { std::memcpy(to, &value, sizeof value); }

// The first `width` of the vector; the others are 0.
SEQLM_INLINE Vector load_part(const float* from, std::size_t width) {
    if (width == lanes) return load(from);
#if SEQLM_LANES == 16
    return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << width) - 1), from);
#elif SEQLM_LANES == 8
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_maskload_ps(from, _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(width)), lane));
#else
    float values[lanes] = {};
    for (std::size_t u = 0; u < width; ++u) values[u] = from[u];
    return load(values);
#endif
}

// Copies `size` numbers, filled up with 0 to whole vectors.
SEQLM_INLINE void copy_vectors(const float* from, std::size_t size, float* to) {
    for (std::size_t c = 0; c < size; c += lanes) store(load_part(from + c, size - c < lanes ? size - c : lanes), to + c);
}

SEQLM_INLINE void store_part(Vector value, std::size_t width, float* to) {
    if (width == lanes) return store(value, to);
#if SEQLM_LANES == 16
    _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << width) - 1), value);
#else
    float values[lanes];
    store(value, values);
    for (std::size_t u = 0; u < width; ++u) to[u] = values[u];
#endif
}

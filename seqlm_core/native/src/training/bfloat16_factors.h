// Factors of products, each of which is two numbers of bfloat16: float32 with the first 8 bits of the mantissa, rounded to
// the nearest, or of two neighbours to the even one. Their products and sums are of float32.
//
// Included by compiled_for.h, in the namespace of one instruction set.

using Factor = std::uint32_t;  // the first number is in the lower half
using Factors = __m512bh;      // one of each lane

constexpr std::size_t depth_of_factor = 2;

SEQLM_INLINE Factors load_factors(const Factor* from) {
    Factors value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

SEQLM_INLINE void add_product(Factor a, Factors b, Vector& sums) {
    const Bits everywhere = Bits{} + a;
    sums = _mm512_dpbf16_ps(sums, b, reinterpret_cast<__m512bh>(everywhere));
}

// The numbers of bfloat16, each in the lower half of a lane.
SEQLM_INLINE Bits rounded(Vector numbers) {
    using Halves = std::uint16_t __attribute__((vector_size(lanes * sizeof(std::uint16_t))));
    return __builtin_convertvector(reinterpret_cast<Halves>(_mm512_cvtneps_pbh(numbers)), Bits);
}

// The factors of `size` columns of two rows that are neighbours along the depth, filled up with 0 to whole vectors. The
// second row is 0 where it is null.
SEQLM_INLINE void pack_factors(const float* row, const float* next, std::size_t size, Factor* to) {
    for (std::size_t c = 0; c < size; c += lanes) {
        const std::size_t there = smaller(lanes, size - c);
        Bits pairs = rounded(load_part(row + c, there));
        if (next) pairs |= rounded(load_part(next + c, there)) << 16;
        std::memcpy(to + c, &pairs, sizeof pairs);
    }
}

// The factors of `count` numbers, at most `lanes`, that are neighbours along the depth. Half of a vector is written.
SEQLM_INLINE void line_up_factors(const float* from, std::size_t count, Factor* to) {
    const __m256bh numbers = _mm512_cvtneps_pbh(load_part(from, count));
    std::memcpy(to, &numbers, sizeof numbers);
}

// The factors of up to `rows_at_once` rows whose numbers lie side by side.
template <std::size_t rows_at_once>
struct RowFactors {
    static constexpr std::size_t most_rows = rows_at_once, most_depth = 256;

    Factor data[most_rows * most_depth / depth_of_factor];
    static constexpr std::size_t stride = most_depth / depth_of_factor;

    // `factors` is their number along the depth, those included that are 0.
    SEQLM_INLINE RowFactors(
        const float* rows, std::size_t row_stride, std::size_t count, std::size_t depth, std::size_t factors
    ) {
        for (std::size_t i = 0; i < count; ++i)
            for (std::size_t k = 0; k < factors * depth_of_factor; k += lanes)
                line_up_factors(
                    rows + i * row_stride + k, smaller(lanes, depth - smaller(k, depth)),
                    data + i * stride + k / depth_of_factor
                );
    }
};

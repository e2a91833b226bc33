// Factors of products, each of which is one number of float32.
//
// Included by compiled_for.h, in the namespace of one instruction set.

using Factor = float;
using Factors = Vector;  // one of each lane

constexpr std::size_t depth_of_factor = 1;

SEQLM_INLINE Factors load_factors(const Factor* from) { return load(from); }

SEQLM_INLINE void add_product(Factor a, Factors b, Vector& sums) { sums += a * b; }

// The factors of `size` columns of a row, filled up with 0 to whole vectors. There is no second row of a factor.
SEQLM_INLINE void pack_factors(const float* row, const float*, std::size_t size, Factor* to) { copy_vectors(row, size, to); }

// The factors of `count` numbers that are neighbours along the depth.
SEQLM_INLINE void line_up_factors(const float* from, std::size_t count, Factor* to) {
    for (std::size_t i = 0; i < count; ++i) to[i] = from[i];
}

// The factors of rows whose numbers lie side by side: they are the numbers themselves, of any number of rows.
template <std::size_t>
struct RowFactors {
    static constexpr std::size_t most_rows = static_cast<std::size_t>(-1) / 2;

    const Factor* data;
    std::size_t stride;

    SEQLM_INLINE RowFactors(const float* rows, std::size_t row_stride, std::size_t, std::size_t, std::size_t)
        : data(rows), stride(row_stride) {}
};

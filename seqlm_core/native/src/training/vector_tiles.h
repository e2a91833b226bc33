// The micro-kernel of products, which keeps a tile of the result in vector registers.
//
// Included by compiled_for.h, in the namespace of one instruction set.

constexpr std::size_t tile_rows = 6;

// The factors along the depth of a product are filled up with 0 to a multiple of so many.
constexpr std::size_t depth_step = 1;

// Rows whose products with a chunk of the weights are computed before what is made of them, so that they stay in the cache.
constexpr std::size_t row_group = 48;

// What a product takes hold of before its first tile.
struct TileRegisters {};

// result (rows, vectors * lanes) = a b, or += where it is added to.
//
// a: factor (i, k) lies at a[i * row_stride + k * depth_stride].
// b: (factors, vectors * lanes), without gaps.
template <int rows, int vectors>
SEQLM_INLINE void multiply_tile(
    const Factor* __restrict a,
    std::size_t row_stride,
    std::size_t depth_stride,
    const Factor* __restrict b,
    std::size_t factors,
    float* __restrict result,
    std::size_t result_stride,
    bool add
) {
    if (add)
        for (int i = 0; i < rows; ++i)
            for (int j = 0; j < vectors; ++j) __builtin_prefetch(result + i * result_stride + j * lanes, 1);
    Vector sums[rows][vectors];
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i)
#pragma GCC unroll 8
        for (int j = 0; j < vectors; ++j) sums[i][j] = Vector{};
#pragma GCC unroll 2
    for (std::size_t k = 0; k < factors; ++k) {
        Factors from_b[vectors];
#pragma GCC unroll 8
        for (int j = 0; j < vectors; ++j) from_b[j] = load_factors(b + (k * vectors + j) * lanes);
#pragma GCC unroll 8
        for (int i = 0; i < rows; ++i) {
            const Factor factor = a[i * row_stride + k * depth_stride];
#pragma GCC unroll 8
            for (int j = 0; j < vectors; ++j) add_product(factor, from_b[j], sums[i][j]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i)
#pragma GCC unroll 8
        for (int j = 0; j < vectors; ++j) {
            float* to = result + i * result_stride + j * lanes;
            store(add ? load(to) + sums[i][j] : sums[i][j], to);
        }
}

// How many of `left` rows the next tile takes, so that the last tiles are not much smaller than the others.
SEQLM_INLINE std::size_t next_rows(std::size_t left) {
    const std::size_t tiles = (left + tile_rows - 1) / tile_rows;
    return (left + tiles - 1) / tiles;
}

// The product of all rows of `a`, which lie row by row, with one panel of b.
template <int vectors>
void multiply_panel(
    const Factor* a,
    std::size_t a_stride,
    std::size_t rows,
    const Factor* b,
    std::size_t factors,
    float* result,
    std::size_t result_stride,
    bool add
) {
    while (rows) {
        const std::size_t taken = next_rows(rows);
        switch (taken) {
#define SEQLM_TILE(n) \
    case n: multiply_tile<n, vectors>(a, a_stride, 1, b, factors, result, result_stride, add); break;
            SEQLM_TILE(1)
            SEQLM_TILE(2)
            SEQLM_TILE(3)
            SEQLM_TILE(4)
            SEQLM_TILE(5)
            SEQLM_TILE(6)
#undef SEQLM_TILE
        }
        a += taken * a_stride;
        result += taken * result_stride;
        rows -= taken;
    }
}

// Puts `count` lines of factors, whose distance is `stride`, where the micro-kernel reads those of a tile of whole rows.
SEQLM_INLINE void arrange_tile(const Factor* lines, std::size_t stride, std::size_t count, Factor* to) {
    for (std::size_t i = 0; i < count; ++i) std::memcpy(to + i * tile_rows, lines + i * stride, tile_rows * sizeof(Factor));
}

// A tile of whole rows, which have been arranged.
template <int vectors>
SEQLM_INLINE void multiply_arranged_tile(
    const Factor* a, const Factor* b, std::size_t factors, float* result, std::size_t result_stride, bool add
) {
    multiply_tile<tile_rows, vectors>(a, 1, tile_rows, b, factors, result, result_stride, add);
}

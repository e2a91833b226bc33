// Products of matrices, by a micro-kernel that computes one tile of the result: see vector_tiles.h and amx_tiles.h. It
// multiplies factors, which are what is packed of matrices: each has `depth_of_factor` numbers that are neighbours along the
// depth of the product. See float32_factors.h and bfloat16_factors.h.
//
// Included by compiled_for.h, in the namespace of one instruction set.

constexpr std::size_t tile_vectors = SEQLM_TILE_VECTORS;
constexpr std::size_t panel = tile_vectors * lanes;

// The depth of a product is cut into blocks, so that what is read again and again stays in the nearest caches.
constexpr std::size_t block_depth = 256;

// The number of factors for so many numbers along the depth. What is left over in the last ones is 0.
constexpr std::size_t factors_for(std::size_t depth) {
    constexpr std::size_t numbers = depth_of_factor * depth_step;
    return (depth + numbers - 1) / numbers * depth_step;
}

// The second factor of a product: (depth, columns), the columns padded to whole vectors. It lies block by block of its
// depth, panel by panel of its columns, in the order in which the micro-kernel reads it.
struct Packed {
    Factor* data;
    std::size_t depth, columns;  // columns: padded

    Packed(float* place, std::size_t numbers_deep, std::size_t padded_columns)
        : data(reinterpret_cast<Factor*>(place)), depth(numbers_deep), columns(padded_columns) {}

    // How many floats it takes the place of.
    static std::size_t size(std::size_t depth, std::size_t columns) { return factors_for(depth) * padded(columns); }

    // Where the panel that begins with `column` lies of the block that begins with `first`.
    SEQLM_INLINE Factor* at(std::size_t first, std::size_t column) const {
        return data + factors_for(first) * columns + column * factors_for(smaller(block_depth, depth - first));
    }
};
static_assert(sizeof(Factor) == sizeof(float), "factors lie where there is place for floats");
static_assert(block_depth % (depth_of_factor * depth_step) == 0, "no factor has numbers of two blocks");
using Rows = RowFactors<row_group>;
static_assert(Rows::most_rows % tile_rows == 0 || depth_step == 1, "there is room for whole tiles");

// The part of the product below that has the depth of the block of b which begins with `from`, for not more than
// Rows::most_rows rows. `a` begins with the same number of its depth.
SEQLM_INLINE void multiply_block(
    const float* a,
    std::size_t a_stride,
    std::size_t rows,
    const Packed& b,
    std::size_t from,
    std::size_t first,
    std::size_t last,
    float* result,
    std::size_t result_stride,
    bool add
) {
    const std::size_t depth = smaller(block_depth, b.depth - from), factors = factors_for(depth);
    const Rows of_rows(a, a_stride, rows, depth, factors);
    for (std::size_t column = first; column < last; column += panel) {
        float* to = result + column - first;
        const Factor* block = b.at(from, column);
        switch (smaller(panel, last - column) / lanes) {
#define SEQLM_PANEL(n)                                                                                       \
    case n:                                                                                                  \
        multiply_panel<n>(of_rows.data, of_rows.stride, rows, block, factors, to, result_stride, add);       \
        break;
            SEQLM_PANEL(1)
            SEQLM_PANEL(2)
#if SEQLM_TILE_VECTORS > 2
            SEQLM_PANEL(3)
            SEQLM_PANEL(4)
#endif
#undef SEQLM_PANEL
        }
    }
}

// result (rows, columns first to last) = a b, or += where it is added to. first and last are the boundaries of panels,
// or the last is that of the columns.
SEQLM_INLINE void multiply(
    const float* a,
    std::size_t a_stride,
    std::size_t rows,
    const Packed& b,
    std::size_t first,
    std::size_t last,
    float* result,
    std::size_t result_stride,
    bool add
) {
    [[maybe_unused]] const TileRegisters registers;
    for (std::size_t from = 0; from < b.depth; from += block_depth)
        for (std::size_t row = 0; row < rows; row += Rows::most_rows)
            multiply_block(
                a + row * a_stride + from, a_stride, smaller(Rows::most_rows, rows - row), b, from, first, last,
                result + row * result_stride, result_stride, add || from
            );
}

// Packs columns first to last of b, of which element (k, c) is rows[k * stride + c], and 0 from `columns` on.
SEQLM_INLINE void pack_rows(
    const float* rows, std::size_t stride, std::size_t columns, const Packed& b, std::size_t first, std::size_t last
) {
    for (std::size_t from = 0; from < b.depth; from += block_depth) {
        const std::size_t depth = smaller(block_depth, b.depth - from);
        for (std::size_t column = first; column < last; column += panel) {
            const std::size_t width = smaller(panel, b.columns - column);
            const std::size_t there = column < columns ? smaller(width, columns - column) : 0;
            Factor* to = b.at(from, column);
            Factor* const end = to + factors_for(depth) * width;
            for (std::size_t k = from; k < from + depth; k += depth_of_factor, to += width) {
                const float* const row = rows + k * stride + column;
                pack_factors(row, k + 1 < from + depth ? row + stride : nullptr, there, to);
                for (std::size_t c = padded(there); c < width; ++c) to[c] = 0;
            }
            while (to < end) *to++ = 0;
        }
    }
}

// Packs the panel of b that begins with column `first`: its c-th column is columns[c] (depth), or 0 where that is null.
SEQLM_INLINE void pack_panel(const float* const* columns, const Packed& b, std::size_t first) {
    constexpr std::size_t step = 16;  // elements of a column at a time: those of all columns are in the nearest cache
    const std::size_t width = smaller(panel, b.columns - first);
    const std::size_t filled = factors_for(b.depth) * depth_of_factor;
    for (std::size_t k = 0; k < filled; k += step) {
        const std::size_t count = smaller(step, b.depth - smaller(k, b.depth)), from = k / block_depth * block_depth;
        const std::size_t factors = smaller(step, filled - k) / depth_of_factor;
        Factor* to = b.at(from, first) + (k - from) / depth_of_factor * width;
        for (std::size_t c = 0; c < width; ++c) {
            Factor own[step] = {};
            if (columns[c]) line_up_factors(columns[c] + k, count, own);
            for (std::size_t i = 0; i < factors; ++i) to[i * width + c] = own[i];
        }
    }
}

// Tiles and panels of so many rows and columns of a result are made of what stays in the second-nearest cache.
constexpr std::size_t block_rows = 96;
constexpr std::size_t block_columns = 8 * panel;
static_assert(block_rows % tile_rows == 0, "whole tiles");

// Memory for accumulate_products, the depth being at most block_depth.
constexpr std::size_t product_scratch = factors_for(block_depth) * (block_rows + block_columns) + tile_rows * panel;

// The factors of some columns of row k and, where a factor has more numbers, of those after it. What is
// beyond the last row or column is 0 up to whole vectors.
template <class Row>
SEQLM_INLINE void pack_factors_of(const Row& row, std::size_t k, std::size_t depth, Range columns, Factor* to) {
    if (k >= depth) return (void)std::memset(to, 0, padded(columns.size()) * sizeof(Factor));
    pack_factors(row(k) + columns.first, k + 1 < depth ? row(k + 1) + columns.first : nullptr, columns.size(), to);
}

// Packs some columns, at most block_rows, of `depth` rows in tiles of tile_rows columns.
template <class Row>
SEQLM_INLINE void pack_tiles(const Row& row, Range columns, std::size_t depth, Factor* to) {
    // Factors at a time, which are in the nearest cache until all are copied.
    constexpr std::size_t step = depth_step > 8 ? depth_step : 8;
    const std::size_t factors = factors_for(depth);
    Factor lines[step][block_rows + lanes] = {};
    for (std::size_t first = 0; first < factors; first += step) {
        const std::size_t count = smaller(step, factors - first);
        for (std::size_t i = 0; i < count; ++i)
            pack_factors_of(row, (first + i) * depth_of_factor, depth, columns, lines[i]);
        Factor* tile = to + first * tile_rows;
        for (std::size_t column = 0; column < columns.size(); column += tile_rows, tile += factors * tile_rows)
            arrange_tile(lines[0] + column, block_rows + lanes, count, tile);
    }
}

// Packs some columns of `depth` rows in panels of whole vectors.
template <class Row>
SEQLM_INLINE void pack_panels(const Row& row, Range columns, std::size_t depth, Factor* to) {
    for (Range here = {columns.first, 0}; here.first < columns.last; here.first = here.last) {
        here.last = smaller(here.first + panel, columns.last);
        for (std::size_t k = 0; k < factors_for(depth) * depth_of_factor; k += depth_of_factor, to += padded(here.size()))
            pack_factors_of(row, k, depth, here, to);
    }
}

// A tile of whole rows: (tile_rows, width).
SEQLM_INLINE void multiply_whole_tile(
    std::size_t width,
    const Factor* a,
    const Factor* b,
    std::size_t factors,
    float* result,
    std::size_t result_stride,
    bool add
) {
    switch (width / lanes) {
#define SEQLM_WIDTH(n) \
    case n: multiply_arranged_tile<n>(a, b, factors, result, result_stride, add); break;
        SEQLM_WIDTH(1)
        SEQLM_WIDTH(2)
#if SEQLM_TILE_VECTORS > 2
        SEQLM_WIDTH(3)
        SEQLM_WIDTH(4)
#endif
#undef SEQLM_WIDTH
    }
}

// result (some of its rows, some of its columns) += a' b, or = where it is not added to: a sum over `depth` products of
// a row of a and a row of b, of which a_row(k) and b_row(k) are the k-th. `depth` is at most block_depth.
template <class RowOfA, class RowOfB>
SEQLM_INLINE void accumulate_products(
    const RowOfA& a_row,
    Range rows,
    const RowOfB& b_row,
    Range columns,
    std::size_t depth,
    float* result,
    std::size_t result_stride,
    bool add,
    float* scratch
) {
    [[maybe_unused]] const TileRegisters registers;
    float* const edge = scratch;
    const std::size_t factors = factors_for(depth);
    Factor* const a_tiles = reinterpret_cast<Factor*>(edge + tile_rows * panel);
    Factor* const b_panels = a_tiles + factors_for(block_depth) * block_rows;
    for (Range here = {columns.first, 0}; here.first < columns.last; here.first = here.last) {
        here.last = smaller(here.first + block_columns, columns.last);
        pack_panels(b_row, here, depth, b_panels);
        for (Range block = {rows.first, 0}; block.first < rows.last; block.first = block.last) {
            block.last = smaller(block.first + block_rows, rows.last);
            pack_tiles(a_row, block, depth, a_tiles);
            for (std::size_t column = here.first; column < here.last; column += panel) {
                const std::size_t there = smaller(panel, here.last - column), width = padded(there);
                const Factor* const b_panel = b_panels + (column - here.first) * factors;
                for (std::size_t row = block.first; row < block.last; row += tile_rows) {
                    const std::size_t height = smaller(tile_rows, block.last - row);
                    const Factor* const tile = a_tiles + (row - block.first) * factors;
                    float* const to = result + row * result_stride + column;
                    if (height == tile_rows && there == width) {
                        multiply_whole_tile(width, tile, b_panel, factors, to, result_stride, add);
                        continue;
                    }
                    multiply_whole_tile(width, tile, b_panel, factors, edge, width, false);
                    for (std::size_t i = 0; i < height; ++i)
                        for (std::size_t c = 0; c < there; ++c) {
                            float& element = to[i * result_stride + c];
                            element = (add ? element : 0) + edge[i * width + c];
                        }
                }
            }
        }
    }
}

// Products of matrices, by one micro-kernel that keeps a tile of the result in registers.
//
// Included by compiled_for.h, in the namespace of one instruction set.

constexpr int tile_rows = 6;
constexpr int tile_vectors = SEQLM_TILE_VECTORS;
constexpr std::size_t panel = tile_vectors * lanes;

// The depth of a product is cut into blocks, so that what is read again and again stays in the nearest caches.
constexpr std::size_t block_depth = 256;

// result (rows, vectors * lanes) = a b, or += where it is added to.
//
// a: element (i, k) lies at a[i * row_stride + k * depth_stride].
// b: (depth, vectors * lanes), without gaps.
template <int rows, int vectors>
SEQLM_INLINE void multiply_tile(
    const float* __restrict a,
    std::size_t row_stride,
    std::size_t depth_stride,
    const float* __restrict b,
    std::size_t depth,
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
    for (std::size_t k = 0; k < depth; ++k) {
        Vector from_b[vectors];
#pragma GCC unroll 8
        for (int j = 0; j < vectors; ++j) from_b[j] = load(b + (k * vectors + j) * lanes);
#pragma GCC unroll 8
        for (int i = 0; i < rows; ++i) {
            const float factor = a[i * row_stride + k * depth_stride];
#pragma GCC unroll 8
            for (int j = 0; j < vectors; ++j) sums[i][j] += factor * from_b[j];
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
    const float* a,
    std::size_t a_stride,
    std::size_t rows,
    const float* b,
    std::size_t depth,
    float* result,
    std::size_t result_stride,
    bool add
) {
    while (rows) {
        const std::size_t taken = next_rows(rows);
        switch (taken) {
#define SEQLM_TILE(n) \
    case n: multiply_tile<n, vectors>(a, a_stride, 1, b, depth, result, result_stride, add); break;
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

// The second factor of a product: (depth, columns), the columns padded to whole vectors. It lies block by block of its
// depth, panel by panel of its columns, in the order in which the micro-kernel reads it.
struct Packed {
    float* data;
    std::size_t depth, columns;  // columns: padded

    static std::size_t size(std::size_t depth, std::size_t columns) { return depth * padded(columns); }

    // Where the panel that begins with `column` lies of the block that begins with `first`.
    SEQLM_INLINE float* at(std::size_t first, std::size_t column) const {
        return data + first * columns + column * smaller(block_depth, depth - first);
    }
};

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
    for (std::size_t from = 0; from < b.depth; from += block_depth) {
        const std::size_t depth = smaller(block_depth, b.depth - from);
        for (std::size_t column = first; column < last; column += panel) {
            float* to = result + column - first;
            const float* block = b.at(from, column);
            switch (smaller(panel, last - column) / lanes) {
#define SEQLM_PANEL(n) \
    case n: multiply_panel<n>(a + from, a_stride, rows, block, depth, to, result_stride, add || from); break;
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
            float* to = b.at(from, column);
            for (std::size_t k = from; k < from + depth; ++k, to += width) {
                copy_vectors(rows + k * stride + column, there, to);
                for (std::size_t c = padded(there); c < width; ++c) to[c] = 0;
            }
        }
    }
}

// Packs the panel of b that begins with column `first`: its c-th column is columns[c] (depth), or 0 where that is null.
SEQLM_INLINE void pack_panel(const float* const* columns, const Packed& b, std::size_t first) {
    constexpr std::size_t step = 16;  // elements of a column at a time: those of all columns are in the nearest cache
    const std::size_t width = smaller(panel, b.columns - first);
    for (std::size_t k = 0; k < b.depth; k += step) {
        const std::size_t count = smaller(step, b.depth - k), from = k / block_depth * block_depth;
        float* to = b.at(from, first) + (k - from) * width;
        for (std::size_t c = 0; c < width; ++c)
            for (std::size_t i = 0; i < count; ++i) to[i * width + c] = columns[c] ? columns[c][k + i] : 0;
    }
}

// Tiles and panels of so many rows and columns of a result are made of what stays in the second-nearest cache.
constexpr std::size_t block_rows = 16 * tile_rows;
constexpr std::size_t block_columns = 8 * panel;

// Memory for accumulate_products, the depth being at most block_depth.
constexpr std::size_t product_scratch = block_depth * (block_rows + block_columns) + tile_rows * panel;

// Packs some columns of `depth` rows in tiles of tile_rows columns.
template <class Row>
SEQLM_INLINE void pack_tiles(const Row& row, Range columns, std::size_t depth, float* to) {
    constexpr std::size_t step = 8;  // rows at a time, whose parts are in the nearest cache until all are copied
    for (std::size_t first = 0; first < depth; first += step) {
        const std::size_t last = smaller(first + step, depth);
        float* tile = to + first * tile_rows;
        for (std::size_t column = columns.first; column < columns.last; column += tile_rows, tile += depth * tile_rows) {
            const std::size_t there = smaller(tile_rows, columns.last - column);
            float* place = tile;
            for (std::size_t k = first; k < last; ++k, place += tile_rows) {
                if (there == tile_rows) {
                    std::memcpy(place, row(k) + column, tile_rows * sizeof(float));
                } else {
                    for (std::size_t c = 0; c < tile_rows; ++c) place[c] = c < there ? row(k)[column + c] : 0;
                }
            }
        }
    }
}

// Packs some columns of `depth` rows in panels of whole vectors.
template <class Row>
SEQLM_INLINE void pack_panels(const Row& row, Range columns, std::size_t depth, float* to) {
    for (std::size_t column = columns.first; column < columns.last; column += panel) {
        const std::size_t there = smaller(panel, columns.last - column), width = padded(there);
        for (std::size_t k = 0; k < depth; ++k, to += width) copy_vectors(row(k) + column, there, to);
    }
}

// A tile of whole rows: (tile_rows, width).
SEQLM_INLINE void multiply_whole_tile(
    std::size_t width, const float* a, const float* b, std::size_t depth, float* result, std::size_t result_stride, bool add
) {
    switch (width / lanes) {
#define SEQLM_WIDTH(n) \
    case n: multiply_tile<tile_rows, n>(a, 1, tile_rows, b, depth, result, result_stride, add); break;
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
    float* const edge = scratch;
    float* const a_tiles = edge + tile_rows * panel;
    float* const b_panels = a_tiles + block_depth * block_rows;
    for (Range here = {columns.first, 0}; here.first < columns.last; here.first = here.last) {
        here.last = smaller(here.first + block_columns, columns.last);
        pack_panels(b_row, here, depth, b_panels);
        for (Range block = {rows.first, 0}; block.first < rows.last; block.first = block.last) {
            block.last = smaller(block.first + block_rows, rows.last);
            pack_tiles(a_row, block, depth, a_tiles);
            for (std::size_t column = here.first; column < here.last; column += panel) {
                const std::size_t there = smaller(panel, here.last - column), width = padded(there);
                const float* const b_panel = b_panels + (column - here.first) * depth;
                for (std::size_t row = block.first; row < block.last; row += tile_rows) {
                    const std::size_t height = smaller(tile_rows, block.last - row);
                    const float* const tile = a_tiles + (row - block.first) * depth;
                    float* const to = result + row * result_stride + column;
                    if (height == tile_rows && there == width) {
                        multiply_whole_tile(width, tile, b_panel, depth, to, result_stride, add);
                        continue;
                    }
                    multiply_whole_tile(width, tile, b_panel, depth, edge, width, false);
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

// The micro-kernel of products by AMX: tiles of 16 rows of 64 bytes, which one instruction multiplies. A tile of the result
// has 16 rows of 16 numbers; of the factors, which are of bfloat16, one has 16 rows and one has 16 columns.
//
// Intel 64 and IA-32 Architectures Optimization Reference Manual, chapter on Intel Advanced Matrix Extensions.
//
// Included by compiled_for.h, in the namespace of one instruction set.

constexpr std::size_t tile_rows = 16;

// The factors along the depth of a product are filled up with 0 to a multiple of so many.
constexpr std::size_t depth_step = 16;

// Rows whose products with a chunk of the weights are computed before what is made of them, so that they stay in the cache.
// The weights come from a farther one, and take longer than with slower products.
constexpr std::size_t row_group = 96;

static_assert(lanes == 16 && sizeof(Factor) == 4 && depth_of_factor == 2, "these are the sizes of the instruction");

// As the processor reads it: eight registers of whole tiles.
struct alignas(64) TileConfiguration {
    std::uint8_t palette = 1, first_row = 0, reserved[14] = {};
    std::uint16_t bytes_of_row[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
constexpr TileConfiguration whole_tiles{};

// What a product takes hold of before its first tile: the registers of its thread.
struct TileRegisters {
    SEQLM_INLINE TileRegisters() { _tile_loadconfig(&whole_tiles); }
    // Then the system need not save them when it puts the thread aside.
    SEQLM_INLINE ~TileRegisters() { _tile_release(); }
};

// result (tile_rows, vectors * lanes) = a b, or += where it is added to.
//
// a: factor (i, k) lies at a[i * row_stride + k / depth_step * step_stride + k % depth_step].
// b: (factors, vectors * lanes), without gaps. factors is a multiple of depth_step.
template <int vectors>
SEQLM_INLINE void multiply_tile(
    const Factor* a,
    std::size_t row_stride,
    std::size_t step_stride,
    const Factor* b,
    std::size_t factors,
    float* result,
    std::size_t result_stride,
    bool add
) {
    constexpr std::size_t size = sizeof(float), width = vectors * lanes;
    // The compiler does not know that the instructions read memory.
    __asm__ volatile("" ::: "memory");
    // The registers have fixed names: 0 to 3 hold the result, 4 the rows, 5 and 6 columns.
    if (add) {
        _tile_loadd(0, result, result_stride * size);
        if (vectors > 1) _tile_loadd(1, result + lanes, result_stride * size);
        if (vectors > 2) _tile_loadd(2, result + 2 * lanes, result_stride * size);
        if (vectors > 3) _tile_loadd(3, result + 3 * lanes, result_stride * size);
    } else {
        _tile_zero(0);
        if (vectors > 1) _tile_zero(1);
        if (vectors > 2) _tile_zero(2);
        if (vectors > 3) _tile_zero(3);
    }
    for (std::size_t k = 0; k < factors; k += depth_step, a += step_stride, b += depth_step * width) {
        _tile_loadd(4, a, row_stride * size);
        _tile_loadd(5, b, width * size);
        _tile_dpbf16ps(0, 4, 5);
        if (vectors > 1) {
            _tile_loadd(6, b + lanes, width * size);
            _tile_dpbf16ps(1, 4, 6);
        }
        if (vectors > 2) {
            _tile_loadd(5, b + 2 * lanes, width * size);
            _tile_dpbf16ps(2, 4, 5);
        }
        if (vectors > 3) {
            _tile_loadd(6, b + 3 * lanes, width * size);
            _tile_dpbf16ps(3, 4, 6);
        }
    }
    _tile_stored(0, result, result_stride * size);
    if (vectors > 1) _tile_stored(1, result + lanes, result_stride * size);
    if (vectors > 2) _tile_stored(2, result + 2 * lanes, result_stride * size);
    if (vectors > 3) _tile_stored(3, result + 3 * lanes, result_stride * size);
}

// The product of all rows of `a`, which lie row by row, with one panel of b. Rows up to whole tiles are read.
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
    constexpr std::size_t width = vectors * lanes;
    for (; rows >= tile_rows; rows -= tile_rows, a += tile_rows * a_stride, result += tile_rows * result_stride)
        multiply_tile<vectors>(a, a_stride, depth_step, b, factors, result, result_stride, add);
    if (rows == 0) return;
    float whole[tile_rows * width];
    multiply_tile<vectors>(a, a_stride, depth_step, b, factors, whole, width, false);
    for (std::size_t i = 0; i < rows; ++i)
        for (std::size_t c = 0; c < width; c += lanes) {
            float* const to = result + i * result_stride + c;
            const Vector sums = load(whole + i * width + c);
            store(add ? load(to) + sums : sums, to);
        }
}

// Swaps numbers `distance` apart of two lines: those of the one that have this bit with those of the other that do not.
template <int distance>
SEQLM_INLINE void swap_across(Bits& line, Bits& other) {
    Bits of_line, of_other;
    for (int i = 0; i < 16; ++i) {
        of_line[i] = i & distance ? 16 + i - distance : i;
        of_other[i] = i & distance ? 16 + i : i + distance;
    }
    const Bits first = __builtin_shuffle(line, other, of_line);
    other = __builtin_shuffle(line, other, of_other);
    line = first;
}

// Puts depth_step lines of factors, whose distance is `stride`, where the micro-kernel reads those of a tile of whole rows:
// row by row.
SEQLM_INLINE void arrange_tile(const Factor* lines, std::size_t stride, std::size_t, Factor* to) {
    Bits square[16];
    for (int i = 0; i < 16; ++i) std::memcpy(&square[i], lines + i * stride, sizeof square[i]);
    // What is above the diagonal of squares of 2 squares changes places with what is below, from the largest on.
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i)
        if (!(i & 8)) swap_across<8>(square[i], square[i + 8]);
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i)
        if (!(i & 4)) swap_across<4>(square[i], square[i + 4]);
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i)
        if (!(i & 2)) swap_across<2>(square[i], square[i + 2]);
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i)
        if (!(i & 1)) swap_across<1>(square[i], square[i + 1]);
    for (int i = 0; i < 16; ++i) std::memcpy(to + i * depth_step, &square[i], sizeof square[i]);
}

// A tile of whole rows, which have been arranged.
template <int vectors>
SEQLM_INLINE void multiply_arranged_tile(
    const Factor* a, const Factor* b, std::size_t factors, float* result, std::size_t result_stride, bool add
) {
    multiply_tile<vectors>(a, depth_step, tile_rows * depth_step, b, factors, result, result_stride, add);
}

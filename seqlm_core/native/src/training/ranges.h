// Parts of what is counted from 0.
//
// Included by compiled_for.h, in the namespace of one instruction set.

SEQLM_INLINE constexpr std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }

struct Range {
    std::size_t first, last;
    std::size_t size() const { return last - first; }
    Range below(std::size_t end) const { return {smaller(first, end), smaller(last, end)}; }
};

// The index-th of `parts` nearly equal parts of `size`, cut at multiples of `unit`.
SEQLM_INLINE Range part_of(std::size_t size, std::size_t index, std::size_t parts, std::size_t unit = 1) {
    const std::size_t units = (size + unit - 1) / unit;
    return {smaller(size, units * index / parts * unit), smaller(size, units * (index + 1) / parts * unit)};
}

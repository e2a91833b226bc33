// The simple recurrent network: h' = f(W x + b + U h + d), where f is tanh or max(0, .).

template <bool rectified>
struct Rnn {
    static constexpr int gates = 1;
    static constexpr int kept = 1;  // h'
    static constexpr int blocks = 4;
    static constexpr bool has_memory = false;
    static constexpr bool reaches_back = false;

    SEQLM_INLINE static Vector forward(
        const Vector* from_input, const Vector* from_hidden, Vector, Vector, Vector* kept
    ) {
        const Vector sum = from_input[0] + from_hidden[0];
        // Written so that what is not a number stays so.
        kept[0] = rectified ? (sum < Vector{} ? Vector{} : sum) : OfVector::tanh(sum);
        return kept[0];
    }

    SEQLM_INLINE static CellGradient<gates> backward(const Vector* kept, Vector, Vector, Vector gradient, Vector) {
        CellGradient<gates> to;
        if (rectified) {
            to.hidden[0] = kept[0] > Vector{} ? gradient : Vector{};
        } else {
            to.hidden[0] = gradient * (1.0f - kept[0] * kept[0]);
        }
        to.input[0] = to.hidden[0];
        return to;
    }
};

// Gated recurrent unit: r, z = s(W x + b + U h + d), n = tanh(W x + b + r (U h + d)), h' = n + z (h - n).

struct Gru {
    static constexpr int gates = 3;
    static constexpr int kept = 4;  // r, z, n, and U h + d of n
    static constexpr int blocks = 4;
    static constexpr bool has_memory = false;
    static constexpr bool reaches_back = true;

    SEQLM_INLINE static Vector forward(
        const Vector* from_input, const Vector* from_hidden, Vector before, Vector, Vector* kept
    ) {
        kept[0] = OfVector::logistic(from_input[0] + from_hidden[0]);
        kept[1] = OfVector::logistic(from_input[1] + from_hidden[1]);
        kept[2] = OfVector::tanh(from_input[2] + kept[0] * from_hidden[2]);
        kept[3] = from_hidden[2];
        return kept[2] + kept[1] * (before - kept[2]);
    }

    SEQLM_INLINE static CellGradient<gates> backward(
        const Vector* kept, Vector before, Vector, Vector gradient, Vector
    ) {
        const Vector reset = kept[0], update = kept[1], candidate = kept[2], from_hidden = kept[3];
        CellGradient<gates> to;
        to.input[2] = gradient * (1.0f - update) * (1.0f - candidate * candidate);
        to.hidden[2] = to.input[2] * reset;
        to.input[0] = to.hidden[0] = to.input[2] * from_hidden * reset * (1.0f - reset);
        to.input[1] = to.hidden[1] = gradient * (before - candidate) * update * (1.0f - update);
        to.before = gradient * update;
        return to;
    }
};

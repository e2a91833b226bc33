// Gated recurrent unit: r, z = s(W x + b + U h + d), n = tanh(W x + b + r (U h + d)), h' = n + z (h - n).

#pragma once

#include "cell.h"

namespace seqlm {

template <class Mathematics>
struct Gru {
    using Number = typename Mathematics::Number;
    using Gradient = CellGradient<Number, 3>;

    static constexpr int gates = 3;  // reset, update, candidate
    static constexpr int kept = 4;   // r, z, n, and U h + d of n
    static constexpr bool has_memory = false;
    static constexpr bool reaches_back = true;

    SEQLM_INLINE static Number forward(
        const Number* from_input, const Number* from_hidden, Number before, Number, Number* kept
    ) {
        kept[0] = Mathematics::logistic(from_input[0] + from_hidden[0]);
        kept[1] = Mathematics::logistic(from_input[1] + from_hidden[1]);
        kept[2] = Mathematics::tanh(from_input[2] + kept[0] * from_hidden[2]);
        kept[3] = from_hidden[2];
        return kept[2] + kept[1] * (before - kept[2]);
    }

    SEQLM_INLINE static Gradient backward(const Number* kept, Number before, Number, Number gradient, Number) {
        const Number reset = kept[0], update = kept[1], candidate = kept[2], from_hidden = kept[3];
        Gradient to;
        to.input[2] = gradient * (1.0f - update) * (1.0f - candidate * candidate);
        to.hidden[2] = to.input[2] * reset;
        to.input[0] = to.hidden[0] = to.input[2] * from_hidden * reset * (1.0f - reset);
        to.input[1] = to.hidden[1] = gradient * (before - candidate) * update * (1.0f - update);
        to.before = gradient * update;
        return to;
    }
};

}  // namespace seqlm

// The simple recurrent network: h' = f(W x + b + U h + d), where f is tanh or max(0, .).

#pragma once

#include "cell.h"

namespace seqlm {

template <class Mathematics, bool rectified>
struct Rnn {
    using Number = typename Mathematics::Number;
    using Gradient = CellGradient<Number, 1>;

    static constexpr int gates = 1;
    static constexpr int kept = 1;  // h'
    static constexpr bool has_memory = false;
    static constexpr bool reaches_back = false;

    SEQLM_INLINE static Number forward(
        const Number* from_input, const Number* from_hidden, Number, Number, Number* kept
    ) {
        const Number sum = from_input[0] + from_hidden[0];
        // Written so that what is not a number stays so.
        kept[0] = rectified ? (sum < Number{} ? Number{} : sum) : Mathematics::tanh(sum);
        return kept[0];
    }

    SEQLM_INLINE static Gradient backward(const Number* kept, Number, Number, Number gradient, Number) {
        Gradient to;
        if (rectified) {
            to.hidden[0] = kept[0] > Number{} ? gradient : Number{};
        } else {
            to.hidden[0] = gradient * (1.0f - kept[0] * kept[0]);
        }
        to.input[0] = to.hidden[0];
        return to;
    }
};

}  // namespace seqlm

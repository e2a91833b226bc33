// Long short-term memory: c' = s(f) c + s(i) tanh(g), h' = s(o) tanh(c'), where i, f, g, o = W x + b + U h + d.

#pragma once

#include "cell.h"

namespace seqlm {

template <class Mathematics>
struct Lstm {
    using Number = typename Mathematics::Number;
    using Gradient = CellGradient<Number, 4>;

    static constexpr int gates = 4;  // input, forget, candidate, output
    static constexpr int kept = 5;   // s(i), s(f), tanh(g), s(o), c'; a memory is the last
    static constexpr bool has_memory = true;
    static constexpr bool reaches_back = false;

    SEQLM_INLINE static Number forward(
        const Number* from_input, const Number* from_hidden, Number, Number memory, Number* kept
    ) {
        kept[0] = Mathematics::logistic(from_input[0] + from_hidden[0]);
        kept[1] = Mathematics::logistic(from_input[1] + from_hidden[1]);
        kept[2] = Mathematics::tanh(from_input[2] + from_hidden[2]);
        kept[3] = Mathematics::logistic(from_input[3] + from_hidden[3]);
        kept[4] = kept[1] * memory + kept[0] * kept[2];
        return kept[3] * Mathematics::tanh(kept[4]);
    }

    SEQLM_INLINE static Gradient backward(
        const Number* kept, Number, Number memory, Number gradient, Number memory_gradient
    ) {
        const Number input = kept[0], forget = kept[1], candidate = kept[2], output = kept[3];
        const Number after = Mathematics::tanh(kept[4]);
        const Number whole = memory_gradient + gradient * output * (1.0f - after * after);
        Gradient to;
        to.hidden[0] = whole * candidate * input * (1.0f - input);
        to.hidden[1] = whole * memory * forget * (1.0f - forget);
        to.hidden[2] = whole * input * (1.0f - candidate * candidate);
        to.hidden[3] = gradient * after * output * (1.0f - output);
        for (int gate = 0; gate < gates; ++gate) to.input[gate] = to.hidden[gate];
        to.memory = whole * forget;
        return to;
    }
};

}  // namespace seqlm

// Generates text with a recurrent language model, many tokens a call. The C interface of the library.
//
// Every text is computed by itself, so that it does not depend on how many there are. The network computes in float32,
// the decoding rules in float64. seqlm_core/native/generation.py calls this, and has checked all sizes and tokens.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>

#include "../exported.h"
#include "../instruction_sets.h"
#include "decoding.h"
#include "network.h"

namespace {

using seqlm::Drawer;
using seqlm::Network;
using seqlm::Scratch;

// Reads a token, with fresh states if it ends a document; `ends` (vocabulary) says which tokens do, null if none does.
SEQLM_INLINE void read_token(
    const Network& network, Scratch& scratch, const std::uint8_t* ends, std::size_t token, float* states
) {
    if (ends && ends[token]) std::fill_n(states, network.state_size(), 0.0f);
    network.read(token, states, scratch);
}

// A text that is gone on with; seqlm_draw says what is what.
struct Text {
    const double* uniforms;
    const std::uint8_t* ends;
    std::int64_t* last;
    float* states;
    std::uint8_t* seen;
    std::int64_t* tokens;
    double* log_probabilities;
};

SEQLM_INLINE void draw_tokens(
    const Network& network, Drawer& drawer, Scratch& scratch, const Text& text, std::size_t count
) {
    const float* scores = scratch.scores.data();
    auto token = static_cast<std::size_t>(*text.last);
    for (std::size_t i = 0; i < count; ++i) {
        if (text.seen) text.seen[token] = 1;
        read_token(network, scratch, text.ends, token, text.states);
        if (network.has_clusters() && drawer.has_no_rules()) {
            token = network.draw(text.states, scratch, text.uniforms[i], text.log_probabilities[i]);
        } else {
            network.predict(text.states, scratch);
            token = drawer.draw(scores, scratch.log_total, text.seen, text.uniforms[i]);
            text.log_probabilities[i] = scores[token] - scratch.log_total;
        }
        text.tokens[i] = static_cast<std::int64_t>(token);
    }
    *text.last = static_cast<std::int64_t>(token);
}

SEQLM_INLINE void read_tokens(
    const Network& network,
    Scratch& scratch,
    const std::uint8_t* ends,
    float* states,
    const std::int64_t* tokens,
    std::size_t count
) {
    for (std::size_t i = 0; i < count; ++i)
        read_token(network, scratch, ends, static_cast<std::size_t>(tokens[i]), states);
}

// The two functions above, compiled for one instruction set. Any gives the same to rounding.
struct Functions {
    decltype(&draw_tokens) draw;
    decltype(&read_tokens) read;
};

#define SEQLM_FUNCTIONS(name, target)                                                                                 \
    target void draw_##name(const Network& n, Drawer& d, Scratch& s, const Text& text, std::size_t count) {           \
        draw_tokens(n, d, s, text, count);                                                                            \
    }                                                                                                                 \
    target void read_##name(                                                                                          \
        const Network& n,                                                                                             \
        Scratch& s,                                                                                                   \
        const std::uint8_t* ends,                                                                                     \
        float* states,                                                                                                \
        const std::int64_t* tokens,                                                                                   \
        std::size_t count                                                                                             \
    ) {                                                                                                               \
        read_tokens(n, s, ends, states, tokens, count);                                                               \
    }                                                                                                                 \
    constexpr Functions name = {draw_##name, read_##name};

SEQLM_FUNCTIONS(portable, )

#if defined(SEQLM_X86_64)
SEQLM_FUNCTIONS(avx2, __attribute__((target(SEQLM_AVX2))))
SEQLM_FUNCTIONS(avx512, __attribute__((target(SEQLM_AVX512))))

constexpr Functions functions[] = {portable, avx2, avx512};
#else
constexpr Functions functions[] = {portable};
#endif

struct Model {
    Network network;
    Functions functions;
};

}  // namespace

// The number of this interface. It changes whenever the interface does.
SEQLM_EXPORT int seqlm_interface() { return 7; }

// The name of an instruction set that the functions can be chosen for, from 0 on, the slowest first; null beyond the last.
SEQLM_EXPORT const char* seqlm_instruction_set(std::size_t number) {
    return seqlm::instruction_set_name(number, std::size(functions));
}

// Makes a model of weights, which are copied; see Network. Returns null where there is no memory for it, or no cell of
// this name. layer_weights, cluster_weights: two for each layer or cluster; projection, output: one. Those that are not
// looked at may be null. cluster_sizes: of each cluster of an adaptive softmax its tokens and the outputs of its
// projection.
SEQLM_EXPORT void* seqlm_new_model(
    std::size_t instruction_set,
    const char* cell,
    std::size_t vocabulary,
    std::size_t layers,
    std::size_t channels,
    std::size_t projected,
    const std::size_t* units,
    const float* inputs,
    const seqlm::Weights* layer_weights,
    const seqlm::Weights* projection,
    const seqlm::Weights* output,
    std::size_t clusters,
    const std::size_t* cluster_sizes,
    const seqlm::Weights* cluster_weights
) try {
    const seqlm::CellFacts* const found = seqlm::cell_named(cell);
    if (!found) return nullptr;
    seqlm::Sizes sizes{found->kind, vocabulary, channels, projected, {units, units + layers}, {}};
    for (std::size_t i = 0; i < clusters; ++i) sizes.clusters.push_back({cluster_sizes[2 * i], cluster_sizes[2 * i + 1]});
    return new Model{
        Network(sizes, inputs, layer_weights, *projection, *output, cluster_weights),
        functions[instruction_set],
    };
} catch (const std::exception&) {
    return nullptr;
}

SEQLM_EXPORT void seqlm_delete_model(void* model) { delete static_cast<Model*>(model); }

// Numbers in the states of one text. At the beginning of a text they are 0.
SEQLM_EXPORT std::size_t seqlm_state_size(const void* model) {
    return static_cast<const Model*>(model)->network.state_size();
}

// Reads `count` tokens of one text. Returns whether there was memory for it.
//
// ends (vocabulary): whether each token ends a document, so that it is read with fresh states; null if none does.
SEQLM_EXPORT bool seqlm_read(
    const void* model, const std::uint8_t* ends, const std::int64_t* tokens, std::size_t count, float* states
) try {
    const Model& m = *static_cast<const Model*>(model);
    Scratch scratch = m.network.scratch();
    m.functions.read(m.network, scratch, ends, states, tokens, count);
    return true;
} catch (const std::exception&) {
    return false;
}

// Goes on with `texts` texts by `positions` tokens. Returns whether there was memory for it.
//
// ends: see seqlm_read.
// last (texts): the last token of each, which has not been read; afterwards the one that was drawn last.
// states (texts, state size), seen (texts, vocabulary; null without a repetition penalty): likewise carried on.
// uniforms (texts, positions): the random numbers to draw by, from 0 to below 1.
// tokens, log_probabilities (texts, positions): take what is drawn, and what the model gave to it, in nats.
SEQLM_EXPORT bool seqlm_draw(
    const void* model,
    double repetition_penalty,
    double temperature,
    std::size_t top_k,
    double top_p,
    double min_p,
    std::size_t texts,
    std::size_t positions,
    const double* uniforms,
    const std::uint8_t* ends,
    std::int64_t* last,
    float* states,
    std::uint8_t* seen,
    std::int64_t* tokens,
    double* log_probabilities
) try {
    const Model& m = *static_cast<const Model*>(model);
    const std::size_t vocabulary = m.network.vocabulary();
    Scratch scratch = m.network.scratch();
    seqlm::Drawer drawer({repetition_penalty, temperature, top_k, top_p, min_p}, vocabulary);
    for (std::size_t i = 0; i < texts; ++i) {
        const Text text{
            uniforms + i * positions,
            ends,
            last + i,
            states + i * m.network.state_size(),
            seen ? seen + i * vocabulary : nullptr,
            tokens + i * positions,
            log_probabilities + i * positions,
        };
        m.functions.draw(m.network, drawer, scratch, text, positions);
    }
    return true;
} catch (const std::exception&) {
    return false;
}

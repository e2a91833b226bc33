// A language model that reads one token after the other and says how probable each token is to come next.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "matrix.h"
#include "step.h"

namespace seqlm {

// A cluster of an adaptive softmax: tokens that are predicted in two steps, first the cluster and then the token.
struct ClusterSizes {
    std::size_t tokens;
    std::size_t inputs;  // outputs of the cluster's own projection; 0 where it has none
};

struct Sizes {
    CellKind cell;
    std::size_t vocabulary;
    std::size_t channels;  // of the embeddings; 0 where the lowest layer's product with each token is known
    std::size_t projected;  // outputs of the projection of the uppermost layer; 0 where there is none
    std::vector<std::size_t> units;  // of each layer
    std::vector<ClusterSizes> clusters;  // of the last tokens of the vocabulary; none where all are predicted at once

    // Tokens that are predicted at once.
    std::size_t shortlist() const {
        std::size_t count = vocabulary;
        for (const ClusterSizes& cluster : clusters) count -= cluster.tokens;
        return count;
    }
};

// What is computed on the way from a token to the scores of the next.
struct Scratch {
    Array from_input, from_hidden, projected, scores;
    Array first_scores, cluster_input, cluster_scores;  // of an adaptive softmax
    double log_total = 0;  // the log-probability of token v is scores[v] - log_total
    const float* hidden = nullptr;  // what the clusters are predicted from
};

class Network {
public:
    // inputs: what each token becomes: its embedding (vocabulary, channels), or what the lowest layer makes of it
    // (vocabulary, gates * units of the lowest layer). layers: of each layer its weights from input to gates and from
    // hidden vector to gates; the first of the lowest layer are not looked at where `channels` is 0. The projection's
    // are not where there is none. output: of each token or, with clusters, of each token of the shortlist and of each
    // cluster. clusters: of each its projection, which is not looked at where it has none, and its tokens.
    Network(
        const Sizes& sizes,
        const float* inputs,
        const Weights* layers,
        const Weights& projection,
        const Weights& output,
        const Weights* clusters
    )
        : sizes_(sizes),
          output_(
              output, 1, sizes.shortlist() + sizes.clusters.size(),
              sizes.projected ? sizes.projected : sizes.units.back()
          ) {
        if (sizes.projected) projection_ = Affine(projection, 1, sizes.projected, sizes.units.back());
        const std::size_t gates = gates_of(sizes.cell);
        const std::size_t parts = sizes.channels ? 1 : gates;
        const std::size_t part = sizes.channels ? sizes.channels : sizes.units.front();
        input_stride_ = parts * padded(part);
        inputs_ = Array(sizes.vocabulary * input_stride_);
        for (std::size_t token = 0; token < sizes.vocabulary; ++token)
            copy_padded(inputs + token * parts * part, parts, part, inputs_.data() + token * input_stride_);
        std::size_t channels = sizes.channels;
        for (const std::size_t units : sizes.units) {
            from_input_.push_back(channels ? Affine(layers[0], gates, units, channels) : Affine());
            from_hidden_.emplace_back(layers[1], gates, units, units);
            top_ = state_size_;
            state_size_ += states_of(sizes.cell) * padded(units);
            channels = units;
            layers += 2;
        }
        hide_padding(output_, sizes.shortlist() + sizes.clusters.size());
        const std::size_t hidden = sizes.projected ? sizes.projected : sizes.units.back();
        for (const ClusterSizes& cluster : sizes.clusters) {
            cluster_inputs_.push_back(cluster.inputs ? Affine(clusters[0], 1, cluster.inputs, hidden) : Affine());
            cluster_outputs_.emplace_back(clusters[1], 1, cluster.tokens, cluster.inputs ? cluster.inputs : hidden);
            hide_padding(cluster_outputs_.back(), cluster.tokens);
            clusters += 2;
        }
    }

    std::size_t vocabulary() const { return sizes_.vocabulary; }

    // Numbers in the states of one text: for each layer its states, each padded.
    std::size_t state_size() const { return state_size_; }

    Scratch scratch() const {
        std::size_t gates = 0;
        for (const Affine& from_hidden : from_hidden_) gates = std::max(gates, from_hidden.outputs());
        if (sizes_.clusters.empty())
            return {Array(gates), Array(gates), Array(projection_.outputs()), Array(output_.outputs()), {}, {}, {}};
        std::size_t inputs = 0, tokens = 0;
        for (const Affine& input : cluster_inputs_) inputs = std::max(inputs, input.outputs());
        for (const Affine& output : cluster_outputs_) tokens = std::max(tokens, output.outputs());
        return {Array(gates), Array(gates), Array(projection_.outputs()), Array(sizes_.vocabulary),
                Array(output_.outputs()), Array(inputs), Array(tokens)};
    }

    // Reads a token.
    SEQLM_INLINE void read(std::size_t token, float* states, Scratch& scratch) const {
        const float* below = inputs_.data() + token * input_stride_;
        for (std::size_t layer = 0; layer < sizes_.units.size(); ++layer) {
            const std::size_t size = padded(sizes_.units[layer]);
            const float* from_input = below;
            if (layer || sizes_.channels) {
                from_input_[layer](below, scratch.from_input.data());
                from_input = scratch.from_input.data();
            }
            from_hidden_[layer](states, scratch.from_hidden.data());
            step(sizes_.cell, from_input, scratch.from_hidden.data(), states, size);
            below = states;
            states += states_of(sizes_.cell) * size;
        }
    }

    // Scores all tokens by the output of the uppermost layer.
    SEQLM_INLINE void predict(const float* states, Scratch& scratch) const {
        float* scores = scratch.scores.data();
        if (sizes_.clusters.empty()) {
            output_(hidden(states, scratch), scores);
            scratch.log_total = log_total_of(scores, output_.outputs());
            return;
        }
        predict_first(states, scratch);
        const float* const first = scratch.first_scores.data();
        const std::size_t shortlist = sizes_.shortlist();
        std::copy_n(first, shortlist, scores);
        scores += shortlist;
        for (std::size_t cluster = 0; cluster < sizes_.clusters.size(); ++cluster) {
            const std::size_t tokens = sizes_.clusters[cluster].tokens;
            const double within_total = predict_within(cluster, scratch);
            add(scratch.cluster_scores.data(), static_cast<float>(first[shortlist + cluster] - within_total), scores, tokens);
            scores += tokens;
        }
        scratch.log_total = 0;
    }

    bool has_clusters() const { return !sizes_.clusters.empty(); }

    // Draws a token by the model's own probabilities, without <unk>, and computes no cluster but the one that is drawn.
    // Returns the token that a random number from 0 to below 1 draws, and its log-probability.
    SEQLM_INLINE std::size_t draw(const float* states, Scratch& scratch, double uniform, double& log_probability) const {
        predict_first(states, scratch);
        const float* const first = scratch.first_scores.data();
        const std::size_t shortlist = sizes_.shortlist(), classes = shortlist + sizes_.clusters.size();
        double total = 0;
        for (std::size_t c = 1; c < classes; ++c) total += exponential(first[c]);
        double left = uniform * total, weight = 0;
        std::size_t drawn = 1;
        // What rounding leaves over goes to the last one.
        for (; drawn < classes; ++drawn) {
            weight = exponential(first[drawn]);
            if (left < weight || drawn + 1 == classes) break;
            left -= weight;
        }
        log_probability = first[drawn];
        if (!std::isfinite(total)) return 1;  // a model whose numbers overflow predicts nothing
        if (drawn < shortlist) return drawn;
        const std::size_t cluster = drawn - shortlist, tokens = sizes_.clusters[cluster].tokens;
        const double within_total = predict_within(cluster, scratch);
        const float* const within = scratch.cluster_scores.data();
        left /= weight;
        std::size_t place = 0;
        for (; place + 1 < tokens; ++place) {
            const double share = exponential(static_cast<float>(within[place] - within_total));
            if (left < share) break;
            left -= share;
        }
        log_probability += within[place] - within_total;
        std::size_t before = shortlist;
        for (std::size_t other = 0; other < cluster; ++other) before += sizes_.clusters[other].tokens;
        return before + place;
    }

private:
    // What the output layer reads: the output of the uppermost layer, or its projection.
    SEQLM_INLINE const float* hidden(const float* states, Scratch& scratch) const {
        if (!sizes_.projected) return states + top_;
        projection_(states + top_, scratch.projected.data());
        return scratch.projected.data();
    }

    // The log-probabilities of the shortlist's tokens and of the clusters.
    SEQLM_INLINE void predict_first(const float* states, Scratch& scratch) const {
        float* const first = scratch.first_scores.data();
        scratch.hidden = hidden(states, scratch);
        output_(scratch.hidden, first);
        const double log_total = log_total_of(first, output_.outputs());
        for (std::size_t c = 0; c < output_.outputs(); ++c) first[c] -= static_cast<float>(log_total);
    }

    // Scores the tokens of a cluster. Returns what has to be taken from the scores to get log-probabilities.
    SEQLM_INLINE double predict_within(std::size_t cluster, Scratch& scratch) const {
        const float* input = scratch.hidden;
        if (sizes_.clusters[cluster].inputs) {
            cluster_inputs_[cluster](input, scratch.cluster_input.data());
            input = scratch.cluster_input.data();
        }
        float* const within = scratch.cluster_scores.data();
        cluster_outputs_[cluster](input, within);
        return log_total_of(within, cluster_outputs_[cluster].outputs());
    }

    // What is no token has no probability.
    static void hide_padding(Affine& output, std::size_t tokens) {
        for (std::size_t v = tokens; v < output.outputs(); ++v) output.bias()[v] = -1e30f;
    }

    SEQLM_INLINE static void add(
        const float* __restrict from, float summand, float* __restrict to, std::size_t count
    ) {
        for (std::size_t i = 0; i < count; ++i) to[i] = from[i] + summand;
    }

    // The logarithm of the sum of the exponentials of scores.
    SEQLM_INLINE static double log_total_of(const float* scores, std::size_t size) {
        const float highest = largest_of(scores, size);
        float sums[block] = {};  // of each place in a block
        for (std::size_t v = 0; v < size; v += block)
            for (std::size_t i = 0; i < block; ++i) sums[i] += exponential(scores[v + i] - highest);
        double total = 0;
        for (std::size_t i = 0; i < block; ++i) total += sums[i];
        return highest + std::log(total);
    }

    Sizes sizes_;
    std::size_t input_stride_ = 0;
    std::size_t state_size_ = 0, top_ = 0;  // numbers in all states, and in those below the uppermost layer's
    Array inputs_;
    std::vector<Affine> from_input_, from_hidden_;
    Affine projection_, output_;
    std::vector<Affine> cluster_inputs_, cluster_outputs_;
};

}  // namespace seqlm

// The decoding rules and the draw of seqlm_core/generation/decoding.py, which says what each rule means.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "matrix.h"

namespace seqlm {

struct Rules {
    double repetition_penalty, temperature;
    std::size_t top_k;
    double top_p, min_p;
};

// Draws tokens by the rules. Token 0 is <unk>, which is never drawn.
class Drawer {
public:
    Drawer(const Rules& rules, std::size_t vocabulary) : rules_(rules), weights_(vocabulary), sums_(vocabulary / stretch + 1) {}

    // Whether tokens are drawn by the model's own probabilities.
    bool has_no_rules() const {
        const Rules& r = rules_;
        return r.repetition_penalty == 1 && r.temperature == 1 && !r.top_k && r.top_p >= 1 && r.min_p <= 0;
    }

    // Returns the token that a random number from 0 to below 1 draws by the model's log-probabilities, which are
    // scores[v] - log_total. `seen` says which tokens are in the text already; null where there is no penalty.
    SEQLM_INLINE std::size_t draw(const float* scores, double log_total, const std::uint8_t* seen, double uniform) {
        const std::size_t size = weights_.size();
        double highest;
        if (seen) {
            for (std::size_t v = 0; v < size; ++v)
                weights_[v] = (scores[v] - log_total) * (seen[v] ? rules_.repetition_penalty : 1);
            highest = largest_of(weights_.data() + 1, size - 1);
        } else {
            highest = largest_of(scores + 1, size - 1);
        }
        // A model whose numbers overflow predicts nothing, and the functions below need numbers that can be ordered.
        if (!std::isfinite(log_total) || !std::isfinite(highest)) return 1;
        if (seen) return draw_among(weights_.data(), highest, uniform);
        return draw_among(scores, highest, uniform);
    }

private:
    // `highest` is the largest of the scores but the first.
    template <class Number>
    SEQLM_INLINE std::size_t draw_among(const Number* scores, double highest, double uniform) {
        const std::size_t size = weights_.size();
        if (rules_.temperature == 0) return std::find(scores + 1, scores + size, highest) - scores;
        const double factor = 1 / rules_.temperature;
        for (std::size_t v = 0; v < size; ++v) {
            const double score = (scores[v] - highest) * factor;
            weights_[v] = exponential(static_cast<float>(std::min(std::max(score, -100.0), 100.0)));
        }
        weights_[0] = 0;
        if (rules_.top_k && rules_.top_k < size) keep_largest(rules_.top_k);
        if (rules_.top_p < 1) keep_share(rules_.top_p);
        if (rules_.min_p > 0) keep_from(rules_.min_p);  // the largest weight is 1
        return draw_by_weight(uniform);
    }

    // Sets weights below a number to 0.
    void keep_from(double smallest) {
        for (double& weight : weights_)
            if (weight < smallest) weight = 0;
    }

    void keep_largest(std::size_t count) {
        ranked_ = weights_;
        std::nth_element(ranked_.begin(), ranked_.begin() + (count - 1), ranked_.end(), std::greater<>());
        keep_from(ranked_[count - 1]);
    }

    // Keeps the fewest largest weights that make up a share of all; what equals the last of them is kept.
    void keep_share(double share) {
        double total = 0, sum = 0;
        for (double weight : weights_) total += weight;
        ranked_ = weights_;
        // A heap gives the largest one by one. Few are wanted as a rule, so this is faster than sorting all.
        std::make_heap(ranked_.begin(), ranked_.end());
        auto end = ranked_.end();
        double last = 0;
        do {
            last = ranked_.front();
            sum += last;
            std::pop_heap(ranked_.begin(), end);
            --end;
        } while (sum / total < share && end != ranked_.begin());
        keep_from(last);
    }

    // The weights are added up by stretches, and then one after the other within one stretch alone.
    SEQLM_INLINE std::size_t draw_by_weight(double uniform) {
        const std::size_t size = weights_.size();
        double total = 0;
        for (std::size_t first = 0; first < size; first += stretch) total += sums_[first / stretch] = sum_from(first);
        double left = uniform * total;
        std::size_t first = 0;
        while (left >= sums_[first / stretch] && first + stretch < size) left -= sums_[first / stretch], first += stretch;
        std::size_t drawn = 1;
        for (std::size_t v = first; v < size; ++v) {
            if (weights_[v] > 0) drawn = v;
            if (left < weights_[v]) return v;
            left -= weights_[v];
        }
        // What rounding leaves over goes to the last token that has a weight.
        for (std::size_t v = first; drawn < first && v-- > 1;)
            if (weights_[v] > 0) return v;
        return drawn;
    }

    SEQLM_INLINE double sum_from(std::size_t first) const {
        const std::size_t end = std::min(first + stretch, weights_.size()), whole = first + (end - first) / 8 * 8;
        double sums[8] = {};
        for (std::size_t v = first; v < whole; v += 8)
            for (std::size_t i = 0; i < 8; ++i) sums[i] += weights_[v + i];
        double sum = 0;
        for (double part : sums) sum += part;
        for (std::size_t v = whole; v < end; ++v) sum += weights_[v];
        return sum;
    }

    static constexpr std::size_t stretch = 256;

    Rules rules_;
    std::vector<double> weights_, ranked_, sums_;
};

}  // namespace seqlm

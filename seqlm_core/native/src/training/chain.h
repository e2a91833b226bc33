// The loss of a linear chain of labels: a conditional random field (Lafferty et al. 2001).
//
// The sums over all sequences of labels are made by the forward and the backward algorithm (Rabiner 1989), with sums that
// are scaled at each time step, in doubles. Each member computes some of the sequences.
//
// Included by compiled_for.h, in the namespace of one instruction set.

class Chain {
public:
    Chain(const ChainForward& work, ChainState& state, int members)
        : work_(work),
          labels_(work.labels),
          members_(useful_members(members, 3 * work.time * work.batch * work.labels * work.labels)),
          // Of each member: the scaled scores and sums of each time step, and vectors.
          own_(2 * work.time * work.labels + work.time + 3 * work.labels + work.labels * work.labels),
          shared_(2 * work.labels * work.labels + work.labels) {
        const std::size_t doubles = shared_ + own_ * static_cast<std::size_t>(members_);
        scratch_ = reinterpret_cast<double*>(state.scratch.room(2 * doubles));
        state_.scores = state.scores.room(work.time * work.batch * work.labels);
        state_.transitions = state.transitions.room(work.batch * work.labels * work.labels);
    }

    // Computes the losses, and keeps what their gradients are made of.
    void forward(float* losses) {
        double* const highest = scratch_;
        double* const factors = highest + labels_;
        double* const turned = factors + labels_ * labels_;
        for (std::size_t to = 0; to < labels_; ++to) {
            double most = work_.transitions[to];
            for (std::size_t from = 1; from < labels_; ++from) {
                const double here = work_.transitions[from * labels_ + to];
                most = here > most ? here : most;
            }
            highest[to] = most;
            for (std::size_t from = 0; from < labels_; ++from) {
                const double factor = std::exp(work_.transitions[from * labels_ + to] - most);
                factors[from * labels_ + to] = turned[to * labels_ + from] = factor;
            }
        }
        in_phases(members_, 1, [&](const Member& member, std::size_t) {
            Sums own(*this, scratch_ + shared_ + own_ * static_cast<std::size_t>(member.index));
            const Range sequences = part_of(work_.batch, member);
            for (std::size_t sequence = sequences.first; sequence < sequences.last; ++sequence)
                losses[sequence] = static_cast<float>(loss(own, sequence));
        });
    }

private:
    // What a member computes with for one sequence.
    struct Sums {
        double* scaled;   // (time, labels)
        double* forward;  // (time, labels), the sum of each time step 1
        double* totals;   // (time), by which they were divided
        double* backward;
        double* next;
        double* last;
        double* pairs;  // (labels, labels), without the factors of the transitions

        Sums(const Chain& chain, double* memory) {
            const std::size_t labels = chain.labels_, all = chain.work_.time * labels;
            scaled = memory;
            forward = scaled + all;
            totals = forward + all;
            backward = totals + chain.work_.time;
            next = backward + labels;
            last = next + labels;
            pairs = last + labels;
        }
    };

    double loss(const Sums& own, std::size_t sequence) const {
        const auto length = static_cast<std::size_t>(work_.lengths[sequence]);
        const std::size_t stride = work_.batch * labels_;
        float* const scores = state_.scores + sequence * labels_;
        float* const transitions = state_.transitions + sequence * labels_ * labels_;
        for (std::size_t t = 0; t < work_.time; ++t)
            for (std::size_t label = 0; label < labels_; ++label) scores[t * stride + label] = 0;
        for (std::size_t i = 0; i < labels_ * labels_; ++i) transitions[i] = 0;
        const double all = add_probabilities(own, sequence, length, false, 1);
        bool all_known = true;
        for (std::size_t t = 0; t < length; ++t) all_known = all_known && target(t, sequence) >= 0;
        return all - (all_known ? add_path(sequence, length) : add_probabilities(own, sequence, length, true, -1));
    }

    std::int32_t target(std::size_t t, std::size_t sequence) const { return work_.targets[t * work_.batch + sequence]; }

    // Returns the score of the sequence of targets, and subtracts it from what the gradients are made of.
    double add_path(std::size_t sequence, std::size_t length) const {
        double total = 0;
        for (std::size_t t = 0; t < length; ++t) {
            const auto here = static_cast<std::size_t>(target(t, sequence));
            const std::size_t place = (t * work_.batch + sequence) * labels_ + here;
            total += work_.scores[place];
            state_.scores[place] -= 1;
            if (t == 0) {
                total += work_.first[here];
                continue;
            }
            const std::size_t pair = static_cast<std::size_t>(target(t - 1, sequence)) * labels_ + here;
            total += work_.transitions[pair];
            state_.transitions[sequence * labels_ * labels_ + pair] -= 1;
        }
        return total + work_.last[static_cast<std::size_t>(target(length - 1, sequence))];
    }

    // Returns the logarithm of the sum over all sequences of labels, or over those that fit the targets, and adds the
    // probabilities of labels and of pairs of them, times `sign`, to what the gradients are made of.
    double add_probabilities(const Sums& own, std::size_t sequence, std::size_t length, bool fit, float sign) const {
        const double* const highest = scratch_;
        const double* const factors = highest + labels_;
        const double* const turned = factors + labels_ * labels_;
        double logarithm = 0;
        for (std::size_t t = 0; t < length; ++t) {
            double* const scaled = own.scaled + t * labels_;
            logarithm += scale(
                scaled, work_.scores + (t * work_.batch + sequence) * labels_,
                [&](std::size_t label) { return t ? highest[label] : work_.first[label]; }, fit ? target(t, sequence) : -1
            );
            double* const sums = own.forward + t * labels_;
            if (t)
                multiply_row(own.forward + (t - 1) * labels_, factors, sums);
            else
                for (std::size_t label = 0; label < labels_; ++label) sums[label] = 1;
            double total = 0;
            for (std::size_t label = 0; label < labels_; ++label) total += sums[label] *= scaled[label];
            for (std::size_t label = 0; label < labels_; ++label) sums[label] /= total;
            own.totals[t] = total;
            logarithm += std::log(total);
        }
        for (std::size_t label = 0; label < labels_; ++label) own.next[label] = 0;
        double total = 0;
        const double* const sums = own.forward + (length - 1) * labels_;
        logarithm += scale(own.last, nullptr, [&](std::size_t label) { return work_.last[label]; }, -1);
        for (std::size_t label = 0; label < labels_; ++label) total += sums[label] * own.last[label];
        logarithm += std::log(total);
        for (std::size_t label = 0; label < labels_; ++label) own.backward[label] = own.last[label] / total;
        for (std::size_t i = 0; i < labels_ * labels_; ++i) own.pairs[i] = 0;
        for (std::size_t t = length; t-- > 0;) {
            const double* const here = own.forward + t * labels_;
            float* const scores = state_.scores + (t * work_.batch + sequence) * labels_;
            for (std::size_t label = 0; label < labels_; ++label)
                scores[label] += sign * static_cast<float>(here[label] * own.backward[label]);
            if (t == 0) break;
            const double* const scaled = own.scaled + t * labels_;
            const double* const earlier = here - labels_;
            for (std::size_t label = 0; label < labels_; ++label)
                own.next[label] = scaled[label] * own.backward[label] / own.totals[t];
            for (std::size_t from = 0; from < labels_; ++from) {
                double* __restrict const pairs = own.pairs + from * labels_;
                const double* __restrict const next = own.next;
                const double share = earlier[from];
                for (std::size_t to = 0; to < labels_; ++to) pairs[to] += share * next[to];
            }
            multiply_row(own.next, turned, own.backward);
        }
        float* const transitions = state_.transitions + sequence * labels_ * labels_;
        for (std::size_t i = 0; i < labels_ * labels_; ++i)
            transitions[i] += sign * static_cast<float>(own.pairs[i] * factors[i]);
        return logarithm;
    }

    // Writes exp(scores + others - highest), or 0 for all labels but one, and returns the highest.
    template <class Others>
    SEQLM_INLINE double scale(double* scaled, const float* scores, const Others& others, std::int32_t only) const {
        double highest = -std::numeric_limits<double>::infinity();
        for (std::size_t label = 0; label < labels_; ++label) {
            const bool is_one = only < 0 || label == static_cast<std::size_t>(only);
            const double sum = (scores ? scores[label] : 0.0) + others(label);
            scaled[label] = is_one ? sum : -std::numeric_limits<double>::infinity();
            highest = scaled[label] > highest ? scaled[label] : highest;
        }
        for (std::size_t label = 0; label < labels_; ++label) scaled[label] = std::exp(scaled[label] - highest);
        return highest;
    }

    // to = row @ matrix
    SEQLM_INLINE void multiply_row(const double* row, const double* matrix, double* __restrict to) const {
        for (std::size_t j = 0; j < labels_; ++j) to[j] = 0;
        for (std::size_t i = 0; i < labels_; ++i) {
            const double* __restrict const here = matrix + i * labels_;
            const double factor = row[i];
            for (std::size_t j = 0; j < labels_; ++j) to[j] += factor * here[j];
        }
    }

    struct {
        float* scores;
        float* transitions;
    } state_;
    const ChainForward& work_;
    const std::size_t labels_;
    const int members_;
    const std::size_t own_, shared_;
    double* scratch_;
};

void chain_forward(const ChainForward& work, float* losses, ChainState& state, int members) {
    Chain(work, state, members).forward(losses);
}

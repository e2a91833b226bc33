// What the kernels compute, whatever instruction set they are compiled for.
//
// Arrays are of float32, row by row, without gaps. A "row" of a layer is one time step of one sequence: row
// t * batch + b is time step t of sequence b.

#pragma once

#include <cstddef>
#include <cstdint>

#include "../cells/cells.h"
#include "../instruction_sets.h"
#include "memory.h"

namespace seqlm {

struct LayerSizes {
    CellKind cell;
    std::size_t time, batch, units;
    bool reverse;  // read each sequence from its end

    std::size_t rows() const { return time * batch; }
    std::size_t outputs() const { return gates_of(cell) * units; }  // of the products with the weights
};

// A recurrent layer that reads. What lies beyond the end of a sequence is not read; its outputs are 0.
struct LayerForward {
    LayerSizes sizes;
    const float* inputs;          // what the layer's input weights and bias make of its inputs: (rows, gates * units);
    const std::int32_t* tokens;   // or, where this is not null, of each token of a vocabulary, and the row's token
    const std::int32_t* lengths;  // (batch); null where all sequences are `time` long
    const std::int32_t* resets;   // (rows): 1 where the state is 0 again before the row is read; null where it never is
    const float* weight;          // (gates * units, units)
    const float* bias;            // (gates * units)
    const float* hidden;          // (batch, units), before the first time step
    const float* memory;          // the same of the memory of an lstm, else null
    float* outputs;               // (rows, units)
    float* last_hidden;           // (batch, units), after the last time step of each sequence
    float* last_memory;
};

// The gradients of its arrays.
struct LayerBackward {
    const float* outputs;
    const float* last_hidden;
    const float* last_memory;
    float* inputs;
    std::size_t vocabulary;  // rows of `inputs` where there are tokens
    float* weight;
    float* bias;
    float* hidden;
    float* memory;
};

// What a layer keeps from forward to backward, and memory for both.
struct LayerState {
    Buffer activations, hidden, packed, scratch;
    Buffer zeros;  // nothing is written here
};

// Of a linear projection of rows, which are those of a layer, or of a table (time is 1 then).
struct ProjectionSizes {
    std::size_t time, batch, inputs, outputs;

    std::size_t rows() const { return time * batch; }
};

struct ProjectionForward : ProjectionSizes {
    const float* rows;    // (time * batch, inputs)
    const float* weight;  // (outputs, inputs)
    const float* bias;    // (outputs)
};

// The gradients of its arrays.
struct ProjectionBackward {
    float* rows;
    float* weight;
    float* bias;
};

struct ProjectionState {
    Buffer packed, scratch;
};

// What a projection to classes with a softmax keeps from forward to backward.
struct SoftmaxState {
    Buffer probabilities;
    ProjectionState projection;
};

struct ChainSizes {
    std::size_t time, batch, labels;
};

// Sequences of labels whose scores depend on labels at their places, and on labels next to each other.
struct ChainForward : ChainSizes {
    const float* scores;          // (time * batch, labels)
    const float* first;           // (labels), of a label at the beginning
    const float* transitions;     // (labels, labels), of a label after another
    const float* last;            // (labels), of a label at the end
    const std::int32_t* targets;  // (time * batch), -1 for any label
    const std::int32_t* lengths;  // (batch), from 1 to time
};

// What the gradients are made of: of the loss of each sequence, by the scores of labels, and of pairs.
struct ChainState {
    Buffer scores;       // (time * batch, labels), 0 after the end of a sequence
    Buffer transitions;  // (batch, labels, labels)
    Buffer scratch;
};

// One parameter and what its update reads and writes.
struct Parameter {
    std::size_t size;
    float* weight;
    const float* gradient;
    float* mean;    // the momentum, or the running mean of the gradient
    float* square;  // the running mean of its square
};

// How the parameters are updated. g is the gradient, scaled by `rescale` and so that the norm of all gradients together
// is at most `clip_norm`, unless that is 0; plus weight_decay * weight.
struct UpdateRule {
    enum class Kind {
        sgd,       // weight -= learning_rate g
        momentum,  // weight += mean = mean_decay mean - learning_rate g
        nesterov,  // likewise, and weight += mean_decay mean - learning_rate g
        rmsprop,   // weight -= learning_rate g / sqrt(square + epsilon)
        adam       // weight -= learning_rate mean / (sqrt(square) + epsilon)
    };
    Kind kind;
    float learning_rate, weight_decay, mean_decay, square_decay, epsilon, rescale;
    double clip_norm;
};

// The kernels, compiled for one instruction set. All divide the work among so many members, and give
// the same on every call with the same number of them.
struct Kernels {
    void (*layer_forward)(const LayerForward&, LayerState&, int members);
    void (*layer_backward)(const LayerForward&, const LayerBackward&, LayerState&, int members);
    // products (time * batch, outputs): what comes out, and its gradient.
    void (*projection_forward)(const ProjectionForward&, float* products, ProjectionState&, int members);
    void (*projection_backward)(
        const ProjectionForward&, const float* products, const ProjectionBackward&, ProjectionState&, int members
    );
    // targets (time * batch): classes, which are the outputs of the projection. losses (time * batch): the
    // cross-entropies with them in nats, and their gradients.
    void (*softmax_forward)(const ProjectionForward&, const std::int32_t* targets, float* losses, SoftmaxState&, int members);
    void (*softmax_backward)(
        const ProjectionForward&, const std::int32_t* targets, const float* losses, const ProjectionBackward&,
        SoftmaxState&, int members
    );
    // losses (batch): the negative logarithms of the probabilities of the targets, in nats.
    void (*chain_forward)(const ChainForward&, float* losses, ChainState&, int members);
    // sums: room for one number of each member.
    void (*update)(const UpdateRule&, const Parameter*, std::size_t count, double* sums, int members);
};

// Clang cannot choose an instruction set for the rest of a file.
#if defined(SEQLM_X86_64) && !defined(__clang__)
#define SEQLM_HAS_AVX
#if __GNUC__ >= 10
#define SEQLM_HAS_BF16
#endif
#if __GNUC__ >= 11 && defined(__linux__)
#define SEQLM_HAS_AMX
#endif
#endif

namespace portable {
extern const Kernels kernels;
}
namespace avx2 {
extern const Kernels kernels;
}
namespace avx512 {
extern const Kernels kernels;
}
namespace avx512_bf16 {  // rounds the factors of products to bfloat16
extern const Kernels kernels;
}
namespace amx_bf16 {  // likewise
extern const Kernels kernels;
}

// Of each instruction set that they are compiled for.
constexpr const Kernels* all_kernels[] = {
    &portable::kernels,
#if defined(SEQLM_HAS_AVX)
    &avx2::kernels,
    &avx512::kernels,
#endif
#if defined(SEQLM_HAS_BF16)
    &avx512_bf16::kernels,
#endif
#if defined(SEQLM_HAS_AMX)
    &amx_bf16::kernels,
#endif
};

}  // namespace seqlm

// All kernels, compiled for the instruction set SEQLM_INSTRUCTION_SET: in a namespace of that name, with vectors of
// SEQLM_LANES floats and tiles of SEQLM_TILE_VECTORS of them, with the factors of SEQLM_FACTORS, which are multiplied by the
// micro-kernel of SEQLM_TILES.
//
// The headers of the standard library come before the compiler is told to use the instruction set, and no function of
// theirs that is not certain to be inlined is used. Otherwise the linker might choose the version of one that other
// processors cannot run.

namespace seqlm {
namespace SEQLM_INSTRUCTION_SET {
namespace {

#include "ranges.h"
#include "vector.h"
#include SEQLM_FACTORS
#include SEQLM_TILES
#include "product.h"
#include "parallel.h"
#include "layer.h"
#include "projection.h"
#include "chain.h"
#include "updates.h"

}  // namespace

const Kernels kernels = {
    layer_forward,    layer_backward,   projection_forward, projection_backward,
    softmax_forward,  softmax_backward, chain_forward,      update
};

}  // namespace SEQLM_INSTRUCTION_SET
}  // namespace seqlm

#include "standard_headers.h"

#if defined(SEQLM_HAS_BF16)
SEQLM_COMPILE_FOR(SEQLM_AVX512_BF16)
#define SEQLM_INSTRUCTION_SET avx512_bf16
#define SEQLM_LANES 16
#define SEQLM_TILE_VECTORS 4
#define SEQLM_FACTORS "bfloat16_factors.h"
#define SEQLM_TILES "vector_tiles.h"
#include "compiled_for.h"
#endif

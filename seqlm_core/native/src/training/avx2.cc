#include "standard_headers.h"

#if defined(SEQLM_HAS_AVX)
SEQLM_COMPILE_FOR(SEQLM_AVX2)
#define SEQLM_INSTRUCTION_SET avx2
#define SEQLM_LANES 8
#define SEQLM_TILE_VECTORS 2
#define SEQLM_FACTORS "float32_factors.h"
#define SEQLM_TILES "vector_tiles.h"
#include "compiled_for.h"
#endif

#include "standard_headers.h"

#if defined(SEQLM_HAS_AVX)
SEQLM_COMPILE_FOR(SEQLM_AVX512)
#define SEQLM_INSTRUCTION_SET avx512
#define SEQLM_LANES 16
#define SEQLM_TILE_VECTORS 4
#define SEQLM_FACTORS "float32_factors.h"
#define SEQLM_TILES "vector_tiles.h"
#include "compiled_for.h"
#endif

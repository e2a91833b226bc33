#include "standard_headers.h"

#if defined(SEQLM_HAS_AMX)
SEQLM_COMPILE_FOR(SEQLM_AMX_BF16)
#define SEQLM_INSTRUCTION_SET amx_bf16
#define SEQLM_LANES 16
#define SEQLM_TILE_VECTORS 4
#define SEQLM_FACTORS "bfloat16_factors.h"
#define SEQLM_TILES "amx_tiles.h"
#include "compiled_for.h"
#endif

#include "standard_headers.h"

#define SEQLM_INSTRUCTION_SET portable
#define SEQLM_LANES 4
#define SEQLM_TILE_VECTORS 2
#define SEQLM_FACTORS "float32_factors.h"
#define SEQLM_TILES "vector_tiles.h"
#include "compiled_for.h"

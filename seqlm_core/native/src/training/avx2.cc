#include "standard_headers.h"

#if defined(SEQLM_X86_64)
#pragma GCC target("avx2,fma")
#define SEQLM_INSTRUCTION_SET avx2
#define SEQLM_LANES 8
#define SEQLM_TILE_VECTORS 2
#include "compiled_for.h"
#endif

#include "standard_headers.h"

#if defined(SEQLM_X86_64)
#pragma GCC target("avx2,fma,avx512f,avx512vl,avx512bw,avx512dq,prefer-vector-width=512")
#define SEQLM_INSTRUCTION_SET avx512
#define SEQLM_LANES 16
#define SEQLM_TILE_VECTORS 4
#include "compiled_for.h"
#endif

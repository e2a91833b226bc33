// What the kernels need of the standard library and of the project, before an instruction set is chosen.

#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "../cells/cells.h"
#include "kernels.h"
#include "team.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// The instruction sets for which loops are compiled, the slowest first. Each has all that those before it have.

#pragma once

#include <cstddef>

// Who compiles can choose an instruction set for a function. GCC for Windows can too, but there it stores vectors of 32
// bytes on the stack by instructions that ask for aligned addresses, and does not align the stack for them (its bug 54412).
#if defined(__GNUC__) && defined(__x86_64__) && (!defined(_WIN32) || defined(__clang__))
#define SEQLM_X86_64
#include <cpuid.h>
#endif

// For the attribute `target` and, by SEQLM_COMPILE_FOR, for the rest of a file.
#define SEQLM_AVX2 "avx2,fma"
#if defined(__clang__)
#define SEQLM_AVX512 "avx2,fma,avx512f,avx512vl,avx512bw,avx512dq"
#else
#define SEQLM_AVX512 "avx2,fma,avx512f,avx512vl,avx512bw,avx512dq,prefer-vector-width=512"
#endif
#define SEQLM_AVX512_BF16 SEQLM_AVX512 ",avx512bf16"

#define SEQLM_COMPILE_FOR(what) SEQLM_PRAGMA(GCC target(what))
#define SEQLM_PRAGMA(words) _Pragma(#words)

// What every processor has of the kind that is compiled for.
#if defined(__aarch64__) || defined(_M_ARM64)
#define SEQLM_BASELINE "neon"
#else
#define SEQLM_BASELINE "portable"
#endif

namespace seqlm {

constexpr const char* instruction_sets[] = {SEQLM_BASELINE, "avx2", "avx512", "avx512_bf16"};

#if defined(SEQLM_X86_64)
// Compilers ask for this by different names. The bit is that of the processors' manuals.
inline bool has_avx512_bf16() {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax >> 5 & 1);
}
#endif

// How many of them this processor has.
inline std::size_t usable_instruction_sets() {
#if defined(SEQLM_X86_64)
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 1;
    const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                            __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
    return !has_avx512 ? 2 : has_avx512_bf16() ? 4 : 3;
#else
    return 1;
#endif
}

// The name of one of them, of those that a library has been compiled for; null where this processor has no more.
inline const char* instruction_set_name(std::size_t number, std::size_t compiled) {
    return number < compiled && number < usable_instruction_sets() ? instruction_sets[number] : nullptr;
}

}  // namespace seqlm

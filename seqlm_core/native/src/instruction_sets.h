// The instruction sets for which loops are compiled, the slowest first. Each has all that those before it have.

#pragma once

#include <cstddef>

// Who compiles can choose an instruction set for a function. GCC for Windows can too, but there it stores vectors of 32
// bytes on the stack by instructions that ask for aligned addresses, and does not align the stack for them (its bug 54412).
#if defined(__GNUC__) && defined(__x86_64__) && (!defined(_WIN32) || defined(__clang__))
#define SEQLM_X86_64
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

// For the attribute `target` and, by SEQLM_COMPILE_FOR, for the rest of a file.
#define SEQLM_AVX2 "avx2,fma"
#if defined(__clang__)
#define SEQLM_AVX512 "avx2,fma,avx512f,avx512vl,avx512bw,avx512dq"
#else
#define SEQLM_AVX512 "avx2,fma,avx512f,avx512vl,avx512bw,avx512dq,prefer-vector-width=512"
#endif
#define SEQLM_AVX512_BF16 SEQLM_AVX512 ",avx512bf16"
#define SEQLM_AMX_BF16 SEQLM_AVX512_BF16 ",amx-tile,amx-bf16"

#define SEQLM_COMPILE_FOR(what) SEQLM_PRAGMA(GCC target(what))
#define SEQLM_PRAGMA(words) _Pragma(#words)

// What every processor has of the kind that is compiled for.
#if defined(__aarch64__) || defined(_M_ARM64)
#define SEQLM_BASELINE "neon"
#else
#define SEQLM_BASELINE "portable"
#endif

namespace seqlm {

constexpr const char* instruction_sets[] = {SEQLM_BASELINE, "avx2", "avx512", "avx512_bf16", "amx_bf16"};

#if defined(SEQLM_X86_64)
// Compilers ask for this by different names. The bit is that of the processors' manuals.
inline bool has_avx512_bf16() {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax >> 5 & 1);
}

// A process has to ask Linux for the registers of AMX. Its threads get them too, those that it already has included.
inline bool gets_amx_bf16() {
#if defined(__linux__) && defined(SYS_arch_prctl)
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || !(edx >> 22 & 1) || !(edx >> 24 & 1)) return false;
    constexpr int ask_for_component = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILE_DATA
    return syscall(SYS_arch_prctl, ask_for_component, tile_data) == 0;
#else
    return false;
#endif
}
#endif

// How many of them this processor has, of those that a library has been compiled for.
inline std::size_t usable_instruction_sets(std::size_t compiled) {
#if defined(SEQLM_X86_64)
    const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                            __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
    const std::size_t there = !has_avx2 ? 1 : !has_avx512 ? 2 : !has_avx512_bf16() ? 3 : 4;
    if (there == 4 && compiled > 4 && gets_amx_bf16()) return 5;
    return there < compiled ? there : compiled;
#else
    return 1;
#endif
}

// The name of one of them, of those that a library has been compiled for; null where this processor has no more.
inline const char* instruction_set_name(std::size_t number, std::size_t compiled) {
    return number < usable_instruction_sets(compiled) ? instruction_sets[number] : nullptr;
}

}  // namespace seqlm

// What the library gives to MXNet and Python besides its operators.

#include <cstddef>
#include <iterator>

#include "../exported.h"
#include "operator.h"
#include "team.h"

namespace seqlm {

Computing configured;

}  // namespace seqlm

SEQLM_EXPORT mxnet::ext::MXReturnValue initialize(int version) {
    return version >= 10901 ? mxnet::ext::MX_SUCCESS : seqlm::fail("seqlm needs MXNet 1.9.1");
}

// The number of this interface. It changes whenever the interface does.
SEQLM_EXPORT int seqlm_interface() { return 9; }

// The name of an instruction set that the kernels can be chosen for, from 0 on, the slowest first; null beyond the last.
SEQLM_EXPORT const char* seqlm_instruction_set(std::size_t number) {
    return seqlm::instruction_set_name(number, std::size(seqlm::all_kernels));
}

// Sets among how many the work is divided, how many threads do it, the multiplications that each member has at least in
// a phase, all at least 1, and the instruction set. Not to be called while operators run.
SEQLM_EXPORT void seqlm_configure(
    int members, int threads, std::size_t least_multiplications, std::size_t instruction_set
) {
    seqlm::configured = {seqlm::all_kernels[instruction_set], members};
    seqlm::set_threads(threads);
    seqlm::set_least_multiplications(least_multiplications);
}

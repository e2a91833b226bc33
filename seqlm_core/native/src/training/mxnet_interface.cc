// MXNet's interface for operators of others, which its package brings as a source file.
//
// MXNet asks for the errors after each call of an operator. Its own two functions for that hand out all errors since the
// process began, each time in new memory that nobody frees: after one failure every later step would take more memory.
// Those here hand out the failure of the call, once.

#include <string>

#define _msgSize every_error_so_far
#define _msgGet copy_of_an_error
#include "lib_api.cc"
#undef _msgSize
#undef _msgGet

#include "operator.h"

namespace {

// MXNet asks in the thread that has called.
thread_local std::string failure, handed_out;

}  // namespace

namespace seqlm {

MXReturnValue fail(const std::string& message) {
    failure = message;
    return MX_FAIL;
}

}  // namespace seqlm

extern "C" {

MX_INT_RET _msgSize() { return failure.empty() ? 0 : 1; }

MX_VOID_RET _msgGet(int, const char** message) {
    handed_out.swap(failure);
    failure.clear();
    *message = handed_out.c_str();
}

}  // extern "C"

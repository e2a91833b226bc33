// MXNet's interface for operators of others, which its package brings as a source file.

#include "lib_api.cc"

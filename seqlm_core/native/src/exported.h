// A function that the library gives to Python, which calls it by way of ctypes.

#pragma once

#if defined(_WIN32)
#define SEQLM_EXPORT extern "C" __declspec(dllexport)
#else
#define SEQLM_EXPORT extern "C" __attribute__((visibility("default")))
#endif

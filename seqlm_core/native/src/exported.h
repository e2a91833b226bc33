// A function that the library gives to Python, which calls it by way of ctypes.

#pragma once

#define SEQLM_EXPORT extern "C" __attribute__((visibility("default")))

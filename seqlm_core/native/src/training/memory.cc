#include "memory.h"

#include <cstdlib>
#include <cstring>
#include <new>

namespace seqlm {

Buffer::~Buffer() { std::free(data_); }

float* Buffer::room(std::size_t size) {
    if (size <= size_) return data_;
    std::free(data_);
    data_ = nullptr;
    size_ = 0;
    void* memory = nullptr;
    if (posix_memalign(&memory, 4096, size * sizeof(float)) != 0) throw std::bad_alloc();
    std::memset(memory, 0, size * sizeof(float));
    data_ = static_cast<float*>(memory);
    size_ = size;
    return data_;
}

}  // namespace seqlm

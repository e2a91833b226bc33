// Aligned memory that is kept from call to call.

#pragma once

#include <cstddef>

namespace seqlm {

// An array of floats that grows when more is asked for. Its functions are not inline, so that they exist once and for
// every processor, although the files that use them are compiled for several instruction sets.
class Buffer {
public:
    Buffer() = default;
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer();

    // Returns room for `size` floats, at the beginning of a page of 4,096 bytes. What was there before is lost when it
    // grows; what is new is 0. Throws std::bad_alloc.
    float* room(std::size_t size);

    float* data() const { return data_; }

private:
    float* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace seqlm

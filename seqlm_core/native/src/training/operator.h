// What the operators of MXNet share, which call the kernels through its interface for operators of others (lib_api.h).
//
// An operator's state lives as long as the graph that it belongs to; MXNet gives every use of a graph that is not yet
// differentiated a state of its own. seqlm_core/native/training.py calls the operators.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "attributes.h"
#include "kernels.h"
#include "lib_api.h"

namespace seqlm {

using namespace mxnet::ext;

using Shape = std::vector<unsigned int>;
using Tensors = std::vector<MXTensor>;

// Which kernels compute, and among how many the work is divided, on which the results depend.
struct Computing {
    const Kernels* kernels = &portable::kernels;
    int members = 1;
};

// What was chosen last, for whatever begins now.
extern Computing configured;

// Makes this message the error of the operator that is called.
MXReturnValue fail(const std::string& message);

// Does the work; what it throws becomes the operator's error.
template <class Work>
MXReturnValue attempt(const char* name, const Work& work) {
    try {
        work();
        return MX_SUCCESS;
    } catch (const std::exception& error) {
        return fail(std::string(name) + ": " + error.what());
    }
}

inline void demand(bool is_so, const char* otherwise) {
    if (!is_so) throw std::runtime_error(otherwise);
}

// The numbers of a tensor, of which there must be so many.
template <class Number>
Number* numbers(MXTensor& tensor, MXDType type, std::size_t size) {
    demand(tensor.dtype == type, "an array is of the wrong type");
    demand(static_cast<std::size_t>(tensor.size()) == size, "an array has the wrong size");
    return static_cast<Number*>(tensor.data_ptr);
}

inline float* floats(MXTensor& tensor, std::size_t size) { return numbers<float>(tensor, kFloat32, size); }

// Integers that are all from `first` to below `end`.
inline const std::int32_t* integers(
    MXTensor& tensor, std::size_t size, std::int64_t first, std::int64_t end, const char* otherwise
) {
    const std::int32_t* const values = numbers<std::int32_t>(tensor, kInt32, size);
    demand(
        std::all_of(values, values + size, [=](std::int32_t value) { return first <= value && value < end; }), otherwise
    );
    return values;
}

// The gradient of integers, which have none; MXNet asks for it nevertheless.
inline void clear(MXTensor& gradient, const MXTensor& of) {
    const auto size = static_cast<std::size_t>(of.size());
    std::fill_n(numbers<std::int32_t>(gradient, kInt32, size), size, 0);
}

inline std::size_t extent(const MXTensor& tensor, std::size_t axis) { return static_cast<std::size_t>(tensor.shape.at(axis)); }

// An operator with a state that its forward pass fills and its gradient reads. MXNet tells of a pass that has failed
// only when something waits for it, and asks for the gradient all the same. So the state knows whether it was filled,
// and who has filled it, since another would have filled it otherwise. `Sizes` are those of the arrays.
template <class Sizes>
class Operator : public CustomStatefulOp {
public:
    explicit Operator(const char* name) : name_(name) { ignore_warn = true; }

    MXReturnValue Forward(Tensors* inputs, Tensors* outputs, const OpResource&) override {
        failure_ = "its forward pass did not end";
        by_ = configured;
        return attempt(name_, [&] {
            try {
                filled_ = forward(inputs->data(), outputs->data(), by_);
                failure_.clear();
            } catch (const std::exception& error) {
                failure_ = error.what();
                throw;
            }
        });
    }

    MXReturnValue Backward(Tensors* inputs, Tensors* outputs, const OpResource&) override {
        return attempt(name_, [&] {
            demand(failure_.empty(), failure_.c_str());
            backward(inputs->data(), outputs->data(), filled_, by_);
        });
    }

protected:
    // Return the sizes of what was read, for which the state is filled then.
    virtual Sizes forward(MXTensor* in, MXTensor* out, const Computing& by) = 0;
    // `in` are the gradients of the outputs, then the inputs and the outputs; `out` the gradients of the inputs.
    virtual void backward(MXTensor* in, MXTensor* out, const Sizes& filled, const Computing& by) = 0;

private:
    const char* const name_;
    std::string failure_ = "there was no forward pass to differentiate";
    Computing by_;
    Sizes filled_{};
};

// Makes an operator that no attribute concerns.
template <class Made>
MXReturnValue create(
    const Attributes&, const MXContext&, const std::vector<Shape>&, const std::vector<int>, CustomStatefulOp** created
) {
    *created = CustomStatefulOp::create<Made>();
    return MX_SUCCESS;
}

// Inputs are of float32, but for those whose numbers are in `integers`, and so are outputs.
inline MXReturnValue set_types(
    std::vector<int>* inputs, std::vector<int>* outputs, const std::vector<std::size_t>& integer_inputs
) {
    for (std::size_t i = 0; i < inputs->size(); ++i) {
        const bool is_integer = std::count(integer_inputs.begin(), integer_inputs.end(), i) > 0;
        const int wanted = is_integer ? kInt32 : kFloat32;
        int& type = (*inputs)[i];
        if (type != wanted && type != -1 && type != kUNSET)
            return fail("input " + std::to_string(i) + " must be of " + (is_integer ? "int32" : "float32"));
        type = wanted;
    }
    for (int& type : *outputs) type = kFloat32;
    return MX_SUCCESS;
}

}  // namespace seqlm

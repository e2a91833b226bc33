// The attributes of an operator, which MXNet hands over as texts.

#pragma once

#include <clocale>
#include <cstddef>
#include <cstdlib>
#include <limits>
#include <locale.h>
#include <stdexcept>
#include <string>
#include <unordered_map>

#if defined(__APPLE__)
#include <xlocale.h>
#endif

namespace seqlm {

using Attributes = std::unordered_map<std::string, std::string>;

inline std::string text(const Attributes& attributes, const std::string& name) {
    const auto found = attributes.find(name);
    return found == attributes.end() ? std::string() : found->second;
}

inline bool flag(const Attributes& attributes, const std::string& name) { return text(attributes, name) == "1"; }

// Whatever the locale of the process. Numbers too small for a double, which std::stod refuses, are subnormal or 0.
inline double number(const Attributes& attributes, const std::string& name) {
    static const locale_t plain = newlocale(LC_ALL_MASK, "C", nullptr);
    const std::string digits = text(attributes, name);
    char* end = nullptr;
    const double value = strtod_l(digits.c_str(), &end, plain);
    if (digits.empty() || *end) throw std::invalid_argument(name + " is not a number: '" + digits + "'");
    return value;
}

// The same as a float; what is too large for one is infinite.
inline float small_number(const Attributes& attributes, const std::string& name) {
    const double value = number(attributes, name);
    constexpr double largest = std::numeric_limits<float>::max();
    if (value > largest) return std::numeric_limits<float>::infinity();
    if (value < -largest) return -std::numeric_limits<float>::infinity();
    return static_cast<float>(value);
}

// A whole number of at least 1.
inline std::size_t count(const Attributes& attributes, const std::string& name) {
    const double value = number(attributes, name);
    if (!(value >= 1 && value <= 1e6)) throw std::invalid_argument(name + " must be at least 1, not " + text(attributes, name));
    return static_cast<std::size_t>(value);
}

}  // namespace seqlm

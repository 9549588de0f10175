// Options of TFLite's custom operators: a FlexBuffers map of numbers.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>

#include "base/result.h"

namespace hearth::graphs::tflite {

// The numbers and truths of a map by their keys; other values are left out.
// Errors: corrupt (no map, or something outside it).
Result<std::map<std::string, double, std::less<>>> read_flexbuffer(
    std::span<const std::byte> bytes);

}  // namespace hearth::graphs::tflite

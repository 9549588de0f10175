// NumPy's array files.
// Source: NumPy Enhancement Proposal 1; zip as of APPNOTE 6.3.
#pragma once

#include <map>
#include <span>
#include <string>

#include "graphs/tensor.h"

namespace hearth::graphs {

// Numbers, booleans and fixed-width text, little-endian, in either order of axes.
// Errors: corrupt, unsupported (objects, big-endian).
Result<Tensor> read_npy(std::span<const std::byte> bytes);
// f8 and smaller types are written as f32, packed integers as int8 or uint8, text as <U.
std::string write_npy(const Tensor& tensor);
// An archive of arrays, compressed or not, by name without ".npy".
Result<std::map<std::string, Tensor>> read_npz(std::span<const std::byte> bytes);

}  // namespace hearth::graphs

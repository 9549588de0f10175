// NumPy archives (.npz): stored .npy members, in place.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "formats/package.h"

namespace hearth {

// A ZIP archive whose members are all .npy files.
bool is_npz_file(std::span<const std::byte> file);

// Named after the members, without ".npy".  Errors: corrupt, unsupported (compressed members,
// objects, big-endian numbers).
Result<std::vector<TensorEntry>> read_npz(std::span<const std::byte> file);

// How .npy files name the type, without the order of its bytes; empty: not at all.
std::string_view npy_descr(Dtype dtype);

// One .npy file.
Result<TensorEntry> read_npy(std::string name, std::span<const std::byte> file);

}  // namespace hearth

// Architectures that people describe in a file: one that we know, and what differs from it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/json.h"
#include "base/result.h"

namespace hearth {

// One value of the file, tables flattened: "tensors.q.hf".
using ArchitectureValue = std::pair<std::string, Json>;

// From now on models of that name are known; a name that was there is known anew, also one of ours.
// Models that are loaded keep what they have.  Thread-safe.  Errors: invalid (the key, what it
// holds and what it needs).
Status add_architecture(std::span<const ArchitectureValue> values);

// Tells one set of added architectures from another, in this process and the next; 0: none.
std::uint32_t added_architectures_mark();

// Back to those we bring along.
void forget_added_architectures();

}  // namespace hearth

// The names that pickles of PyTorch may speak of.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "tensor/dtype.h"

namespace hearth::torch {

// What a call of a name builds; storages and element types are `first_dtype` + Dtype.
enum Meaning : std::int64_t {
  tensor_v1,  // (storage, offset, size, stride)
  tensor_v2,  // (storage, offset, size, stride, requires_grad, hooks[, metadata])
  tensor_v3,  // (storage, offset, size, stride, requires_grad, hooks, dtype[, metadata])
  object,     // data without tensors, or attributes of a module
  untyped,    // a storage of bytes
  first_dtype = 1000,
};

std::optional<std::int64_t> meaning_of(std::string_view module, std::string_view name);
// The same and the classes that a TorchScript archive brings, as plain objects.
std::optional<std::int64_t> meaning_in_script(std::string_view module, std::string_view name);

// Of a storage type or element type.
std::optional<Dtype> dtype_of(std::int64_t meaning);

}  // namespace hearth::torch

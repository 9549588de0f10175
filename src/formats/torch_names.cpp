// Source: torch/_utils.py and torch/_weights_only_unpickler.py, the names a state_dict needs.
#include "formats/torch_names.h"

#include <utility>

#include "base/utf8.h"
#include "formats/pickle.h"

namespace hearth::torch {
namespace {

struct Name {
  std::string_view module, name;
  std::int64_t meaning;
};

constexpr std::int64_t of(Dtype dtype) {
  return static_cast<std::int64_t>(first_dtype) + std::to_underlying(dtype);
}

constexpr Name names[] = {
    {"collections", "OrderedDict", pickle_dict},
    {"builtins", "dict", pickle_dict},
    {"__builtin__", "dict", pickle_dict},
    {"builtins", "list", pickle_first},
    {"builtins", "tuple", pickle_first},
    {"builtins", "set", pickle_first},
    {"builtins", "frozenset", pickle_first},
    {"__builtin__", "set", pickle_first},
    {"builtins", "complex", object},
    {"builtins", "slice", object},
    {"builtins", "int", object},
    {"builtins", "float", object},
    {"builtins", "bool", object},
    {"builtins", "str", object},
    {"builtins", "bytearray", object},
    {"_codecs", "encode", object},
    {"argparse", "Namespace", object},
    {"collections", "defaultdict", object},
    {"collections", "Counter", object},
    {"numpy", "dtype", object},
    {"numpy", "ndarray", object},
    {"numpy.core.multiarray", "scalar", object},
    {"numpy.core.multiarray", "_reconstruct", object},
    {"numpy._core.multiarray", "scalar", object},
    {"numpy._core.multiarray", "_reconstruct", object},
    {"torch", "Size", pickle_first},
    {"torch", "device", object},
    {"torch", "Tensor", object},
    {"torch.nn.parameter", "Parameter", pickle_first},
    {"torch._utils", "_rebuild_tensor", tensor_v1},
    {"torch._utils", "_rebuild_tensor_v2", tensor_v2},
    {"torch._utils", "_rebuild_tensor_v3", tensor_v3},
    {"torch._utils", "_rebuild_parameter", pickle_first},
    {"torch._utils", "_rebuild_parameter_with_state", pickle_first},
    {"torch.jit._pickle", "build_intlist", pickle_first},
    {"torch.jit._pickle", "build_doublelist", pickle_first},
    {"torch.jit._pickle", "build_boollist", pickle_first},
    {"torch.jit._pickle", "build_tensorlist", pickle_first},
    {"torch.jit._pickle", "restore_type_tag", pickle_first},
    {"torch", "FloatStorage", of(Dtype::f32)},
    {"torch", "HalfStorage", of(Dtype::f16)},
    {"torch", "BFloat16Storage", of(Dtype::bf16)},
    {"torch", "DoubleStorage", of(Dtype::f64)},
    {"torch", "CharStorage", of(Dtype::i8)},
    {"torch", "ShortStorage", of(Dtype::i16)},
    {"torch", "IntStorage", of(Dtype::i32)},
    {"torch", "LongStorage", of(Dtype::i64)},
    {"torch", "ByteStorage", of(Dtype::u8)},
    {"torch", "BoolStorage", of(Dtype::boolean)},
    {"torch", "UntypedStorage", untyped},
    {"torch.storage", "UntypedStorage", untyped},
    {"torch", "float32", of(Dtype::f32)},
    {"torch", "float16", of(Dtype::f16)},
    {"torch", "bfloat16", of(Dtype::bf16)},
    {"torch", "float64", of(Dtype::f64)},
    {"torch", "int8", of(Dtype::i8)},
    {"torch", "int16", of(Dtype::i16)},
    {"torch", "int32", of(Dtype::i32)},
    {"torch", "int64", of(Dtype::i64)},
    {"torch", "uint8", of(Dtype::u8)},
    {"torch", "uint16", of(Dtype::u16)},
    {"torch", "uint32", of(Dtype::u32)},
    {"torch", "uint64", of(Dtype::u64)},
    {"torch", "bool", of(Dtype::boolean)},
    {"torch", "float8_e4m3fn", of(Dtype::f8_e4m3)},
    {"torch", "float8_e5m2", of(Dtype::f8_e5m2)},
    {"torch", "float8_e8m0fnu", of(Dtype::f8_e8m0)},
};

}  // namespace

std::optional<std::int64_t> meaning_of(std::string_view module, std::string_view name) {
  for (const Name& row : names)
    if (row.module == module && row.name == name) return row.meaning;
  return std::nullopt;
}

std::optional<std::int64_t> meaning_in_script(std::string_view module, std::string_view name) {
  const bool own = module == "__torch__" || module.starts_with("__torch__.");
  if (own && printable(module, module.size()) == module && printable(name, name.size()) == name)
    return object;
  return meaning_of(module, name);
}

std::optional<Dtype> dtype_of(std::int64_t meaning) {
  if (meaning < first_dtype) return std::nullopt;
  return static_cast<Dtype>(meaning - first_dtype);
}

}  // namespace hearth::torch

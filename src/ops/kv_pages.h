// Where the parts of a layer lie in a page.  For attention alone.
#pragma once

#include "kernels/kv_page.h"
#include "ops/attention.h"

namespace hearth::ops {

kernels::KvForm kv_form(Dtype dtype);  // of a type that is_kv_dtype() takes

// Behind `offset_bytes` of a page: the keys of all heads, then the values.
struct KvParts {
  std::size_t key_bytes, value_bytes;  // of one head
  std::size_t values;                  // where they begin

  explicit KvParts(const KvLayer& layer)
      : key_bytes(kernels::kv_head_bytes(kv_form(layer.dtype), layer.key_dim)),
        value_bytes(kernels::kv_head_bytes(kv_form(layer.dtype), layer.value_dim)),
        values(layer.kv_heads * key_bytes) {}
};

}  // namespace hearth::ops

// What of a model can be said before its weights are touched.
#pragma once

#include "models/arch_spec.h"
#include "models/model.h"

namespace hearth::models {

// What the file is: a generator, embedder or reranker.
ModelKind kind_of(const Package& package, const ArchSpec& spec, const Hyper& hyper);

// Where keys and values of all layers lie; empty for encoders.  Errors: exhausted (a page passes
// what any machine has).
Result<KvLayout> kv_layout_of(const ArchSpec& spec, const Hyper& hyper, Dtype dtype);

// f32 weights keep f32 keys and values, others f16.
Dtype default_kv_dtype(const Package& package);

// Errors: invalid (keys and values cannot be kept in that type).
Result<ModelInfo> info_of(const Package& package, const ArchSpec& spec, const Hyper& hyper,
                          std::optional<Dtype> kv_dtype);

// Errors: unsupported (a quantisation scheme we do not read, by name).
Status check_scheme(const Package& package);

}  // namespace hearth::models

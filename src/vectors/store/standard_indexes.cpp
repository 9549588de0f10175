// Which index a schema asks for.
#include <fmt/format.h>

#include <algorithm>

#include "base/utf8.h"
#include "vectors/make_index.h"
#include "vectors/store/local.h"

namespace hearth::vectors {
namespace {

Result<std::size_t> size_of(const Json& parameters, std::string_view name, std::size_t fallback) {
  const auto value =
      TRY(optional<std::int64_t>(parameters, name, static_cast<std::int64_t>(fallback)));
  if (value < 0) return Error(ErrorKind::invalid, fmt::format("index {} = {}", name, value));
  return static_cast<std::size_t>(value);
}

Result<int> small_of(const Json& parameters, std::string_view name, int fallback) {
  const auto value = TRY(size_of(parameters, name, static_cast<std::size_t>(fallback)));
  return static_cast<int>(std::min<std::size_t>(value, 1024));
}

Result<IndexSpec> spec_of(const Schema& schema) {
  static constexpr std::string_view known[] = {
      "storage",   "m",           "ef_construction", "threads", "lists",
      "code_bits", "keep_floats", "pq_segments",     "pq_bits", "radius"};
  const Json& parameters = schema.index.parameters;
  for (const auto& [name, value] : parameters.as_object())
    if (std::find(std::begin(known), std::end(known), name) == std::end(known))
      return Error(ErrorKind::invalid,
                   fmt::format("index: no parameter '{}'; there is {}", printable(name),
                               fmt::join(std::begin(known), std::end(known), ", ")));
  IndexSpec spec;
  spec.kind = schema.index.kind;
  spec.dim = schema.dim;
  spec.metric = schema.metric;
  spec.storage = TRY(optional<std::string>(parameters, "storage", spec.storage));
  spec.m = TRY(size_of(parameters, "m", spec.m));
  spec.ef_construction = TRY(size_of(parameters, "ef_construction", spec.ef_construction));
  spec.threads = TRY(small_of(parameters, "threads", 0));
  spec.lists = TRY(size_of(parameters, "lists", spec.lists));
  spec.code_bits = TRY(small_of(parameters, "code_bits", spec.code_bits));
  spec.keep_floats = TRY(optional<bool>(parameters, "keep_floats", spec.keep_floats));
  spec.pq_segments = TRY(size_of(parameters, "pq_segments", spec.pq_segments));
  spec.pq_bits = TRY(size_of(parameters, "pq_bits", spec.pq_bits));
  spec.radius = TRY(small_of(parameters, "radius", spec.radius));
  return spec;
}

Result<std::unique_ptr<Index>> make(const Schema& schema) {
  return make_index(TRY(spec_of(schema)));
}

Result<std::unique_ptr<Index>> load(const Schema& schema, const std::string& path) {
  return open_index(path, TRY(spec_of(schema)));
}

}  // namespace

IndexMaker standard_indexes() { return {make, load}; }

}  // namespace hearth::vectors

// Which index a schema asks for.
#include <fmt/core.h>

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

Result<std::unique_ptr<Index>> make(const Schema& schema) {
  static constexpr std::string_view known[] = {"storage", "m", "ef_construction", "threads"};
  const Json& parameters = schema.index.parameters;
  for (const auto& [name, value] : parameters.as_object())
    if (std::find(std::begin(known), std::end(known), name) == std::end(known))
      return Error(ErrorKind::invalid,
                   fmt::format("index: no parameter '{}'; there is storage, m, ef_construction and "
                               "threads",
                               printable(name)));
  IndexSpec spec;
  spec.kind = schema.index.kind;
  const auto kinds = index_kinds();
  if (spec.kind == "auto" && std::find(kinds.begin(), kinds.end(), "auto") == kinds.end())
    spec.kind = "flat";
  spec.dim = schema.dim;
  spec.metric = schema.metric;
  spec.storage = TRY(optional<std::string>(parameters, "storage", spec.storage));
  spec.m = TRY(size_of(parameters, "m", spec.m));
  spec.ef_construction = TRY(size_of(parameters, "ef_construction", spec.ef_construction));
  const auto threads = TRY(size_of(parameters, "threads", 0));
  spec.threads = static_cast<int>(std::min<std::size_t>(threads, 1024));
  return make_index(spec);
}

Result<std::unique_ptr<Index>> load(const Schema&, const std::string& path) {
  return open_index(path);
}

}  // namespace

IndexMaker standard_indexes() { return {make, load}; }

}  // namespace hearth::vectors

#include "library/catalog_view.h"

namespace hearth {

double expected_tokens_per_second(const CatalogEntry& entry,
                                  const std::optional<MachineSpeeds>& speeds) {
  const bool writes =
      entry.task != "embed" && entry.task != "rerank" && entry.task != "transcription";
  const auto bytes = static_cast<double>(entry.bytes_per_token());
  return speeds && writes && bytes > 0 ? four_bit_bytes_per_second(*speeds) / bytes : 0;
}

Json to_json(const CatalogEntry& entry, double speed) {
  return Json::object({{"name", entry.name},
                       {"task", entry.task},
                       {"reference", entry.reference},
                       {"summary", entry.summary},
                       {"licence", entry.licence},
                       {"parameters", entry.parameters * 1e9},
                       {"bytes", entry.bytes},
                       {"memory_bytes", entry.memory_bytes()},
                       {"context_length", entry.context},
                       {"expected_tokens_per_second", speed > 0 ? Json(speed) : Json()}});
}

}  // namespace hearth

// What is told of an entry of the catalog, by commands and over HTTP alike.
#pragma once

#include <optional>

#include "base/json.h"
#include "library/catalog.h"
#include "library/machine_speeds.h"

namespace hearth {

// Tokens per second of one answer, from a file of four bits; 0: nothing was measured here, or the
// model writes no text.
double expected_tokens_per_second(const CatalogEntry& entry,
                                  const std::optional<MachineSpeeds>& speeds);

// {"name": ..., "task": ..., "expected_tokens_per_second": ...}
Json to_json(const CatalogEntry& entry, double speed);

}  // namespace hearth

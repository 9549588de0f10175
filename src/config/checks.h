// What no single setting shows: values that contradict each other or the machine.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace hearth {

struct Conflict {
  enum class Kind { contradiction, exposure, memory_budget, port, dimension } kind;
  std::vector<std::string> keys;  // that are at odds
  std::string message;
};
std::string_view name_of(Conflict::Kind kind);  // "contradiction", "exposure", "memory_budget", ...

// What is there; 0 and "": not known.
struct ConfigFacts {
  std::uint64_t memory_bytes = 0;     // of the machine, or of the control group
  std::uint16_t first_free_port = 0;  // ports below are the system's
};
ConfigFacts read_config_facts(std::uint64_t memory_bytes);

std::vector<Conflict> find_conflicts(const Config& config, const ConfigFacts& facts);

// Contradictions, which are wrong on every machine.  Errors: invalid, naming both settings.
Status check_config(const Config& config);
// All of them.
Status check_config(const Config& config, const ConfigFacts& facts);

// An index of vectors of `index_dim` numbers, and the model that is to fill it.
std::optional<Conflict> find_dimension_conflict(std::string_view collection,
                                                std::uint64_t index_dim, std::string_view embedder,
                                                std::uint64_t embedder_dim);

}  // namespace hearth

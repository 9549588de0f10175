// What settings would suit this machine better, and why.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/live.h"

namespace hearth::server {

// What suits this machine, for the workload of `config`.
std::vector<AutomaticValue> automatic_values(const Config& config);

// One setting that another value suits better.
struct Proposal {
  const Setting* setting = nullptr;
  Json now, better;
  std::string reason;       // with what was measured
  std::string held_by;      // not empty: by this place, which the user's file does not reach
  bool is_written = false;  // into the user's file; otherwise it follows from what is
};
// `workload`: empty: the one that is set.  Errors: invalid (no such workload).
Result<std::vector<Proposal>> propose(const LoadedConfig& now, std::string_view workload);
// What change() of the settings, kept, makes them so; empty: there is nothing to write.
LiveConfig::Wishes wishes_of(const std::vector<Proposal>& proposals);
Json to_json(const std::vector<Proposal>& proposals);

}  // namespace hearth::server

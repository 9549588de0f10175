#include "kernels/select.h"

#include <fmt/core.h>

#include <string>

namespace hearth::kernels {

extern const Kernels portable_table;

namespace {

bool always() { return true; }

}  // namespace

// Best first.  To add an instruction set: one file in x86/, its flags in module.cmake, one row
// here.
std::span<const Candidate> candidates() {
  static constexpr Candidate list[] = {{&portable_table, always}};
  return list;
}

Result<const Kernels*> choose(std::string_view forced) {
  std::string names;
  for (const Candidate& candidate : candidates()) {
    const bool named = forced == candidate.table->name;
    if (named && !candidate.supported())
      return Error(ErrorKind::unsupported,
                   fmt::format("cpu '{}': this processor or operating system lacks it", forced));
    if (named || (forced.empty() && candidate.supported())) return candidate.table;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", candidate.table->name);
  }
  return Error(ErrorKind::invalid, fmt::format("cpu '{}': needs one of {}", forced, names));
}

}  // namespace hearth::kernels

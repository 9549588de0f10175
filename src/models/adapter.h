// Adapter: what a LoRA file adds to the matrices of a model.  It is kept apart from them, so that
// every sequence of a batch may have its own.  Source: Hu et al. 2021, "LoRA".
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "formats/lora.h"
#include "models/arena.h"
#include "models/model.h"
#include "models/trunk.h"
#include "ops/matrix.h"

namespace hearth {

// Immutable; thread-safe.
struct Adapter {
  // Beside y = x w^T: y += (x down^T) up^T.
  struct Part {
    ops::Matrix down;  // [rank, inputs]
    ops::Matrix up;    // [outputs, rank], with the file's factor
  };

  std::string key;  // another one for another file, or the same one changed
  std::vector<std::map<models::Role, Part>> layers;
  std::uint64_t bytes = 0;  // of memory
};

// Whether an adapter fits a model, told from their headers.  Errors: as models::read_adapter, and
// those of reading the model's.
Status check_adapter(const Package& base, const LoraFile& file);

namespace models {

// `naming`: of the package that the trunk was loaded from.  Errors: unsupported (it changes what
// adapters do not change here, or another architecture), corrupt (a shape that does not fit).
Result<std::shared_ptr<const Adapter>> read_adapter(ops::Context& ctx, const Trunk& trunk,
                                                    Naming naming, const LoraFile& file);

// The rows of a step whose sequences have the same adapters, none left out.
struct AdaptedRows {
  std::span<const AdapterUse> uses;
  std::span<const std::uint32_t> rows;  // ascending
};
// adapters: of each sequence; empty: there are none.
std::span<const AdaptedRows> adapted_rows(std::span<const std::span<const AdapterUse>> adapters,
                                          std::span<const ops::RowPlace> places, Arena& arena);

// y += what the adapters make of x in the place of `role`.  A row is computed the same way whatever
// the others are.
void add_adapted(ops::Context& ctx, std::span<const AdaptedRows> groups, std::size_t layer,
                 Role role, View y, View x, Arena& arena);

}  // namespace models
}  // namespace hearth

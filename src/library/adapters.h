// LoRA adapters beside a model in memory, and the model as it answers with them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/guarded.h"
#include "library/model_pool.h"
#include "ops/context.h"
#include "runtime/runner.h"

namespace hearth {

// An adapter that models are to be loaded with.
struct AdapterWish {
  std::string name, path;
  // In use where a request does not say; otherwise only by its name, "MODEL:NAME".
  bool is_standard = true;
};
// "PATH", or "NAME=PATH" for one that is used by its name alone.  Errors: invalid.
Result<AdapterWish> read_adapter_wish(std::string_view text);

// Those of one model.  Thread-safe.
class Adapters {
 public:
  struct Entry {
    std::string name, path;
    std::shared_ptr<const Adapter> adapter;
  };

  // Errors: those of open_lora and of Model::read_adapter; with `left_out`, which is told of them,
  // what does not fit is left out instead.
  static Result<std::shared_ptr<Adapters>> read(
      ops::Context& ctx, const Model& model, const std::vector<AdapterWish>& wishes,
      const std::function<void(const Error& error)>& left_out = {});

  const std::vector<Entry>& entries() const { return entries_; }
  std::uint64_t bytes() const;  // of memory

  // Where a request does not say; of each entry.
  std::vector<float> scales() const;
  void set_scales(std::vector<float> scales);
  // Those with a scale that is not 0.
  std::vector<AdapterUse> uses(const std::vector<float>& scales) const;

 private:
  std::vector<Entry> entries_;
  Guarded<std::vector<float>> scales_;
};

// Adapters that a name of the user's own brings with it: read when they are first asked for, and
// kept beside the model.  Thread-safe.
class AdapterShelf {
 public:
  // Each in full strength.  `path`: as open_lora.  Errors: as Adapters::read.
  Result<std::vector<AdapterUse>> uses(ops::Context& ctx, const Model& model,
                                       const std::vector<std::string>& paths);
  std::uint64_t bytes() const;  // of memory

 private:
  Guarded<std::map<std::string, std::shared_ptr<const Adapter>>> read_;  // by file
};

constexpr float max_adapter_scale = 100;
constexpr std::size_t max_adapters = 256;

// A runner whose requests use the adapters' standard scales where they do not say.
std::unique_ptr<Runner> with_standard_adapters(std::unique_ptr<Runner> runner,
                                               std::shared_ptr<const Adapters> adapters);

// The model with one of its adapters in use, as "MODEL:ADAPTER"; it holds `model`.
Lease with_adapter(const Lease& model, std::size_t index);

// The model with these in use where a request does not say; it holds `model`.
Lease with_uses(const Lease& model, std::vector<AdapterUse> uses);

// What "MODEL:ADAPTER", or an adapter's name alone, means among these models; nullptr: nothing.
struct AdapterPlace {
  Lease model;
  std::size_t index = 0;
};
AdapterPlace find_adapter(const std::vector<Lease>& models, std::string_view name);

}  // namespace hearth

// ModelPool: the models in memory.  Loaded when they are asked for, held by leases, unloaded when
// nobody wants them any more or when their memory is needed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/duration.h"
#include "base/result.h"
#include "library/lifecycle.h"
#include "library/local_models.h"

namespace hearth {

struct LoadedModel;  // library.h

// A model held in use: it is not unloaded before the last lease is let go, which may happen on any
// thread.
using Lease = std::shared_ptr<LoadedModel>;

// Memory that a model takes, estimated from its headers before it is loaded.
struct ModelNeeds {
  std::uint64_t weights = 0;
  std::uint64_t kv = 0;  // of the least context that is worth having
  std::uint64_t scratch = 0;

  std::uint64_t total() const { return weights + kv + scratch; }
};

// What loading is given beside the model.
struct LoadOrder {
  std::string id;  // that no other model in memory has
  std::uint64_t kv_budget_bytes = 0;
  std::function<void(double share)> progress;
  std::stop_token stop;
};

// Where a pool finds and loads models; tests give one of their own.  Called from any thread.
struct ModelSource {
  std::function<Result<LocalModel>(const std::string& reference)> find;
  std::function<std::string(const LocalModel& model)> id;  // how it is listed
  std::function<Result<ModelNeeds>(const LocalModel& model)> needs;
  std::function<Result<Lease>(const LocalModel& model, const LoadOrder& order)> load;
  // Makes the files of a model that would not load right again; empty: nothing can.
  std::function<Status(const LocalModel& model, std::stop_token stop)> repair;
  std::function<std::uint64_t()> free_bytes;
  // Percent of the time that tasks wait for memory; empty: not known.
  std::function<double()> memory_pressure;
};

struct PoolOptions {
  Milliseconds keep_alive = forever;         // after the last use
  std::size_t max_models = 0;                // in memory at once; 0: as many as fit
  std::uint64_t memory_bytes = 0;            // that all of them may take; 0: what is free
  Milliseconds patience{120'000};            // for memory that models in use hold
  std::uint64_t min_free_bytes = 500 << 20;  // stays free; relieved up to twice as much
  Milliseconds look_every{5'000};            // at the machine's memory
};

// What may change while a pool works, as in PoolOptions.
struct PoolLimits {
  Milliseconds keep_alive = forever;
  std::size_t max_models = 0;
  std::uint64_t memory_bytes = 0;
  std::uint64_t min_free_bytes = 500 << 20;
};

struct AcquireOptions {
  std::function<void(double share)> progress;  // from the caller's thread
  std::stop_token stop;
  std::optional<Milliseconds> keep_alive;  // from now on; nothing: as it is
  bool is_pinned = false;                  // stays until it is unloaded by name
};

// A model in memory, or on its way there.
struct PoolModel {
  enum class State { waiting, loading, ready, leaving } state = State::waiting;
  std::string id, reference, path;
  double share = 0;  // of the loading
  int users = 0;
  bool is_pinned = false;
  std::uint64_t bytes = 0;  // weights, keys and values as they are now
  double load_seconds = 0;
  std::int64_t loaded_seconds = 0;         // Unix time
  std::optional<Milliseconds> expires_in;  // nothing: in use, pinned, or kept forever
};
std::string_view name_of(PoolModel::State state);

// Thread-safe.
class ModelPool {
 public:
  using Observer = std::function<void(const std::string& name, ModelEvent event, double share)>;

  ModelPool(ModelSource source, const PoolOptions& options, Observer observer = {});
  ~ModelPool();  // leases may outlive it
  ModelPool(const ModelPool&) = delete;
  ModelPool& operator=(const ModelPool&) = delete;

  // Blocks until the model is loaded.  Who asks for the same model shares one loading; when all of
  // them have stopped, so does it.  A loading that fails is tried at most three times, where there
  // is a remedy: idle models leave and keys and values get less when memory ran out, damaged files
  // are repaired.  Errors: not_found, those of loading, exhausted (memory: need
  // and have), cancelled.
  Result<Lease> acquire(const std::string& reference, const AcquireOptions& options = {});
  // Only when it is in memory; nullptr: it is not.  Not a use: its time runs on.
  Lease peek(std::string_view id_or_reference) const;

  // As acquire(), but nothing is loaded or waited for; nullptr: it is not in memory.
  Lease acquire_loaded(std::string_view id_or_reference, const AcquireOptions& options = {});
  // The name may mean another model from now on.
  void forget_name(std::string_view reference);

  // A model that was loaded elsewhere; it stays.
  void adopt(Lease model);

  // Unloads it as soon as nobody uses it; who asks for it meanwhile has it loaded anew.
  // Errors: not_found.
  Status unload(std::string_view id_or_reference);
  void set_keep_alive(std::string_view id_or_reference, Milliseconds keep_alive);
  // Models for which nobody asked another keep_alive follow at once; idle ones leave where there is
  // no room for them any more.
  void set_limits(const PoolLimits& limits);
  // Unloads idle models, the least worth keeping first, until so much is free.
  void relieve(std::uint64_t free_bytes);

  // In order of loading.
  std::vector<PoolModel> models() const;
  std::vector<Lease> loaded() const;  // not a use

 private:
  struct State;
  std::shared_ptr<State> state_;
  std::jthread keeper_;
};

// Which of two idle models goes first: the one idle for longer, measured by what it costs to have
// it back.  Greater goes first.
double eviction_score(double idle_seconds, double load_seconds, std::uint64_t bytes);

}  // namespace hearth

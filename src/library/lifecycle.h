// Lifecycle: what happens to a model from its name to its last use, as one table of states and
// events.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace hearth {

enum class ModelState : std::uint8_t {
  uninitialized,  // nothing is known of it
  discovered,     // known, not on this machine
  downloading,
  downloaded,
  extracting,
  extracted,
  validating,
  validated,  // whole and right, on this machine
  local,      // found on this machine, not checked by us
  initializing,
  initialized,  // its header is read and memory is set aside
  loading,
  loaded,
  ready,
  executing,  // in use: never evicted
  evicted,    // was in memory; still on this machine
  error,
  cancelled,
  cleanup,
};
constexpr int model_states = static_cast<int>(ModelState::cleanup) + 1;

enum class ModelEvent : std::uint8_t {
  discover,
  find_here,
  download,
  finish_download,
  extract,
  finish_extract,
  validate,
  finish_validate,
  initialize,
  finish_initialize,
  load,
  finish_load,
  become_ready,
  work,
  rest,
  evict,
  fail,
  cancel,
  remove,
  finish_cleanup,
};
constexpr int model_events = static_cast<int>(ModelEvent::finish_cleanup) + 1;

std::string_view name_of(ModelState state);
std::string_view name_of(ModelEvent event);
std::optional<ModelState> find_state(std::string_view name);

// Where the event leads; nothing: it cannot happen in this state.
std::optional<ModelState> next_state(ModelState state, ModelEvent event);
// Whether somebody is at work on it: such a state does not outlive the process.
bool is_transient(ModelState state);

// How much of the way to a ready model lies behind a state, from 0 to 1, when `share` of its own
// stage is done.
double overall_progress(ModelState state, double share);

// One model's way.
struct LifecycleView {
  std::string name;
  ModelState state = ModelState::uninitialized;
  std::string detail;  // of an error: what went wrong
  double progress = 0;
  std::optional<double> seconds_left;  // until it is ready; nothing: not known or not on the way
  std::int64_t since_seconds = 0;      // Unix time of the last change
};

// The ways of all models.  Thread-safe.
class Lifecycles {
 public:
  // `file`: where they are kept; empty: nowhere.  What a process that died was about to do reads as
  // cancelled, what it had in memory as evicted.
  explicit Lifecycles(std::string file = "");

  // Errors: invalid, naming state and event; nothing changes then.
  Status apply(const std::string& name, ModelEvent event, const std::string& detail = "");
  // How much of the present stage is done; `bytes`: of the model, for what history says of others.
  void advance(const std::string& name, double share, std::uint64_t bytes = 0);

  LifecycleView view(const std::string& name) const;
  std::vector<LifecycleView> views() const;  // in order of name

  // Called after each change, from the thread that made it, without a lock.  The number takes it
  // back.
  using Observer = std::function<void(const LifecycleView& view)>;
  int observe(Observer observer);
  void forget(int observer);

 private:
  struct Entry {
    ModelState state = ModelState::uninitialized;
    std::string detail;
    double share = 0;
    std::uint64_t bytes = 0;
    std::int64_t since_seconds = 0;
    double stage_began = 0;  // of the steady clock
  };
  struct Pace {
    double seconds_per_gigabyte = 0;
  };

  LifecycleView view_of(const std::string& name, const Entry& entry) const;
  void learn(const Entry& entry, double now);
  std::optional<double> seconds_left(const Entry& entry) const;
  void load();
  Json with_own(const Json& before) const;
  void tell(const LifecycleView& view);

  const std::string file_;
  mutable std::mutex mutex_;  // of what follows
  std::map<std::string, Entry> entries_;
  std::map<ModelState, Pace> paces_;  // of stages, learned
  std::map<int, Observer> observers_;
  int next_observer_ = 1;
  std::set<std::string> ours_;  // what this process changed: of the others the file knows more
  std::mutex saving_;
};

}  // namespace hearth

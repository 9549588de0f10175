// Regulator: holds what settings ask of a running library against how the machine feels.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/json.h"
#include "config/config.h"
#include "hardware/governor.h"
#include "library/library.h"

namespace hearth::server {

// Thread-safe.
class Regulator {
 public:
  struct Hooks {
    std::function<void(const LibraryTuning& tuning)> tune;
    std::function<void(const Json& event)> tell;  // what changed: {"event": "governor", ...}
    std::function<hardware::Condition()> look;
  };
  // Tunes at once, and then once a second where the machine's condition asks for it.
  Regulator(Hooks hooks, const Config& config);
  ~Regulator();

  void adopt(const Config& config);  // settings changed
  void look_now();                   // as once a second

  struct View {
    bool is_on = true;
    LibraryTuning wanted, now;
    hardware::Strain strain;
    hardware::GovernorLimits limits;
    std::vector<std::string> reasons;
  };
  View view() const;

 private:
  void watch(const std::stop_token& leaving);
  void apply();

  const Hooks hooks_;
  const int cores_;
  std::mutex applying_;  // one change at a time; held while tuning

  mutable std::mutex mutex_;  // of what follows
  std::condition_variable_any wake_;
  View view_;
  hardware::GovernorSettings settings_;
  bool is_tuned_ = false;
  std::jthread watcher_;  // last: it uses all of the above
};

// {"on": true, "threads": {"wanted": 8, "now": 4}, ..., "reasons": [...]}
Json to_json(const Regulator::View& view);

}  // namespace hearth::server

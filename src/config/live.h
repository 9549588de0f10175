// LiveConfig: the settings of a running program, which change with their files and by request.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/duration.h"
#include "config/config.h"

namespace hearth {

// What observers are told.
struct ConfigNews {
  const LoadedConfig &before, &after;
  std::vector<const Setting*> changed;
  // Not empty: the files are wrong, the settings before stay, and nothing changed.
  std::string problem;
};

// What became of one setting that was asked for.
struct SettingOutcome {
  enum class Kind { applied, next_model, restart, unchanged } kind = Kind::unchanged;
  const Setting* setting = nullptr;
  GivenValue now;  // the one that counts: it may be another layer's
};
std::string_view name_of(SettingOutcome::Kind kind);  // "applied", "next model", "needs restart"...

// Thread-safe.
class LiveConfig {
 public:
  using Sources = std::function<ConfigSources()>;  // asked anew each time: files come and go
  using Observer = std::function<void(const ConfigNews& news)>;
  // Of all that a change would bring, before it does.  Errors: why it may not.
  using Check = std::function<Status(const Config& config)>;

  // Errors: those of load_config.
  static Result<std::unique_ptr<LiveConfig>> create(Sources sources, Check check = {});
  ~LiveConfig();
  LiveConfig(const LiveConfig&) = delete;
  LiveConfig& operator=(const LiveConfig&) = delete;

  std::shared_ptr<const LoadedConfig> now() const;
  // What settings that take a restart still run with.
  std::shared_ptr<const LoadedConfig> at_start() const { return at_start_; }
  // What is wrong with the files as they are; empty: nothing.
  std::string problem() const;

  // Called one at a time, on the thread that found or made the change.  It may not change settings.
  // The number is for forget(), after which it is not called again.
  int observe(Observer observer);
  void forget(int id);

  // A value of null takes the setting back.  All or none are done.  `is_kept`: written to the
  // user's file; otherwise only this process knows.  Errors: invalid (all unknown names and wrong
  // values, with the nearest right ones), those of the check, io.
  using Wishes = std::vector<std::pair<std::string, Json>>;
  Result<std::vector<SettingOutcome>> change(const Wishes& wishes, bool is_kept);

  // Reads everything again.
  void reload();
  // From now on, whenever a file changes, has been quiet for `settle`, and holds something else.
  void watch(Milliseconds settle = Milliseconds(100));

 private:
  LiveConfig(Sources sources, Check check)
      : sources_(std::move(sources)), check_(std::move(check)) {}
  ConfigSources sources() const;  // with the requests
  Result<LoadedConfig> load(const ConfigSources& sources) const;
  void publish(LoadedConfig next);
  void refuse(const std::string& problem);
  void tell(const ConfigNews& news);
  Result<ConfigSources> with_wishes(const Wishes& wishes, bool is_kept) const;

  const Sources sources_;
  const Check check_;
  std::shared_ptr<const LoadedConfig> at_start_;

  // One change at a time; held while observers are told.
  std::mutex changing_;
  std::map<int, Observer> observers_;
  int last_observer_ = 0;
  std::vector<std::pair<std::string, Json>> requests_;

  mutable std::mutex mutex_;  // of what follows
  std::shared_ptr<const LoadedConfig> now_;
  std::string problem_;

  std::jthread watcher_;  // last: it uses all of the above
};

}  // namespace hearth

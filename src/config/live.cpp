#include "config/live.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/files.h"
#include "base/log.h"
#include "config/file_edit.h"
#include "config/file_values.h"
#include "config/file_watch.h"

namespace hearth {
namespace {

Result<std::vector<const Setting*>> check_wishes(const LiveConfig::Wishes& wishes) {
  std::vector<const Setting*> asked;
  std::string problems;
  const auto add = [&](const std::string& problem) {
    problems += (problems.empty() ? "" : "; ") + problem;
  };
  for (const auto& [key, value] : wishes) {
    const auto setting = find_setting(key);
    if (!setting) {
      add(setting.error().message());
      continue;
    }
    if (std::ranges::find(asked, *setting) != asked.end()) add(key + " is asked for twice");
    asked.push_back(*setting);
    if (!(*setting)->in_requests)
      add(
          fmt::format("{} may not be set by a request; set it in your own file: hearth config set "
                      "{} VALUE",
                      key, key));
    Config scratch;
    if (value.is_null()) continue;
    if (const Status done = (*setting)->set(**setting, scratch, value); !done.ok())
      add(done.error().message());
  }
  if (!problems.empty()) return Error(ErrorKind::invalid, problems);
  return asked;
}

// As the setting writes it: "8080" becomes 8080.
Json normal(const Setting& setting, const Json& value) {
  Config scratch;
  (void)setting.set(setting, scratch, value).ok();
  return setting.show(scratch);
}

ConfigFile* user_file(ConfigSources& sources) {
  for (ConfigFile& file : sources.files)
    if (file.layer == Layer::user_file) return &file;
  return nullptr;
}

const GivenValue& counting(const LoadedConfig& loaded, const Setting& setting) {
  return loaded.given.find(setting.key)->second.back();
}

SettingOutcome outcome_of(const Setting& setting, const LoadedConfig& before,
                          const LoadedConfig& after) {
  using Kind = SettingOutcome::Kind;
  SettingOutcome outcome{Kind::unchanged, &setting, counting(after, setting)};
  if (setting.show(before.config) == setting.show(after.config)) return outcome;
  outcome.kind = setting.effect == Effect::now          ? Kind::applied
                 : setting.effect == Effect::next_model ? Kind::next_model
                                                        : Kind::restart;
  return outcome;
}

std::string names_of(const std::vector<const Setting*>& changed) {
  std::string names;
  for (const Setting* setting : changed)
    names += fmt::format("{}{}", names.empty() ? "" : ",", setting->key);
  return names;
}

}  // namespace

std::string_view name_of(SettingOutcome::Kind kind) {
  constexpr std::string_view names[] = {"applied", "next model", "needs restart", "unchanged"};
  return names[static_cast<std::size_t>(kind)];
}

Result<std::unique_ptr<LiveConfig>> LiveConfig::create(Sources sources, Check check) {
  std::unique_ptr<LiveConfig> live(new LiveConfig(std::move(sources), std::move(check)));
  live->at_start_ = live->now_ =
      std::make_shared<const LoadedConfig>(TRY(load_config(live->sources_())));
  return live;
}

LiveConfig::~LiveConfig() = default;

std::shared_ptr<const LoadedConfig> LiveConfig::now() const {
  const std::lock_guard lock(mutex_);
  return now_;
}

std::string LiveConfig::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

int LiveConfig::observe(Observer observer) {
  const std::lock_guard lock(changing_);
  observers_.emplace(++last_observer_, std::move(observer));
  return last_observer_;
}

void LiveConfig::forget(int id) {
  const std::lock_guard lock(changing_);
  observers_.erase(id);
}

ConfigSources LiveConfig::sources() const {
  ConfigSources all = sources_();
  all.requests = requests_;
  return all;
}

Result<LoadedConfig> LiveConfig::load(const ConfigSources& sources) const {
  LoadedConfig loaded = TRY(load_config(sources));
  if (check_) TRY(check_(loaded.config));
  return loaded;
}

void LiveConfig::tell(const ConfigNews& news) {
  for (const auto& [id, observer] : observers_) observer(news);
}

void LiveConfig::publish(LoadedConfig next) {
  const auto before = now();
  const auto after = std::make_shared<const LoadedConfig>(std::move(next));
  std::vector<const Setting*> changed;
  for (const Setting& setting : settings())
    if (setting.show(before->config) != setting.show(after->config)) changed.push_back(&setting);
  bool was_wrong = false;
  {
    const std::lock_guard lock(mutex_);
    now_ = after;
    was_wrong = !problem_.empty();
    problem_.clear();
  }
  if (changed.empty() && !was_wrong) return;
  log_info("settings.changed keys={}", names_of(changed));
  tell({*before, *after, std::move(changed), ""});
}

void LiveConfig::refuse(const std::string& problem) {
  {
    const std::lock_guard lock(mutex_);
    if (problem_ == problem) return;
    problem_ = problem;
  }
  log_warning("settings.refused problem=\"{}\" remedy=\"the settings before stay\"", problem);
  const auto same = now();
  tell({*same, *same, {}, problem});
}

void LiveConfig::reload() {
  const std::lock_guard lock(changing_);
  auto next = load(sources());
  if (next)
    publish(*std::move(next));
  else
    refuse(next.error().message());
}

Result<ConfigSources> LiveConfig::with_wishes(const Wishes& wishes, bool is_kept) const {
  ConfigSources all = sources();
  for (const auto& [key, value] : wishes) {
    std::erase_if(all.requests, [&](const auto& one) { return one.first == key; });
    if (!is_kept && !value.is_null()) all.requests.emplace_back(key, value);
  }
  if (!is_kept) return all;
  ConfigFile* file = user_file(all);
  if (!file) return Error(ErrorKind::invalid, "there is no folder for settings of the user's own");
  if (!file->path.ends_with(".toml"))
    return Error(ErrorKind::invalid,
                 fmt::format("{}: only TOML files are changed by request", file->path));
  std::string text;
  if (is_file(file->path)) text = TRY(read_file(file->path, max_settings_bytes));
  for (const auto& [key, value] : wishes) {
    auto changed = value.is_null() ? without_setting(text, key)
                                   : with_setting(text, key, normal(**find_setting(key), value));
    if (!changed && value.is_null() && changed.error().kind() == ErrorKind::not_found) continue;
    if (!changed) return std::move(changed).error().within(file->path);
    text = *std::move(changed);
  }
  file->text = std::move(text);
  return all;
}

Result<std::vector<SettingOutcome>> LiveConfig::change(const Wishes& wishes, bool is_kept) {
  const std::vector<const Setting*> asked = TRY(check_wishes(wishes));
  const std::lock_guard lock(changing_);
  ConfigSources wanted = TRY(with_wishes(wishes, is_kept));
  LoadedConfig next = TRY(load(wanted));
  if (is_kept) {
    const ConfigFile& file = *user_file(wanted);
    TRY(replace_file(file.path, bytes_of(*file.text)));
  }
  requests_ = std::move(wanted.requests);
  const auto before = now();
  std::vector<SettingOutcome> outcomes;
  for (const Setting* setting : asked) outcomes.push_back(outcome_of(*setting, *before, next));
  publish(std::move(next));
  return outcomes;
}

void LiveConfig::watch(Milliseconds settle) {
  watcher_ = std::jthread([this, settle](std::stop_token leaving) {
    watch_files(
        [this] {
          std::vector<std::string> paths;
          for (const ConfigFile& file : sources_().files) paths.push_back(file.path);
          return paths;
        },
        settle, leaving, [this] { reload(); });
  });
}

}  // namespace hearth

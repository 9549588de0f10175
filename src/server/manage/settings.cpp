// GET and PATCH /api/config: the settings of the running server.
#include "server/manage/settings.h"

#include <fmt/core.h>

#include "base/log.h"
#include "config/live.h"
#include "library/builtin.h"
#include "server/manage/manage.h"
#include "server/manage/regulator.h"
#include "server/reply.h"
#include "server/rows.h"

namespace hearth::server {
namespace {

Checked<LiveConfig*> settings_of(Service& service) {
  if (service.settings) return service.settings;
  return Problem{501, "unsupported", "this server's settings do not change", "", 0};
}

Checked<Json> show(Service& service, const Call&) {
  LiveConfig* live = TRY(settings_of(service));
  const auto now = live->now(), start = live->at_start();
  Json all = Json::object();
  for (const Setting& setting : settings()) {
    Json one = to_json(now->given.find(setting.key)->second.back());
    one.set("help", setting.help);
    one.set("changes", name_of(setting.effect));
    one.set("by_request", setting.in_requests);
    one.set("waits_for_restart", setting.effect == Effect::restart &&
                                     setting.show(now->config) != setting.show(start->config));
    all.set(std::string(setting.key), std::move(one));
  }
  return Json::object(
      {{"file", user_settings_file()}, {"problem", live->problem()}, {"settings", std::move(all)}});
}

// {"server": {"queue": 1}} asks for the same as {"server.queue": 1}.
void flatten(const Json& group, const std::string& prefix, LiveConfig::Wishes& wishes) {
  for (const auto& [name, value] : group.as_object()) {
    if (value.is_object())
      flatten(value, prefix + name + ".", wishes);
    else
      wishes.emplace_back(prefix + name, value);
  }
}

Checked<Json> change(Service& service, const Call& call) {
  LiveConfig* live = TRY(settings_of(service));
  const Json body = TRY(parse_body(call.request.body));
  const Json* wanted = given(body, "settings");
  if (!wanted || !wanted->is_object() || wanted->size() == 0)
    return invalid_value("settings", "needs an object of settings and values");
  for (const auto& [name, value] : body.as_object())
    if (name != "settings" && name != "persist")
      return invalid_value(name, "is not known here; there are settings and persist");
  const bool is_kept = TRY(read_bool(body, "persist")).value_or(true);
  LiveConfig::Wishes wishes;
  flatten(*wanted, "", wishes);
  const auto outcomes = TRY(live->change(wishes, is_kept));
  Json all = Json::object();
  for (const SettingOutcome& outcome : outcomes) {
    Json one = to_json(outcome.now);
    one.set("result", name_of(outcome.kind));
    all.set(std::string(outcome.setting->key), std::move(one));
  }
  Json answer = Json::object({{"persisted", is_kept}, {"settings", std::move(all)}});
  if (is_kept) answer.set("file", user_settings_file());
  return answer;
}

constexpr auto worker = Endpoint::Place::worker;
constexpr Endpoint rows[] = {
    {"GET", "/api/config", "Every setting: its value, who gave it, and when a change would count.",
     Scope::manage, "", "Settings", worker, reply_json<show>},
    {"PATCH", "/api/config", "Change settings: all that are asked for, or none.", Scope::manage,
     "SettingsRequest", "SettingsAnswer", worker, reply_json<change>},
};

Json event_of(const ConfigNews& news) {
  Json event = Json::object({{"event", "settings"}, {"problem", news.problem}});
  Json changed = Json::object();
  for (const Setting* setting : news.changed)
    changed.set(std::string(setting->key),
                Json::object({{"from", setting->show(news.before.config)},
                              {"to", setting->show(news.after.config)},
                              {"changes", name_of(setting->effect)}}));
  event.set("changed", std::move(changed));
  return event;
}

LogLevel level_named(std::string_view name) {
  constexpr std::pair<std::string_view, LogLevel> levels[] = {{"debug", LogLevel::debug},
                                                              {"info", LogLevel::info},
                                                              {"error", LogLevel::error},
                                                              {"off", LogLevel::off}};
  for (const auto& [word, level] : levels)
    if (word == name) return level;
  return LogLevel::warning;
}

}  // namespace

void set_log_level(std::string_view name) { set_log_level(level_named(name)); }

int follow_settings(Service& service) {
  return service.settings->observe([&service, hub = service.events](const ConfigNews& news) {
    const Config& config = news.after.config;
    for (const Setting* setting : news.changed) {
      if (setting->key == "server.log_level") set_log_level(config.server.log_level);
      if (setting->key == "server.queue")
        service.max_queued = static_cast<std::uint32_t>(config.server.queue);
      if (setting->key == "models.default")
        service.names.with([&](NameTable& names) {
          names.standard =
              config.models.standard.empty() ? std::string(builtin_chat) : config.models.standard;
        });
    }
    if (service.regulator && !news.changed.empty()) service.regulator->adopt(config);
    hub->tell(EventHub::Topic::system, event_of(news));
  });
}

std::span<const Endpoint> config_rows() { return rows; }

}  // namespace hearth::server

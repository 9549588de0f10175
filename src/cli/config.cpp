// hearth config: what is set, where, and why; and changes to it.
#include <fmt/core.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/bytes.h"
#include "base/files.h"
#include "base/nearest.h"
#include "base/utf8.h"
#include "cli/config_optimize.h"
#include "cli/rows.h"
#include "cli/settings.h"
#include "config/file_edit.h"
#include "config/file_values.h"

namespace hearth::cli {
namespace {

Error invalid(std::string message) { return Error(ErrorKind::invalid, std::move(message)); }

bool is_json(const Arguments& arguments) { return arguments.has("--json"); }

// ---- Showing ----

// Somebody gave it.
bool is_set(const GivenValue& given) {
  return given.layer != Layer::standard && given.layer != Layer::automatic;
}

void show_all(App& app, const Arguments& arguments, const LoadedConfig& loaded) {
  Json all = Json::object();
  std::size_t width = 0, shown = 0;
  for (const Setting& setting : settings()) width = std::max(width, setting.key.size());
  for (const Setting& setting : settings()) {
    const GivenValue& given = loaded.given.find(setting.key)->second.back();
    if (!is_set(given) && !arguments.has("--effective")) continue;
    ++shown;
    if (is_json(arguments))
      all.set(std::string(setting.key), to_json(given));
    else
      app.out.line(fmt::format("{:<{}}  {}  {}", setting.key, width, setting_text(given.value),
                               app.out.dim(fmt::format("({})", given.place))));
  }
  if (is_json(arguments))
    app.out.json(all);
  else if (shown == 0)
    app.out.line(
        "Nothing is set: every value is what suits this machine, or its default. "
        "`--effective` shows them.");
}

Status explain(App& app, const Arguments& arguments, const LoadedConfig& loaded) {
  const std::string key = arguments.text("--why");
  const Setting* setting = TRY(find_setting(key));
  const std::vector<GivenValue>& given = loaded.given.find(key)->second;
  if (is_json(arguments)) {
    Json layers = Json::array();
    for (const GivenValue& one : given) layers.push_back(to_json(one));
    app.out.json(Json::object({{"key", key},
                               {"value", given.back().value},
                               {"help", std::string(setting->help)},
                               {"variable", setting->variable()},
                               {"flag", std::string(setting->flag)},
                               {"changes", name_of(setting->effect)},
                               {"layers", std::move(layers)}}));
    return Done{};
  }
  app.out.line(fmt::format("{} = {}", app.out.bold(key), setting_text(given.back().value)));
  app.out.line(std::string(setting->help));
  for (std::size_t i = given.size(); i-- > 0;)
    app.out.line(
        fmt::format("  {} {:<11} {}  {}", i + 1 == given.size() ? "*" : " ",
                    name_of(given[i].layer), setting_text(given[i].value),
                    app.out.dim(given[i].reason.empty() ? given[i].place : given[i].reason)));
  app.out.line(fmt::format("A running server takes a change {}.", name_of(setting->effect)));
  return Done{};
}

Status show(App& app, const Arguments& arguments) {
  const LoadedConfig loaded = TRY(load_config(tuned_sources_of(arguments)));
  if (arguments.has("--why")) return explain(app, arguments, loaded);
  if (arguments.count() < 2) {
    show_all(app, arguments, loaded);
    return Done{};
  }
  TRY(find_setting(arguments[1]));
  const Json& value = loaded.given.find(arguments[1])->second.back().value;
  if (is_json(arguments))
    app.out.json(value);
  else
    app.out.line(setting_text(value));
  return Done{};
}

// ---- Changing ----

// The file that changes are made to: the user's, unless another layer is asked for.
Result<ConfigFile> target_of(const Arguments& arguments) {
  if (arguments.has("--project") && arguments.has("--system"))
    return invalid("--project and --system: choose one");
  const Layer layer = arguments.has("--project")  ? Layer::project_file
                      : arguments.has("--system") ? Layer::system_file
                                                  : Layer::user_file;
  for (const ConfigFile& file : standard_sources().files)
    if (file.layer == layer) return file;
  return ConfigFile{layer, ".hearth.toml"};  // a project's first
}

Result<std::string> text_of_file(const ConfigFile& file) {
  if (!file.path.ends_with(".toml"))
    return invalid(
        fmt::format("{}: only TOML files are changed by command; `hearth config edit` "
                    "opens it",
                    file.path));
  if (!is_file(file.path)) return std::string();
  return read_file(file.path, max_settings_bytes);
}

// The file takes its new text only if all settings together still load.
Status write(App& app, const Arguments& arguments, const ConfigFile& file, const std::string& text,
             std::string_view done) {
  TRY(write_settings(file, text));
  if (is_json(arguments))
    app.out.json(Json::object({{"file", file.path}}));
  else
    app.out.line(fmt::format("{} {}", done, app.out.dim(fmt::format("({})", file.path))));
  return Done{};
}

Status set(App& app, const Arguments& arguments) {
  if (arguments.count() < 3 || arguments.count() % 2 == 0)
    return invalid("hearth config set KEY VALUE, or several of both");
  const ConfigFile file = TRY(target_of(arguments));
  std::string text = TRY(text_of_file(file)), done;
  for (std::size_t i = 1; i < arguments.count(); i += 2) {
    const Setting* setting = TRY(find_setting(arguments[i]));
    Config config;
    TRY(setting->set(*setting, config, arguments[i + 1]));
    const Json value = setting->show(config);
    auto changed = with_setting(text, setting->key, value);
    if (!changed) return std::move(changed).error().within(file.path);
    text = *std::move(changed);
    done += fmt::format("{}{} = {}", done.empty() ? "" : ", ", setting->key, setting_text(value));
  }
  return write(app, arguments, file, text, done);
}

Status unset(App& app, const Arguments& arguments) {
  if (arguments.count() != 2) return invalid("hearth config unset KEY");
  const ConfigFile file = TRY(target_of(arguments));
  auto changed = without_setting(TRY(text_of_file(file)), arguments[1]);
  if (!changed) return std::move(changed).error().within(file.path);
  return write(app, arguments, file, *changed, fmt::format("{} is no longer set", arguments[1]));
}

Status edit(App& app, const Arguments& arguments) {
  const ConfigFile file = TRY(target_of(arguments));
  if (!is_file(file.path)) TRY(replace_file(file.path, {}));
  const char* editor = std::getenv("VISUAL");
  if (!editor || !*editor) editor = std::getenv("EDITOR");
  if (!editor || !*editor) editor = "editor";
  const pid_t child = ::fork();
  if (child < 0) return Error(ErrorKind::io, "no further process can be started");
  if (child == 0) {
    // As git does: the variable may hold options.  The path is an argument, never part of a
    // command.
    const std::string command = fmt::format("{} \"$1\"", editor);
    ::execl("/bin/sh", "sh", "-c", command.c_str(), "hearth", file.path.c_str(), nullptr);
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (status != 0) return Error(ErrorKind::io, fmt::format("the editor '{}' ended badly", editor));
  if (const auto loaded = load_config(standard_sources()); !loaded) return loaded.error();
  app.out.line(fmt::format("{} is in order", file.path));
  return Done{};
}

// ---- Whole files ----

// The settings that a file alone gives, over the defaults.
Result<LoadedConfig> load_file(const std::string& path) {
  if (!is_file(path)) return Error(ErrorKind::not_found, fmt::format("{}: no such file", path));
  return load_config({.files = {{Layer::user_file, path}}, .environment = {}, .flags = {}});
}

Status validate(App& app, const Arguments& arguments) {
  const LoadedConfig loaded =
      arguments.count() > 1 ? TRY(load_file(arguments[1])) : TRY(read_layers(arguments));
  const std::vector<Conflict> conflicts = find_conflicts(loaded.config, machine_facts());
  if (is_json(arguments)) {
    Json list = Json::array();
    for (const Conflict& conflict : conflicts) {
      Json keys = Json::array();
      for (const std::string& key : conflict.keys) keys.push_back(key);
      list.push_back(Json::object({{"kind", name_of(conflict.kind)},
                                   {"settings", std::move(keys)},
                                   {"message", conflict.message}}));
    }
    app.out.json(Json::object({{"valid", conflicts.empty()}, {"conflicts", std::move(list)}}));
  }
  if (!conflicts.empty()) return invalid(conflicts.front().message);
  if (!is_json(arguments)) app.out.line("All settings are in order.");
  return Done{};
}

// Without a file: what differs from the defaults; with one: what it would change.
Status diff(App& app, const Arguments& arguments) {
  const LoadedConfig now = TRY(read_layers(arguments));
  const LoadedConfig other =
      arguments.count() > 1 ? TRY(load_file(arguments[1])) : TRY(load_config({}));
  Json all = Json::object();
  for (const Setting& setting : settings()) {
    Json old = setting.show(other.config), current = setting.show(now.config);
    if (arguments.count() > 1) std::swap(old, current);
    if (old == current) continue;
    if (is_json(arguments))
      all.set(std::string(setting.key), Json::object({{"from", old}, {"to", current}}));
    else
      app.out.line(fmt::format("{}: {} -> {}", setting.key, toml_text(old), toml_text(current)));
  }
  if (is_json(arguments)) app.out.json(all);
  return Done{};
}

Json nested(const Config& config) {
  Json all = Json::object();
  for (const Setting& setting : settings()) {
    const std::size_t dot = setting.key.find('.');
    const std::string_view group = setting.key.substr(0, dot);
    if (!all.find(group)) all.set(std::string(group), Json::object());
    all.find(group)->set(std::string(setting.key.substr(dot + 1)), setting.show(config));
  }
  return all;
}

Status export_all(App& app, const Arguments& arguments) {
  const std::string format = arguments.text("--format", is_json(arguments) ? "json" : "toml");
  const Json all = nested(TRY(read_layers(arguments)).config);
  if (format == "json") {
    app.out.line(write_json(all));
    return Done{};
  }
  if (format != "toml" && format != "yaml")
    return invalid(fmt::format("--format '{}': needs toml, yaml or json", printable(format)));
  for (const auto& [group, values] : all.as_object()) {
    app.out.line(format == "toml" ? fmt::format("[{}]", group) : fmt::format("{}:", group));
    for (const auto& [name, value] : values.as_object())
      app.out.line(format == "toml" ? fmt::format("{} = {}", name, toml_text(value))
                                    : fmt::format("  {}: {}", name, toml_text(value)));
  }
  return Done{};
}

struct Action {
  std::string_view name;
  Status (*run)(App& app, const Arguments& arguments);
};
constexpr Action actions[] = {{"show", show},         {"set", set},
                              {"unset", unset},       {"edit", edit},
                              {"diff", diff},         {"validate", validate},
                              {"export", export_all}, {"optimize", optimize_settings}};

Status run(App& app, const Arguments& arguments) {
  if (arguments.count() == 0) return show(app, arguments);
  std::vector<std::string_view> names;
  for (const Action& action : actions) {
    if (action.name == arguments[0]) return action.run(app, arguments);
    names.push_back(action.name);
  }
  return invalid(fmt::format("no action '{}' of hearth config; did you mean '{}'?",
                             printable(arguments[0]), nearest(arguments[0], names)));
}

constexpr Option options[] = {
    {"--effective", "", "show: every value, the defaults too."},
    {"--why", "KEY", "show: all that was given for one setting; * is the one that counts."},
    {"--project", "", "set, unset, edit: the project's .hearth.toml instead of your own file."},
    {"--system", "", "set, unset, edit: /etc/hearth/config.toml."},
    {"--format", "FORMAT", "export: toml (default), yaml or json."},
    {"--benchmark", "", "optimize: measure the machine first (under 10 s)."},
};

}  // namespace

const Command config_command{
    .name = "config",
    .arguments = "[ACTION] [WORD...]",
    .summary = "Show, explain and change settings.",
    .details =
        "  hearth config                         what is set, and where\n"
        "  hearth config show --effective        every value\n"
        "  hearth config show --why server.port  all that was given for one\n"
        "  hearth config set server.port 8080    in your own file; its comments stay\n"
        "  hearth config unset server.port\n"
        "  hearth config edit                    opens the file in $EDITOR, then checks it\n"
        "  hearth config validate [FILE]\n"
        "  hearth config diff [FILE]             against the defaults, or what FILE would "
        "change\n"
        "  hearth config export --format yaml    all values as a file\n"
        "  hearth config optimize --workload throughput --benchmark\n"
        "                                        proposes what suits the machine, explains it, "
        "and\n"
        "                                        writes it when you, or --yes, agree",
    .options = options,
    .run = run};

}  // namespace hearth::cli

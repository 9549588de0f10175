#include "cli/first_model.h"

#include <fmt/core.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/files.h"
#include "cli/measure.h"
#include "cli/settings.h"
#include "config/file_edit.h"
#include "library/catalog.h"

namespace hearth::cli {
namespace {

constexpr std::uint64_t max_settings_bytes = 1u << 20;
constexpr double reading_tokens_per_second = 8;
// Of the memory's speed, what weights get.
constexpr double usable_share = 0.8;
constexpr std::uint64_t context_tokens = 4096;

// Larger models answer better, as long as they answer.
const LocalModel* best_of(const std::vector<LocalModel>& models, const MachineFigures& machine) {
  const LocalModel* best = nullptr;
  for (const LocalModel& model : models) {
    const ModelFacts& facts = model.facts;
    if (!facts.problem.empty() || facts.kind != "generator" || facts.weight_bytes == 0) continue;
    const std::uint64_t kv =
        std::min(facts.context_length, context_tokens) * facts.kv_bytes_per_token;
    if (facts.weight_bytes + kv > machine.memory_bytes) continue;
    const double speed =
        usable_share * machine.read_bytes_per_second / static_cast<double>(facts.weight_bytes);
    if (speed < reading_tokens_per_second) continue;
    if (!best || facts.parameters > best->facts.parameters) best = &model;
  }
  return best;
}

}  // namespace

Result<std::optional<Recommendation>> choose_first_model(const Arguments& arguments,
                                                         const std::vector<CatalogEntry>& catalog,
                                                         const MachineFigures& machine,
                                                         ModelWish wish) {
  const Config config = TRY(read_config(arguments));
  const std::string& name = config.models.preferred;
  if (name.empty()) return choose_model(catalog, machine, "chat", wish);
  const CatalogEntry* entry = find_in_catalog(catalog, name);
  if (!entry)
    return Error(ErrorKind::not_found,
                 fmt::format("models.preferred = '{}': the catalog has no such model; `hearth list "
                             "--available` shows it",
                             name));
  return std::optional(Recommendation{"chat", *entry, expected_tokens_per_second(*entry, machine),
                                      "models.preferred names it"});
}

Status set_user_setting(std::string_view key, const Json& value) {
  const std::string path = user_settings_file();
  if (!path.ends_with(".toml"))
    return Error(ErrorKind::invalid,
                 fmt::format("{}: only TOML files are changed by command: set {} = {} there", path,
                             key, write_json(value)));
  const std::string old = is_file(path) ? TRY(read_file(path, max_settings_bytes)) : "";
  auto changed = with_setting(old, key, value);
  if (!changed) return std::move(changed).error().within(path);
  return replace_file(path, bytes_of(*changed));
}

Result<std::optional<std::string>> best_installed(App& app, const Arguments& arguments) {
  const Config config = TRY(read_config(arguments));
  if (!config.models.standard.empty()) return std::optional(config.models.standard);
  const LibraryContext context = TRY(library_context(arguments));
  std::vector<LocalModel> models = find_local_models(context.folders);
  if (models.empty()) return std::optional<std::string>();
  describe_local_models(context.folders, models);
  const LocalModel* best = best_of(models, TRY(figures_of_machine(app)));
  return best ? std::optional(best->name) : std::optional<std::string>();
}

Result<std::string> model_for_chat(App& app, const Arguments& arguments) {
  if (const auto here = TRY(best_installed(app, arguments))) return *here;
  const LibraryContext context = TRY(library_context(arguments));
  const bool may_ask = ::isatty(STDIN_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1;
  std::string reason = "no other model is on this machine: `hearth recommend` says what suits it";
  if (!context.network.offline.empty()) {
    reason = fmt::format("nothing is downloaded, since {}", context.network.offline);
  } else if (may_ask || arguments.has("--yes")) {
    const auto catalog = TRY(load_catalog(context.folders));
    const MachineFigures machine = TRY(figures_of_machine(app));
    const auto chosen = TRY(choose_first_model(arguments, catalog, machine, ModelWish::balanced));
    if (chosen) {
      const CatalogEntry& entry = chosen->entry;
      const Status came = offer_to_pull(app, arguments, entry.name);
      if (came.ok()) return entry.name;
      if (came.error().kind() == ErrorKind::cancelled) return came.error();
      reason = came.error().message();
    }
  }
  app.out.remark(fmt::format("Talking to the small built-in model; {}", reason));
  return std::string(builtin_chat);
}

}  // namespace hearth::cli

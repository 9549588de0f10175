// hearth list: the models of this machine, or those of the catalog.
#include <fmt/core.h>

#include <algorithm>

#include "cli/interrupts.h"
#include "cli/pulling.h"
#include "cli/rows.h"
#include "cli/settings.h"
#include "cli/table.h"
#include "hardware/memory.h"
#include "library/aliases.h"
#include "library/catalog_view.h"
#include "library/hub_search.h"
#include "library/known_sums.h"

namespace hearth::cli {
namespace {

using Row = TableRow;

std::string context_text(std::uint64_t tokens) {
  if (tokens == 0) return "";
  return tokens % 1024 == 0 ? fmt::format("{}K", tokens / 1024) : fmt::format("{}", tokens);
}

Json to_json(const LocalModel& model) {
  const ModelFacts& facts = model.facts;
  return Json::object({{"name", model.name},
                       {"reference", model.reference},
                       {"from", model.tool},
                       {"path", model.path},
                       {"bytes", model.bytes},
                       {"modified_seconds", model.identity.modified_ns / 1'000'000'000},
                       {"kind", facts.kind},
                       {"architecture", facts.architecture},
                       {"parameters", facts.parameters},
                       {"quantisation", facts.quantisation},
                       {"context_length", facts.context_length},
                       {"kv_bytes_per_token", facts.kv_bytes_per_token},
                       {"problem", facts.problem}});
}

Row row_of(const LocalModel& model, const KnownSums& sums) {
  const ModelFacts& facts = model.facts;
  const std::string what = facts.problem.empty()    ? facts.kind
                           : damage_of(model, sums) ? "damaged"
                                                    : "does not run";
  return {model.name,
          readable_bytes(model.bytes),
          facts.parameters > 0 ? readable_count(facts.parameters) : "",
          facts.quantisation,
          context_text(facts.context_length),
          what,
          std::string(model.tool)};
}

// Copies in other stores add to the row where they are: "hearth, ollama".  Two names in our own
// store are two rows: somebody asked for both.
void add_rows(const ModelCopies& one, const KnownSums& sums, std::vector<Row>& rows) {
  Row first = row_of(*one.model, sums);
  std::string& from = first.back();
  std::vector<Row> own;
  for (const LocalModel* copy : one.others)
    if (copy->tool == "hearth")
      own.push_back(row_of(*copy, sums));
    else if (!from.contains(copy->tool))
      from += fmt::format(", {}", copy->tool);
  rows.push_back(std::move(first));
  for (Row& row : own) rows.push_back(std::move(row));
}

Status list_local(App& app, const Arguments& arguments, const LibraryContext& context) {
  std::vector<LocalModel> models = find_local_models(context.folders);
  describe_local_models(context.folders, models);
  Aliases aliases = read_aliases(context.folders);
  if (const std::string& wanted = arguments[0]; !wanted.empty()) {
    std::erase_if(aliases, [&](const auto& own) { return !own.first.contains(wanted); });
    std::erase_if(models, [&](const LocalModel& m) { return !m.name.contains(wanted); });
  }
  const KnownSums sums = read_known_sums(context.folders);
  const std::vector<ModelCopies> found = find_copies(models, sums);
  if (arguments.has("--json")) {
    Json list = Json::array();
    for (const ModelCopies& one : found) {
      list.push_back(to_json(*one.model));
      for (const LocalModel* copy : one.others) {
        list.push_back(to_json(*copy));
        list.as_array().back().set("copy_of", one.model->name);
      }
    }
    Json names = Json::object();
    for (const auto& [name, alias] : aliases) names.set(name, alias.model);
    app.out.json(Json::object({{"models", std::move(list)}, {"names", std::move(names)}}));
    return Done{};
  }
  std::vector<Row> rows;
  for (const auto& [name, alias] : aliases)
    rows.push_back({name, "", "", "", "", "a name", alias.model});
  for (const ModelCopies& one : found) add_rows(one, sums, rows);
  if (rows.empty()) {
    app.out.line("No models on this machine yet, but the built-in one: `hearth chat builtin`.");
    app.out.line(
        "`hearth recommend` says what suits this machine; `hearth list --available` lists "
        "what can be had.");
    return Done{};
  }
  print_table(app.out, {"NAME", "SIZE", "PARAMETERS", "TYPE", "CONTEXT", "KIND", "FROM"}, rows);
  return Done{};
}

Status list_available(App& app, const Arguments& arguments, const LibraryContext& context) {
  std::vector<CatalogEntry> entries = TRY(load_catalog(context.folders));
  const std::string task = arguments.text("--task");
  if (!task.empty() && std::ranges::find(catalog_tasks, task) == std::end(catalog_tasks))
    return Error(ErrorKind::invalid, fmt::format("--task = '{}': needs chat, code, embed, rerank, "
                                                 "vision or transcription",
                                                 task));
  const std::uint64_t memory = memory_for_models(hardware::read_memory());
  std::erase_if(entries, [&](const CatalogEntry& entry) {
    return (!task.empty() && entry.task != task) || !entry.name.contains(arguments[0]) ||
           (arguments.has("--fits") && entry.memory_bytes() > memory);
  });
  const std::vector<LocalModel> models = find_local_models(context.folders);
  const auto speeds = load_speeds(context.folders);
  Json list = Json::array();
  std::vector<Row> rows;
  for (const CatalogEntry& entry : entries) {
    const bool fits = entry.memory_bytes() <= memory;
    const auto remote = parse_reference(entry.reference);
    const bool is_here = remote && match(models, *remote) != nullptr;
    const double speed = expected_tokens_per_second(entry, speeds);
    Json described = to_json(entry, speed);
    const bool is_sparse = entry.active_parameters > 0;
    described.set("active_parameters",
                  (is_sparse ? entry.active_parameters : entry.parameters) * 1e9);
    described.set("fits", fits);
    described.set("is_here", is_here);
    list.push_back(std::move(described));
    rows.push_back({entry.name, entry.task, readable_bytes(entry.bytes),
                    readable_bytes(entry.memory_bytes()),
                    is_here ? "here"
                    : fits  ? "yes"
                            : "no",
                    speed > 0 ? fmt::format("{:.0f}", speed) : "", context_text(entry.context),
                    entry.licence, entry.summary});
  }
  if (arguments.has("--json"))
    app.out.json(Json::object({{"memory_for_models", memory}, {"models", std::move(list)}}));
  else
    print_table(
        app.out,
        {"NAME", "TASK", "SIZE", "MEMORY", "FITS", "TOKENS/S", "CONTEXT", "LICENCE", "WHAT"}, rows);
  return Done{};
}

Status list_hub(App& app, const Arguments& arguments) {
  const LibraryContext context = TRY(download_context(arguments));
  const InterruptScope interrupts;
  const DownloadHooks hooks{.stop = interrupts.token(), .received = {}, .remark = {}};
  const auto found =
      TRY(search_hub(arguments.text("--search"), most_found_models, context.network, hooks));
  if (arguments.has("--json")) {
    Json list = Json::array();
    for (const HubModel& model : found) list.push_back(to_json(model));
    app.out.json(Json::object({{"models", std::move(list)}}));
    return Done{};
  }
  std::vector<Row> rows;
  for (const HubModel& model : found)
    rows.push_back({model.reference, model.form, model.task, readable_count(model.downloads),
                    readable_count(model.likes), model.changed,
                    model.is_gated ? "accept its licence there" : ""});
  if (rows.empty())
    app.out.line(fmt::format("{} has no model for '{}' whose files Hearth reads.",
                             context.network.hub, arguments.text("--search")));
  else
    print_table(app.out, {"REFERENCE", "FORM", "TASK", "DOWNLOADS", "LIKES", "CHANGED", ""}, rows);
  return Done{};
}

Status run(App& app, const Arguments& arguments) {
  if (arguments.has("--search")) return list_hub(app, arguments);
  const LibraryContext context = TRY(library_context(arguments));
  const bool available =
      arguments.has("--available") || arguments.has("--fits") || arguments.has("--task");
  return available ? list_available(app, arguments, context) : list_local(app, arguments, context);
}

constexpr Option options[] = {
    {"--available", "", "Those of the catalog, which `hearth pull` gets, instead."},
    {"--fits", "", "Of the catalog: only what this machine's memory holds."},
    {"--task", "TASK", "Of the catalog: chat, code, embed, rerank, vision or transcription."},
    {"--search", "WORDS", "What Hugging Face has for these words instead, most downloaded first."},
};

}  // namespace

const Command list_command{
    .name = "list",
    .arguments = "[PART]",
    .summary = "List the models on this machine, or those that can be had.",
    .details =
        "Finds what `hearth pull` fetched, and in their own places the models of Hugging Face\n"
        "programs, Ollama, LM Studio, llama.cpp, GPT4All, MLC-LLM and the folders of\n"
        "library.folders. Each name in the first column serves wherever a MODEL is asked\n"
        "for. PART: only names that contain it. What lies in several programs' stores\n"
        "has one row, as far as sums of its bytes are known; `hearth du` tells where.\n\n"
        "  hearth list --available --fits --task code\n"
        "  hearth list --search \"qwen3 coder\"",
    .options = options,
    .run = run};

}  // namespace hearth::cli

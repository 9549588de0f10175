// hearth doctor: what this machine is, which kernels run here, and whether they can be trusted.
#include <fmt/core.h>

#include "cli/collections.h"
#include "cli/machine_rows.h"
#include "cli/rows.h"
#include "cli/settings.h"
#include "hardware/cpu.h"
#include "hardware/memory.h"
#include "hardware/system_files.h"
#include "kernels/select.h"
#include "library/library.h"

namespace hearth::cli {
namespace {

// One thing that was tried; `problem` is empty when it went well.
struct Check {
  std::string_view what;
  std::string problem;
};

// The built-in embedder and the built-in chat model run from file to text on the chosen kernels.
Status try_builtin(const std::string& table) {
  LibraryOptions options;
  options.kernels = table;
  const auto library = TRY(Library::create(options));
  const Lease lease = TRY(library->acquire(std::string(builtin_chat)));
  const Json hello = Json::object({{"role", "user"}, {"content", "Hello"}});
  GenerateRequest request;
  request.prompt = TRY(chat_prompt(lease->model(), Json(Json::Array{hello}))).tokens;
  request.sampling.temperature = 0;
  request.max_tokens = 8;
  const Answer answer = TRY(generate(*lease->runner, std::move(request)));
  if (answer.text.empty()) return Error(ErrorKind::corrupt, "the built-in model said nothing");
  return Done{};
}

// Collections whose model makes vectors of another length than they hold.
std::string dimension_problems(const Arguments& arguments) {
  const auto place = collection_place(arguments);
  if (!place) return place.error().message();
  std::string problems;
  for (const std::string& name : vectors::list_collections(place->root)) {
    const auto collection = open_collection(*place, name, vectors::Access::read);
    if (!collection || (*collection)->schema().embedder.empty()) continue;
    const vectors::Schema& schema = (*collection)->schema();
    const auto package = open_reference(schema.embedder);
    const auto model = package ? describe(*package) : Result<ModelInfo>(package.error());
    if (!model) continue;
    const auto conflict = find_dimension_conflict(name, static_cast<std::uint64_t>(schema.dim),
                                                  schema.embedder, model->dim);
    if (conflict) problems += (problems.empty() ? "" : "; ") + conflict->message;
  }
  return problems;
}

std::string settings_problem(const Arguments& arguments) {
  const auto config = read_tuned_config(arguments);
  if (!config) return config.error().message();
  const Status checked = check_config(*config, machine_facts());
  return checked.ok() ? "" : checked.error().message();
}

std::vector<Check> examine(const Arguments& arguments, const std::string& table) {
  const Status answered = try_builtin(table);
  const hardware::Memory memory = hardware::read_memory(hardware::machine_root());
  constexpr std::uint64_t least_memory = 512u << 20;
  return {
      {"settings", settings_problem(arguments)},
      {"collections", dimension_problems(arguments)},
      {"built-in model", answered.ok() ? "" : answered.error().message()},
      {"memory", memory.free_bytes() >= least_memory
                     ? ""
                     : fmt::format("{} free: even small models want more",
                                   readable_bytes(memory.free_bytes()))},
  };
}

// What suits this machine, and what somebody set instead.
struct Choice {
  std::string key;
  GivenValue given;
};
std::vector<Choice> choices_of(const Arguments& arguments) {
  std::vector<Choice> choices;
  const auto loaded = load_config(tuned_sources_of(arguments));
  if (!loaded) return choices;
  for (const Setting& setting : settings()) {
    const std::vector<GivenValue>& given = loaded->given.find(setting.key)->second;
    if (given.size() > 1 && given[1].layer == Layer::automatic)
      choices.push_back({std::string(setting.key), given.back()});
  }
  return choices;
}

Json to_json(const std::vector<Choice>& choices) {
  Json json = Json::object();
  for (const auto& [key, given] : choices) json.set(key, to_json(given));
  return json;
}

void print(Output& out, const std::vector<Choice>& choices) {
  out.line("");
  out.line(out.bold("Settings that follow from this machine"));
  for (const auto& [key, given] : choices)
    out.line(fmt::format("  {} = {}  {}", key, setting_text(given.value),
                         out.dim(given.reason.empty() ? "set: " + given.place : given.reason)));
}

Json to_json(const hardware::Cpu& cpu, const hardware::Memory& memory, std::string_view chosen,
             const std::vector<Check>& checks, const std::vector<Choice>& choices) {
  Json kernels = Json::array(), features = Json::array(), results = Json::array();
  for (const kernels::Candidate& candidate : kernels::candidates())
    kernels.push_back(
        Json::object({{"name", candidate.table->name}, {"runs_here", candidate.supported()}}));
  for (const std::string& feature : cpu.features) features.push_back(feature);
  bool healthy = true;
  for (const Check& check : checks) {
    results.push_back(Json::object({{"what", check.what}, {"problem", check.problem}}));
    healthy = healthy && check.problem.empty();
  }
  return Json::object({{"version", HEARTH_VERSION},
                       {"cpu", cpu.brand},
                       {"physical_cores", cpu.physical_cores},
                       {"logical_cores", cpu.logical_cores},
                       {"usable_cores", cpu.usable_cores},
                       {"features", std::move(features)},
                       {"memory_bytes", memory.total_bytes},
                       {"memory_free_bytes", memory.free_bytes()},
                       {"kernels", std::move(kernels)},
                       {"kernels_chosen", chosen},
                       {"settings", to_json(choices)},
                       {"checks", std::move(results)},
                       {"healthy", healthy}});
}

Status run(App& app, const Arguments& arguments) {
  const kernels::Kernels* table = TRY(kernels::choose(arguments.text("--cpu")));
  const std::string root = hardware::machine_root();
  const hardware::Cpu cpu = hardware::read_cpu(root);
  const hardware::Memory memory = hardware::read_memory(root);
  const std::vector<Check> checks = examine(arguments, table->name);
  const std::vector<Choice> choices = choices_of(arguments);
  if (arguments.has("--json")) {
    app.out.json(to_json(cpu, memory, table->name, checks, choices));
    return Done{};
  }
  Output& out = app.out;
  out.line(out.bold(fmt::format("hearth {}", HEARTH_VERSION)));
  out.row("processor", cpu.brand);
  out.row("cores", cores_text(cpu));
  out.row("caches", caches_text(cpu));
  out.row("instruction sets", features_text(cpu));
  out.row("memory", fmt::format("{}, {} free for Hearth", readable_bytes(memory.total_bytes),
                                readable_bytes(memory.free_bytes())));
  for (const kernels::Candidate& candidate : kernels::candidates())
    out.row(fmt::format("kernels {}", candidate.table->name), candidate.table == table ? "in use"
                                                              : candidate.supported()
                                                                  ? "run here"
                                                                  : "need another processor");
  for (const Check& check : checks)
    out.row(check.what, check.problem.empty() ? "fine" : "PROBLEM: " + check.problem);
  print(out, choices);
  return Done{};
}

}  // namespace

const Command doctor_command{
    .name = "doctor",
    .arguments = "",
    .summary = "Tell what this machine is, which kernels are used, and what is wrong.",
    .details = "",
    .options = {},
    .run = run};

}  // namespace hearth::cli

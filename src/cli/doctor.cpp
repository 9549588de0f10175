// hearth doctor: what this machine is, which kernels run here, and whether they can be trusted.
#include <fmt/core.h>

#include "cli/rows.h"
#include "cli/settings.h"
#include "hardware/cpu.h"
#include "hardware/memory.h"
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

std::vector<Check> examine(const Arguments& arguments, const std::string& table) {
  const auto problem = [](const auto& result) {
    return result.ok() ? std::string() : result.error().message();
  };
  const hardware::Memory memory = hardware::read_memory();
  constexpr std::uint64_t least_memory = 512u << 20;
  return {
      {"settings", problem(read_config(arguments))},
      {"built-in model", problem(try_builtin(table))},
      {"memory", memory.free_bytes() >= least_memory
                     ? ""
                     : fmt::format("{} free: even small models want more",
                                   readable_bytes(memory.free_bytes()))},
  };
}

std::string join_words(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

Json to_json(const hardware::Cpu& cpu, const hardware::Memory& memory, std::string_view chosen,
             const std::vector<Check>& checks) {
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
                       {"checks", std::move(results)},
                       {"healthy", healthy}});
}

Status run(App& app, const Arguments& arguments) {
  const kernels::Kernels* table = TRY(kernels::choose(arguments.text("--cpu")));
  const hardware::Cpu cpu = hardware::read_cpu();
  const hardware::Memory memory = hardware::read_memory();
  const std::vector<Check> checks = examine(arguments, table->name);
  if (arguments.has("--json")) {
    app.out.json(to_json(cpu, memory, table->name, checks));
    return Done{};
  }
  Output& out = app.out;
  out.line(out.bold(fmt::format("hearth {}", HEARTH_VERSION)));
  out.row("processor", cpu.brand);
  out.row("cores", fmt::format("{} physical, {} logical; Hearth may use {}", cpu.physical_cores,
                               cpu.logical_cores, cpu.usable_cores));
  std::string caches;
  for (const hardware::Cache& cache : cpu.caches)
    if (cache.type != "Instruction")
      caches +=
          fmt::format("{}L{} {} KiB", caches.empty() ? "" : ", ", cache.level, cache.bytes >> 10);
  out.row("caches", caches);
  out.row("instruction sets", join_words(cpu.features));
  out.row("memory", fmt::format("{}, {} free for Hearth", readable_bytes(memory.total_bytes),
                                readable_bytes(memory.free_bytes())));
  for (const kernels::Candidate& candidate : kernels::candidates())
    out.row(fmt::format("kernels {}", candidate.table->name), candidate.table == table ? "in use"
                                                              : candidate.supported()
                                                                  ? "run here"
                                                                  : "need another processor");
  for (const Check& check : checks)
    out.row(check.what, check.problem.empty() ? "fine" : "PROBLEM: " + check.problem);
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

// hearth recommend: which models suit this machine.
#include "library/recommend.h"

#include <fmt/core.h>

#include "cli/measure.h"
#include "cli/pulling.h"
#include "cli/rows.h"
#include "hardware/cpu.h"
#include "hardware/memory.h"

namespace hearth::cli {
namespace {

Status run(App& app, const Arguments& arguments) {
  const LibraryContext context = TRY(library_context(arguments));
  const std::vector<CatalogEntry> catalog = TRY(load_catalog(context.folders));
  const hardware::Memory memory = hardware::read_memory();
  const int threads = hardware::usable_cores();
  const MachineFigures machine = TRY(figures_of_machine(app));
  const std::vector<Recommendation> chosen = recommend(catalog, machine);
  if (arguments.has("--json")) {
    Json list = Json::array();
    for (const Recommendation& one : chosen)
      list.push_back(Json::object({{"task", one.task},
                                   {"name", one.entry.name},
                                   {"reference", one.entry.reference},
                                   {"bytes", one.entry.bytes},
                                   {"memory_bytes", one.entry.memory_bytes()},
                                   {"tokens_per_second", one.tokens_per_second},
                                   {"reason", one.reason}}));
    app.out.json(Json::object({{"memory_bytes", memory.total_bytes},
                               {"memory_for_models", machine.memory_bytes},
                               {"cores", threads},
                               {"read_bytes_per_second", machine.read_bytes_per_second},
                               {"recommendations", std::move(list)}}));
    return Done{};
  }
  Output& out = app.out;
  out.line(fmt::format(
      "This machine: {} cores, {} of memory; {} of it for models, the rest for everything else.",
      threads, readable_bytes(memory.total_bytes), readable_bytes(machine.memory_bytes)));
  out.line(
      fmt::format("It reads memory at {}/s, as measured: that bounds how fast models answer.\n",
                  readable_bytes(static_cast<std::uint64_t>(machine.read_bytes_per_second))));
  for (const Recommendation& one : chosen) {
    out.line(fmt::format("{}: {} ({} to download, {})", one.task, out.bold(one.entry.name),
                         readable_bytes(one.entry.bytes), one.entry.licence));
    out.line(fmt::format("  {}", one.entry.summary));
    out.line(fmt::format("  {}", one.reason));
    out.line(fmt::format("  hearth pull {}", one.entry.name));
  }
  if (chosen.empty())
    out.line("No model of the catalog fits; the built-in one does: `hearth chat builtin`.");
  return Done{};
}

}  // namespace

const Command recommend_command{
    .name = "recommend",
    .arguments = "",
    .summary = "Tell which models suit this machine, and why.",
    .details =
        "By its memory, its cores and how fast it is at what models do: measured the first time, "
        "in\n"
        "a second or two, and kept (`hearth info --benchmark` measures anew).",
    .options = {},
    .run = run};

}  // namespace hearth::cli

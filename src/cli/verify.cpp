// hearth verify: whether models are still what was promised.
#include "library/verify.h"

#include <fmt/core.h>

#include "cli/interrupts.h"
#include "cli/pulling.h"
#include "cli/rows.h"
#include "library/resolve.h"

namespace hearth::cli {
namespace {

Result<std::vector<LocalModel>> wanted_models(const Arguments& arguments,
                                              const LibraryFolders& folders) {
  if (arguments.count() == 0) return find_local_models(folders);
  std::vector<LocalModel> models;
  for (const std::string& text : arguments.positional())
    models.push_back(TRY(find_model(text, folders)));
  return models;
}

Result<std::vector<VerifiedFile>> verify_with_progress(App& app, const LocalModel& model) {
  const InterruptScope interrupts;
  std::uint64_t done = 0;
  auto files = verify(model, {.stop = interrupts.token(), .read = [&](std::uint64_t bytes) {
                                done += bytes;
                                const double share = static_cast<double>(done) /
                                                     static_cast<double>(model.bytes + 1);
                                app.out.progress(model.name, std::min(share, 1.0));
                              }});
  app.out.progress_done();
  return files;
}

Json to_json(const LocalModel& model, const std::vector<VerifiedFile>& files, bool is_repaired) {
  Json list = Json::array();
  for (const VerifiedFile& file : files)
    list.push_back(
        Json::object({{"path", file.path}, {"sha256", file.sha256}, {"problem", file.problem}}));
  return Json::object({{"name", model.name},
                       {"from", model.tool},
                       {"repaired", is_repaired},
                       {"files", std::move(list)}});
}

Status repair(App& app, const LibraryContext& context, const LocalModel& model,
              const std::vector<VerifiedFile>& files) {
  const Manifest manifest = TRY(prepare_repair(context.folders, context.network, model, files));
  const Reference reference = TRY(parse_reference(manifest.reference));
  TRY(pull_with_progress(app, context, reference, manifest.name));
  return Done{};
}

Status run(App& app, const Arguments& arguments) {
  const LibraryContext context = TRY(download_context(arguments));
  const bool json = arguments.has("--json");
  Json list = Json::array();
  int wrong = 0, unknown = 0;
  for (const LocalModel& model : TRY(wanted_models(arguments, context.folders))) {
    const std::vector<VerifiedFile> files = TRY(verify_with_progress(app, model));
    bool is_right = true;
    for (const VerifiedFile& file : files) {
      if (file.problem.empty()) continue;
      is_right = false;
      if (!json) app.out.line(fmt::format("{}: {}: {}", model.name, file.path, file.problem));
    }
    const bool repairs = !is_right && arguments.has("--repair");
    if (repairs) TRY(repair(app, context, model, files));
    wrong += is_right || repairs ? 0 : 1;
    list.push_back(to_json(model, files, repairs));
    unknown += files.empty() ? 1 : 0;
    const bool is_named =
        arguments.count() > 0;  // of all, those of which nothing is known are many
    if (json || (!is_right && !repairs) || (files.empty() && !is_named)) continue;
    app.out.line(fmt::format("{}: {}", model.name,
                             repairs         ? "repaired"
                             : files.empty() ? "no checksum is known"
                                             : "right"));
  }
  if (!json && unknown > 0 && arguments.count() == 0)
    app.out.line(fmt::format("No checksum is known of {} more.", unknown));
  if (json) app.out.json(Json::object({{"models", std::move(list)}, {"wrong", wrong}}));
  if (wrong > 0)
    return Error(ErrorKind::corrupt,
                 fmt::format("{} {} damaged; `hearth verify --repair` fetches what is wrong again",
                             wrong, wrong == 1 ? "model is" : "models are"));
  return Done{};
}

constexpr Option options[] = {
    {"--repair", "", "Fetch again what is wrong, and only that (in Hearth's own store)."}};

}  // namespace

const Command verify_command{
    .name = "verify",
    .arguments = "[MODEL...]",
    .summary = "Read models and compare their checksums with those that were promised.",
    .details =
        "Without MODEL, all of this machine whose checksums are known: those of Hearth's\n"
        "store, Hugging Face's cache and Ollama.",
    .options = options,
    .run = run};

}  // namespace hearth::cli

// hearth verify: whether models are still what was promised.
#include "library/verify.h"

#include <fmt/core.h>

#include "cli/interrupts.h"
#include "cli/open_model.h"
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

Result<Verdict> verify_with_progress(App& app, const Arguments& arguments, const LocalModel& model,
                                     VerifyLevel level, const LibraryFolders& folders) {
  const InterruptScope interrupts;
  std::uint64_t done = 0;
  const VerifyHooks hooks{.stop = interrupts.token(), .read = [&](std::uint64_t bytes) {
                            done += bytes;
                            const double share =
                                static_cast<double>(done) / static_cast<double>(model.bytes + 1);
                            app.out.progress(model.name, std::min(share, 1.0));
                          }};
  OpenModel open;  // lives as long as what is loaded is used
  auto verdict = verify(model, level, folders, hooks, [&]() -> Result<Lease> {
    open = TRY(open_model(app, arguments, model.path));
    return open.lease;
  });
  app.out.progress_done();
  return verdict;
}

Json to_json(const LocalModel& model, const Verdict& verdict, bool is_repaired) {
  Json list = Json::array();
  for (const VerifiedFile& file : verdict.files)
    list.push_back(
        Json::object({{"path", file.path}, {"sha256", file.sha256}, {"problem", file.problem}}));
  return Json::object({{"name", model.name},
                       {"from", model.tool},
                       {"problem", verdict.problem},
                       {"advice", verdict.advice(model)},
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

// What a person reads of one model.
void print(Output& out, const LocalModel& model, const Verdict& verdict, VerifyLevel level) {
  for (const VerifiedFile& file : verdict.files)
    if (!file.problem.empty())
      out.line(fmt::format("{}: {}: {}", model.name, file.path, file.problem));
  if (!verdict.problem.empty())
    out.line(fmt::format("{}: {}: {}", model.name, name_of(verdict.failed_at), verdict.problem));
  if (!verdict.is_right()) return out.line(fmt::format("  {}", verdict.advice(model)));
  const bool is_known = level < VerifyLevel::checksum || verdict.has_promise();
  std::string words = is_known ? "right" : "no checksum was known; it is remembered from now on";
  if (level == VerifyLevel::run) words = is_known ? "right, and runs" : "runs; " + words;
  out.line(fmt::format("{}: {}", model.name, words));
}

Status run(App& app, const Arguments& arguments) {
  const LibraryContext context = TRY(download_context(arguments));
  const auto level = TRY(
      verify_level(arguments.has("--level") ? arguments.text("--level") : std::string("checksum")));
  if (arguments.has("--repair") && level < VerifyLevel::checksum)
    return Error(ErrorKind::invalid, "--repair needs the level checksum or run");
  const bool json = arguments.has("--json");
  const bool is_named = arguments.count() > 0;
  Json list = Json::array();
  int wrong = 0, unknown = 0;
  for (const LocalModel& model : TRY(wanted_models(arguments, context.folders))) {
    const Verdict verdict =
        TRY(verify_with_progress(app, arguments, model, level, context.folders));
    const bool repairs = verdict.has_wrong_files() && arguments.has("--repair");
    // Of all models, those of which nothing is known are many.
    const bool says_nothing =
        level == VerifyLevel::checksum && !verdict.has_promise() && !is_named && verdict.is_right();
    if (!json && !says_nothing && !repairs) print(app.out, model, verdict, level);
    if (repairs) TRY(repair(app, context, model, verdict.files));
    if (repairs && !json) app.out.line(fmt::format("{}: repaired", model.name));
    wrong += verdict.is_right() || repairs ? 0 : 1;
    unknown += says_nothing ? 1 : 0;
    list.push_back(to_json(model, verdict, repairs));
  }
  if (!json && unknown > 0)
    app.out.line(fmt::format("No checksum was known of {} more; theirs are remembered from now on.",
                             unknown));
  if (json)
    app.out.json(
        Json::object({{"level", name_of(level)}, {"models", std::move(list)}, {"wrong", wrong}}));
  if (wrong > 0)
    return Error(ErrorKind::corrupt,
                 fmt::format("{} {} not right", wrong, wrong == 1 ? "model is" : "models are"));
  return Done{};
}

constexpr Option options[] = {
    {"--level", "LEVEL", "header, tensors, checksum (the default) or run."},
    {"--repair", "", "Fetch again what is wrong, and only that (in Hearth's own store)."}};

}  // namespace

const Command verify_command{
    .name = "verify",
    .arguments = "[MODEL...]",
    .summary = "Tell whether models are what was promised, and whether they run.",
    .details =
        "Without MODEL, all of this machine. Checksums are known of those in Hearth's store,\n"
        "Hugging Face's cache and Ollama; those of other files are remembered at the first time,\n"
        "so that later damage is seen. A model with damaged files is set aside: nothing uses it\n"
        "until it is mended.\n\n"
        "  header    it opens and says what it is\n"
        "  tensors   all that its architecture needs is there, in shape, with its tokenizer\n"
        "  checksum  its bytes are those that were promised\n"
        "  run       all of these; then it is loaded, and writes a token of ordinary numbers",
    .options = options,
    .run = run};

}  // namespace hearth::cli

// hearth quantize: a smaller model of the same weights.
#include <fmt/format.h>
#include <sys/stat.h>

#include <chrono>

#include "adapt/compare.h"
#include "adapt/convert.h"
#include "adapt/quantise.h"
#include "adapt/translate.h"
#include "base/ascii.h"
#include "base/store_files.h"
#include "cli/interrupts.h"
#include "cli/open_model.h"
#include "cli/pulling.h"
#include "cli/rows.h"
#include "cli/settings.h"
#include "hardware/cpu.h"
#include "kernels/select.h"
#include "library/resolve.h"

namespace hearth::cli {
namespace {

using Clock = std::chrono::steady_clock;

std::string recipe_names() {
  std::string names;
  for (const adapt::Recipe& recipe : adapt::recipes())
    names += fmt::format("{}{}", names.empty() ? "" : ", ", recipe.name);
  return names;
}

Result<const adapt::Recipe*> recipe_of(const Arguments& arguments) {
  const std::string name = arguments.text("--to", "Q4_K_M");
  const adapt::Recipe* recipe = adapt::find_recipe(name);
  if (recipe == nullptr)
    return Error(ErrorKind::invalid, fmt::format("--to {}: needs one of {}", name, recipe_names()));
  return recipe;
}

Result<std::vector<std::pair<std::string, Dtype>>> types_of(const Arguments& arguments) {
  std::vector<std::pair<std::string, Dtype>> types;
  for (const std::string& text : arguments.all("--tensor")) {
    const auto equals = text.rfind('=');
    const DtypeInfo* found = nullptr;
    for (const DtypeInfo& row : dtypes())
      if (equals != text.npos && row.gguf_id >= 0 &&
          equal_ignoring_case(row.name, text.substr(equals + 1)))
        found = &row;
    if (found == nullptr)
      return Error(
          ErrorKind::invalid,
          fmt::format("--tensor {}: needs NAME=TYPE, as 'blk.*.attn_v.weight=q6_k'", text));
    types.emplace_back(text.substr(0, equals), found->dtype);
  }
  return types;
}

// Renaming over the model that is read would be safe, and hardly what was meant.
Status check_output(const Arguments& arguments, const std::string& input,
                    const std::string& output) {
  struct stat from, to;
  const bool exists = ::stat(output.c_str(), &to) == 0;
  if (exists && ::stat(input.c_str(), &from) == 0 && from.st_ino == to.st_ino &&
      from.st_dev == to.st_dev)
    return Error(ErrorKind::invalid, fmt::format("{} is the model itself", output));
  if (exists && !arguments.has("--yes"))
    return Error(ErrorKind::invalid, fmt::format("{} is there already; --yes replaces it", output));
  return Done{};
}

std::string default_output(std::string stem, const adapt::Recipe& recipe) {
  while (stem.size() > 1 && stem.ends_with('/')) stem.pop_back();
  if (stem.ends_with(".gguf")) stem.resize(stem.size() - 5);
  return fmt::format("{}-{}.gguf", stem, recipe.name);
}

void show_progress(App& app, Clock::time_point start, const adapt::QuantiseProgress& progress) {
  const double share =
      static_cast<double>(progress.bytes) / static_cast<double>(progress.total + 1);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  std::string what = "quantizing";
  if (share > 0.02)
    what = fmt::format("quantizing, {} left", readable_seconds(seconds / share * (1 - share)));
  app.out.progress(what, share);
}

Json tensors_json(const adapt::Quantised& done) {
  Json tensors = Json::object();
  for (const auto& [name, dtype] : done.tensors) tensors.set(name, name_of(dtype));
  return tensors;
}

Json report_json(const adapt::Comparison& report) {
  return Json::object({{"tokens", report.tokens},
                       {"perplexity_before", report.perplexity_before},
                       {"perplexity_after", report.perplexity_after},
                       {"kl_mean", report.kl_mean},
                       {"kl_median", report.kl_median},
                       {"kl_99", report.kl_99},
                       {"kl_max", report.kl_max},
                       {"same_first", report.same_first}});
}

void show_report(Output& out, const adapt::Comparison& report) {
  out.row("perplexity", fmt::format("{:.4f} before, {:.4f} after ({:+.2f} %), over {} tokens",
                                    report.perplexity_before, report.perplexity_after,
                                    100 * (report.perplexity_after / report.perplexity_before - 1),
                                    report.tokens));
  out.row("divergence", fmt::format("mean {:.5f}, median {:.5f}, 99 % below {:.5f}, at most {:.4f}",
                                    report.kl_mean, report.kl_median, report.kl_99, report.kl_max));
  out.row("same choice", fmt::format("{:.2f} % of tokens", 100 * report.same_first));
}

Result<adapt::Comparison> compare(App& app, ops::Context& ctx, const std::string& before,
                                  const std::string& after, const std::string& text,
                                  std::stop_token stop) {
  constexpr std::uint64_t most_text = 64 << 20;
  const std::string words = TRY(read_file(text, most_text));
  auto report = adapt::compare_models(
      ctx, before, after, words,
      {.progress = [&](double share) { app.out.progress("comparing", share); }, .stop = stop});
  app.out.progress_done();
  return report;
}

Status run(App& app, const Arguments& arguments) {
  const LibraryContext context = TRY(library_context(arguments));
  const LocalModel model = TRY(find_model(arguments[0], context.folders));
  const std::string& input = model.path;
  adapt::QuantiseOptions options;
  options.recipe = TRY(recipe_of(arguments));
  options.types = TRY(types_of(arguments));
  const std::string output =
      arguments.count() > 1 ? arguments[1] : default_output(output_stem(model), *options.recipe);
  TRY(check_output(arguments, input, output));
  adapt::ImportanceMatrix importance;
  if (arguments.has("--imatrix")) {
    importance = TRY(adapt::read_importance(arguments.text("--imatrix")));
    options.importance = &importance;
  }
  const LibraryOptions settings = TRY(library_options(arguments));
  ThreadPool pool(settings.threads > 0 ? settings.threads : hardware::usable_cores());

  const InterruptScope interrupts;
  const auto start = Clock::now();
  options.stop = interrupts.token();
  options.progress = [&](const adapt::QuantiseProgress& progress) {
    show_progress(app, start, progress);
  };
  const Package package = TRY(open_reference(input, context.folders));
  const auto translated = adapt::translate(package, Naming::gguf);
  if (!translated) return translated.error();
  for (const std::string& loss : translated->losses) app.out.remark(fmt::format("lost: {}", loss));
  std::string tower;  // of a folder: GGUF models have theirs already
  if (package.naming != Naming::gguf)
    tower = TRY(adapt::write_tower(translated->package, output, arguments.has("--yes"), pool));
  const auto done = adapt::quantise(translated->package, output, options, pool);
  app.out.progress_done();
  if (!done) {
    if (!tower.empty()) static_cast<void>(remove_all(tower).ok());
    return done.error();
  }
  if (!tower.empty()) app.out.remark(fmt::format("its vision tower, not quantized: {}", tower));
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  for (const std::string& remark : done->remarks) app.out.remark(remark);

  std::optional<adapt::Comparison> report;
  if (arguments.has("--report")) {
    ops::Context ctx{.kernels = TRY(kernels::choose(settings.kernels)), .pool = &pool};
    report = TRY(compare(app, ctx, input, output, arguments.text("--report"), interrupts.token()));
  }
  std::uint64_t parameters = 0;
  for (const TensorEntry& tensor : package.tensors) parameters += tensor.elements();
  const double bits = 8 * static_cast<double>(done->bytes_after) / static_cast<double>(parameters);
  if (arguments.has("--json")) {
    Json json = Json::object({{"output", output},
                              {"recipe", options.recipe->name},
                              {"bytes_before", done->bytes_before},
                              {"bytes_after", done->bytes_after},
                              {"bits_per_weight", bits},
                              {"seconds", seconds},
                              {"tensors", tensors_json(*done)}});
    if (report) json.set("report", report_json(*report));
    app.out.json(json);
    return Done{};
  }
  app.out.line(fmt::format("{}: {}, {:.2f} bits a weight, from {} in {}", output,
                           readable_bytes(done->bytes_after), bits,
                           readable_bytes(done->bytes_before), readable_seconds(seconds)));
  if (report) show_report(app.out, *report);
  return Done{};
}

constexpr Option options[] = {
    {"--to", "RECIPE", "What to make, as Q4_K_M (default), Q8_0, Q5_K_S, IQ3_XXS."},
    {"--imatrix", "FILE",
     "An importance matrix, made by `hearth imatrix`: better weights at the same size."},
    {"--tensor", "NAME=TYPE", "The type of some tensors; '*' in NAME stands for anything.", true},
    {"--report", "TEXT",
     "Then measure what was lost on this text file: perplexity and divergence."},
};

}  // namespace

const Command quantize_command{
    .name = "quantize",
    .arguments = "MODEL [OUT]",
    .summary = "Make a model smaller.",
    .details =
        "Writes a GGUF file, from whatever Hearth reads.  The recipes and their types are "
        "llama.cpp's: Q4_K_M is a good "
        "choice,\nQ8_0 loses hardly anything, those of three bits and less want an importance "
        "matrix.\n\n"
        "  hearth quantize model-F16.gguf model-Q4_K_M.gguf --to Q4_K_M\n"
        "  hearth quantize folder-of-safetensors --to Q4_K_M\n"
        "  hearth quantize model-F16.gguf --to IQ3_XXS --imatrix model.imatrix --report "
        "text.txt",
    .options = options,
    .run = run};

}  // namespace hearth::cli

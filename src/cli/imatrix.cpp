// hearth imatrix: what a model's weights are multiplied with, measured on a text.
#include <fmt/core.h>

#include "adapt/measure.h"
#include "cli/interrupts.h"
#include "cli/open_model.h"
#include "cli/pulling.h"
#include "cli/rows.h"
#include "hardware/cpu.h"
#include "kernels/select.h"
#include "library/resolve.h"

namespace hearth::cli {
namespace {

Status run(App& app, const Arguments& arguments) {
  constexpr std::uint64_t most_text = 256 << 20;
  const LibraryContext context = TRY(library_context(arguments));
  const LocalModel model = TRY(find_model(arguments[0], context.folders));
  const std::string text = TRY(read_file(arguments[1], most_text));
  const std::string output = arguments.text("--output", output_stem(model) + ".imatrix");
  if (is_file(output) && !arguments.has("--yes"))
    return Error(ErrorKind::invalid, fmt::format("{} is there already; --yes replaces it", output));
  adapt::MeasureOptions options;
  options.chunk_tokens =
      static_cast<std::uint32_t>(TRY(arguments.integer("--chunk", 512, 16, 1 << 20)));
  options.most_chunks =
      static_cast<std::uint32_t>(TRY(arguments.integer("--chunks", 1 << 30, 1, 1 << 30)));
  options.text_name = file_name(arguments[1]);

  const LibraryOptions settings = TRY(library_options(arguments));
  ThreadPool pool(settings.threads > 0 ? settings.threads : hardware::usable_cores());
  ops::Context ctx{.kernels = TRY(kernels::choose(settings.kernels)), .pool = &pool};
  const InterruptScope interrupts;
  options.stop = interrupts.token();
  options.progress = [&](double share) { app.out.progress("measuring", share); };
  const Package package = TRY(open_reference(model.path, context.folders));
  const auto matrix = adapt::measure_importance(ctx, package, text, options);
  app.out.progress_done();
  if (!matrix) return matrix.error();
  TRY(adapt::write_importance(output, *matrix));
  if (arguments.has("--json"))
    app.out.json(
        Json::object({{"output", output},
                      {"weights", matrix->weights.size()},
                      {"chunks", static_cast<std::uint64_t>(matrix->chunks)},
                      {"chunk_tokens", static_cast<std::uint64_t>(matrix->chunk_tokens)}}));
  else
    app.out.line(fmt::format("{}: {} weights over {} chunks of {} tokens", output,
                             matrix->weights.size(), matrix->chunks, matrix->chunk_tokens));
  return Done{};
}

constexpr Option options[] = {
    {"--output", "FILE", "Where to (default: MODEL.imatrix)."},
    {"--chunk", "N", "Tokens that are read at once (default 512)."},
    {"--chunks", "N", "At most so many chunks (default: the whole text)."},
};

}  // namespace

const Command imatrix_command{
    .name = "imatrix",
    .arguments = "MODEL TEXT",
    .summary = "Measure which weights matter, for hearth quantize.",
    .details =
        "The text should be of the kind the model is used for; 100 to 200 KB are enough.\n"
        "llama.cpp reads the file too.\n\n"
        "  hearth imatrix model-F16.gguf sample.txt --output model.imatrix",
    .options = options,
    .run = run};

}  // namespace hearth::cli

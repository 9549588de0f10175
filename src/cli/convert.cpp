// hearth convert: the same model in another container.
#include <fmt/format.h>

#include <chrono>

#include "adapt/convert.h"
#include "base/store_files.h"
#include "cli/interrupts.h"
#include "cli/open_model.h"
#include "cli/pulling.h"
#include "cli/rows.h"
#include "cli/settings.h"
#include "hardware/cpu.h"
#include "library/resolve.h"
#include "library/towers.h"

namespace hearth::cli {
namespace {

using Clock = std::chrono::steady_clock;
using adapt::Container;

// What --to says, otherwise what the ending of OUT does; a folder is Hugging Face's.
Result<Container> container_of(const Arguments& arguments, const std::string& output) {
  const std::string wanted = arguments.text("--to", "");
  std::string names;
  for (const adapt::ContainerName& row : adapt::containers()) {
    if (row.name == wanted ||
        (wanted.empty() && !row.ending.empty() && output.ends_with(row.ending)))
      return row.container;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", row.name);
  }
  if (wanted.empty()) return Container::safetensors;
  return Error(ErrorKind::invalid, fmt::format("--to {}: needs one of {}", wanted, names));
}

Result<std::optional<Dtype>> floats_of(const Arguments& arguments) {
  if (!arguments.has("--dtype")) return std::optional<Dtype>();
  const std::string name = arguments.text("--dtype");
  for (const Dtype dtype : {Dtype::f32, Dtype::f16, Dtype::bf16})
    if (name_of(dtype) == name) return std::optional(dtype);
  return Error(ErrorKind::invalid, fmt::format("--dtype {}: needs f32, f16 or bf16", name));
}

void show_progress(App& app, Clock::time_point start, const adapt::ConvertProgress& progress) {
  const double share =
      static_cast<double>(progress.bytes) / static_cast<double>(progress.total + 1);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  std::string what = "converting";
  if (share > 0.02)
    what = fmt::format("converting, {} left", readable_seconds(seconds / share * (1 - share)));
  app.out.progress(what, share);
}

Json strings(const std::vector<std::string>& list) {
  Json out = Json::array();
  for (const std::string& text : list) out.push_back(text);
  return out;
}

Status show(App& app, const Arguments& arguments, const std::string& output, Container container,
            const adapt::Converted& done, double seconds) {
  std::string_view name;
  for (const adapt::ContainerName& row : adapt::containers())
    if (row.container == container) name = row.name;
  if (arguments.has("--json")) {
    app.out.json(Json::object({{"output", output},
                               {"container", name},
                               {"bytes_before", done.bytes_before},
                               {"bytes_after", done.bytes_after},
                               {"tensors", done.tensors},
                               {"seconds", seconds},
                               {"losses", strings(done.losses)},
                               {"remarks", strings(done.remarks)}}));
    return Done{};
  }
  for (const std::string& loss : done.losses) app.out.remark(fmt::format("lost: {}", loss));
  for (const std::string& remark : done.remarks) app.out.remark(remark);
  app.out.line(fmt::format("{}: {} as {}, {} tensors in {}{}", output,
                           readable_bytes(done.bytes_after), name, done.tensors,
                           readable_seconds(seconds), done.losses.empty() ? ", nothing lost" : ""));
  return Done{};
}

Status run(App& app, const Arguments& arguments) {
  const LibraryContext context = TRY(library_context(arguments));
  const LocalModel model = TRY(find_model(arguments[0], context.folders));
  std::string output = arguments[1];
  while (output.size() > 1 && output.ends_with('/')) output.pop_back();
  adapt::ConvertOptions options;
  options.to = TRY(container_of(arguments, output));
  options.floats = TRY(floats_of(arguments));
  options.single_file = output.ends_with(".safetensors") || output.ends_with(".npz");
  options.shard_bytes =
      static_cast<std::uint64_t>(TRY(arguments.integer("--shard-size", 5000, 1, 1 << 30))) *
      1'000'000;
  options.replace = arguments.has("--force") || arguments.has("--yes");
  if (const auto from = file_identity(model.path), to = file_identity(output);
      from && to && from->inode == to->inode && from->device == to->device)
    return Error(ErrorKind::invalid, fmt::format("{} is the model itself", output));
  const LibraryOptions settings = TRY(library_options(arguments));
  ThreadPool pool(settings.threads > 0 ? settings.threads : hardware::usable_cores());

  const InterruptScope interrupts;
  const auto start = Clock::now();
  options.stop = interrupts.token();
  options.progress = [&](const adapt::ConvertProgress& progress) {
    show_progress(app, start, progress);
  };
  Package package = TRY(open_reference(model.path, context.folders));
  if (options.to == Container::safetensors && !options.single_file)
    TRY(attach_tower(package, arguments.text("--mmproj", model.tower)));
  const auto done = adapt::convert(package, output, options, pool);
  app.out.progress_done();
  if (!done) return done.error();
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return show(app, arguments, output, options.to, *done, seconds);
}

constexpr Option options[] = {
    {"--to", "CONTAINER",
     "gguf, safetensors, mlx, npz or onnx; default: what the ending of OUT says, otherwise a "
     "Hugging "
     "Face "
     "folder."},
    mmproj_flag,
    {"--dtype", "TYPE", "f32, f16 or bf16 for the weights of matrices; default: as they are."},
    {"--shard-size", "MB", "Files of a folder are cut at so many megabytes (default 5000)."},
    {"--force", "", "Replace OUT when it is there."},
};

}  // namespace

const Command convert_command{
    .name = "convert",
    .arguments = "MODEL OUT",
    .summary = "Write a model in another format.",
    .details =
        "From whatever Hearth reads to a GGUF file, a Hugging Face folder (safetensors), an MLX "
        "folder or\nan npz, or an ONNX graph: weights, configuration, tokenizer and chat template. "
        " Types stay what "
        "they are where the\nnew format has them; what it cannot hold is said.\n\n"
        "  hearth convert model.gguf folder\n"
        "  hearth convert folder model.gguf\n"
        "  hearth convert folder model-mlx --to mlx --dtype f16\n"
        "  hearth convert model.gguf model-onnx --to onnx",
    .options = options,
    .run = run};

}  // namespace hearth::cli

// hearth import and hearth export: files of one's own into the store, and out of it.
#include "library/import.h"

#include <fmt/core.h>

#include "base/files.h"
#include "cli/interrupts.h"
#include "cli/pulling.h"
#include "cli/rows.h"
#include "library/resolve.h"

namespace hearth::cli {
namespace {

Status import(App& app, const Arguments& arguments) {
  const LibraryContext context = TRY(library_context(arguments));
  const InterruptScope interrupts;
  ImportOptions options;
  options.name = arguments.text("--name");
  options.is_replacing = arguments.has("--replace");
  options.stop = interrupts.token();
  options.progress = [&](double share) { app.out.progress("importing", share); };
  const auto made = import_model(arguments[0], context.folders, options);
  app.out.progress_done();
  if (!made) return made.error();
  if (arguments.has("--json")) {
    Json files = Json::array();
    for (const StoredFile& file : made->files)
      files.push_back(
          Json::object({{"name", file.name}, {"bytes", file.bytes}, {"sha256", file.sha256}}));
    app.out.json(Json::object(
        {{"name", made->name}, {"bytes", made->bytes()}, {"files", std::move(files)}}));
    return Done{};
  }
  app.out.line(fmt::format("{}: {} in the store, readable as a model", made->name,
                           readable_bytes(made->bytes())));
  const auto found = find_model(made->name, context.folders);
  const bool is_speech = found && read_facts(*found).kind == name_of(ModelKind::transcriber);
  app.out.line(fmt::format("Try it: hearth {} {}",
                           is_speech                    ? "transcribe FILE --model"
                           : has_graph_name(made->main) ? "show"
                                                        : "chat",
                           made->name));
  return Done{};
}

Status export_named(App& app, const Arguments& arguments) {
  const LibraryContext context = TRY(library_context(arguments));
  const LocalModel model = TRY(find_model(arguments[0], context.folders));
  if (model.tool == "program")
    return Error(ErrorKind::invalid, fmt::format("'{}' is part of the program", model.name));
  const InterruptScope interrupts;
  const std::string target = arguments[1].empty() ? file_name(model.path) : arguments[1];
  const Status done = export_model(model, target, arguments.has("--replace"), interrupts.token(),
                                   [&](double share) { app.out.progress("exporting", share); });
  app.out.progress_done();
  TRY(done);
  if (arguments.has("--json"))
    app.out.json(Json::object({{"name", model.name}, {"path", target}, {"bytes", model.bytes}}));
  else
    app.out.line(
        fmt::format("{} copied to {}, {}", model.name, target, readable_bytes(model.bytes)));
  return Done{};
}

constexpr Option replace_option = {"--replace", "", "Replace what is there."};
constexpr Option import_options[] = {
    {"--name", "NAME", "How it will be called, such as house:7b; otherwise after the file."},
    replace_option,
};
constexpr Option export_options[] = {replace_option};

}  // namespace

const Command import_command{
    .name = "import",
    .arguments = "PATH",
    .summary = "Copy a model file, folder or archive of yours into the store.",
    .details =
        "PATH is a GGUF or safetensors file, a graph (.onnx, .ort, .tflite, .pte, .mlmodel,\n"
        ".mlpackage), a Hugging Face folder, or a zip\n"
        "or tar archive (gz, bz2, xz, zst) of one.  It is in the list only when it can be read.\n"
        "To use files where they are, name their folder in library.folders instead.\n\n"
        "  hearth import ~/finetuned.gguf --name house:7b",
    .options = import_options,
    .run = import};

const Command export_command{
    .name = "export",
    .arguments = "MODEL [PATH]",
    .summary = "Copy a model's files out of the store.",
    .details = "To PATH, a file or folder; otherwise into the working folder.",
    .options = export_options,
    .run = export_named};

}  // namespace hearth::cli

// hearth create: a model under a name of the user's own, with instructions and parameters.
#include <fmt/core.h>

#include <filesystem>

#include "base/files.h"
#include "base/store_files.h"
#include "base/utf8.h"
#include "cli/interrupts.h"
#include "cli/pulling.h"
#include "cli/rows.h"
#include "formats/lora.h"
#include "library/fitting.h"
#include "library/import.h"
#include "library/modelfile.h"
#include "library/resolve.h"
#include "server/preset.h"

namespace hearth::cli {
namespace {

constexpr std::string_view standard_file = "Modelfile";

// Where an adapter lies that is named from `folder`; it stays there.
Result<std::string> adapter_path(const std::string& folder, const std::string& named) {
  std::error_code error;
  const auto path = std::filesystem::absolute(std::filesystem::path(folder) / named, error);
  TRY(open_lora(path.lexically_normal().string()));
  return path.lexically_normal().string();
}

Result<Modelfile> read_wish(const Arguments& arguments) {
  Modelfile wish;
  const bool is_plain = arguments.has("--from") && !arguments.has("--file");
  if (!is_plain) {
    const std::string path = arguments.text("--file", standard_file);
    const std::string text =
        TRY(path == "-" ? read_stdin(max_modelfile_bytes) : read_file(path, max_modelfile_bytes));
    auto parsed = parse_modelfile(text);
    if (!parsed) return std::move(parsed).error().within(path);
    wish = std::move(*parsed);
    const std::string folder = path == "-" ? "." : parent_folder(path);
    for (std::string& adapter : wish.adapters) adapter = TRY(adapter_path(folder, adapter));
  }
  for (const std::string& adapter : arguments.all("--adapter"))
    wish.adapters.push_back(TRY(adapter_path(".", adapter)));
  wish.from = arguments.text("--from", wish.from);
  wish.system = arguments.text("--system", wish.system);
  for (const std::string& parameter : arguments.all("--parameter")) {
    const std::size_t equals = parameter.find('=');
    if (equals == std::string::npos)
      return Error(ErrorKind::invalid,
                   fmt::format("--parameter {}: needs NAME=VALUE", printable(parameter)));
    add_parameter(wish.parameters, parameter.substr(0, equals), parameter.substr(equals + 1));
  }
  return wish;
}

// What the name says: the wish, and behind it what the model's own name says.
Result<Preset> preset_of(const Modelfile& wish, const LibraryFolders& folders) {
  const Aliases aliases = read_aliases(folders);
  const Alias* alias = find_alias(aliases, wish.from);
  auto preset = server::preset_of(wish, alias ? alias->preset : Preset());
  if (!preset.ok()) return Error(ErrorKind::invalid, std::move(preset).error().message);
  return std::move(preset).value();
}

// The model's own name; a file of the user's is copied into the store under the new one.
Result<std::string> find_base(App& app, const std::string& from, const std::string& name,
                              const LibraryFolders& folders) {
  const Resolved resolved = TRY(resolve(from, folders));
  if (!resolved.local) return resolved.missing->error;
  if (resolved.local->tool != "path") {
    for (const LocalModel& model : find_local_models(folders))
      if (model.name == name && name != resolved.local->name)
        return Error(ErrorKind::invalid, fmt::format("'{}' is a model of its own", name));
    return resolved.local->name;
  }
  const InterruptScope interrupts;
  ImportOptions options;
  options.name = name;
  options.is_replacing = true;
  options.stop = interrupts.token();
  options.progress = [&](double share) { app.out.progress("importing", share); };
  auto made = import_model(resolved.local->path, folders, options);
  app.out.progress_done();
  if (!made) return std::move(made).error();
  return made->name;
}

Status create(App& app, const Arguments& arguments) {
  const LibraryContext context = TRY(library_context(arguments));
  const std::string& name = arguments[0];
  TRY(check_model_name(name));
  const Modelfile wish = TRY(read_wish(arguments));
  const Preset preset = TRY(preset_of(wish, context.folders));
  TRY(check_adapters(wish.from, preset.adapters, context.folders));
  const std::string base = TRY(find_base(app, wish.from, name, context.folders));
  TRY(set_alias(context.folders, name, {base, preset}));
  if (arguments.has("--json"))
    app.out.json(Json::object(
        {{"name", name}, {"model", base}, {"modelfile", write_modelfile(base, preset)}}));
  else
    app.out.line(fmt::format("{}: {}. Try it: hearth chat {}", name, base, name));
  return Done{};
}

constexpr Option options[] = {
    {"--file", "FILE", "The Modelfile (default: ./Modelfile; -: standard input)."},
    {"--from", "MODEL", "The model; without --file, all of it is said by options."},
    {"--system", "TEXT", "Instructions of every conversation that brings none."},
    {"--adapter", "PATH", "A LoRA adapter that answers under this name; several times.", true},
    {"--parameter", "NAME=VALUE",
     "temperature, top_k, top_p, min_p, seed, stop, num_ctx, num_predict ...; several times.",
     true},
};

}  // namespace

const Command create_command{
    .name = "create",
    .arguments = "NAME",
    .summary = "Give a model a name of your own, with instructions and parameters.",
    .details =
        "NAME can be used wherever a model is named, here and by every client.  Requests may\n"
        "still say otherwise.  Reads Ollama's Modelfiles: FROM, SYSTEM, PARAMETER, MESSAGE, "
        "ADAPTER\n"
        "and LICENSE; nothing is copied, unless FROM is a file of yours.  `hearth rm NAME` takes\n"
        "the name away.\n\n"
        "  hearth create reviewer --from qwen3:4b --system \"You review code.\" --parameter "
        "temperature=0.2\n"
        "  hearth create mario --file Modelfile",
    .options = options,
    .run = create};

}  // namespace hearth::cli

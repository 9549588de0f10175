#include "cli/show_weights.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "base/files.h"
#include "base/utf8.h"
#include "cli/rows.h"
#include "formats/lora.h"
#include "models/tensors.h"

namespace hearth::cli {
namespace {

// "f32, i64": the types, those of most elements first.
std::string types_of(const Package& package) {
  std::map<Dtype, std::uint64_t> elements;
  for (const TensorEntry& tensor : package.tensors) elements[tensor.dtype] += tensor.elements();
  std::vector<std::pair<std::uint64_t, Dtype>> order;
  for (const auto& [dtype, count] : elements) order.emplace_back(count, dtype);
  std::ranges::sort(order, std::greater());
  std::string text;
  for (const auto& [count, dtype] : order)
    text += fmt::format("{}{}", text.empty() ? "" : ", ", name_of(dtype));
  return text;
}

}  // namespace

void list_tensors(Output& out, const Package& package) {
  for (const TensorEntry& tensor : package.tensors)
    out.line(fmt::format("  {:<44} {:<8} {:<18} {}", printable(tensor.name), name_of(tensor.dtype),
                         models::text_of_shape(tensor.shape), readable_bytes(tensor.bytes())));
}

Json tensors_json(const Package& package) {
  Json tensors = Json::array();
  for (const TensorEntry& tensor : package.tensors) {
    Json::Array shape(tensor.shape.begin(), tensor.shape.end());
    tensors.push_back(Json::object({{"name", tensor.name},
                                    {"dtype", name_of(tensor.dtype)},
                                    {"shape", std::move(shape)},
                                    {"bytes", tensor.bytes()}}));
  }
  return tensors;
}

void show_weights(App& app, const Arguments& arguments, const Package& package, const Error& why) {
  std::uint64_t elements = 0;
  for (const TensorEntry& tensor : package.tensors) elements += tensor.elements();
  if (arguments.has("--json")) {
    app.out.json(Json::object({{"name", file_name(package.path)},
                               {"format", package.format},
                               {"path", package.path},
                               {"architecture", Json()},
                               {"kind", "weights"},
                               {"why", why.message()},
                               {"parameters", elements},
                               {"file_bytes", package.file_bytes},
                               {"tensors", tensors_json(package)}}));
    return;
  }
  Output& out = app.out;
  out.line(out.bold(file_name(package.path)));
  out.row("what", fmt::format("weights ({}) that no engine here runs; `hearth convert` writes "
                              "them in another format",
                              package.format));
  out.row("why", why.message());
  out.row("file", fmt::format("{}, {} tensors, {} numbers, {}", readable_bytes(package.file_bytes),
                              package.tensors.size(), readable_count(elements), types_of(package)));
  out.line("");
  list_tensors(out, package);
}

bool is_adapter(const std::string& path) { return is_file(join_path(path, "adapter_config.json")); }

Status show_adapter(App& app, const Arguments& arguments, const std::string& path) {
  const LoraFile adapter = TRY(open_lora(path));
  std::uint64_t parameters = 0, most = 0;
  for (const LoraPair& pair : adapter.pairs) {
    parameters += pair.down.elements() + pair.up.elements();
    most = std::max(most, pair.down.shape.empty() ? 0 : pair.down.shape.front());
  }
  if (arguments.has("--json")) {
    Json modules = Json::array();
    for (const LoraPair& pair : adapter.pairs) modules.push_back(pair.module);
    app.out.json(Json::object({{"name", file_name(path)},
                               {"path", path},
                               {"kind", "adapter"},
                               {"base", adapter.base.empty() ? Json() : Json(adapter.base)},
                               {"rank", most},
                               {"parameters", parameters},
                               {"file_bytes", adapter.bytes},
                               {"modules", std::move(modules)}}));
    return Done{};
  }
  Output& out = app.out;
  out.line(out.bold(file_name(path)));
  out.row("what",
          fmt::format("LoRA adapter, {} parameters, rank {}", readable_count(parameters), most));
  if (!adapter.base.empty()) out.row("made for", printable(adapter.base));
  out.row("changes", fmt::format("{} matrices", adapter.pairs.size()));
  out.row("file", readable_bytes(adapter.bytes));
  out.row("use", fmt::format("hearth run MODEL --lora {}", printable(path)));
  if (!arguments.has("--tensors")) return Done{};
  out.line("");
  for (const LoraPair& pair : adapter.pairs) out.line("  " + printable(pair.module));
  return Done{};
}

}  // namespace hearth::cli

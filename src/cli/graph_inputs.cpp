#include "cli/graph_inputs.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "base/ascii.h"
#include "base/bytes.h"
#include "base/files.h"
#include "engines/graph_inputs.h"
#include "formats/graph_folder.h"
#include "graphs/feed.h"
#include "graphs/npy.h"
#include "models/model.h"

namespace hearth::cli {
namespace {

using graphs::Graph;
using graphs::ValueInfo;

constexpr std::uint64_t max_labels_bytes = 16u << 20, max_text_file_bytes = 64u << 20;

const ValueInfo& info_of(const Graph& graph, graphs::ValueId id) {
  return graph.values[static_cast<std::size_t>(id)];
}

// The NAME of NAME=VALUE; empty: it is no such thing.
std::string_view name_in(const std::string& text) {
  const std::size_t end = text.find('=');
  if (end == std::string::npos || is_file(text)) return {};
  const std::string_view name = std::string_view(text).substr(0, end);
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  const bool is_name = std::ranges::all_of(name, [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') ||
           std::string_view("./:-").find(c) != std::string_view::npos;
  });
  return is_name && !name.empty() && is_letter(name[0]) ? name : std::string_view();
}

Error no_input(const Graph& graph, const std::string& text) {
  std::string names;
  for (const graphs::ValueId id : graphs::wanted_inputs(graph))
    names += fmt::format("{}{} ({})", names.empty() ? "" : ", ", info_of(graph, id).name,
                         graphs::describe(info_of(graph, id)));
  const std::string_view name = name_in(text);
  const std::string wrong =
      name.empty() ? "needs NAME=VALUE" : fmt::format("the graph has no input '{}'", name);
  return Error(ErrorKind::invalid,
               fmt::format("--input {}: {}; the inputs are {}", text, wrong, names));
}

// Words where numbers of tokens belong, not the name of a file of other things.
std::optional<std::string> text_in(const std::string& value) {
  if (value.ends_with(".txt") && is_file(value)) {
    auto text = read_file(value, max_text_file_bytes);
    if (!text) return std::nullopt;
    while (text->ends_with('\n')) text->pop_back();
    return *std::move(text);
  }
  if (value.empty() || value.starts_with('[') || value.starts_with('{') || is_file(value))
    return std::nullopt;
  double number = 0;
  const auto [end, failed] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (failed == std::errc() && end == value.data() + value.size()) return std::nullopt;
  return value;
}

// The tokens of a text, and what a model of text reads beside them.
Status add_text(const graphs::Program& program, const adapters::GraphBinding& binding,
                const std::string& text, GraphInputs& inputs) {
  const Package package = TRY(open_package(program.path));
  const auto tokenizer = TRY(load_tokenizer(package));
  const auto tokens = TRY(tokenizer->encode(text, {.add_special = true, .parse_special = true}));
  if (tokens.empty()) return Error(ErrorKind::invalid, "a text of no token");
  auto made = TRY(adapters::token_inputs(
      *program.graph, binding,
      {.tokens = tokens, .kept_logits = static_cast<std::int64_t>(tokens.size())}));
  for (auto& [name, value] : made) inputs.emplace(name, std::move(value));
  for (const adapters::GraphState& state : binding.states) {
    graphs::Tensor start = TRY(graphs::make_tensor(state.type, state.start));
    std::memset(start.bytes, 0, start.byte_count());
    inputs.emplace(state.input, std::move(start));
  }
  return Done{};
}

// What is asked for, or what the file says of its pictures.
Result<graphs::FeedOptions> feed_options(const graphs::Program& program,
                                         const Arguments& arguments) {
  graphs::FeedOptions options;
  options.pixels = program.pixels.value_or(graphs::raw_pixels);
  if (arguments.has("--pixels"))
    options.pixels = TRY(graphs::pixels_named(arguments.text("--pixels")));
  options.rate = static_cast<std::uint32_t>(TRY(arguments.integer("--rate", 0, 4000, 384000)));
  return options;
}

Result<bool> add_arrays(const Graph& graph, const std::string& path, GraphInputs& inputs) {
  if (!path.ends_with(".npz") || !is_file(path)) return false;
  const auto file = TRY(MappedFile::open(path));
  const auto arrays = TRY(graphs::read_npz(file->bytes()));
  bool is_named = false;
  for (const graphs::ValueId id : graph.inputs)
    if (const auto found = arrays.find(info_of(graph, id).name); found != arrays.end()) {
      inputs.insert_or_assign(found->first, found->second);
      is_named = true;
    }
  return is_named;
}

}  // namespace

Result<GraphInputs> read_graph_inputs(const graphs::Program& program, const Arguments& arguments) {
  const Graph& graph = *program.graph;
  const graphs::FeedOptions options = TRY(feed_options(program, arguments));
  const auto wanted = graphs::wanted_inputs(graph);
  std::vector<std::string> given = arguments.all("--input");
  for (std::size_t i = 1; i < arguments.count(); ++i) given.push_back(arguments[i]);
  GraphInputs inputs;
  std::string words;
  std::optional<adapters::GraphBinding> binding;
  if (has_text_side(program.path))
    if (auto bound = adapters::bind_graph(graph, Json())) binding = *std::move(bound);
  for (const std::string& text : given) {
    const ValueInfo* info = nullptr;
    std::string value = text;
    for (const graphs::ValueId id : graph.inputs)
      if (text.starts_with(info_of(graph, id).name + "=")) info = &info_of(graph, id);
    if (info != nullptr) value = text.substr(info->name.size() + 1);
    if (info == nullptr && TRY(add_arrays(graph, text, inputs))) continue;
    if (info == nullptr && wanted.size() == 1) info = &info_of(graph, wanted[0]);
    if (info == nullptr && binding) info = adapters::find_input(graph, binding->ids);
    // Words may hold a `=`, a number or the name of a file does not.
    const bool takes_words = info != nullptr && (info->type == graphs::Element::text || binding);
    const bool is_wrong_name = value == text && !takes_words && !name_in(text).empty();
    if (info == nullptr || is_wrong_name) return no_input(graph, text);
    const auto written = binding && info->name == binding->ids ? text_in(value) : std::nullopt;
    if (written)
      words = *written;
    else
      inputs.insert_or_assign(info->name, TRY(graphs::feed(*info, value, options)));
  }
  if (!words.empty()) TRY(add_text(program, *binding, words, inputs));
  return inputs;
}

Result<std::vector<std::string>> read_labels(const graphs::Program& program,
                                             const Arguments& arguments) {
  if (!arguments.has("--labels")) return program.labels;
  std::vector<std::string> labels;
  const std::string text = TRY(read_file(arguments.text("--labels"), max_labels_bytes));
  for (std::string_view rest = text; !rest.empty();) labels.emplace_back(take_line(rest));
  return labels;
}

}  // namespace hearth::cli

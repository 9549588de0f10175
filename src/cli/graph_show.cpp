// hearth show GRAPH: what goes in and comes out, the operators used, the weights; --dot draws it.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <map>

#include "base/files.h"
#include "cli/graph_commands.h"
#include "cli/pulling.h"
#include "formats/graph_folder.h"
#include "graphs/cost.h"
#include "graphs/feed.h"
#include "graphs/open.h"
#include "graphs/operators.h"
#include "library/resolve.h"

namespace hearth::cli {
namespace {

using graphs::Graph;
using graphs::ValueInfo;

struct Census {
  std::map<std::string, std::size_t> operators;
  std::uint64_t parameters = 0, weight_bytes = 0;
  std::size_t nodes = 0;
};

void count(const Graph& graph, Census& census) {
  for (const graphs::Constant& constant : graph.constants) {
    census.parameters += static_cast<std::uint64_t>(constant.value.tensor.count);
    census.weight_bytes += constant.value.tensor.byte_count();
  }
  for (const graphs::Node& node : graph.nodes) {
    ++census.nodes;
    ++census.operators[std::string(node.op->name)];
    for (const auto& body : node.bodies) count(*body, census);
  }
}

Json value_json(const ValueInfo& info) {
  Json shape = Json::array();
  for (const graphs::Extent& extent : info.shape)
    shape.push_back(extent.value >= 0     ? Json(extent.value)
                    : extent.name.empty() ? Json()
                                          : Json(extent.name));
  return Json::object({{"name", info.name},
                       {"dtype", graphs::name_of(info.type)},
                       {"shape", info.has_shape ? std::move(shape) : Json()}});
}

Json list_json(const Graph& graph, const std::vector<graphs::ValueId>& ids) {
  Json list = Json::array();
  for (const graphs::ValueId id : ids)
    list.push_back(value_json(graph.values[static_cast<std::size_t>(id)]));
  return list;
}

Json to_json(const graphs::Program& program, const Census& census) {
  const graphs::Cost cost = graphs::cost_of(*program.graph);
  Json operators = Json::object(), sets = Json::object(), metadata = Json::object();
  for (const auto& [name, times] : census.operators) operators.set(name, times);
  for (const auto& [domain, version] : program.operator_sets)
    sets.set(domain.empty() ? "ai.onnx" : domain, version);
  for (const auto& [key, text] : program.metadata) metadata.set(key, text);
  return Json::object({{"format", program.format},
                       {"path", program.path},
                       {"kind", "graph"},
                       {"name", program.graph->name},
                       {"producer", program.producer},
                       {"format_version", program.format_version},
                       {"operator_sets", std::move(sets)},
                       {"metadata", std::move(metadata)},
                       {"inputs", list_json(*program.graph, graphs::wanted_inputs(*program.graph))},
                       {"outputs", list_json(*program.graph, program.graph->outputs)},
                       {"nodes", census.nodes},
                       {"operators", std::move(operators)},
                       {"parameters", census.parameters},
                       {"weight_bytes", census.weight_bytes},
                       {"labels", program.labels.size()},
                       {"cost", Json::object({{"multiplications", cost.multiplications},
                                              {"unknown_nodes", cost.unknown},
                                              {"open_sizes_as_one", cost.has_open}})}});
}

std::string cost_text(const graphs::Cost& cost) {
  std::string text = readable_count(cost.multiplications) + " multiplications";
  if (cost.has_open) text += ", open sizes as 1";
  if (cost.unknown > 0) text += fmt::format(", without {} nodes of unknown size", cost.unknown);
  return text;
}

// A model of text is run as a graph only by those who ask for what graphs alone have.
std::string graph_at(const std::string& path, const Arguments& arguments) {
  const bool is_asked_for = std::ranges::any_of(
      std::to_array<std::string_view>(
          {"--input", "--output", "--labels", "--profile", "--dot", "--pixels", "--rate"}),
      [&](std::string_view option) { return arguments.has(option); });
  if (graphs::is_graph(path)) return is_asked_for || !has_text_side(path) ? path : "";
  if (!is_asked_for || !is_folder(path)) return "";
  const auto package = open_package(path);
  return package && is_graph_package(*package) ? graph_file(*package).value_or("") : "";
}

}  // namespace

std::string graph_path(const Arguments& arguments) {
  const std::string& reference = arguments[0];
  if (reference.starts_with("builtin")) return "";
  if (is_file(reference) || is_folder(reference)) return graph_at(reference, arguments);
  const auto context = library_context(arguments);
  if (!context) return "";
  const auto found = find_model(reference, context->folders);
  return found ? graph_at(found->path, arguments) : "";
}

Status show_graph(App& app, const Arguments& arguments, const std::string& path) {
  const graphs::Program program = TRY(graphs::open_graph(path, arguments.text("--method")));
  const Graph& graph = *program.graph;
  if (arguments.has("--dot")) {
    draw_graph(app, graph);
    return Done{};
  }
  Census census;
  count(graph, census);
  if (arguments.has("--json")) {
    app.out.json(to_json(program, census));
    return Done{};
  }
  Output& out = app.out;
  out.line(out.bold(graph.name.empty() ? path : graph.name));
  out.row("what", fmt::format("graph ({}), {} nodes, {} parameters", program.format, census.nodes,
                              readable_count(census.parameters)));
  if (!program.producer.empty()) out.row("made by", program.producer);
  for (const auto& [domain, version] : program.operator_sets)
    out.row("operator set", fmt::format("{} {}", domain.empty() ? "ai.onnx" : domain, version));
  for (const auto& [key, text] : program.metadata) out.row(key, text);
  if (!program.description.empty() && !program.metadata.contains("description"))
    out.row("about", program.description);
  out.row("weights", readable_bytes(census.weight_bytes));
  out.row("cost", cost_text(graphs::cost_of(graph)));
  if (!program.labels.empty()) out.row("labels", fmt::format("{}", program.labels.size()));
  for (const graphs::ValueId id : graphs::wanted_inputs(graph)) {
    const ValueInfo& info = graph.values[static_cast<std::size_t>(id)];
    out.row("input", fmt::format("{}: {}", info.name, graphs::describe(info)));
  }
  for (const graphs::ValueId id : graph.outputs) {
    const ValueInfo& info = graph.values[static_cast<std::size_t>(id)];
    out.row("output", fmt::format("{}: {}", info.name, graphs::describe(info)));
  }
  std::vector<std::pair<std::size_t, std::string>> used;
  for (const auto& [name, times] : census.operators) used.emplace_back(times, name);
  std::ranges::sort(used, [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  std::string line;
  for (const auto& [times, name] : used)
    line += fmt::format("{}{} x{}", line.empty() ? "" : ", ", name, times);
  out.row("operators", line);
  for (const std::string& warning : program.warnings) out.remark(warning);
  return Done{};
}

}  // namespace hearth::cli

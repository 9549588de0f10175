// A graph in Graphviz's DOT language: hearth show GRAPH --dot.
// Source: graphviz.org, "DOT Language".
#include <fmt/core.h>

#include <map>

#include "cli/graph_commands.h"
#include "graphs/feed.h"
#include "graphs/operators.h"

namespace hearth::cli {
namespace {

using graphs::Graph;
using graphs::ValueInfo;

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out + "\"";
}

std::string body_name(const graphs::Node& node, std::size_t i) {
  return i < node.body_names.size() ? node.body_names[i] : fmt::format("body {}", i);
}

class Drawing {
 public:
  explicit Drawing(App& app) : app_(app) {}

  void whole(const Graph& graph) {
    app_.out.line("digraph {");
    app_.out.line("  node [shape=box, fontname=sans];");
    part(graph, {});
    for (const std::string& edge : edges_) app_.out.line(edge);
    app_.out.line("}");
  }

 private:
  using Makers = std::map<graphs::ValueId, std::string>;  // which node of the drawing a value is of

  std::string named(const ValueInfo& info) { return info.name + "\n" + graphs::describe(info); }
  std::string fresh() { return fmt::format("n{}", ++serial_); }
  void edge(const Makers& made_by, const Graph& graph, graphs::ValueId id, const std::string& to) {
    const auto from = made_by.find(id);
    if (from == made_by.end()) return;  // a constant
    const ValueInfo& info = graph.values[static_cast<std::size_t>(id)];
    edges_.push_back(fmt::format("  {} -> {} [label={}];", from->second, to,
                                 quoted(info.has_shape ? graphs::describe(info) : "")));
  }

  // made_by: of the values that the graph sees from around it.
  void part(const Graph& graph, Makers made_by) {
    const auto value = [&](graphs::ValueId id) -> const ValueInfo& {
      return graph.values[static_cast<std::size_t>(id)];
    };
    for (const graphs::ValueId id : graphs::wanted_inputs(graph)) {
      made_by[id] = fresh();
      app_.out.line(
          fmt::format("  {} [shape=ellipse, label={}];", made_by[id], quoted(named(value(id)))));
    }
    for (const graphs::Node& node : graph.nodes) {
      const std::string own = fresh();
      app_.out.line(fmt::format("  {} [label={}];", own, quoted(node.op->name)));
      for (const graphs::ValueId id : node.inputs) edge(made_by, graph, id, own);
      bodies(node, made_by);
      for (const graphs::ValueId id : node.outputs)
        if (id != graphs::absent) made_by[id] = own;
    }
    for (const graphs::ValueId id : graph.outputs) {
      const std::string own = fresh();
      app_.out.line(fmt::format("  {} [shape=ellipse, label={}];", own, quoted(named(value(id)))));
      edge(made_by, graph, id, own);
    }
  }

  // Each in a frame of its own.
  void bodies(const graphs::Node& node, const Makers& outer) {
    std::size_t captured = 0;
    for (std::size_t i = 0; i < node.bodies.size(); ++i) {
      Makers seen;
      for (const graphs::ValueId id : node.bodies[i]->captures) {
        const graphs::ValueId around = node.captured[captured++];
        if (const auto from = outer.find(around); from != outer.end()) seen[id] = from->second;
      }
      app_.out.line(fmt::format("  subgraph cluster_{} {{", ++serial_));
      app_.out.line(fmt::format("  label={};",
                                quoted(fmt::format("{} {}", node.op->name, body_name(node, i)))));
      part(*node.bodies[i], std::move(seen));
      app_.out.line("  }");
    }
  }

  App& app_;
  int serial_ = 0;
  std::vector<std::string> edges_;  // last, for an edge in a frame would draw both its ends there
};

}  // namespace

void draw_graph(App& app, const Graph& graph) { Drawing(app).whole(graph); }

}  // namespace hearth::cli

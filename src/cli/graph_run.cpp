// hearth run GRAPH: inputs from files and literals, outputs for people, as JSON and as files.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>

#include "base/bytes.h"
#include "base/files.h"
#include "cli/graph_commands.h"
#include "cli/graph_inputs.h"
#include "cli/interrupts.h"
#include "cli/open_model.h"
#include "graphs/classes.h"
#include "graphs/executor.h"
#include "graphs/feed.h"
#include "graphs/npy.h"
#include "graphs/open.h"
#include "hardware/cpu.h"
#include "kernels/select.h"

namespace hearth::cli {
namespace {

using graphs::Value;
using graphs::ValueInfo;

constexpr std::int64_t shown_numbers = 12;

const ValueInfo& info_of(const graphs::Graph& graph, graphs::ValueId id) {
  return graph.values[static_cast<std::size_t>(id)];
}

std::string number_text(const graphs::Tensor& tensor, std::int64_t i) {
  if (tensor.type == graphs::Element::text) return std::string(tensor.text(i));
  if (tensor.type == graphs::Element::c64 || tensor.type == graphs::Element::c128)
    return write_json(graphs::element_json(tensor, i));
  const std::byte* at = tensor.bytes + i * static_cast<std::int64_t>(graphs::size_of(tensor.type));
  if (!graphs::is_float(tensor.type)) {
    std::int64_t whole;
    graphs::load(graphs::Work::i64, &whole, tensor.type, at, 1);
    return fmt::format("{}", whole);
  }
  double real;
  graphs::load(graphs::Work::f64, &real, tensor.type, at, 1);
  return fmt::format("{:.6g}", real);
}

// The keys of the largest numbers.
void show_map(App& app, const std::string& name, const graphs::Tensor& keys,
              const graphs::Tensor& numbers) {
  app.out.line(fmt::format("{}: a map of {}", app.out.bold(name), keys.count));
  for (const graphs::Class& each : graphs::best_classes(numbers, {}))
    app.out.line(fmt::format("    {:>10.4f}  {}", each.score,
                             number_text(keys, static_cast<std::int64_t>(each.index))));
}

void show_value(App& app, const std::string& name, const Value& value,
                const std::vector<std::string>& labels, bool are_given) {
  if (value.kind == Value::Kind::sequence &&
      std::cmp_less_equal(value.items->size(), shown_numbers)) {
    app.out.line(fmt::format("{}: a sequence of {}", app.out.bold(name), value.items->size()));
    for (std::size_t i = 0; i < value.items->size(); ++i)
      show_value(app, fmt::format("{}[{}]", name, i), (*value.items)[i], labels, are_given);
    return;
  }
  if (value.kind == Value::Kind::map && (*value.items)[1].tensor.type != graphs::Element::text) {
    show_map(app, name, (*value.items)[0].tensor, (*value.items)[1].tensor);
    return;
  }
  if (value.kind != Value::Kind::tensor) {
    app.out.line(fmt::format("{}: {}", app.out.bold(name), write_json(graphs::to_json(value))));
    return;
  }
  const graphs::Tensor& tensor = value.tensor;
  app.out.line(fmt::format("{}: {} {}", app.out.bold(name), graphs::name_of(tensor.type),
                           graphs::to_text(tensor.dims)));
  const bool has_names =
      !labels.empty() && (are_given || std::cmp_equal(labels.size(), tensor.count));
  if (graphs::is_row(tensor) && (tensor.count > shown_numbers || has_names)) {
    for (const graphs::Class& each :
         graphs::best_classes(tensor, has_names ? labels : std::vector<std::string>()))
      app.out.line(fmt::format("    {:>10.4f}  {}{}", each.score, each.index,
                               each.label.empty() ? "" : "  " + each.label));
    return;
  }
  std::string line = "   ";
  for (std::int64_t i = 0; i < std::min(tensor.count, shown_numbers); ++i)
    line += " " + number_text(tensor, i);
  app.out.line(line +
               (tensor.count > shown_numbers ? fmt::format(" ... ({} in all)", tensor.count) : ""));
}

// Times of nodes by operator, the longest first.
struct OperatorTime {
  std::string name;
  double seconds = 0;
  std::size_t nodes = 0;
};

std::vector<OperatorTime> by_operator(const std::vector<graphs::NodeTime>& times) {
  std::map<std::string_view, OperatorTime> sums;
  for (const graphs::NodeTime& time : times) {
    OperatorTime& sum = sums[time.node->op->name];
    sum.seconds += time.seconds;
    ++sum.nodes;
  }
  std::vector<OperatorTime> list;
  for (auto& [name, sum] : sums) {
    sum.name = name;
    list.push_back(std::move(sum));
  }
  std::ranges::stable_sort(list, std::greater(), &OperatorTime::seconds);
  return list;
}

void show_times(App& app, const graphs::Graph& graph, std::vector<graphs::NodeTime> times) {
  double all = 0;
  for (const graphs::NodeTime& time : times) all += time.seconds;
  const auto row = [&](double seconds, const std::string& what) {
    app.out.line(fmt::format("  {:>9.3f} ms {:>5.1f} %  {}", seconds * 1e3,
                             all > 0 ? 100 * seconds / all : 0.0, what));
  };
  app.out.line(app.out.bold("Time by operator"));
  for (const OperatorTime& time : by_operator(times))
    row(time.seconds, fmt::format("{} x{}", time.name, time.nodes));
  std::ranges::stable_sort(times, std::greater(), &graphs::NodeTime::seconds);
  app.out.line(app.out.bold("The longest nodes"));
  for (std::size_t i = 0; i < std::min<std::size_t>(times.size(), 10); ++i) {
    const graphs::Node& node = *times[i].node;
    const ValueInfo& out = info_of(graph, node.outputs[0]);
    row(times[i].seconds, fmt::format("{} {}{}", node.op->name, out.name,
                                      out.has_shape ? " " + graphs::describe(out) : ""));
  }
}

Json times_json(const graphs::Graph& graph, const std::vector<graphs::NodeTime>& times) {
  Json list = Json::array();
  for (const graphs::NodeTime& time : times)
    list.push_back(Json::object({{"operator", time.node->op->name},
                                 {"output", info_of(graph, time.node->outputs[0]).name},
                                 {"seconds", time.seconds}}));
  return list;
}

std::string file_stem(const std::string& name) {
  std::string stem = name.empty() ? "output" : name;
  for (char& c : stem)
    if (c == '/' || c == '\\' || c == ':' || c == '\0') c = '_';
  return stem;
}

// Where an output of the graph is written: in a folder, or to the file that is named.
Result<std::string> output_path(const std::string& given, const graphs::Graph& graph,
                                const std::string& name) {
  if (!given.ends_with(".npy") || is_folder(given))
    return join_path(given, file_stem(name) + ".npy");
  if (graph.outputs.size() == 1) return given;
  return Error(ErrorKind::invalid,
               fmt::format("--output {}: one file for {} outputs; needs the name of a folder",
                           given, graph.outputs.size()));
}

}  // namespace

Status run_graph(App& app, const Arguments& arguments, const std::string& path) {
  const LibraryOptions options = TRY(library_options(arguments));
  const graphs::Runner runner(TRY(graphs::open_graph(path, arguments.text("--method"))));
  const graphs::Graph& graph = *runner.program().graph;
  const GraphInputs inputs = TRY(read_graph_inputs(runner.program(), arguments));
  const std::vector<std::string> labels = TRY(read_labels(runner.program(), arguments));
  ThreadPool pool(options.threads > 0 ? options.threads : hardware::usable_cores());
  ops::Context ctx;
  ctx.kernels = TRY(kernels::choose(options.kernels));
  ctx.pool = &pool;
  const InterruptScope interrupts;
  std::vector<graphs::NodeTime> times;
  graphs::RunOptions how{.stop = interrupts.token()};
  if (arguments.has("--profile")) {
    TRY(runner.run(ctx, inputs, how));  // the first run prepares weights
    how.times = &times;
  }
  const auto start = std::chrono::steady_clock::now();
  const auto outputs = TRY(runner.run(ctx, inputs, how));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  Json listed = Json::object();
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const std::string& name = info_of(graph, graph.outputs[i]).name;
    if (arguments.has("--output") && outputs[i].kind == Value::Kind::tensor) {
      const std::string file = TRY(output_path(arguments.text("--output"), graph, name));
      TRY(replace_file(file, bytes_of(graphs::write_npy(outputs[i].tensor))));
    }
    if (arguments.has("--json")) {
      Json shown = graphs::to_json(outputs[i]);
      if (Json classes = graphs::classes_json(outputs[i], labels); !classes.is_null())
        shown.set("classes", std::move(classes));
      listed.set(name, std::move(shown));
    } else {
      show_value(app, name, outputs[i], labels, arguments.has("--labels"));
    }
  }
  if (arguments.has("--json")) {
    Json answer = Json::object({{"outputs", std::move(listed)}, {"seconds", took.count()}});
    if (how.times != nullptr) answer.set("profile", times_json(graph, times));
    app.out.json(answer);
    return Done{};
  }
  if (how.times != nullptr) show_times(app, graph, std::move(times));
  if (app.out.is_terminal())
    app.out.line(app.out.dim(fmt::format("{:.1f} ms", took.count() * 1e3)));
  return Done{};
}

}  // namespace hearth::cli

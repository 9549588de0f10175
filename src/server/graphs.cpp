// POST /api/graphs/{model}/run, GET /api/graphs/{model}: operator graphs that are installed here.
#include <fmt/core.h>

#include "base/bytes.h"
#include "base/utf8.h"
#include "graphs/classes.h"
#include "graphs/feed.h"
#include "server/graph_pool.h"
#include "server/manage/manage.h"
#include "server/reply.h"
#include "server/rows.h"
#include "text/base64.h"

namespace hearth::server {
namespace {

constexpr std::int64_t most_answer_numbers = std::int64_t{1} << 22;  // of all outputs together
constexpr double most_seconds = 600;
constexpr std::size_t most_name = 256;

struct OpenGraph {
  std::string name;
  std::shared_ptr<const graphs::Runner> runner;
  const graphs::Graph& graph() const { return *runner->program().graph; }
  const graphs::ValueInfo& info(graphs::ValueId id) const {
    return graph().values[static_cast<std::size_t>(id)];
  }
};

Checked<OpenGraph> open_named(Service& service, const std::string& name,
                              const std::string& method) {
  if (!service.installed || !service.graphs) return service.no_such_model(name);
  auto model = service.installed->find(name);
  if (!model) return model_problem(name, model.error());
  if (model->facts.kind != "graph")
    return invalid_value("model", fmt::format("'{}' is no operator graph", printable(name)));
  const Workers::Aside aside;  // it reads a file
  auto runner = service.graphs->open(*model, method);
  if (!runner && !method.empty() &&
      (runner.error().kind() == ErrorKind::not_found ||
       runner.error().kind() == ErrorKind::invalid))
    return invalid_value("method", runner.error().message());
  if (!runner) return model_problem(name, runner.error());
  return OpenGraph{model->name, *std::move(runner)};
}

Json describe(const OpenGraph& open, const std::vector<graphs::ValueId>& ids) {
  Json list = Json::array();
  for (const graphs::ValueId id : ids) {
    const graphs::ValueInfo& info = open.info(id);
    Json shape = Json::array();
    for (const graphs::Extent& extent : info.shape)
      shape.push_back(extent.value >= 0     ? Json(extent.value)
                      : extent.name.empty() ? Json()
                                            : Json(extent.name));
    list.push_back(Json::object({{"name", info.name},
                                 {"dtype", graphs::name_of(info.type)},
                                 {"shape", info.has_shape ? std::move(shape) : Json()}}));
  }
  return list;
}

Checked<Json> show(Service& service, const Call& call) {
  const OpenGraph open = TRY(
      open_named(service, call.parts.front(), query_value(call.request, "method").value_or("")));
  const graphs::Program& program = open.runner->program();
  Json metadata = Json::object(), labels = Json::array();
  for (const auto& [key, text] : program.metadata) metadata.set(key, text);
  for (const std::string& label : program.labels) labels.push_back(label);
  return Json::object({{"model", open.name},
                       {"format", program.format},
                       {"producer", program.producer},
                       {"metadata", std::move(metadata)},
                       {"inputs", describe(open, graphs::wanted_inputs(open.graph()))},
                       {"outputs", describe(open, open.graph().outputs)},
                       {"labels", std::move(labels)}});
}

// What a string for an input of numbers holds: the file of a data: URL.
Checked<std::string> file_of(const std::string& place, const std::string& url) {
  const auto comma = url.find(";base64,");
  if (!url.starts_with("data:") || comma == std::string::npos)
    return invalid_value(place, "needs numbers, or a file as data:...;base64,...");
  auto bytes = decode_base64(std::string_view(url).substr(comma + 8));
  if (!bytes) return invalid_value(place, bytes.error().message());
  return *std::move(bytes);
}

Checked<graphs::FeedOptions> read_feeding(const OpenGraph& open, const Json& body) {
  constexpr std::int64_t least_rate = 4000, most_rate = 384000;
  graphs::FeedOptions options;
  options.pixels = open.runner->program().pixels.value_or(graphs::raw_pixels);
  if (const auto name = TRY(read_text(body, "pixels", most_name))) {
    const auto pixels = graphs::pixels_named(*name);
    if (!pixels) return invalid_value("pixels", "needs raw, unit, signed or imagenet");
    options.pixels = *pixels;
  }
  const auto rate = TRY(read_integer(body, "rate", least_rate, most_rate));
  options.rate = static_cast<std::uint32_t>(rate.value_or(0));
  return options;
}

Checked<graphs::Value> read_input(const graphs::ValueInfo& info, const Json& value,
                                  const std::string& place, const graphs::FeedOptions& options) {
  const bool is_file = value.is_string() && info.type != graphs::Element::text;
  const std::string file = is_file ? TRY(file_of(place, value.as_string())) : "";
  auto fed =
      is_file ? graphs::feed_bytes(info, bytes_of(file), options) : graphs::feed_json(info, value);
  if (!fed) return invalid_value(place, fed.error().message());
  return *std::move(fed);
}

using Inputs = std::map<std::string, graphs::Value, std::less<>>;

Checked<Inputs> read_inputs(const OpenGraph& open, const Json& body) {
  const Json* given = body.find("inputs");
  const auto wanted = graphs::wanted_inputs(open.graph());
  if (given == nullptr || !given->is_object())
    return invalid_value("inputs", "needs an object that has a value for each input");
  const graphs::FeedOptions options = TRY(read_feeding(open, body));
  Inputs inputs;
  for (const auto& [name, value] : given->as_object()) {
    const graphs::ValueInfo* info = nullptr;
    for (const graphs::ValueId id : open.graph().inputs)
      if (open.info(id).name == name) info = &open.info(id);
    const std::string place = "inputs." + printable(name);
    if (info == nullptr) return invalid_value(place, "the graph has no input of that name");
    inputs.emplace(name, TRY(read_input(*info, value, place, options)));
  }
  for (const graphs::ValueId id : wanted)
    if (!inputs.contains(open.info(id).name))
      return invalid_value("inputs." + open.info(id).name,
                           "is missing: needs " + graphs::describe(open.info(id)));
  return inputs;
}

// Which outputs are asked for; empty: all.
Checked<std::vector<std::string>> read_wanted(const OpenGraph& open, const Json& body) {
  std::vector<std::string> names;
  const Json* list = given(body, "outputs");
  if (list == nullptr) return names;
  if (!list->is_array()) return invalid_value("outputs", "needs a list of names");
  for (const Json& item : list->as_array()) {
    const bool is_there =
        item.is_string() && std::ranges::any_of(open.graph().outputs, [&](graphs::ValueId id) {
          return open.info(id).name == item.as_string();
        });
    if (!is_there) return invalid_value("outputs", "the graph has no output of that name");
    names.push_back(item.as_string());
  }
  return names;
}

std::int64_t numbers_in(const graphs::Value& value) {
  if (value.kind == graphs::Value::Kind::tensor) return value.tensor.count;
  std::int64_t sum = 0;
  if (value.items)
    for (const graphs::Value& item : *value.items) sum += numbers_in(item);
  return sum;
}

Checked<Json> run(Service& service, const Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  const auto method = TRY(read_text(body, "method", most_name));
  const OpenGraph open = TRY(open_named(service, call.parts.front(), method.value_or("")));
  const Inputs inputs = TRY(read_inputs(open, body));
  const std::vector<std::string> wanted = TRY(read_wanted(open, body));
  GraphLimits limits;
  if (const auto seconds = TRY(read_number(body, "timeout_seconds", {0, most_seconds, true})))
    limits.time = std::chrono::milliseconds(static_cast<std::int64_t>(*seconds * 1e3) + 1);
  const auto began = std::chrono::steady_clock::now();
  const Workers::Aside aside;  // it computes on threads of its own
  auto outputs = service.graphs->run(*open.runner, inputs, limits, call.responder->stop());
  if (!outputs) return Error(outputs.error());
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  Json answer = Json::object();
  std::int64_t numbers = 0;
  for (std::size_t i = 0; i < outputs->size(); ++i) {
    const std::string& name = open.info(open.graph().outputs[i]).name;
    if (!wanted.empty() && std::ranges::find(wanted, name) == wanted.end()) continue;
    numbers += numbers_in((*outputs)[i]);
    if (numbers > most_answer_numbers)
      return Problem{400, "answer_too_large",
                     fmt::format("the outputs hold more than {} numbers; 'outputs' names those "
                                 "that are wanted",
                                 most_answer_numbers),
                     "outputs", 0};
    Json shown = graphs::to_json((*outputs)[i]);
    Json classes = graphs::classes_json((*outputs)[i], open.runner->program().labels);
    if (!classes.is_null()) shown.set("classes", std::move(classes));
    answer.set(name, std::move(shown));
  }
  return Json::object(
      {{"model", open.name}, {"outputs", std::move(answer)}, {"seconds", took.count()}});
}

constexpr Endpoint rows[] = {
    {"POST", "/api/graphs/{model}/run",
     "Run an operator graph (ONNX, TFLite, Core ML, ExecuTorch).", Scope::infer, "GraphRequest",
     "GraphAnswer", Endpoint::Place::worker, reply_json<run>},
    {"GET", "/api/graphs/{model}", "What goes into an operator graph and comes out.", Scope::infer,
     "", "GraphModel", Endpoint::Place::worker, reply_json<show>},
};

}  // namespace

std::span<const Endpoint> graph_rows() { return rows; }

}  // namespace hearth::server

// The part of the C API that runs operator graphs.
#include <fmt/core.h>

#include <array>
#include <cstring>
#include <vector>

#include "api/handles.h"
#include "graphs/executor.h"
#include "graphs/feed.h"
#include "graphs/open.h"
#include "hardware/cpu.h"
#include "kernels/select.h"

struct hearth_graph {
  explicit hearth_graph(hearth::graphs::Program program, int threads)
      : runner(std::move(program)), pool(threads) {}
  const hearth::graphs::Runner runner;
  hearth::ThreadPool pool;
  const hearth::kernels::Kernels* kernels = nullptr;
  std::vector<hearth::graphs::ValueId> inputs, outputs;
  std::vector<std::vector<std::int64_t>> shapes;  // of the inputs, then of the outputs

  const hearth::graphs::ValueInfo& info(hearth::graphs::ValueId id) const {
    return runner.program().graph->values[static_cast<std::size_t>(id)];
  }
};

struct hearth_tensors {
  std::vector<hearth::graphs::Value> values;
  std::vector<hearth_tensor> tensors;
  std::vector<std::vector<const char*>> texts;  // by tensor: of those of text
  std::vector<std::string> json;                // by tensor, once somebody asked
};

namespace hearth {
namespace {

using graphs::Element;

struct Kind {
  hearth_dtype dtype;
  Element element;
};
constexpr std::array kinds{Kind{HEARTH_F32, Element::f32},      Kind{HEARTH_F64, Element::f64},
                           Kind{HEARTH_F16, Element::f16},      Kind{HEARTH_BF16, Element::bf16},
                           Kind{HEARTH_I8, Element::i8},        Kind{HEARTH_I16, Element::i16},
                           Kind{HEARTH_I32, Element::i32},      Kind{HEARTH_I64, Element::i64},
                           Kind{HEARTH_U8, Element::u8},        Kind{HEARTH_U16, Element::u16},
                           Kind{HEARTH_U32, Element::u32},      Kind{HEARTH_U64, Element::u64},
                           Kind{HEARTH_BOOL, Element::boolean}, Kind{HEARTH_TEXT, Element::text}};

hearth_dtype dtype_of(Element element) {
  for (const Kind& kind : kinds)
    if (kind.element == element) return kind.dtype;
  return HEARTH_OTHER;
}

Result<graphs::Value> tensor_of(const hearth_tensor& from) {
  Element element = Element::none;
  for (const Kind& kind : kinds)
    if (kind.dtype == from.dtype) element = kind.element;
  const std::string name = from.name == nullptr ? "" : from.name;
  const auto wrong = [&](std::string_view what) {
    return Error(ErrorKind::invalid, fmt::format("input '{}': {}", name, what));
  };
  if (element == Element::none) return wrong("a dtype that can be given");
  if (from.rank < 0 || (from.rank > 0 && from.shape == nullptr)) return wrong("a shape");
  auto tensor = graphs::make_tensor(element, {from.shape, from.shape + from.rank});
  if (!tensor) return std::move(tensor).error().within(fmt::format("input '{}'", name));
  static_assert(sizeof(const char*) == sizeof(const std::string*));
  if (tensor->byte_count() != from.bytes || (from.bytes > 0 && from.data == nullptr))
    return wrong(fmt::format("{} bytes; its shape needs {}", from.bytes, tensor->byte_count()));
  if (element == Element::text) {
    const auto* texts = static_cast<const char* const*>(from.data);
    for (std::int64_t i = 0; i < tensor->count; ++i) {
      if (texts[i] == nullptr) return wrong(fmt::format("text {}: NULL", i));
      tensor->data<const std::string*>()[i] = tensor->strings->add(texts[i]);
    }
  } else if (from.bytes > 0) {
    std::memcpy(tensor->bytes, from.data, from.bytes);
  }
  return graphs::Value(*std::move(tensor));
}

Result<std::unique_ptr<hearth_graph>> open(const char* path, const hearth_graph_options& options) {
  auto program = graphs::open_graph(path, options.method ? options.method : "");
  if (!program) return std::move(program).error();
  const int threads = options.threads > 0 ? options.threads : hardware::usable_cores();
  auto graph = std::make_unique<hearth_graph>(*std::move(program), threads);
  graph->kernels = TRY(kernels::choose(options.kernels ? options.kernels : ""));
  graph->inputs = graphs::wanted_inputs(*graph->runner.program().graph);
  graph->outputs = graph->runner.program().graph->outputs;
  for (const auto* list : {&graph->inputs, &graph->outputs})
    for (const graphs::ValueId id : *list) {
      graph->shapes.emplace_back();
      for (const graphs::Extent& extent : graph->info(id).shape)
        graph->shapes.back().push_back(extent.value);
    }
  return graph;
}

hearth_status describe(const hearth_graph& graph, graphs::ValueId id, std::size_t place,
                       hearth_tensor* tensor) {
  const graphs::ValueInfo& info = graph.info(id);
  *tensor = {info.name.c_str(),
             dtype_of(info.type),
             info.has_shape ? static_cast<std::int32_t>(info.shape.size()) : -1,
             graph.shapes[place].data(),
             nullptr,
             0};
  return HEARTH_OK;
}

Result<std::vector<graphs::Value>> run(hearth_graph& graph, const hearth_tensor* inputs,
                                       std::size_t count) {
  std::map<std::string, graphs::Value, std::less<>> given;
  for (std::size_t i = 0; i < count; ++i) {
    if (inputs[i].name == nullptr && (count > 1 || graph.inputs.size() != 1))
      return Error(ErrorKind::invalid, "an input without a name");
    const std::string name =
        inputs[i].name ? inputs[i].name : graph.info(graph.inputs.front()).name;
    given.insert_or_assign(name, TRY(tensor_of(inputs[i])));
  }
  ops::Context ctx;
  ctx.kernels = graph.kernels;
  ctx.pool = &graph.pool;
  return graph.runner.run(ctx, given);
}

}  // namespace
}  // namespace hearth

using namespace hearth;

hearth_status hearth_graph_open(const char* path, const hearth_graph_options* options,
                                hearth_graph** graph, hearth_error* error) {
  if (!path || !graph) return report(error, HEARTH_INVALID, "hearth_graph_open: a NULL argument");
  auto opened = open(path, complete(options, hearth_graph_options HEARTH_GRAPH_OPTIONS_INIT));
  if (!opened) return report(error, opened.error());
  *graph = opened->release();
  return HEARTH_OK;
}

void hearth_graph_close(hearth_graph* graph) { delete graph; }

size_t hearth_graph_inputs(const hearth_graph* graph) { return graph ? graph->inputs.size() : 0; }
size_t hearth_graph_outputs(const hearth_graph* graph) { return graph ? graph->outputs.size() : 0; }

hearth_status hearth_graph_input(const hearth_graph* graph, size_t index, hearth_tensor* tensor) {
  if (!graph || !tensor || index >= graph->inputs.size()) return HEARTH_INVALID;
  return describe(*graph, graph->inputs[index], index, tensor);
}

hearth_status hearth_graph_output(const hearth_graph* graph, size_t index, hearth_tensor* tensor) {
  if (!graph || !tensor || index >= graph->outputs.size()) return HEARTH_INVALID;
  return describe(*graph, graph->outputs[index], graph->inputs.size() + index, tensor);
}

hearth_status hearth_graph_run(hearth_graph* graph, const hearth_tensor* inputs, size_t count,
                               hearth_tensors** outputs, hearth_error* error) {
  if (!graph || !outputs || (count > 0 && !inputs))
    return report(error, HEARTH_INVALID, "hearth_graph_run: a NULL argument");
  auto values = run(*graph, inputs, count);
  if (!values) return report(error, values.error());
  auto result = std::make_unique<hearth_tensors>();
  result->values = *std::move(values);
  result->texts.resize(result->values.size());
  result->json.resize(result->values.size());
  for (std::size_t i = 0; i < result->values.size(); ++i) {
    const graphs::Value& value = result->values[i];
    hearth_tensor tensor{
        graph->info(graph->outputs[i]).name.c_str(), HEARTH_OTHER, 0, nullptr, nullptr, 0};
    if (value.kind == graphs::Value::Kind::tensor) {
      tensor.dtype = dtype_of(value.tensor.type);
      tensor.rank = static_cast<std::int32_t>(value.tensor.rank());
      tensor.shape = value.tensor.dims.data();
      if (tensor.dtype == HEARTH_TEXT) {
        std::vector<const char*>& texts = result->texts[i];
        for (std::int64_t k = 0; k < value.tensor.count; ++k)
          texts.push_back(value.tensor.data<const std::string*>()[k]->c_str());
        tensor.data = texts.data();
        tensor.bytes = texts.size() * sizeof(const char*);
      } else if (tensor.dtype != HEARTH_OTHER) {
        tensor.data = value.tensor.bytes;
        tensor.bytes = value.tensor.byte_count();
      }
    }
    result->tensors.push_back(tensor);
  }
  *outputs = result.release();
  return HEARTH_OK;
}

size_t hearth_tensors_count(const hearth_tensors* tensors) {
  return tensors ? tensors->tensors.size() : 0;
}

const hearth_tensor* hearth_tensors_at(const hearth_tensors* tensors, size_t index) {
  return tensors && index < tensors->tensors.size() ? &tensors->tensors[index] : nullptr;
}

const char* hearth_tensors_json(hearth_tensors* tensors, size_t index) {
  if (!tensors || index >= tensors->values.size()) return nullptr;
  std::string& text = tensors->json[index];
  if (text.empty()) text = write_json(graphs::to_json(tensors->values[index]));
  return text.c_str();
}

void hearth_tensors_free(hearth_tensors* tensors) { delete tensors; }

// Any bytes as an ONNX or TFLite model: refused, or run on small inputs in bounded time and memory,
// as its file has it and rewritten.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>

#include "graphs/executor.h"
#include "graphs/infer.h"
#include "graphs/onnx/import.h"
#include "graphs/tflite/import.h"
#include "kernels/select.h"

namespace {

using namespace hearth;
using namespace hearth::graphs;

constexpr std::uint64_t most_bytes = 64u << 20;
constexpr std::int64_t most_numbers = 1 << 14, open_extent = 2;
constexpr std::chrono::milliseconds most_time{500};

// Numbers that serve as data, as indices and as small sizes.
Result<Tensor> numbers_for(const ValueInfo& info) {
  Dims dims;
  for (const Extent& extent : info.shape)
    dims.push_back(extent.value < 0 ? open_extent : extent.value);
  if (TRY(count_of(dims)) > most_numbers) return Error(ErrorKind::exhausted, "a large input");
  const Element type = info.type == Element::none ? Element::f32 : info.type;
  Tensor tensor = TRY(make_tensor(type, dims));
  if (type == Element::text) {
    for (std::int64_t i = 0; i < tensor.count; ++i)
      tensor.data<const std::string*>()[i] = tensor.strings->add(i % 2 == 0 ? "a b" : "");
    return tensor;
  }
  std::fill_n(tensor.bytes, tensor.byte_count(), std::byte{});
  for (std::int64_t i = 0; i < tensor.count; ++i) {
    const double number = is_float(type)             ? static_cast<double>(i % 7) * 0.5 - 1
                          : type == Element::boolean ? static_cast<double>(i % 2)
                                                     : static_cast<double>(i % 3);
    store(type, tensor.bytes + i * static_cast<std::int64_t>(size_of(type)), Work::f64, &number, 1);
  }
  return tensor;
}

Result<std::map<std::string, Value, std::less<>>> inputs_for(const Graph& graph) {
  std::map<std::string, Value, std::less<>> inputs;
  for (const ValueId id : wanted_inputs(graph)) {
    const ValueInfo& info = graph.values[static_cast<std::size_t>(id)];
    if (info.kind == Value::Kind::map) return Error(ErrorKind::unsupported, "a map");
    Value value(TRY(numbers_for(info)));
    if (info.kind == Value::Kind::sequence) value = Value::sequence({value, value});
    inputs.insert_or_assign(info.name, std::move(value));
  }
  return inputs;
}

void run(const Program& program, bool optimise) {
  const Runner runner(program, {.optimise = optimise});
  const auto inputs = inputs_for(*runner.program().graph);
  if (!inputs) return;
  ops::Context ctx;
  ctx.kernels = kernels::choose("").value();
  std::mutex mutex;
  std::condition_variable_any done;
  std::stop_source stop;
  const std::jthread watcher([&](std::stop_token over) {
    std::unique_lock lock(mutex);
    done.wait_for(lock, over, most_time, [] { return false; });
    stop.request_stop();
  });
  const auto outputs =
      runner.run(ctx, *inputs, {.stop = stop.get_token(), .most_bytes = most_bytes});
  // Every result can be read from end to end.
  static volatile unsigned sum;
  if (outputs)
    for (const Value& value : *outputs)
      if (value.kind == Value::Kind::tensor)
        for (const std::byte each : value.tensor.span())
          sum = sum + std::to_integer<unsigned>(each);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto file = MappedFile::of_program({reinterpret_cast<const std::byte*>(data), size});
  auto program = looks_like_tflite(file->bytes()) ? import_tflite(file) : import_onnx(file, "");
  if (!program) return 0;
  Graph graph = *program->graph;
  infer_shapes(graph);
  program->graph = std::make_shared<const Graph>(std::move(graph));
  run(*program, false);
  run(*program, true);
  return 0;
}

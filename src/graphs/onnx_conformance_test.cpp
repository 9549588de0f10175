// The ONNX project's own tests: each folder holds a model, inputs and the outputs they must give.
// Looked for in the shared data, then in Debian's libonnx-testdata.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cmath>
#include <cstdlib>
#include <map>
#include <set>

#include "base/bytes.h"
#include "base/files.h"
#include "base/thread_pool.h"
#include "graphs/executor.h"
#include "graphs/onnx/import.h"
#include "kernels/select.h"

namespace hearth::graphs {
namespace {

constexpr double relative = 1e-3, absolute = 1e-7;  // the tolerance that the ONNX project gives
constexpr double coarse = 1.0 / 64;                 // of bfloat16: two steps of its last bit
constexpr double noise = 1e-6;  // what is left of zero in the f32 transforms that made some outputs

// "" when equal.
std::string difference(const Value& want, const Value& got);

std::string tensor_difference(const Tensor& want, const Tensor& got) {
  if (want.type != got.type)
    return fmt::format("{} instead of {}", name_of(got.type), name_of(want.type));
  if (want.dims != got.dims)
    return fmt::format("{} instead of {}", to_text(got.dims), to_text(want.dims));
  for (std::int64_t i = 0; i < want.count; ++i) {
    if (want.type == Element::text) {
      if (want.text(i) != got.text(i))
        return fmt::format("[{}]: '{}' instead of '{}'", i, got.text(i), want.text(i));
      continue;
    }
    double a, b;
    const auto at = i * static_cast<std::int64_t>(size_of(want.type));
    load(Work::f64, &a, want.type, want.bytes + at, 1);
    load(Work::f64, &b, got.type, got.bytes + at, 1);
    const double share = want.type == Element::bf16 ? coarse : relative;
    if (a == b || (a != a && b != b) || std::fabs(a - b) <= absolute + share * std::fabs(a))
      continue;
    if (std::fabs(a) < noise && std::fabs(b) < noise && want.rank() == 4 && want.dims.back() == 2)
      continue;
    return fmt::format("[{}]: {} instead of {}", i, b, a);
  }
  return "";
}

std::string difference(const Value& want, const Value& got) {
  if (want.kind != got.kind) return "another kind of value";
  if (want.kind == Value::Kind::tensor) return tensor_difference(want.tensor, got.tensor);
  if (want.kind == Value::Kind::nothing) return "";
  if (want.items->size() != got.items->size())
    return fmt::format("{} items instead of {}", got.items->size(), want.items->size());
  for (std::size_t i = 0; i < want.items->size(); ++i)
    if (auto text = difference((*want.items)[i], (*got.items)[i]); !text.empty())
      return fmt::format("item {}: {}", i, text);
  return "";
}

Result<Value> read_value(const std::string& path, Value::Kind kind) {
  return read_onnx_value(bytes_of(TRY(read_file(path, 1u << 30))), kind);
}

std::string data_folder() {
  const char* set = std::getenv("HEARTH_DATA");
  return set != nullptr ? set : "../shared/data";
}

// Draws that no other generator would repeat: only their type and shape can be compared.
bool is_random(const std::string& name) { return name.find("bernoulli") != std::string::npos; }

Status run_set(ops::Context& ctx, const Runner& runner, const std::string& folder,
               bool values_count) {
  const Graph& graph = *runner.program().graph;
  std::map<std::string, Value, std::less<>> inputs;
  for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
    const std::string path = join_path(folder, fmt::format("input_{}.pb", i));
    if (!is_file(path)) break;
    const ValueInfo& info = graph.values[static_cast<std::size_t>(graph.inputs[i])];
    Value value = TRY(read_value(path, info.kind));
    // Older data holds the bits of bfloat16 as uint16.
    if (info.type == Element::bf16 && value.tensor.type == Element::u16)
      value.tensor.type = Element::bf16;
    inputs.emplace(info.name, std::move(value));
  }
  const auto outputs = TRY(runner.run(ctx, inputs));
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const std::string path = join_path(folder, fmt::format("output_{}.pb", i));
    if (!is_file(path)) continue;
    Value::Kind kind = outputs[i].kind;
    if (graph.values[static_cast<std::size_t>(graph.outputs[i])].kind == Value::Kind::nothing)
      kind = Value::Kind::nothing;
    Value want = TRY(read_value(path, kind));
    if (outputs[i].tensor.type == Element::bf16 && want.tensor.type == Element::u16)
      want.tensor.type = Element::bf16;
    if (!values_count) {
      CHECK(want.tensor.type == outputs[i].tensor.type);
      CHECK(want.tensor.dims == outputs[i].tensor.dims);
      continue;
    }
    if (auto text = difference(want, outputs[i]); !text.empty())
      return Error(ErrorKind::corrupt, fmt::format("output {}: {}", i, text));
  }
  return Done{};
}

void note_operators(const Graph& graph, std::set<std::string>& names) {
  for (const Node& node : graph.nodes) {
    names.emplace(node.op->name);
    for (const auto& body : node.bodies) note_operators(*body, names);
  }
}

// `names` becomes the operators of the model.
Status run_case(ops::Context& ctx, const std::string& folder, const std::string& name,
                std::set<std::string>& names) {
  const auto file = TRY(MappedFile::open(join_path(folder, "model.onnx")));
  Program program = TRY(import_onnx(file, folder));
  note_operators(*program.graph, names);
  const Runner runner(std::move(program));
  for (int i = 0;; ++i) {
    const std::string set = join_path(folder, fmt::format("test_data_set_{}", i));
    if (!is_folder(set)) return Done{};
    TRY(run_set(ctx, runner, set, !is_random(name)));
  }
}

// Training, the preview domain, and pictures that Hearth does not decode (JPEG 2000).
bool is_outside(const Error& error, const std::string& name) {
  return error.message().find("ai.onnx.preview") != std::string::npos ||
         error.message().find("needs PNG, JPEG") != std::string::npos ||
         name.find("adagrad") != std::string::npos;
}

struct Tally {
  int passed = 0, outside = 0;
  std::vector<std::string> failed;
  std::string report;  // a line for each case: its name, what came of it, its operators
};

// Debian's data of 2022 cuts bfloat16 where the project's own of today rounds it.
bool is_outdated(const std::string& root, const std::string& name) {
  return root.starts_with("/usr") && name.find("BFLOAT16") != std::string::npos;
}

void run_suite(const std::string& root, Tally& tally) {
  ThreadPool pool(2);
  ops::Context ctx;
  ctx.kernels = kernels::choose("").value();
  ctx.pool = &pool;
  const char* only = std::getenv("HEARTH_ONNX_ONLY");
  for (const std::string suite : {"node", "simple", "pytorch-operator"}) {
    const auto names = list_folder(join_path(root, suite));
    if (!names) continue;
    for (const std::string& name : *names) {
      if (only != nullptr && name.find(only) == std::string::npos) continue;
      if (is_outdated(root, name)) continue;
      std::set<std::string> operators;
      const auto status = run_case(ctx, join_path(join_path(root, suite), name), name, operators);
      const bool outside = !status && is_outside(status.error(), name);
      tally.report += fmt::format("{}\t{}", name,
                                  status    ? "passed"
                                  : outside ? "outside"
                                            : "failed");
      for (const std::string& each : operators) tally.report += "\t" + each;
      tally.report += '\n';
      if (status)
        ++tally.passed;
      else if (outside)
        ++tally.outside;
      else
        tally.failed.push_back(fmt::format("{}: {}", name, status.error().message()));
    }
  }
}

void check_suite(const std::string& root) {
  if (!is_folder(root)) {
    fmt::print("skipped: no ONNX test data at {}\n", root);
    return;
  }
  Tally tally;
  run_suite(root, tally);
  fmt::print("{}: {} passed, {} failed, {} of training, preview domains or other pictures\n", root,
             tally.passed, tally.failed.size(), tally.outside);
  for (const std::string& line : tally.failed) fmt::print("  {}\n", line);
  // For scripts/operator_report.py.
  const char* report = std::getenv("HEARTH_ONNX_REPORT");
  if (report != nullptr && !root.starts_with("/usr"))
    CHECK(replace_file(report, bytes_of(tally.report)).ok());
  CHECK(tally.failed.empty());
}

}  // namespace

TEST_CASE("the ONNX project's node tests hold") {
  check_suite(join_path(data_folder(), "conformance/onnx-backend"));
}

TEST_CASE("Debian's copy of the ONNX tests holds") {
  check_suite("/usr/share/libonnx-testdata/data");
}

}  // namespace hearth::graphs

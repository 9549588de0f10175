// TFLite files with memory, branches, loops, tables, boxes and spectra give what LiteRT's own
// interpreter gives, run after run (scripts/golden_tflite_states.py), and streams what TFLite
// Micro's gives (scripts/golden_microfrontend.py).
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cmath>
#include <map>

#include "base/bytes.h"
#include "base/files.h"
#include "base/thread_pool.h"
#include "graphs/executor.h"
#include "graphs/npy.h"
#include "graphs/tflite/import.h"
#include "kernels/select.h"

namespace hearth::graphs {
namespace {

struct Run {
  std::map<std::size_t, Tensor> inputs, outputs;  // by place
};
struct Case {
  Tensor model;
  std::map<std::size_t, Run> runs;
};

std::map<std::string, Case> read_cases(const std::string& archive) {
  std::map<std::string, Case> cases;
  const std::string text = read_file("tests/golden/graphs/" + archive, 8u << 20).value();
  auto arrays = read_npz(bytes_of(text));
  REQUIRE_MESSAGE(arrays.ok(), arrays.error().message());
  for (auto& [key, tensor] : *arrays) {
    const std::size_t slash = key.find('/');
    Case& each = cases[key.substr(0, slash)];
    const std::string rest = key.substr(slash + 1);
    if (rest == "model") {
      each.model = tensor;
      continue;
    }
    Run& run = each.runs[std::stoul(rest)];
    const std::size_t place = std::stoul(rest.substr(rest.rfind('/') + 1));
    (rest.find("/in/") != std::string::npos ? run.inputs : run.outputs).emplace(place, tensor);
  }
  return cases;
}

std::string joined(const Tensor& texts) {
  std::string all;
  for (std::int64_t i = 0; i < texts.count; ++i)
    all += (i == 0 ? "" : "\n") + std::string(texts.text(i));
  return all;
}

std::string difference(const Tensor& want, const Tensor& got) {
  if (got.type == Element::text) {
    const std::string all(reinterpret_cast<const char*>(want.bytes), want.byte_count());
    return all == joined(got) ? "" : fmt::format("'{}' instead of '{}'", joined(got), all);
  }
  if (want.dims != got.dims || want.type != got.type)
    return fmt::format("{} {} instead of {} {}", name_of(got.type), to_text(got.dims),
                       name_of(want.type), to_text(want.dims));
  const Numbers<double> a(want), b(got);
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!(std::fabs(a[i] - b[i]) <= (is_float(want.type) ? 2e-5 * (1 + std::fabs(a[i])) : 0)))
      return fmt::format("[{}]: {} instead of {}", i, b[i], a[i]);
  return "";
}

// The runs of a case, each given what the one before has left; what is wrong, "" for nothing.
std::string verdict(ops::Context& ctx, const Case& each) {
  auto program = import_tflite(MappedFile::of_program(each.model.span()));
  if (!program) return program.error().message();
  const Runner runner(std::move(*program));
  const Graph& graph = *runner.program().graph;
  const auto name = [&](ValueId id) { return graph.values[static_cast<std::size_t>(id)].name; };
  std::map<std::string, Value, std::less<>> states;
  for (const auto& [at, run] : each.runs) {
    auto inputs = states;
    for (const auto& [place, tensor] : run.inputs)
      inputs.emplace(name(graph.inputs.at(place)), tensor);
    const auto got = runner.run(ctx, inputs);
    if (!got) return fmt::format("run {}: {}", at, got.error().message());
    for (const auto& [place, want] : run.outputs)
      if (const auto text = difference(want, got->at(place).tensor); !text.empty())
        return fmt::format("run {}, output {}: {}", at, place, text);
    for (std::size_t i = run.outputs.size(); i < got->size(); ++i)
      states.insert_or_assign(name(graph.outputs[i]), (*got)[i]);
  }
  return "";
}

void check_all(const std::string& archive, std::size_t least) {
  ThreadPool pool(2);
  ops::Context ctx;
  ctx.kernels = kernels::choose("").value();
  ctx.pool = &pool;
  const auto cases = read_cases(archive);
  CHECK(cases.size() >= least);
  for (const auto& [name, each] : cases) {
    CAPTURE(name);
    CHECK(verdict(ctx, each) == "");
  }
}

}  // namespace

TEST_CASE("TFLite files with memory and control flow give what LiteRT's interpreter gives") {
  check_all("tflite_states.npz", 36);
}

TEST_CASE("streams go through TFLite Micro's operators as there, piece by piece") {
  check_all("streams.npz", 12);
}

}  // namespace hearth::graphs

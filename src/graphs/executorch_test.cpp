// ExecuTorch programs give what ExecuTorch's own runtime gives (scripts/golden_executorch.py): one
// operator each, whole programs, XNNPACK payloads, language models' operators with their caches.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>

#include "base/bytes.h"
#include "base/files.h"
#include "base/thread_pool.h"
#include "formats/scratch_folder.h"
#include "graphs/executor.h"
#include "graphs/executorch/import.h"
#include "graphs/executorch/xnnpack.h"
#include "graphs/npy.h"
#include "graphs/unzipped.h"
#include "kernels/select.h"

namespace hearth::graphs {
namespace {

using Inputs = std::map<std::string, Value, std::less<>>;

struct Bench {
  ThreadPool pool{2};
  ops::Context ctx;
  Bench() {
    ctx.kernels = kernels::choose("").value();
    ctx.pool = &pool;
  }
};

// What goes into one call of a method, and what comes out.
struct Round {
  Inputs inputs;
  std::map<std::string, Tensor> outputs;
};

struct Case {
  Tensor model;
  std::string method;
  std::map<std::string, Tensor> data;  // files beside the program
  std::map<int, Round> rounds;
};

std::map<std::string, Case> read_cases(const std::string& archive) {
  std::map<std::string, Case> cases;
  const std::string text = unzipped("tests/golden/graphs/executorch/" + archive + ".npz.gz");
  auto arrays = read_npz(bytes_of(text));
  REQUIRE(arrays.ok());
  for (auto& [key, tensor] : *arrays) {
    const std::size_t slash = key.find('/');
    Case& each = cases[key.substr(0, slash)];
    const std::string rest = key.substr(slash + 1);
    if (rest == "model") each.model = tensor;
    if (rest == "method")
      each.method.assign(reinterpret_cast<const char*>(tensor.bytes), tensor.byte_count());
    if (rest.starts_with("data/")) each.data.emplace(rest.substr(5), tensor);
    const bool goes_in = rest.starts_with("in/");
    if (!goes_in && !rest.starts_with("out/")) continue;
    const std::string place = rest.substr(goes_in ? 3 : 4);
    Round& round = each.rounds[std::stoi(place)];
    const std::string name = place.substr(place.find('/') + 1);
    if (goes_in)
      round.inputs.emplace(name, tensor);
    else
      round.outputs.emplace(name, tensor);
  }
  return cases;
}

// "" when equal but for rounding.
std::string difference(const Tensor& want, const Tensor& got, double tolerance) {
  if (want.dims != got.dims)
    return fmt::format("{} instead of {}", to_text(got.dims), to_text(want.dims));
  const Numbers<double> a(want), b(got);
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    if (!(std::fabs(a[i] - b[i]) <= tolerance * (1 + std::fabs(a[i]))))
      return fmt::format("[{}]: {} instead of {}", i, b[i], a[i]);
  }
  return "";
}

Result<Program> open_case(const Case& each, const testing::ScratchFolder& folder) {
  for (const auto& [name, tensor] : each.data) TRY(replace_file(folder.path(name), tensor.span()));
  return import_executorch(MappedFile::of_program(each.model.span()),
                           each.data.empty() ? "" : folder.path(""), each.method);
}

// What is wrong with a case; "" for nothing.  States go from call to call.
std::string verdict(Bench& bench, const Case& each, double tolerance) {
  const testing::ScratchFolder folder;
  auto program = open_case(each, folder);
  if (!program) return program.error().message();
  const Runner runner(std::move(*program));
  const Graph& graph = *runner.program().graph;
  Inputs states;
  for (const auto& [call, round] : each.rounds) {
    Inputs inputs = states;
    for (const ValueId id : graph.inputs) {
      const auto& name = graph.values[static_cast<std::size_t>(id)].name;
      if (const auto given = round.inputs.find(name); given != round.inputs.end())
        inputs.insert_or_assign(name, given->second);
    }
    const auto got = runner.run(bench.ctx, inputs);
    if (!got) return got.error().message();
    std::size_t found = 0;
    for (std::size_t i = 0; i < got->size(); ++i) {
      const std::string& name = graph.values[static_cast<std::size_t>(graph.outputs[i])].name;
      const auto want = round.outputs.find(name);
      if (want == round.outputs.end()) {
        states.insert_or_assign(name, (*got)[i]);
        continue;
      }
      ++found;
      const auto text = difference(want->second, (*got)[i].tensor, tolerance);
      if (!text.empty()) return fmt::format("call {}, {}: {}", call, name, text);
    }
    if (found != round.outputs.size()) return "outputs are missing";
  }
  return "";
}

// The operators of a case's method, and the nodes of its XNNPACK payloads.
std::set<std::string> operators_of(const Case& each) {
  std::set<std::string> names;
  const auto file = executorch::File::open(MappedFile::of_program(each.model.span()), "");
  if (!file) return names;
  const auto methods = file->methods();
  for (std::size_t i = 0; i < methods.size(); ++i) {
    if (methods[i] != (each.method.empty() ? "forward" : each.method)) continue;
    const auto plan = file->plan(i);
    if (!plan) continue;
    names.insert(plan->operators.begin(), plan->operators.end());
    for (const executorch::Delegate& delegate : plan->delegates) {
      const auto graph = executorch::XnnGraph::read(*file, delegate.payload);
      if (!graph) continue;
      for (const FlatTable& node : graph->nodes)
        names.insert(executorch::xnnpack_names().at(node.number<std::uint8_t>(0, 0) - 1u));
    }
  }
  return names;
}

// For scripts/executorch_report.py: a line for each case, and one for each operator that there is.
void report(const std::string& archive, const std::string& name, const Case& each, bool passed) {
  const char* path = std::getenv("HEARTH_EXECUTORCH_REPORT");
  if (path == nullptr) return;
  std::FILE* out = std::fopen(path, "a");
  if (out == nullptr) return;
  fmt::print(out, "{}\t{}\t{}", archive, name, passed ? "passed" : "failed");
  for (const std::string& op : operators_of(each)) fmt::print(out, "\t{}", op);
  fmt::print(out, "\n");
  std::fclose(out);
}

void check_all(const std::string& archive, std::size_t least, double tolerance) {
  Bench bench;
  const auto cases = read_cases(archive);
  CHECK(cases.size() >= least);
  for (const auto& [name, each] : cases) {
    // Half precision and sums of many rounded numbers differ more.
    const bool is_coarse = name.starts_with("half") || name.starts_with("bfloat");
    const std::string text = verdict(bench, each, is_coarse ? 1e-2 : tolerance);
    CHECK_MESSAGE(text.empty(), name << ": " << text);
    report(archive, name, each, text.empty());
  }
}

TEST_CASE("the names of all ExecuTorch operators") {
  const char* path = std::getenv("HEARTH_EXECUTORCH_REPORT");
  const auto names = executorch::kernel_names(), nodes = executorch::xnnpack_names();
  CHECK(names.size() > 250);
  CHECK(nodes.size() == 47);
  std::FILE* out = path == nullptr ? nullptr : std::fopen(path, "a");
  if (out == nullptr) return;
  for (const auto* list : {&names, &nodes})
    for (const std::string& name : *list) fmt::print(out, "+\t{}\n", name);
  std::fclose(out);
}

TEST_CASE("every portable operator of ExecuTorch gives what it must") {
  check_all("operators", 262, 2e-5);
}

TEST_CASE("ExecuTorch programs: files, methods, states, branches, quantised networks") {
  check_all("programs", 19, 1e-4);
}

TEST_CASE("XNNPACK payloads give what XNNPACK gives") { check_all("xnnpack", 65, 2e-3); }

TEST_CASE("quantised operators and those of language models") { check_all("custom", 20, 1e-4); }

}  // namespace
}  // namespace hearth::graphs

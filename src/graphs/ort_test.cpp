// Files in ONNX Runtime's own format give what it gives (scripts/golden_ort.py); bad ones are
// refused with the reason, and damaged ones are never more than refused.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cmath>
#include <map>
#include <set>

#include "base/bytes.h"
#include "base/files.h"
#include "base/thread_pool.h"
#include "graphs/executor.h"
#include "graphs/flat_writer.h"
#include "graphs/golden_cases.h"
#include "graphs/infer.h"
#include "graphs/npy.h"
#include "graphs/onnx/import.h"
#include "kernels/select.h"

namespace hearth::graphs {
namespace {

using namespace flat;

// share: of the largest number, what a result may be off by.
std::string difference(const Tensor& want, const Tensor& got, double share) {
  if (want.dims != got.dims || want.type != got.type)
    return fmt::format("{} {} instead of {} {}", name_of(got.type), to_text(got.dims),
                       name_of(want.type), to_text(want.dims));
  const Numbers<double> a(want), b(got);
  double largest = 0;
  for (const double number : a) largest = std::max(largest, std::fabs(number));
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!(std::fabs(a[i] - b[i]) <= share * largest))
      return fmt::format("[{}]: {} instead of {}", i, b[i], a[i]);
  return "";
}

// What is wrong with a case; "" for nothing.
std::string verdict(ops::Context& ctx, const GoldenCase& each, double share, bool optimise) {
  auto program = import_onnx(MappedFile::of_program(each.model.span()), "");
  if (!program) return program.error().message();
  if (program->format != "ort") return program->format;
  const Runner runner(std::move(*program), {.optimise = optimise});
  const auto got = runner.run(ctx, each.inputs);
  if (!got) return got.error().message();
  for (const auto& [place, want] : each.outputs)
    if (const auto wrong = difference(want, got->at(place).tensor, share); !wrong.empty())
      return fmt::format("output {}: {}", place, wrong);
  return "";
}

Result<Program> import(const std::string& bytes) {
  return import_onnx(MappedFile::of_program(bytes_of(bytes)), "");
}

std::string file_of(const Flat& session) {
  return raw(static_cast<std::uint32_t>(8 + session.entry)) + "ORTM" + session.bytes;
}
Flat texts(const std::vector<std::string>& items) {
  std::vector<Flat> all;
  for (const std::string& item : items) all.push_back(text(item));
  return tables(all);
}
Flat node(const std::string& op, const std::string& input, const std::string& output,
          const std::vector<Flat>& attributes = {}) {
  return table({child(5, text(op)), child(8, texts({input})), child(9, texts({output})),
                child(10, tables(attributes))});
}
Flat graph(const std::vector<Flat>& nodes, const std::vector<Flat>& initializers = {}) {
  return table({child(0, tables(initializers)), child(2, tables(nodes)), child(5, texts({"x"})),
                child(6, texts({"y"}))});
}
std::string model_of(const Flat& graph_) {
  const Flat set = table({child(0, text("")), number<std::int64_t>(1, 17)});
  const Flat model = table({number<std::int64_t>(0, 8), child(1, tables({set})), child(7, graph_)});
  return file_of(table({child(0, text("6")), child(1, model)}));
}
std::string with_tensor(const std::vector<std::int64_t>& dims, std::int32_t type,
                        const std::string& bytes) {
  const std::vector<std::uint8_t> elements(bytes.begin(), bytes.end());
  return model_of(
      graph({node("Neg", "x", "y")}, {table({child(0, text("w")), child(2, list(dims)),
                                             number(3, type), child(4, list(elements))})}));
}

}  // namespace

TEST_CASE("files in ONNX Runtime's format give what it gives") {
  ThreadPool pool(2);
  ops::Context ctx;
  ctx.kernels = kernels::choose("").value();
  ctx.pool = &pool;
  const auto cases = read_golden_cases("tests/golden/graphs/ort.npz");
  CHECK(cases.size() >= 15);
  for (const auto& [name, each] : cases) {
    CAPTURE(name);
    const double share = name.starts_with("quantised") ? 0.01 : 1e-5;
    for (const bool optimise : {false, true}) CHECK(verdict(ctx, each, share, optimise) == "");
  }
}

TEST_CASE("nodes of ONNX Runtime's format stand in any order") {
  const auto program = import(model_of(graph({node("Neg", "a", "y"), node("Abs", "x", "a")})));
  REQUIRE_MESSAGE(program.ok(), program.error().message());
  CHECK(program->graph->nodes.size() == 2);
}

TEST_CASE("a bad file in ONNX Runtime's format is refused with the reason") {
  const Flat nested = table({child(0, text("then_branch")), number<std::int32_t>(2, 5)});
  const struct {
    const char* what;
    std::string bytes;
    ErrorKind kind;
    const char* says;
  } rows[] = {
      {"no root", raw(std::uint32_t{9999}) + "ORTM", ErrorKind::corrupt, "outside"},
      {"no model", file_of(table({child(0, text("6"))})), ErrorKind::corrupt, "without a model"},
      {"no graph", file_of(table({child(1, table({number<std::int64_t>(0, 8)}))})),
       ErrorKind::corrupt, "without a graph"},
      {"an unknown operator", model_of(graph({node("Frobnicate", "x", "y")})),
       ErrorKind::unsupported, "Frobnicate"},
      {"a value nobody writes", model_of(graph({node("Neg", "q", "y")})), ErrorKind::corrupt,
       "'q': never written"},
      {"a circle", model_of(graph({node("Neg", "a", "y"), node("Neg", "y", "a")})),
       ErrorKind::corrupt, "never written"},
      {"a value written twice", model_of(graph({node("Neg", "x", "y"), node("Abs", "x", "y")})),
       ErrorKind::corrupt, "'y': written twice"},
      {"a branch that is not there", model_of(graph({node("If", "x", "y", {nested})})),
       ErrorKind::corrupt, "then_branch"},
      {"too few bytes", with_tensor({4}, 1, "abcd"), ErrorKind::corrupt, "needs 16"},
      {"a negative extent", with_tensor({-1}, 1, "abcd"), ErrorKind::invalid, "negative extent"},
      {"more elements than memory", with_tensor({std::int64_t{1} << 45}, 1, ""),
       ErrorKind::exhausted, "elements"},
      {"an element type of the future", with_tensor({1}, 99, "abcd"), ErrorKind::unsupported,
       "type 99"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto got = import(row.bytes);
    REQUIRE(!got.ok());
    INFO(got.error().message());
    CHECK(got.error().kind() == row.kind);
    CHECK(got.error().message().find(row.says) != std::string::npos);
  }
}

TEST_CASE("damaged files in ONNX Runtime's format are never more than refused") {
  const auto cases = read_golden_cases("tests/golden/graphs/ort.npz");
  const Tensor& model = cases.at("loop True, basic").model;
  const std::string whole(text_of(model.span()));
  const auto read = [](const std::string& bytes) {
    auto program = import(bytes);
    if (!program) {
      CHECK(!program.error().message().empty());
      return;
    }
    Graph copy = *program->graph;
    infer_shapes(copy);
  };
  for (std::size_t n = 8; n < whole.size(); n += 3) read(whole.substr(0, n));
  for (std::size_t i = 8; i < whole.size(); ++i)
    for (const char bits : {'\x01', '\x80', '\xff'}) {
      std::string damaged = whole;
      damaged[i] = static_cast<char>(damaged[i] ^ bits);
      read(damaged);
    }
}

}  // namespace hearth::graphs

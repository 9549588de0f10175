// Small ONNX models written by hand: what they compute, and how bad ones are refused.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cmath>
#include <functional>

#include "base/bytes.h"
#include "base/files.h"
#include "base/thread_pool.h"
#include "graphs/executor.h"
#include "graphs/npy.h"
#include "graphs/onnx/import.h"
#include "graphs/operators/gemm.h"
#include "kernels/select.h"

namespace hearth::graphs {
namespace {

// Protobuf, written as it is read.
std::string varint(std::uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}
std::string number(unsigned field, std::uint64_t value) {
  return varint(field << 3) + varint(value);
}
std::string bytes(unsigned field, const std::string& value) {
  return varint(field << 3 | 2) + varint(value.size()) + value;
}

std::string node(const std::string& op, std::initializer_list<const char*> inputs,
                 const std::string& output, const std::string& attributes = "") {
  std::string out;
  for (const char* input : inputs) out += bytes(1, input);
  return bytes(1, out + bytes(2, output) + bytes(4, op) + attributes);
}
std::string tensor(const std::string& name, std::initializer_list<std::uint64_t> dims,
                   unsigned type, const std::string& raw) {
  std::string out;
  for (const std::uint64_t extent : dims) out += number(1, extent);
  return out + number(2, type) + bytes(8, name) + bytes(9, raw);
}
std::string floats(std::initializer_list<float> values) {
  std::string out;
  for (const float value : values) out.append(reinterpret_cast<const char*>(&value), 4);
  return out;
}
std::string io(unsigned field, const std::string& name) {
  return bytes(field, bytes(1, name) + bytes(2, bytes(1, number(1, 1))));
}
std::string model(const std::string& graph, std::uint64_t set = 17) {
  return number(1, 8) + bytes(8, number(2, set)) + bytes(7, graph);
}

Result<Program> import(const std::string& text) {
  return import_onnx(MappedFile::of_program(bytes_of(text)), "");
}

struct Bench {
  ThreadPool pool{2};
  ops::Context ctx;
  Bench() {
    ctx.kernels = kernels::choose("").value();
    ctx.pool = &pool;
  }
};

Value vector_of(std::initializer_list<float> values) {
  Tensor made = make_tensor(Element::f32, {static_cast<std::int64_t>(values.size())}).value();
  std::copy(values.begin(), values.end(), made.data<float>());
  return made;
}

TEST_CASE("a graph computes, and a body sees the values around it") {
  Bench bench;
  const std::string branch = io(12, "r") + node("Add", {"x", "y"}, "r"),
                    other = io(12, "r") + node("Sub", {"x", "y"}, "r");
  const auto body = [](const char* name, const std::string& graph) {
    return bytes(5, bytes(1, name) + number(20, 5) + bytes(6, graph));
  };
  const std::string graph =
      io(11, "x") + io(12, "z") + node("Mul", {"x", "x"}, "y") +
      node("ReduceSum", {"x"}, "s", bytes(5, bytes(1, "keepdims") + number(20, 2) + number(3, 0))) +
      bytes(5, tensor("zero", {}, 1, floats({0}))) + node("Greater", {"s", "zero"}, "c") +
      node("If", {"c"}, "z", body("then_branch", branch) + body("else_branch", other));
  const std::string text = model(graph);
  const Runner runner(import(text).value());
  auto up = runner.run(bench.ctx, {{"x", vector_of({1, 2})}});
  REQUIRE(up.ok());
  CHECK((*up)[0].tensor.data<float>()[1] == 6);
  auto down = runner.run(bench.ctx, {{"x", vector_of({-1, -2})}});
  REQUIRE(down.ok());
  CHECK((*down)[0].tensor.data<float>()[1] == -6);
  CHECK(runner.run(bench.ctx, {}).error().message().find("'x': not given") != std::string::npos);
  CHECK(runner.run(bench.ctx, {{"x", vector_of({1})}, {"w", vector_of({1})}})
            .error()
            .message()
            .find("'w'") != std::string::npos);
}

TEST_CASE("a bad ONNX file is refused with the reason") {
  const std::string ends = io(11, "x") + io(12, "z");
  const std::string loop = ends + node("Neg", {"z"}, "z");
  const auto with = [&](const std::string& t) {
    return model(ends + node("Neg", {"x"}, "z") + bytes(5, t));
  };
  std::string nested = io(12, "r") + node("Neg", {"x"}, "r");
  for (int i = 0; i < 60; ++i)
    nested =
        io(12, "r") + node("If", {"c"}, "r",
                           bytes(5, bytes(1, "then_branch") + number(20, 5) + bytes(6, nested)));
  const auto external = [](const std::string& location) {
    return number(1, 1) + number(2, 1) + bytes(8, "w") + number(14, 1) +
           bytes(13, bytes(1, "location") + bytes(2, location));
  };
  const struct {
    const char* what;
    std::string text;
    ErrorKind kind;
    const char* says;
  } rows[] = {
      {"nothing", "", ErrorKind::corrupt, "without a graph"},
      {"cut short", model(ends).substr(0, 12), ErrorKind::corrupt, ""},
      {"a group", "\x0b", ErrorKind::corrupt, "wire type 3"},
      {"a number of 80 bits", std::string("\x08") + std::string(12, '\xff'), ErrorKind::corrupt,
       "64 bits"},
      {"an unknown operator", model(ends + node("Frobnicate", {"x"}, "z")), ErrorKind::unsupported,
       "Frobnicate"},
      {"a value nobody writes", model(ends + node("Neg", {"q"}, "z")), ErrorKind::corrupt,
       "'q': never written"},
      {"a value written twice", model(ends + node("Neg", {"x"}, "z") + node("Abs", {"x"}, "z")),
       ErrorKind::corrupt, "'z': written twice"},
      {"a circle", model(loop), ErrorKind::corrupt, "'z': never written"},
      {"an output that is not there", model(ends), ErrorKind::corrupt, "'z': never written"},
      {"too few bytes", with(tensor("w", {4}, 1, floats({1}))), ErrorKind::corrupt, "needs 16"},
      {"a negative extent", with(tensor("w", {~0ull}, 1, "")), ErrorKind::invalid,
       "negative extent"},
      {"a product that wraps", with(tensor("w", {1ull << 40, 1ull << 40}, 1, "")),
       ErrorKind::corrupt, "overflows"},
      {"more elements than memory", with(tensor("w", {1ull << 45}, 1, "")), ErrorKind::exhausted,
       "elements"},
      {"an element type of the future", with(tensor("w", {1}, 99, "")), ErrorKind::unsupported,
       "type 99"},
      {"data outside the folder", with(external("../secret")), ErrorKind::corrupt,
       "leaves the model's folder"},
      {"data by an absolute path", with(external("/etc/passwd")), ErrorKind::corrupt,
       "within the model's folder"},
      {"data without a folder", with(external("w.bin")), ErrorKind::not_found, "no folder"},
      {"bodies without end",
       model(io(11, "x") + io(11, "c") + io(12, "z") +
             node("If", {"c"}, "z",
                  bytes(5, bytes(1, "then_branch") + number(20, 5) + bytes(6, nested)))),
       ErrorKind::exhausted, "nested"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto got = import(row.text);
    REQUIRE(!got.ok());
    CHECK(got.error().kind() == row.kind);
    INFO(got.error().message());
    CHECK(got.error().message().find(row.says) != std::string::npos);
  }
}

TEST_CASE("functions that call one another without end are refused") {
  const std::string f =
      bytes(25, bytes(1, "f") + bytes(10, "own") + bytes(4, "a") + bytes(5, "b") +
                    bytes(7, bytes(1, "a") + bytes(2, "b") + bytes(4, "f") + bytes(7, "own")));
  const std::string call =
      bytes(1, bytes(1, "x") + bytes(2, "z") + bytes(4, "f") + bytes(7, "own"));
  const auto got = import(model(io(11, "x") + io(12, "z") + call) + f);
  REQUIRE(!got.ok());
  CHECK(got.error().kind() == ErrorKind::exhausted);
}

TEST_CASE("a body that loops for ever ends when it is stopped") {
  Bench bench;
  const std::string ends = io(11, "i") + io(11, "c") + io(11, "v");
  const std::string bodies[] = {
      ends + io(12, "k") + io(12, "w") + node("Identity", {"c"}, "k") + node("Neg", {"v"}, "w"),
      ends + io(12, "c") + io(12, "v")};  // without a node
  for (const std::string& inside : bodies) {
    const std::string text =
        model(io(11, "x") + io(12, "z") +
              node("Loop", {"", "", "x"}, "z",
                   bytes(5, bytes(1, "body") + number(20, 5) + bytes(6, inside))));
    const Runner runner(import(text).value());
    std::stop_source stop;
    std::jthread later([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      stop.request_stop();
    });
    const auto got =
        runner.run(bench.ctx, {{"x", vector_of({1})}}, {.seed = 0, .stop = stop.get_token()});
    REQUIRE(!got.ok());
    CHECK(got.error().kind() == ErrorKind::cancelled);
  }
}

TEST_CASE("products of every shape agree with the obvious ones") {
  Bench bench;
  Machine machine;
  machine.ctx = &bench.ctx;
  std::mt19937 random(3);
  const auto filled = [&](std::int64_t n) {
    std::vector<float> values(static_cast<std::size_t>(n));
    for (float& value : values)
      value = static_cast<float>(static_cast<int>(random() % 2001) - 1000) / 1000;
    return values;
  };
  for (const std::int64_t m : {1, 3, 13, 64, 500})
    for (const std::int64_t n : {1, 15, 16, 17, 130})
      for (const std::int64_t k : {1, 31, 513, 700})
        for (const int way : {0, 1, 2, 3}) {
          CAPTURE(m);
          CAPTURE(n);
          CAPTURE(k);
          CAPTURE(way);
          const auto a = filled(m * k), b = filled(k * n);
          std::vector<float> got(static_cast<std::size_t>(m * n)), want = got;
          const bool ta = (way & 1) != 0, tb = (way & 2) != 0;
          Gemm g{m, n, k, a.data(), ta ? m : k, b.data(), tb ? k : n, got.data(), n, ta, tb};
          gemm(machine, g);
          g.c = want.data();
          gemm_reference(g);
          float worst = 0;
          for (std::size_t i = 0; i < got.size(); ++i)
            worst = std::max(worst, std::fabs(got[i] - want[i]));
          CHECK(worst < 1e-5f * static_cast<float>(k));
        }
}

TEST_CASE("NumPy files come back as they were") {
  Tensor numbers = make_tensor(Element::i16, {2, 3}).value();
  for (int i = 0; i < 6; ++i) numbers.data<std::int16_t>()[i] = static_cast<std::int16_t>(i - 3);
  const std::string text = write_npy(numbers);
  CHECK(text.size() % 4 == 0);
  const Tensor back = read_npy(bytes_of(text)).value();
  CHECK(back.dims == numbers.dims);
  CHECK(back.data<std::int16_t>()[0] == -3);
  Tensor words = make_tensor(Element::text, {2}).value();
  words.data<const std::string*>()[0] = words.strings->add("grün");
  const Tensor read = read_npy(bytes_of(write_npy(words))).value();
  CHECK(read.text(0) == "grün");
  CHECK(read.text(1) == "");
  for (const std::size_t n : {0, 5, 9, 60}) CHECK(!read_npy(bytes_of(text.substr(0, n))).ok());
}

}  // namespace
}  // namespace hearth::graphs

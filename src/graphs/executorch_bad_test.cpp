// Bad ExecuTorch files are refused with the reason, and damaged ones are never more than refused.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <functional>

#include "base/bytes.h"
#include "base/files.h"
#include "graphs/executorch/import.h"
#include "graphs/flat_writer.h"
#include "graphs/infer.h"
#include "graphs/npy.h"
#include "graphs/unzipped.h"

namespace hearth::graphs {
namespace {

using namespace flat;

using Sizes = std::vector<std::int32_t>;
using Args = std::vector<std::int32_t>;

Flat value(std::uint8_t kind, Flat inner) {
  return table({number(0, kind), child(1, std::move(inner))});
}
Flat integer(std::int64_t number_) { return value(2, table({number(0, number_)})); }
Flat boolean(bool is_true) { return value(3, table({number<std::uint8_t>(0, is_true ? 1 : 0)})); }
// A tensor of f32 at a place of the planned memory, or with constant data.
Flat tensor(const Sizes& sizes, std::uint32_t offset, std::uint32_t data = 0) {
  std::vector<std::uint8_t> order;
  for (std::size_t i = 0; i < sizes.size(); ++i) order.push_back(static_cast<std::uint8_t>(i));
  std::vector<Field> fields{number<std::int8_t>(0, 6), child(2, list(sizes)), child(3, list(order)),
                            number(5, data)};
  if (data == 0)
    fields.push_back(child(6, table({number<std::uint32_t>(0, 1), number(1, offset)})));
  return value(5, table(fields));
}

Flat kernel(std::int32_t op, const Args& args) {
  return table(
      {number<std::uint8_t>(0, 1), child(1, table({number(0, op), child(1, list(args))}))});
}
Flat delegate_call(const Args& args) {
  return table({number<std::uint8_t>(0, 2),
                child(1, table({number<std::int32_t>(0, 0), child(1, list(args))}))});
}
Flat jump(std::int32_t cond, std::int32_t to) {
  return table({number<std::uint8_t>(0, 4), child(1, table({number(0, cond), number(1, to)}))});
}
Flat named_operator(const std::string& name, const std::string& overload) {
  return table({child(0, text(name)), child(1, text(overload))});
}

struct Parts {
  std::vector<Flat> values{tensor({2}, 0), tensor({2}, 16), integer(1)};
  Args inputs{0}, outputs{1};
  std::vector<Flat> instructions{kernel(0, {0, 0, 2, 1, 1})};
  std::vector<Flat> operators{named_operator("aten::add", "out")};
  std::string delegate, payload;
  std::vector<Field> more;  // of the program
};

std::string file_of(const Flat& root) {
  return raw(static_cast<std::uint32_t>(8 + root.entry)) + "ET12" + root.bytes;
}

std::string program(const Parts& p) {
  const Flat chain = table({child(2, tables(p.instructions))});
  std::vector<Flat> delegates;
  if (!p.delegate.empty())
    delegates.push_back(table({child(0, text(p.delegate)), child(1, table({}))}));
  const Flat plan =
      table({child(0, text("forward")), child(2, tables(p.values)), child(3, list(p.inputs)),
             child(4, list(p.outputs)), child(5, tables({chain})), child(6, tables(p.operators)),
             child(7, tables(delegates))});
  std::vector<Field> fields{number<std::uint32_t>(0, 0), child(1, tables({plan}))};
  if (!p.delegate.empty()) fields.push_back(child(3, tables({table({child(0, text(p.payload))})})));
  fields.insert(fields.end(), p.more.begin(), p.more.end());
  return file_of(table(fields));
}

std::string with(const std::function<void(Parts&)>& change) {
  Parts parts;
  change(parts);
  return program(parts);
}

// Branches on what is computed, each within the one before.
std::string nested_branches() {
  return with([](Parts& p) {
    constexpr int depth = 60;
    p.instructions.clear();
    for (int i = 0; i < depth; ++i) p.instructions.push_back(jump(0, depth + 1));
    p.instructions.push_back(kernel(0, {0, 0, 2, 1, 1}));
    p.values[0] = tensor({}, 0);
    p.values[1] = tensor({}, 16);
  });
}

Result<Program> import(const std::string& bytes, const std::string& method = "") {
  return import_executorch(MappedFile::of_program(bytes_of(bytes)), "", method);
}

TEST_CASE("what a bad ExecuTorch file says") {
  REQUIRE(import(program({})).ok());
  const struct {
    std::string what, file;
    ErrorKind kind;
    const char* says;
  } rows[] = {
      {"nothing", "", ErrorKind::corrupt, "ET12"},
      {"another version", raw(std::uint32_t{8}) + "ET99" + std::string(64, '\0'),
       ErrorKind::unsupported, "ET12"},
      {"a root outside", raw(std::uint32_t{9999}) + "ET12", ErrorKind::corrupt, "outside"},
      {"no methods", file_of(table({number<std::uint32_t>(0, 0)})), ErrorKind::corrupt, "methods"},
      {"an operator nobody knows",
       with([](Parts& p) { p.operators = {named_operator("aten::frobnicate", "out")}; }),
       ErrorKind::unsupported, "aten::frobnicate.out"},
      {"an operator outside the list", with([](Parts& p) { p.instructions = {kernel(7, {0})}; }),
       ErrorKind::corrupt, "operator 7 of 1"},
      {"a value outside the list",
       with([](Parts& p) { p.instructions = {kernel(0, {0, 99, 2, 1, 1})}; }), ErrorKind::corrupt,
       "value 99"},
      {"too few arguments", with([](Parts& p) { p.instructions = {kernel(0, {0})}; }),
       ErrorKind::corrupt, "arguments"},
      {"an output nobody wrote", with([](Parts& p) {
         p.values.push_back(tensor({2}, 4));
         p.outputs = {3};
       }),
       ErrorKind::unsupported, "part of another value's memory"},
      {"an output outside the list", with([](Parts& p) { p.outputs = {-3}; }), ErrorKind::corrupt,
       "value -3"},
      {"extents that overflow",
       with([](Parts& p) { p.values[0] = tensor({INT32_MAX, INT32_MAX, INT32_MAX}, 0); }),
       ErrorKind::corrupt, ""},
      {"a negative extent", with([](Parts& p) { p.values[0] = tensor({-4}, 0); }),
       ErrorKind::invalid, ""},
      {"a constant outside the list", with([](Parts& p) {
         p.values[0] = tensor({2}, 0, 9);
         p.inputs = {};
       }),
       ErrorKind::corrupt, "constant 9"},
      {"a segment outside the file", with([](Parts& p) {
         p.more.push_back(child(
             4,
             tables({table({number<std::uint64_t>(0, 1u << 30), number<std::uint64_t>(1, 8)})})));
       }),
       ErrorKind::corrupt, "segment 0"},
      {"a segment whose end overflows", with([](Parts& p) {
         p.more.push_back(child(4, tables({table({number<std::uint64_t>(0, 8),
                                                  number<std::uint64_t>(1, ~std::uint64_t{0})})})));
       }),
       ErrorKind::corrupt, "segment 0"},
      {"a jump to itself", with([](Parts& p) {
         p.values.push_back(boolean(false));
         p.instructions.push_back(jump(3, 1));
       }),
       ErrorKind::exhausted, "instructions"},
      {"a jump out of the program", with([](Parts& p) { p.instructions = {jump(2, 77)}; }),
       ErrorKind::corrupt, "a jump to 77"},
      {"a jump backwards out of the program",
       with([](Parts& p) { p.instructions = {jump(2, -1)}; }), ErrorKind::corrupt, "a jump to -1"},
      {"branches without end", nested_branches(), ErrorKind::exhausted, "nested"},
      {"a value of a kind of the future",
       with([](Parts& p) { p.values.push_back(value(99, table({}))); }), ErrorKind::unsupported,
       "kind 99"},
      {"an instruction of the future",
       with([](Parts& p) { p.instructions = {table({number<std::uint8_t>(0, 9)})}; }),
       ErrorKind::unsupported, "kind 9"},
      {"Qualcomm's delegate", with([](Parts& p) {
         p.delegate = "QnnBackend";
         p.instructions = {delegate_call({0, 1})};
       }),
       ErrorKind::unsupported, "QnnBackend: its payload runs only with Qualcomm's QNN libraries"},
      {"a delegate nobody knows", with([](Parts& p) {
         p.delegate = "NobodyBackend";
         p.instructions = {delegate_call({0, 1})};
       }),
       ErrorKind::unsupported, "NobodyBackend"},
      {"an XNNPACK payload of nothing", with([](Parts& p) {
         p.delegate = "XnnpackBackend";
         p.instructions = {delegate_call({0, 1})};
       }),
       ErrorKind::unsupported, "XN01"},
      {"an XNNPACK graph outside its payload", with([](Parts& p) {
         p.delegate = "XnnpackBackend";
         p.payload = std::string(4, '\0') + "XH00" + std::string(6, '\x7f') + std::string(20, '\0');
         p.instructions = {delegate_call({0, 1})};
       }),
       ErrorKind::corrupt, "the graph"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto got = import(row.file);
    REQUIRE(!got);
    CHECK(got.error().kind() == row.kind);
    CHECK_MESSAGE(got.error().message().find(row.says) != std::string::npos, got.error().message());
  }
  const auto got = import(program({}), "backward");
  REQUIRE(!got);
  CHECK(got.error().kind() == ErrorKind::not_found);
  CHECK(got.error().message().find("there are forward") != std::string::npos);
}

// Every cut, and a byte changed in every few places: refused or read, never worse.
TEST_CASE("damaged ExecuTorch files are refused or read") {
  const std::string text = unzipped("tests/golden/graphs/executorch/programs.npz.gz");
  const auto arrays = read_npz(bytes_of(text));
  REQUIRE(arrays.ok());
  for (const char* name : {"cond_nested/model", "counter/model", "mlp_dynamic/model"}) {
    const auto found = arrays->find(name);
    REQUIRE(found != arrays->end());
    const std::string whole(reinterpret_cast<const char*>(found->second.bytes),
                            found->second.byte_count());
    REQUIRE(import(whole).ok());
    for (std::size_t size = 0; size < whole.size(); size += 31) (void)import(whole.substr(0, size));
    for (std::size_t at = 0; at < whole.size(); at += 3) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << at % 8));
      const auto program = import(damaged);
      if (!program) continue;
      Graph graph = *program->graph;
      infer_shapes(graph);
    }
  }
}

}  // namespace
}  // namespace hearth::graphs

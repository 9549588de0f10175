// Bad Core ML files are refused with the reason, and damaged ones are never more than refused.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include "base/bytes.h"
#include "base/files.h"
#include "formats/scratch_folder.h"
#include "graphs/coreml/import.h"

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

std::string feature(const std::string& name, std::uint64_t extent = 2) {
  return bytes(1, name) + bytes(3, bytes(5, number(1, extent) + number(2, 65568)));
}
std::string model(unsigned kind, const std::string& body) {
  const std::string description = bytes(1, feature("x")) + bytes(10, feature("y"));
  return number(1, 6) + bytes(2, description) + bytes(kind, body);
}

// MIL: a tensor type, an operator of inputs by name, a program of one block.
std::string type_of(std::uint64_t extent = 2, std::uint64_t code = 11) {
  return bytes(1, number(1, code) + number(2, 1) + bytes(3, bytes(1, number(1, extent))));
}
std::string named(const std::string& name, const std::string& type) {
  return bytes(1, name) + bytes(2, type);
}
std::string argument(const std::string& parameter, const std::string& value) {
  return bytes(2, bytes(1, parameter) + bytes(2, bytes(1, bytes(1, value))));
}
std::string operation(const std::string& type, const std::string& inputs, const std::string& output,
                      const std::string& rest = "") {
  return bytes(3, bytes(1, type) + inputs + bytes(3, named(output, type_of())) + rest);
}
std::string program(const std::string& operations) {
  const std::string block = bytes(2, "y") + operations;
  const std::string function = bytes(1, named("x", type_of())) + bytes(2, "CoreML6") +
                               bytes(3, bytes(1, "CoreML6") + bytes(2, block));
  return model(502, number(1, 1) + bytes(2, bytes(1, "main") + bytes(2, function)));
}
std::string constant(const std::string& value) {
  return operation("const", "", "c", bytes(5, bytes(1, "val") + bytes(2, value))) +
         operation("add", argument("x", "x") + argument("y", "c"), "y");
}
std::string blob(const std::string& file, std::uint64_t offset) {
  return constant(bytes(2, type_of()) + bytes(5, bytes(1, file) + number(2, offset)));
}

std::string nested_blocks() {
  std::string block = operation("relu", argument("x", "x"), "y") + bytes(2, "y");
  for (int i = 0; i < 60; ++i)
    block = bytes(2, "y") + operation("cond", argument("pred", "x"), "y",
                                      bytes(4, block) + bytes(4, bytes(2, "x")));
  return program(block);
}
std::string nested_pipelines() {
  std::string inner = model(604, "");
  for (int i = 0; i < 60; ++i) inner = model(202, bytes(1, inner));
  return inner;
}
std::string layer(const std::string& input, const std::string& output, unsigned kind,
                  const std::string& params) {
  return bytes(1, bytes(1, "l") + bytes(2, input) + bytes(3, output) + bytes(kind, params));
}

std::string nested_loops() {
  std::string inner = layer("x", "y", 760, "");
  for (int i = 0; i < 60; ++i) inner = layer("x", "y", 615, number(1, 2) + bytes(4, inner));
  return inner;
}

TEST_CASE("what a bad Core ML file says") {
  const std::string relu = operation("relu", argument("x", "x"), "y");
  const struct {
    std::string what, text;
    ErrorKind kind;
    const char* says;
  } rows[] = {
      {"nothing", "", ErrorKind::corrupt, "no kind"},
      {"cut short", program(relu).substr(0, 60), ErrorKind::corrupt, ""},
      {"a group", "\x0b", ErrorKind::corrupt, "wire type 3"},
      {"a kind of the future", model(777, "a"), ErrorKind::unsupported, "kind 777"},
      {"a private kind", model(2002, "a"), ErrorKind::unsupported, "visionFeaturePrint"},
      {"models without end", nested_pipelines(), ErrorKind::exhausted, "nested"},
      {"blocks without end", nested_blocks(), ErrorKind::exhausted, "nested"},
      {"an unknown operator", program(operation("frobnicate", "", "y")), ErrorKind::unsupported,
       "frobnicate"},
      {"a value nobody writes", program(operation("relu", argument("x", "q"), "y")),
       ErrorKind::corrupt, "'q': never written"},
      {"a value that needs itself", program(operation("relu", argument("x", "y"), "y")),
       ErrorKind::corrupt, "'y': never written"},
      {"a value written twice", program(relu + relu), ErrorKind::corrupt, "'y': written twice"},
      {"an operator without its input", program(operation("relu", "", "y")), ErrorKind::corrupt,
       "no 'x'"},
      {"a program without functions", model(502, number(1, 1)), ErrorKind::corrupt, "'main'"},
      {"weights outside the file", program(blob("@model_path/w.bin", 1 << 20)), ErrorKind::corrupt,
       "weights at 1048576"},
      {"weights where no blob is", program(blob("@model_path/w.bin", 0)), ErrorKind::corrupt,
       "no blob"},
      {"weights of another place", program(blob("/etc/passwd", 0)), ErrorKind::corrupt,
       "begins with @model_path/"},
      {"too few numbers",
       program(constant(bytes(2, type_of(9)) + bytes(3, bytes(1, bytes(1, ""))))),
       ErrorKind::corrupt, "0 numbers"},
      {"more elements than memory",
       program(constant(bytes(2, type_of(1ull << 45)) + bytes(3, bytes(1, bytes(1, ""))))),
       ErrorKind::exhausted, "elements"},
      {"an element type of the future", program(constant(bytes(2, type_of(1, 99)))),
       ErrorKind::unsupported, "data type 99"},
      {"an unknown layer", model(500, number(5, 1) + layer("x", "y", 999, "")),
       ErrorKind::unsupported, "layer 999"},
      {"a layer of an application's own", model(500, number(5, 1) + layer("x", "y", 500, "")),
       ErrorKind::unsupported, "custom"},
      {"a loop that writes nothing", model(500, number(5, 1) + layer("x", "z", 615, number(1, 2))),
       ErrorKind::corrupt, "'y': never written"},
      {"a loop's end outside of one", model(500, number(5, 1) + layer("x", "y", 620, "")),
       ErrorKind::corrupt, "outside a loop"},
      {"loops without end", model(500, number(5, 1) + nested_loops()), ErrorKind::exhausted,
       "nested"},
      {"a layer of nothing", model(500, number(5, 1) + layer("q", "y", 760, "")),
       ErrorKind::corrupt, "'q': never written"},
      {"weights of a lying size",
       model(500, number(5, 1) + layer("x", "y", 140, number(1, 2) + number(2, 3) + bytes(20, ""))),
       ErrorKind::corrupt, "0 bytes of weights for [3, 2]"},
      {"an output nobody makes", model(500, number(5, 1)), ErrorKind::corrupt,
       "'y': never written"},
      {"sizes from more to less",
       number(1, 6) +
           bytes(
               2,
               bytes(1, bytes(1, "x") +
                            bytes(3, bytes(5, bytes(31, bytes(1, number(1, 9) + number(2, 3))))))) +
           bytes(604, "a"),
       ErrorKind::corrupt, "from 9 to 3"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto file = MappedFile::of_program(bytes_of(row.text));
    const auto got = import_coreml(file, file);
    REQUIRE(!got.ok());
    INFO(got.error().message());
    CHECK(got.error().kind() == row.kind);
    CHECK(got.error().message().find(row.says) != std::string::npos);
  }
}

TEST_CASE("weights and packages stay in their folders") {
  const std::string text = program(blob("@model_path/../secret", 0));
  const auto got = import_coreml(MappedFile::of_program(bytes_of(text)), "src/graphs");
  REQUIRE(!got.ok());
  CHECK(got.error().message().find("leaves the model's folder") != std::string::npos);
  const testing::ScratchFolder scratch;
  const struct {
    std::string what, manifest;
    const char* says;
  } rows[] = {
      {"no JSON", "{", ""},
      {"no root", R"({"itemInfoEntries": {}})", "rootModelIdentifier"},
      {"a root that is no item", R"({"rootModelIdentifier": "a", "itemInfoEntries": {}})", "'a'"},
      {"a path out of the package",
       R"({"rootModelIdentifier": "a", "itemInfoEntries": {"a": {"path": "../../x"}}})", "leaves"},
      {"an absolute path",
       R"({"rootModelIdentifier": "a", "itemInfoEntries": {"a": {"path": "/etc/passwd"}}})",
       "within"},
      {"a file that is not there",
       R"({"rootModelIdentifier": "a", "itemInfoEntries": {"a": {"path": "x"}}})", ""},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const std::string folder = scratch.path("m.mlpackage");
    REQUIRE(replace_file(join_path(folder, "Manifest.json"), bytes_of(row.manifest)).ok());
    CHECK(is_coreml_package(folder));
    const auto package = import_coreml_package(folder);
    REQUIRE(!package.ok());
    INFO(package.error().message());
    CHECK(package.error().message().find(row.says) != std::string::npos);
  }
  const std::string compiled = scratch.path("m.mlmodelc");
  REQUIRE(replace_file(join_path(compiled, "coremldata.bin"), bytes_of("x")).ok());
  const auto refused = import_coreml_package(compiled);
  REQUIRE(!refused.ok());
  CHECK(refused.error().kind() == ErrorKind::unsupported);
  CHECK(refused.error().message().find(".mlmodelc") != std::string::npos);
}

TEST_CASE("a damaged Core ML file is refused or read, never more") {
  const std::string folder = "src/graphs/coreml_fuzz_corpus";
  const auto names = list_folder(folder);
  REQUIRE(names.ok());
  for (const std::string& name : *names) {
    const std::string good = read_file(join_path(folder, name), 1 << 20).value();
    CHECK(looks_like_coreml(bytes_of(good)));
    for (std::size_t n = 0; n < good.size(); n += 17) {
      const auto cut = MappedFile::of_program(bytes_of(good).first(n));
      const auto program = import_coreml(cut, cut);
      if (!program) CHECK(!program.error().message().empty());
      for (const char c : {'\0', '\x7f', '\xff'}) {
        std::string bad = good;
        bad[n] = c;
        const auto file = MappedFile::of_program(bytes_of(bad));
        const auto other = import_coreml(file, file);
        if (!other) CHECK(!other.error().message().empty());
      }
    }
  }
}

}  // namespace
}  // namespace hearth::graphs

#include "adapt/onnx_writer.h"

#include <fmt/core.h>

namespace hearth::adapt {
namespace {

// Source: Protocol Buffers, "Encoding".
void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}
void put_number(std::string& out, unsigned field, std::int64_t value) {
  put_varint(out, field << 3);
  put_varint(out, static_cast<std::uint64_t>(value));
}
void put_bytes(std::string& out, unsigned field, std::string_view bytes) {
  put_varint(out, field << 3 | 2);
  put_varint(out, bytes.size());
  out += bytes;
}

std::string attribute_bytes(const OnnxAttribute& attribute) {
  constexpr std::int64_t integer_type = 2, integers_type = 7;
  std::string out;
  put_bytes(out, 1, attribute.name);
  if (attribute.integers.empty()) put_number(out, 3, attribute.integer);
  for (const std::int64_t value : attribute.integers) put_number(out, 8, value);
  put_number(out, 20, attribute.integers.empty() ? integer_type : integers_type);
  return out;
}

std::string entry_bytes(std::string_view key, std::string_view value) {
  std::string out;
  put_bytes(out, 1, key);
  put_bytes(out, 2, value);
  return out;
}

std::string value_bytes(std::string_view name, OnnxType type, std::span<const OnnxExtent> shape) {
  std::string dims;
  for (const OnnxExtent& extent : shape) {
    std::string dim;
    if (extent.name.empty())
      put_number(dim, 1, extent.value);
    else
      put_bytes(dim, 2, extent.name);
    put_bytes(dims, 1, dim);
  }
  std::string tensor, kind, out;
  put_number(tensor, 1, static_cast<std::int64_t>(type));
  put_bytes(tensor, 2, dims);
  put_bytes(kind, 1, tensor);
  put_bytes(out, 1, name);
  put_bytes(out, 2, kind);
  return out;
}

}  // namespace

std::string OnnxWriter::fresh(std::string_view stem) {
  return fmt::format("{}_{}", stem, ++serial_);
}

std::string OnnxWriter::op(std::string_view type, std::span<const std::string> inputs,
                           std::initializer_list<OnnxAttribute> attributes, std::string_view name,
                           std::string_view output) {
  const std::string own = name.empty() ? fresh(fmt::format("/{}", type)) : std::string(name);
  const std::string made = output.empty() ? own + "_output_0" : std::string(output);
  std::string node;
  for (const std::string& input : inputs) put_bytes(node, 1, input);
  put_bytes(node, 2, made);
  put_bytes(node, 3, own);
  put_bytes(node, 4, type);
  for (const OnnxAttribute& attribute : attributes) put_bytes(node, 5, attribute_bytes(attribute));
  put_bytes(nodes_, 1, node);
  return made;
}

std::string OnnxWriter::constant(OnnxType type, std::span<const std::int64_t> dims,
                                 std::string_view raw_bytes) {
  const std::string name = fresh("const");
  std::string tensor;
  for (const std::int64_t extent : dims) put_number(tensor, 1, extent);
  put_number(tensor, 2, static_cast<std::int64_t>(type));
  put_bytes(tensor, 8, name);
  put_bytes(tensor, 9, raw_bytes);
  put_bytes(constants_, 5, tensor);
  return name;
}

std::string OnnxWriter::floats(std::span<const float> values, std::span<const std::int64_t> dims) {
  return constant(OnnxType::f32, dims,
                  {reinterpret_cast<const char*>(values.data()), values.size_bytes()});
}

std::string OnnxWriter::integers(std::initializer_list<std::int64_t> values) {
  const std::int64_t dims[] = {static_cast<std::int64_t>(values.size())};
  return constant(OnnxType::i64, dims,
                  {reinterpret_cast<const char*>(values.begin()), values.size() * 8});
}

std::string OnnxWriter::integer(std::int64_t value) {
  return constant(OnnxType::i64, {}, {reinterpret_cast<const char*>(&value), sizeof value});
}

void OnnxWriter::external(std::string_view name, OnnxType type, std::span<const std::uint64_t> dims,
                          std::uint64_t offset, std::uint64_t bytes) {
  constexpr std::int64_t external_location = 1;
  std::string tensor;
  for (const std::uint64_t extent : dims) put_number(tensor, 1, static_cast<std::int64_t>(extent));
  put_number(tensor, 2, static_cast<std::int64_t>(type));
  put_bytes(tensor, 8, name);
  put_bytes(tensor, 13, entry_bytes("location", data_));
  put_bytes(tensor, 13, entry_bytes("offset", std::to_string(offset)));
  put_bytes(tensor, 13, entry_bytes("length", std::to_string(bytes)));
  put_number(tensor, 14, external_location);
  put_bytes(constants_, 5, tensor);
}

void OnnxWriter::input(std::string_view name, OnnxType type, std::span<const OnnxExtent> shape) {
  put_bytes(inputs_, 11, value_bytes(name, type, shape));
}

void OnnxWriter::output(std::string_view name, OnnxType type, std::span<const OnnxExtent> shape) {
  put_bytes(outputs_, 12, value_bytes(name, type, shape));
}

std::string OnnxWriter::model(std::string_view producer, std::int64_t operator_set) const {
  constexpr std::int64_t ir_version = 8;
  std::string graph = nodes_;
  put_bytes(graph, 2, "main_graph");
  graph += constants_ + inputs_ + outputs_;
  std::string set, out;
  put_bytes(set, 1, "");
  put_number(set, 2, operator_set);
  put_number(out, 1, ir_version);
  put_bytes(out, 2, producer);
  put_bytes(out, 7, graph);
  put_bytes(out, 8, set);
  return out;
}

}  // namespace hearth::adapt

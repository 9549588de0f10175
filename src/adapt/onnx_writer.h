// OnnxWriter: an ONNX graph put together node by node, with its large constants in a file beside
// it. Source: ONNX IR specification and onnx.proto3.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/dtype.h"

namespace hearth::adapt {

// The numbers are those of TensorProto.DataType.
enum class OnnxType : std::uint8_t { f32 = 1, i64 = 7, boolean = 9, f16 = 10, bf16 = 16 };

struct OnnxAttribute {
  std::string_view name;
  std::int64_t integer = 0;
  std::vector<std::int64_t> integers = {};  // not empty: a list
};

// An extent that is known, or the name of one that is not.
struct OnnxExtent {
  std::int64_t value = -1;
  std::string name = {};
};

// Used by one thread.  Values are called by name.
class OnnxWriter {
 public:
  // One node; returns its output.  name: of the node, or empty; output: empty: one of its own.
  std::string op(std::string_view type, std::span<const std::string> inputs,
                 std::initializer_list<OnnxAttribute> attributes = {}, std::string_view name = {},
                 std::string_view output = {});
  std::string op(std::string_view type, std::initializer_list<std::string> inputs,
                 std::initializer_list<OnnxAttribute> attributes = {}, std::string_view name = {},
                 std::string_view output = {}) {
    return op(type, std::span(inputs.begin(), inputs.size()), attributes, name, output);
  }
  std::string floats(std::span<const float> values, std::span<const std::int64_t> dims);
  std::string number(float value) { return floats(std::span(&value, 1), {}); }
  std::string integers(std::initializer_list<std::int64_t> values);
  std::string integer(std::int64_t value);
  // A constant of `bytes` at `offset` of the file beside the graph.
  void external(std::string_view name, OnnxType type, std::span<const std::uint64_t> dims,
                std::uint64_t offset, std::uint64_t bytes);
  void input(std::string_view name, OnnxType type, std::span<const OnnxExtent> shape);
  void output(std::string_view name, OnnxType type, std::span<const OnnxExtent> shape);

  // The file.  data: the name of the one beside it.
  explicit OnnxWriter(std::string data) : data_(std::move(data)) {}
  std::string model(std::string_view producer, std::int64_t operator_set) const;

 private:
  std::string constant(OnnxType type, std::span<const std::int64_t> dims,
                       std::string_view raw_bytes);
  std::string fresh(std::string_view stem);

  std::string data_, nodes_, constants_, inputs_, outputs_;
  std::size_t serial_ = 0;
};

}  // namespace hearth::adapt

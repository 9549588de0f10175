// Constants of a Core ML model: literals in the file and blobs in weight files beside it.
// Source: Core ML Tools, MIL.proto and the blob storage format of weight.bin (version 2).
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "graphs/coreml/model.h"
#include "graphs/external.h"

namespace hearth::graphs::coreml {

// Files that MIL names as "@model_path/NAME".
class Weights {
 public:
  // folder: of the model file; empty: there is none.
  explicit Weights(std::string folder) : external_(std::move(folder)) {}
  // One file stands for all names.
  explicit Weights(std::shared_ptr<const MappedFile> file)
      : external_(""), file_(std::move(file)) {}

  struct Blob {
    std::uint32_t type = 0;  // BlobDataType
    Bytes bytes;
    std::shared_ptr<const void> owner;
  };
  // Errors: corrupt (no blob at that place, one outside its file), not_found.
  Result<Blob> find(std::string_view name, std::uint64_t offset);

 private:
  ExternalData external_;
  std::shared_ptr<const MappedFile> file_;
};

enum class Shape : std::uint8_t { tensor, list, tuple, dictionary, state };

// What MIL says of a value.  Half precision and brain floats are computed in f32, integers of fewer
// than 8 bits as whole bytes.
struct MilType {
  Shape kind = Shape::tensor;
  std::uint32_t code = 0;           // DataType of the elements, as stored
  Element element = Element::none;  // in memory
  bool has_rank = true;             // a variadic dimension leaves it open
  Dims dims;                        // -1: not known
};
Result<MilType> read_mil_type(Bytes value_type);
ValueInfo value_info(std::string name, const MilType& type);
// Bits of an element of a DataType; 0: text, or none we know.
unsigned bits_of(std::uint32_t code);
// The DataType that a cast or a list names in words: "fp16"; 0: none.
std::uint32_t type_in_words(std::string_view word);
Element element_of(std::uint32_t code);

// A constant: a tensor; a list or tuple of scalars is a tensor of one axis.
struct Literal {
  MilType type;
  Tensor tensor;
};
// `owner` keeps `value` alive.  Errors: corrupt, unsupported.
Result<Literal> read_literal(Bytes value, Weights& weights,
                             const std::shared_ptr<const void>& owner);

// Elements packed from the lowest bit of each byte up, one to a byte.
Status unpack(std::span<std::uint8_t> to, Bytes packed, unsigned bits, bool is_signed);

}  // namespace hearth::graphs::coreml

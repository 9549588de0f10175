// What an ExecuTorch file holds, before anything is made of it.
// Source: ExecuTorch, schema/program.fbs, extension/flat_tensor/serialize/flat_tensor.fbs.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/flatbuffer.h"
#include "graphs/tensor.h"

namespace hearth::graphs::executorch {

using Bytes = std::span<const std::byte>;
using Ints = std::vector<std::int64_t>;

Element element_of(std::int64_t scalar_type);  // none: not one we know

// Where the tensor's bytes are planned to lie.
struct Place {
  std::uint32_t memory = 0;
  std::uint64_t offset = 0;
};

struct TensorSpec {
  Element type = Element::none;
  Dims dims;                        // of a dynamic shape the most that they can be
  std::vector<std::uint8_t> order;  // of the axes in memory, outermost first; empty: as they are
  std::uint32_t data = 0;           // of the constants; 0: none
  std::uint64_t mutable_data = 0;   // the segment that `data` counts in, where it is no constant
  std::optional<Place> place;
  bool is_dynamic = false, is_external = false;
  std::string name;  // of a parameter or buffer
  std::uint64_t byte_count = 0;
};

struct EValue {
  enum class Kind : std::uint8_t {
    null = 1,
    integer,
    boolean,
    real,
    tensor,
    text,
    integers,  // the places of values
    reals,
    booleans,
    tensors,
    optional_tensors
  };
  Kind kind = Kind::null;
  std::int64_t integer = 0;
  double real = 0;
  std::string text;
  Ints items;
  std::vector<double> reals;
  TensorSpec tensor;
};

struct Instruction {
  enum class Kind : std::uint8_t { kernel = 1, delegate, move, jump_false, release };
  Kind kind = Kind::kernel;
  std::int32_t index = 0;  // of the operator or delegate; of the value moved from or tested
  std::int32_t to = 0;     // the value moved to; the instruction jumped to
  std::vector<std::int32_t> args;
};

struct Delegate {
  std::string id;
  Bytes payload;
};

struct Plan {
  std::string name;
  std::vector<EValue> values;
  std::vector<std::int32_t> inputs, outputs;
  std::vector<Instruction> instructions;
  std::vector<std::string> operators;  // "aten::add.out"
  std::vector<Delegate> delegates;
};

class File {
 public:
  // Errors: corrupt, unsupported.
  static Result<File> open(std::shared_ptr<const MappedFile> file, const std::string& folder);

  std::vector<std::string> methods() const;
  Result<Plan> plan(std::size_t method) const;
  std::uint32_t version() const { return program_.number<std::uint32_t>(0, 0); }
  // Errors: corrupt.
  Result<Bytes> constant(std::uint32_t index, std::uint64_t bytes) const;
  Result<Bytes> initial(const TensorSpec& spec) const;
  Result<Bytes> named(std::string_view key) const;
  const std::vector<std::shared_ptr<const MappedFile>>& files() const { return files_; }
  // Bytes as numbers in the order of the axes.
  Result<Tensor> tensor(const TensorSpec& spec, Bytes bytes) const;

 private:
  Result<Bytes> segment(std::uint64_t index) const;
  Result<Bytes> part(const FlatTable& offsets, std::uint64_t index, std::uint64_t bytes) const;
  Result<EValue> value(const FlatTable& table) const;
  Result<TensorSpec> tensor_spec(const FlatTable& table) const;
  Status read_instructions(const FlatTable& plan, Plan& made) const;
  Status read_delegates(const FlatTable& plan, Plan& made) const;
  Status add_data_file(std::shared_ptr<const MappedFile> file);
  Status read_header(Bytes bytes);
  Status read_names();

  FlatTable program_;
  std::vector<FlatTable> plans_;
  std::vector<Bytes> segments_, constants_, inlined_;
  std::map<std::string, Bytes, std::less<>> named_;
  std::vector<std::shared_ptr<const MappedFile>> files_;
};

}  // namespace hearth::graphs::executorch

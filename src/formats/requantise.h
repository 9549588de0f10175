// Weights whose codes and scales lie in tensors of their own, as other programs quantise them,
// become one tensor each: blocks of a type that GGUF has too where its numbers are the same, f16
// otherwise.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "formats/package.h"

namespace hearth {

// One row of codes: w[k] = scale[k / group] * (codes[k] - zero[k / group]) + shift[k / group].
struct CodeRow {
  std::vector<std::uint8_t> codes;           // [columns]
  std::vector<float> scales, zeros, shifts;  // [groups]
};

// How a matrix is stored.  `group` divides `columns`.
struct CodedMatrix {
  std::uint64_t rows = 0, columns = 0, group = 0;
  int bits = 0;            // codes are below 2^bits
  bool symmetric = false;  // every zero is 2^(bits - 1), every shift 0
  std::function<void(std::uint64_t row, CodeRow& out)> read;  // thread-safe
};

// The type its weights keep their levels in: Q4_0 and Q8_0 for symmetric codes, Q4_1 and Q5_1 for
// others of up to 4 and 5 bits; f16 where there is none.
Dtype dtype_of(const CodedMatrix& matrix);

// Made on demand, in as many threads as the machine has.  What `matrix.read` reads must outlive it.
TensorEntry coded_tensor(std::string name, CodedMatrix matrix);

// A matrix of floats, computed row by row.
TensorEntry computed_tensor(std::string name, std::uint64_t rows, std::uint64_t columns,
                            std::function<void(std::uint64_t row, float* out)> row);

// `count` codes of so many bits, the low ones of the first byte first.
void unpack_bits(const std::byte* from, int bits, std::size_t count, std::uint8_t* out);

// Numbers stored as f32, f16 or bf16; [i] of any alignment.
class Floats {
 public:
  explicit Floats(const TensorEntry& entry) : dtype_(entry.dtype), data_(entry.data) {}
  static bool can_read(const TensorEntry& entry);
  float operator[](std::size_t i) const;

 private:
  Dtype dtype_;
  std::span<const std::byte> data_;
};

// Takes a tensor out of the package; errors: corrupt (it is missing, or not in one piece).
Result<TensorEntry> take_tensor(Package& package, std::string_view name);
void rebuild_index(Package& package);

// Joins what a folder's configuration says is quantised, and forgets that it was.
// Errors: unsupported (a scheme that is not read), corrupt (parts that do not fit together).
Status join_mlx(Package& package);
Status join_huggingface_scheme(Package& package);

}  // namespace hearth

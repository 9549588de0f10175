#include "formats/requantise.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>

#include "base/half.h"
#include "base/utf8.h"

namespace hearth {
namespace {

constexpr std::size_t block = 32;

void put_half(std::byte* to, float value) {
  const std::uint16_t half = f32_to_f16(value);
  std::memcpy(to, &half, sizeof half);
}

// Codes of four bits: i low, i + 16 high.
void put_nibbles(std::byte* to, const std::uint8_t* codes) {
  for (std::size_t i = 0; i < block / 2; ++i)
    to[i] = static_cast<std::byte>((codes[i] & 15) | (codes[i + 16] & 15) << 4);
}

// One block of 32 codes of one group.
void put_block(Dtype dtype, std::byte* to, const std::uint8_t* codes, float scale, float shift) {
  put_half(to, scale);
  switch (dtype) {
    case Dtype::q4_0:
      put_nibbles(to + 2, codes);
      break;
    case Dtype::q4_1:
      put_half(to + 2, shift);
      put_nibbles(to + 4, codes);
      break;
    case Dtype::q5_1: {
      put_half(to + 2, shift);
      std::uint32_t high = 0;
      for (std::size_t i = 0; i < block; ++i)
        high |= static_cast<std::uint32_t>(codes[i] >> 4 & 1) << i;
      std::memcpy(to + 4, &high, sizeof high);
      put_nibbles(to + 8, codes);
      break;
    }
    default:  // Q8_0
      for (std::size_t i = 0; i < block; ++i) to[2 + i] = static_cast<std::byte>(codes[i] ^ 0x80);
  }
}

// A row becomes blocks or halves.  Codes of fewer bits than the type has are moved to its middle.
void put_row(const CodedMatrix& matrix, Dtype dtype, CodeRow& row, std::byte* to) {
  const DtypeInfo& type = info(dtype);
  if (dtype == Dtype::f16) {
    for (std::size_t k = 0; k < matrix.columns; ++k) {
      const std::size_t g = k / matrix.group;
      put_half(to + 2 * k,
               row.scales[g] * (static_cast<float>(row.codes[k]) - row.zeros[g]) + row.shifts[g]);
    }
    return;
  }
  if (matrix.symmetric) {
    const int middle = (dtype == Dtype::q4_0 ? 8 : 128) - (1 << (matrix.bits - 1));
    for (std::uint8_t& code : row.codes) code = static_cast<std::uint8_t>(code + middle);
  }
  for (std::size_t k = 0; k < matrix.columns; k += block, to += type.block_bytes) {
    const std::size_t g = k / matrix.group;
    put_block(dtype, to, row.codes.data() + k, row.scales[g],
              row.shifts[g] - row.scales[g] * row.zeros[g]);
  }
}

// Calls one(row) for all rows, shared out to as many threads as there are cores.
template <typename One>
void each_row(std::uint64_t rows, std::uint64_t columns, One one) {
  constexpr std::uint64_t chunk_elements = 1 << 18;
  const std::uint64_t chunk =
      std::max<std::uint64_t>(1, chunk_elements / std::max<std::uint64_t>(1, columns));
  const std::uint64_t chunks = (rows + chunk - 1) / chunk;
  std::atomic<std::uint64_t> next = 0;
  const auto work = [&] {
    auto state = one();
    for (std::uint64_t i; (i = next++) < chunks;)
      for (std::uint64_t row = i * chunk; row < std::min(rows, (i + 1) * chunk); ++row) state(row);
  };
  std::vector<std::jthread> threads;
  const std::uint64_t wanted = std::min<std::uint64_t>(chunks, std::thread::hardware_concurrency());
  for (std::uint64_t i = 1; i < wanted; ++i) threads.emplace_back(work);
  work();
}

}  // namespace

Dtype dtype_of(const CodedMatrix& matrix) {
  if (matrix.group % block != 0) return Dtype::f16;
  if (matrix.symmetric && matrix.bits <= 4) return Dtype::q4_0;
  if (matrix.symmetric) return Dtype::q8_0;
  return matrix.bits <= 4 ? Dtype::q4_1 : matrix.bits == 5 ? Dtype::q5_1 : Dtype::f16;
}

TensorEntry coded_tensor(std::string name, CodedMatrix matrix) {
  const Dtype dtype = dtype_of(matrix);
  TensorEntry entry{
      .name = std::move(name), .dtype = dtype, .shape = {matrix.rows, matrix.columns}, .data = {}};
  entry.make = [matrix = std::move(matrix), dtype] {
    const std::size_t row_bytes =
        matrix.columns / info(dtype).block_elements * info(dtype).block_bytes;
    const std::size_t groups = matrix.columns / matrix.group;
    std::vector<std::byte> out(matrix.rows * row_bytes);
    each_row(matrix.rows, matrix.columns, [&] {
      CodeRow row{std::vector<std::uint8_t>(matrix.columns), std::vector<float>(groups),
                  std::vector<float>(groups), std::vector<float>(groups)};
      return [&, row](std::uint64_t r) mutable {
        matrix.read(r, row);
        put_row(matrix, dtype, row, out.data() + r * row_bytes);
      };
    });
    return Result<std::vector<std::byte>>(std::move(out));
  };
  return entry;
}

TensorEntry computed_tensor(std::string name, std::uint64_t rows, std::uint64_t columns,
                            std::function<void(std::uint64_t row, float* out)> row) {
  TensorEntry entry{
      .name = std::move(name), .dtype = Dtype::f16, .shape = {rows, columns}, .data = {}};
  entry.make = [rows, columns, row = std::move(row)] {
    std::vector<std::byte> out(rows * columns * sizeof(std::uint16_t));
    each_row(rows, columns, [&] {
      return [&, values = std::vector<float>(columns)](std::uint64_t r) mutable {
        row(r, values.data());
        for (std::size_t k = 0; k < columns; ++k)
          put_half(out.data() + (r * columns + k) * sizeof(std::uint16_t), values[k]);
      };
    });
    return Result<std::vector<std::byte>>(std::move(out));
  };
  return entry;
}

void unpack_bits(const std::byte* from, int bits, std::size_t count, std::uint8_t* out) {
  if (bits == 4 && count % 2 == 0) {
    for (std::size_t i = 0; i < count / 2; ++i) {
      const auto byte = std::to_integer<std::uint8_t>(from[i]);
      out[2 * i] = byte & 15;
      out[2 * i + 1] = byte >> 4;
    }
    return;
  }
  if (bits == 8) {
    std::memcpy(out, from, count);
    return;
  }
  std::uint32_t held = 0;
  int have = 0;
  const std::uint32_t mask = (1u << bits) - 1;
  for (std::size_t i = 0; i < count; ++i) {
    while (have < bits) {
      held |= std::to_integer<std::uint32_t>(*from++) << have;
      have += 8;
    }
    out[i] = static_cast<std::uint8_t>(held & mask);
    held >>= bits;
    have -= bits;
  }
}

bool Floats::can_read(const TensorEntry& entry) {
  return !entry.make &&
         (entry.dtype == Dtype::f32 || entry.dtype == Dtype::f16 || entry.dtype == Dtype::bf16);
}

float Floats::operator[](std::size_t i) const {
  if (dtype_ == Dtype::f32) {
    float value;
    std::memcpy(&value, data_.data() + 4 * i, sizeof value);
    return value;
  }
  std::uint16_t bits;
  std::memcpy(&bits, data_.data() + 2 * i, sizeof bits);
  return dtype_ == Dtype::f16 ? f16_to_f32(bits) : bf16_to_f32(bits);
}

Result<TensorEntry> take_tensor(Package& package, std::string_view name) {
  const auto found = package.tensor_index.find(name);
  if (found == package.tensor_index.end())
    return Error(ErrorKind::corrupt, fmt::format("{} is missing", printable(name)));
  if (package.tensors[found->second].make)
    return Error(ErrorKind::corrupt, fmt::format("{}: lies in pieces", printable(name)));
  TensorEntry entry = std::move(package.tensors[found->second]);
  package.tensor_index.erase(found);
  return entry;
}

// Leaves out what was taken.
void rebuild_index(Package& package) {
  std::vector<TensorEntry> left;
  for (std::size_t i = 0; i < package.tensors.size(); ++i) {
    TensorEntry& entry = package.tensors[i];
    const auto found = package.tensor_index.find(entry.name);
    if (!entry.name.empty() && found != package.tensor_index.end() && found->second == i)
      left.push_back(std::move(entry));
  }
  package.tensors = std::move(left);
  package.tensor_index.clear();
  for (std::size_t i = 0; i < package.tensors.size(); ++i)
    package.tensor_index.emplace(package.tensors[i].name, i);
}

}  // namespace hearth

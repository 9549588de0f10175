#include "vectors/graph/arrays.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/bytes.h"
#include "base/half.h"

namespace hearth::vectors {
namespace {

template <typename T>
Status place(T*& pointer, std::shared_ptr<PageBuffer>& buffer, std::size_t count,
             std::size_t each) {
  const std::uint64_t bytes = TRY(checked_mul(count, each * sizeof(T)));
  buffer = std::make_shared<PageBuffer>(TRY(PageBuffer::allocate(bytes)));
  pointer = reinterpret_cast<T*>(buffer->data());
  return Done{};
}

}  // namespace

void Links::assign(std::span<const Slot> slots) {
  for (std::size_t i = 0; i < degree_; ++i) set(i, i < slots.size() ? slots[i] : no_slot);
}

bool fit_halves(std::span<const float> values) {
  for (const float value : values)
    if (f16_to_f32(f32_to_f16(value)) != value) return false;
  return true;
}

void Arrays::copy_row(float* out, Slot slot) const {
  const std::byte* row = rows + slot * row_bytes();
  if (row_type == kernels::RowType::f32) {
    std::memcpy(out, row, row_bytes());
    return;
  }
  for (std::size_t i = 0; i < shape.dim; ++i) {
    std::uint16_t half;
    std::memcpy(&half, row + 2 * i, sizeof half);
    out[i] = f16_to_f32(half);
  }
}

void Arrays::set_row(Slot slot, const float* values) {
  std::byte* row = rows + slot * row_bytes();
  if (row_type == kernels::RowType::f32) {
    std::memcpy(row, values, row_bytes());
    return;
  }
  for (std::size_t i = 0; i < shape.dim; ++i) {
    const std::uint16_t half = f32_to_f16(values[i]);
    std::memcpy(row + 2 * i, &half, sizeof half);
  }
}

Result<std::unique_ptr<Arrays>> Arrays::allocate(const GraphShape& shape, kernels::RowType row_type,
                                                 std::size_t capacity, std::size_t upper_capacity) {
  auto made = std::make_unique<Arrays>();
  made->shape = shape;
  made->capacity = capacity;
  made->upper_capacity = upper_capacity;
  made->row_type = row_type;
  made->distances = distances_for(shape.metric, row_type);
  TRY(place(made->codes, made->buffers[0], capacity, Codec::stride_for(shape.dim)));
  TRY(place(made->rows, made->buffers[1], capacity, made->row_bytes()));
  TRY(place(made->links, made->buffers[2], capacity, 2 * shape.m));
  TRY(place(made->row_of, made->buffers[3], capacity, 1));
  TRY(place(made->upper, made->buffers[4], capacity, 1));
  TRY(place(made->upper_links, made->buffers[5], upper_capacity, shape.m));
  return made;
}

// Links are read while readers may not write, and the writer is the caller: plain copies are safe.
Result<std::unique_ptr<Arrays>> Arrays::grown(kernels::RowType new_type, std::size_t new_capacity,
                                              std::size_t new_upper_capacity,
                                              std::size_t used) const {
  auto made = TRY(allocate(shape, new_type, new_capacity, new_upper_capacity));
  made->codec = codec;
  const std::size_t m = shape.m;
  std::copy_n(codes, used * codec.stride, made->codes);
  std::vector<float> row(shape.dim);
  if (new_type == row_type) std::copy_n(rows, used * row_bytes(), made->rows);
  for (std::size_t slot = 0; new_type != row_type && slot < used; ++slot) {
    copy_row(row.data(), static_cast<Slot>(slot));
    made->set_row(static_cast<Slot>(slot), row.data());
  }
  std::copy_n(links, used * 2 * m, made->links);
  std::copy_n(row_of, used, made->row_of);
  std::copy_n(upper, used, made->upper);
  std::copy_n(upper_links, upper_capacity * m, made->upper_links);
  return made;
}

std::size_t Arrays::memory_bytes(std::size_t used, std::size_t upper_used) const {
  return used * (codec.stride + row_bytes() + 2 * shape.m * sizeof(Slot) + sizeof(Row) +
                 sizeof(std::uint32_t)) +
         upper_used * shape.m * sizeof(Slot);
}

}  // namespace hearth::vectors

#include "graphs/tensor.h"

#include <fmt/core.h>

#include <cstdlib>
#include <new>

#include "base/bytes.h"

namespace hearth::graphs {
namespace {

constexpr std::size_t alignment = 64;
constexpr std::size_t most_free_blocks = 256;

}  // namespace

Result<std::int64_t> count_of(const Dims& dims) {
  if (dims.size() > max_rank)
    return Error(ErrorKind::invalid, fmt::format("{} axes: at most {}", dims.size(), max_rank));
  std::uint64_t product = 1;
  bool is_empty = false;
  for (const std::int64_t extent : dims) {
    if (extent < 0)
      return Error(ErrorKind::invalid, fmt::format("shape {}: a negative extent", to_text(dims)));
    is_empty |= extent == 0;
    if (!is_empty) product = TRY(checked_mul(product, static_cast<std::uint64_t>(extent)));
  }
  if (is_empty) return std::int64_t{0};
  if (product > max_tensor_bytes)
    return Error(ErrorKind::exhausted,
                 fmt::format("shape {}: more than {} elements", to_text(dims), max_tensor_bytes));
  return static_cast<std::int64_t>(product);
}

std::string to_text(const Dims& dims) {
  std::string text = "[";
  for (std::size_t i = 0; i < dims.size(); ++i)
    text += fmt::format("{}{}", i == 0 ? "" : ", ", dims[i]);
  return text + "]";
}

const std::string* StringPool::add(std::string text) {
  const std::lock_guard lock(mutex_);
  return &strings_.emplace_back(std::move(text));
}

BufferPool::~BufferPool() {
  for (const Block& block : free_) std::free(block.bytes);
}

std::shared_ptr<std::byte> BufferPool::take(std::size_t bytes) {
  const std::size_t size = (bytes + alignment) / alignment * alignment;
  Block block{nullptr, size};
  {
    const std::lock_guard lock(mutex_);
    if (most_ != 0 && (size > most_ || used_ > most_ - size)) return nullptr;
    std::size_t best = free_.size();
    for (std::size_t i = 0; i < free_.size(); ++i)
      if (free_[i].size >= size && free_[i].size <= size * 2 &&
          (best == free_.size() || free_[i].size < free_[best].size))
        best = i;
    if (best != free_.size()) {
      block = free_[best];
      free_[best] = free_.back();
      free_.pop_back();
    }
    used_ += block.size;
  }
  if (block.bytes == nullptr)
    block.bytes = static_cast<std::byte*>(std::aligned_alloc(alignment, size));
  if (block.bytes == nullptr) {
    const std::lock_guard lock(mutex_);
    used_ -= block.size;
    return nullptr;
  }
  return std::shared_ptr<std::byte>(
      block.bytes, [pool = shared_from_this(), block](std::byte*) { pool->give_back(block); });
}

void BufferPool::limit(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  most_ = bytes;
}

void BufferPool::give_back(Block block) {
  {
    const std::lock_guard lock(mutex_);
    used_ -= block.size;
    if (free_.size() < most_free_blocks) {
      free_.push_back(block);
      return;
    }
  }
  std::free(block.bytes);
}

namespace {

const std::string empty_text;

Result<Tensor> shaped(Element type, Dims dims) {
  Tensor tensor;
  tensor.type = type;
  tensor.count = TRY(count_of(dims));
  tensor.dims = std::move(dims);
  if (static_cast<std::uint64_t>(tensor.count) > max_tensor_bytes / (size_of(type) | 1))
    return Error(ErrorKind::exhausted, fmt::format("{} {}: more than {} bytes", name_of(type),
                                                   to_text(tensor.dims), max_tensor_bytes));
  return tensor;
}

Result<Tensor> with_memory(Tensor tensor, std::shared_ptr<std::byte> memory) {
  if (!memory)
    return Error(ErrorKind::exhausted,
                 fmt::format("{} {}: no memory for {} bytes", name_of(tensor.type),
                             to_text(tensor.dims), tensor.byte_count()));
  tensor.bytes = memory.get();
  tensor.owner = std::move(memory);
  if (tensor.type == Element::text)
    for (std::int64_t i = 0; i < tensor.count; ++i)
      tensor.data<const std::string*>()[i] = &empty_text;
  return tensor;
}

}  // namespace

Result<Tensor> make_tensor(BufferPool& pool, Element type, Dims dims) {
  Tensor tensor = TRY(shaped(type, std::move(dims)));
  auto memory = pool.take(tensor.byte_count());
  return with_memory(std::move(tensor), std::move(memory));
}

Result<Tensor> make_tensor(Element type, Dims dims) {
  Tensor tensor = TRY(shaped(type, std::move(dims)));
  const std::size_t size = (tensor.byte_count() + alignment) / alignment * alignment;
  std::shared_ptr<std::byte> memory(static_cast<std::byte*>(std::aligned_alloc(alignment, size)),
                                    std::free);
  Tensor made = TRY(with_memory(std::move(tensor), std::move(memory)));
  if (type == Element::text) made.strings = std::make_shared<StringPool>();
  return made;
}

Tensor reshaped(const Tensor& tensor, Dims dims) {
  Tensor result = tensor;
  result.dims = std::move(dims);
  return result;
}

Value Value::sequence(std::vector<Value> items) {
  Value value;
  value.kind = Kind::sequence;
  value.items = std::make_shared<const std::vector<Value>>(std::move(items));
  return value;
}

Value Value::map(Tensor keys, Tensor values) {
  Value value;
  value.kind = Kind::map;
  value.items =
      std::make_shared<const std::vector<Value>>(std::vector<Value>{std::move(keys), values});
  return value;
}

}  // namespace hearth::graphs

// Tensor and Value: what flows along the edges of a graph.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "graphs/element.h"

namespace hearth::graphs {

using Dims = std::vector<std::int64_t>;  // outermost first

// Far above any real value: they bound memory before a shape is believed.
constexpr std::size_t max_rank = 32;
constexpr std::uint64_t max_tensor_bytes = std::uint64_t{1} << 36;

// The number of elements.  Errors: invalid (a negative extent, too many axes, overflow).
Result<std::int64_t> count_of(const Dims& dims);
std::string to_text(const Dims& dims);  // "[2, 3]"

// Strings that tensors of text point to.  Thread-safe; a string lives as long as the pool.
class StringPool {
 public:
  const std::string* add(std::string text);

 private:
  std::mutex mutex_;
  std::deque<std::string> strings_;
};

// A dense array, row after row.  Copies share the elements; whoever has made a tensor may write to
// it until it is handed on.
struct Tensor {
  Element type = Element::none;
  Dims dims;
  std::int64_t count = 0;  // the product of dims
  std::byte* bytes = nullptr;
  std::shared_ptr<const void> owner;    // keeps `bytes` alive
  std::shared_ptr<StringPool> strings;  // of text: keeps what the elements point to alive
  // The elements of [n, c, spatial...] lie as [n, ceil(c / 16), spatial..., 16]; blocked.h.  Only
  // operators that say so see such a tensor.
  bool is_blocked = false;

  std::size_t rank() const { return dims.size(); }
  std::size_t byte_count() const { return static_cast<std::size_t>(count) * size_of(type); }
  template <typename T>
  T* data() {
    return reinterpret_cast<T*>(bytes);
  }
  template <typename T>
  const T* data() const {
    return reinterpret_cast<const T*>(bytes);
  }
  std::span<const std::byte> span() const { return {bytes, byte_count()}; }
  std::string_view text(std::int64_t i) const { return *data<const std::string*>()[i]; }
};

// Memory that is used again and again: what a tensor gives back serves the next one of its size.
// Thread-safe.
class BufferPool : public std::enable_shared_from_this<BufferPool> {
 public:
  BufferPool() = default;
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  // 64-byte aligned, not cleared; nullptr: no memory, or more than the limit.
  std::shared_ptr<std::byte> take(std::size_t bytes);
  // So much may be in use at once; 0: any amount.
  void limit(std::uint64_t bytes);

 private:
  struct Block {
    std::byte* bytes;
    std::size_t size;
  };
  void give_back(Block block);
  std::mutex mutex_;
  std::vector<Block> free_;
  std::uint64_t used_ = 0, most_ = 0;
};

// Elements are not cleared, but those of text are empty strings.
Result<Tensor> make_tensor(BufferPool& pool, Element type, Dims dims);
// Outside a run.
Result<Tensor> make_tensor(Element type, Dims dims);
// The same elements under another shape of as many elements.
Tensor reshaped(const Tensor& tensor, Dims dims);

// One of: nothing (an absent optional), a tensor, a sequence of values, a map from keys to values.
struct Value {
  enum class Kind : std::uint8_t { nothing, tensor, sequence, map };
  Kind kind = Kind::nothing;
  Tensor tensor;
  // A sequence's items; of a map the two tensors of keys and values.
  std::shared_ptr<const std::vector<Value>> items;

  Value() = default;
  Value(Tensor t) : kind(Kind::tensor), tensor(std::move(t)) {}
  static Value sequence(std::vector<Value> items);
  static Value map(Tensor keys, Tensor values);
};

}  // namespace hearth::graphs

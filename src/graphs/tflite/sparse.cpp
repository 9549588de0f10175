// Source: TFLite, schema.fbs, SparsityParameters.
#include "graphs/tflite/sparse.h"

#include <fmt/core.h>

#include <algorithm>

#include "graphs/call.h"

namespace hearth::graphs::tflite {
namespace {

// One level of the tree of which the elements are the leaves, outermost first.
struct Level {
  std::size_t axis = 0;
  std::int64_t step = 1;    // what an index is worth along that axis
  std::int64_t extent = 0;  // of a dense level
  bool is_dense = true;
  std::vector<std::int64_t> begins, indices;  // of a sparse one: of each node above, its children
};

struct Tree {
  std::vector<Level> levels;
  Dims dims, strides;
  std::span<const std::byte> data;
  std::size_t size, used = 0;  // of an element; elements read so far
  std::byte* to;
};

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

// The numbers of a SparseIndexVector: of 32, 16 or 8 bits.
Result<std::vector<std::int64_t>> numbers(const FlatTable& table, unsigned kind_slot) {
  const auto kind = table.number<std::uint8_t>(kind_slot, 0);
  const FlatTable held = TRY(table.table(kind_slot + 1));
  std::vector<std::int64_t> result;
  const auto take = [&](const auto& list) { result.assign(list.begin(), list.end()); };
  if (kind == 1)
    take(TRY(held.numbers<std::int32_t>(0)));
  else if (kind == 2)
    take(TRY(held.numbers<std::uint16_t>(0)));
  else if (kind == 3)
    take(TRY(held.numbers<std::uint8_t>(0)));
  else
    return corrupt(fmt::format("sparse indices of kind {}", kind));
  return result;
}

Result<std::vector<Level>> levels_of(const FlatTable& sparsity, const Dims& dims) {
  const auto order = TRY(sparsity.numbers<std::int32_t>(0)),
             blocked = TRY(sparsity.numbers<std::int32_t>(1));
  const auto tables = TRY(sparsity.tables(2));
  if (order.size() != dims.size() + blocked.size() || tables.size() != order.size())
    return corrupt(fmt::format("{} sparse axes for {}", tables.size(), to_text(dims)));
  std::vector<Level> levels(order.size());
  std::vector<std::int64_t> block(dims.size(), 1);
  for (std::size_t i = 0; i < order.size(); ++i) {
    Level& level = levels[i];
    const auto place = static_cast<std::size_t>(order[i]);
    if (place >= order.size()) return corrupt(fmt::format("sparse axis {}", order[i]));
    const bool is_block = place >= dims.size();
    level.axis = is_block ? static_cast<std::size_t>(blocked[place - dims.size()]) : place;
    if (level.axis >= dims.size()) return corrupt(fmt::format("sparse axis {}", level.axis));
    level.is_dense = tables[i].number<std::int8_t>(0, 0) == 0;
    level.extent = tables[i].number<std::int32_t>(1, 0);
    if (level.is_dense && level.extent < 1)
      return corrupt(fmt::format("{} along a sparse axis", level.extent));
    if (!level.is_dense) {
      level.begins = TRY(numbers(tables[i], 2));
      level.indices = TRY(numbers(tables[i], 4));
      if (!std::ranges::is_sorted(level.begins)) return corrupt("sparse segments out of order");
    }
    if (!is_block) continue;
    if (!level.is_dense || level.extent < 1) return corrupt("blocks that are sparse");
    block[level.axis] *= level.extent;
  }
  for (std::size_t i = 0; i < order.size(); ++i)
    if (static_cast<std::size_t>(order[i]) < dims.size()) levels[i].step = block[levels[i].axis];
  return levels;
}

// The children of node `node` of the level above; their elements go to their places.
Status walk(Tree& tree, std::size_t depth, std::size_t node, Dims& at) {
  if (depth == tree.levels.size()) {
    std::int64_t place = 0;
    for (std::size_t i = 0; i < at.size(); ++i) {
      if (at[i] >= tree.dims[i]) return corrupt("a sparse element outside its tensor");
      place += at[i] * tree.strides[i];
    }
    if ((tree.used + 1) * tree.size > tree.data.size()) return corrupt("too few sparse elements");
    std::memcpy(tree.to + static_cast<std::size_t>(place) * tree.size,
                tree.data.data() + tree.used++ * tree.size, tree.size);
    return Done{};
  }
  const Level& level = tree.levels[depth];
  const auto visit = [&](std::int64_t index, std::size_t child) -> Status {
    if (index < 0 || index > tree.dims[level.axis]) return corrupt("a sparse index");
    at[level.axis] += index * level.step;
    TRY(walk(tree, depth + 1, child, at));
    at[level.axis] -= index * level.step;
    return Done{};
  };
  if (level.is_dense) {
    if (level.extent > tree.dims[level.axis])
      return corrupt(fmt::format("{} along an axis of {}", level.extent, tree.dims[level.axis]));
    for (std::int64_t i = 0; i < level.extent; ++i)
      TRY(visit(i, node * static_cast<std::size_t>(level.extent) + static_cast<std::size_t>(i)));
    return Done{};
  }
  if (node + 1 >= level.begins.size()) return corrupt("too few sparse segments");
  const std::int64_t begin = level.begins[node], end = level.begins[node + 1];
  if (begin < 0 || end < begin || std::cmp_greater(end, level.indices.size()))
    return corrupt("a sparse segment outside its indices");
  for (std::int64_t i = begin; i < end; ++i)
    TRY(visit(level.indices[static_cast<std::size_t>(i)], static_cast<std::size_t>(i)));
  return Done{};
}

}  // namespace

Result<Tensor> read_sparse(const TensorInfo& info, const FlatTable& sparsity,
                           std::span<const std::byte> data) {
  if (info.type == Element::text || info.type == Element::none || packed_bits_of(info.type) != 0)
    return Error(ErrorKind::unsupported,
                 fmt::format("tensor '{}': sparse, of {}", info.name, name_of(info.type)));
  constexpr std::uint64_t most_times = 4096, always = 1 << 20;  // as large as what the file holds
  const auto count = static_cast<std::uint64_t>(TRY(count_of(info.dims)));
  if (count * size_of(info.type) > data.size() * most_times + always)
    return corrupt(
        fmt::format("tensor '{}': {} of {} bytes", info.name, to_text(info.dims), data.size()));
  Tensor tensor = TRY(make_tensor(info.type, info.dims));
  std::memset(tensor.bytes, 0, tensor.byte_count());
  Tree tree{TRY(levels_of(sparsity, info.dims)),
            info.dims,
            strides_of(info.dims),
            data,
            size_of(info.type),
            std::size_t{0},
            tensor.bytes};
  if (tensor.count == 0) return tensor;
  Dims at(info.dims.size(), 0);
  auto done = walk(tree, 0, 0, at);
  if (!done) return std::move(done).error().within(fmt::format("tensor '{}'", info.name));
  return tensor;
}

}  // namespace hearth::graphs::tflite

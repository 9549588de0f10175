// Operators that pick or place elements by index.
// Source: ONNX operator specification, each operator's page.
#include <algorithm>

#include "graphs/infer.h"
#include "graphs/operators/elementwise.h"
#include "graphs/operators/families.h"
#include "graphs/operators/move.h"

namespace hearth::graphs {
namespace {

Result<std::int64_t> checked_index(std::int64_t index, std::int64_t extent) {
  if (index < -extent || index >= extent)
    return invalid(fmt::format("index {}: outside an axis of {}", index, extent));
  return index < 0 ? index + extent : index;
}

Status gather(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const Tensor* index = TRY(call.tensor(1));
  auto places = TRY(call.integers(1));
  const auto axis = TRY(checked_axis(call.integer("axis", 0), x->rank()));
  for (auto& place : places) place = TRY(checked_index(place, x->dims[axis]));
  Dims dims(x->dims.begin(), x->dims.begin() + static_cast<std::ptrdiff_t>(axis));
  dims.insert(dims.end(), index->dims.begin(), index->dims.end());
  dims.insert(dims.end(), x->dims.begin() + static_cast<std::ptrdiff_t>(axis) + 1, x->dims.end());
  Tensor* y = TRY(call.make(0, x->type, std::move(dims)));
  if (x->strings) y->strings = x->strings;
  const auto size = static_cast<std::int64_t>(size_of(x->type));
  const std::int64_t outer = product(std::span(x->dims).first(axis));
  const std::int64_t inner = product(std::span(x->dims).subspan(axis + 1)) * size;
  const auto n = static_cast<std::int64_t>(places.size());
  if (inner == 0) return Done{};
  parallel(
      call.machine, outer * n, std::max<std::int64_t>(1, 65536 / inner),
      [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i)
          std::memcpy(
              y->bytes + i * inner,
              x->bytes + (i / n * x->dims[axis] + places[static_cast<std::size_t>(i % n)]) * inner,
              static_cast<std::size_t>(inner));
      });
  return Done{};
}

// For every element of `index`, its place in x: its own coordinates but along `axis`.
Result<std::vector<std::int64_t>> element_places(Call& call, const Tensor& x, const Tensor& index,
                                                 std::size_t axis) {
  if (index.rank() != x.rank())
    return invalid(fmt::format("indices {} for {}", to_text(index.dims), to_text(x.dims)));
  for (std::size_t i = 0; i < x.rank(); ++i)
    if (i != axis && index.dims[i] > x.dims[i])
      return invalid(fmt::format("indices {} for {}", to_text(index.dims), to_text(x.dims)));
  auto places = TRY(call.integers(1));
  const Dims strides = strides_of(x.dims), own = strides_of(index.dims);
  for (std::size_t i = 0; i < places.size(); ++i) {
    std::int64_t place = TRY(checked_index(places[i], x.dims[axis])) * strides[axis];
    for (std::size_t k = 0; k < x.rank(); ++k)
      if (k != axis) place += static_cast<std::int64_t>(i) / own[k] % index.dims[k] * strides[k];
    places[i] = place;
  }
  return places;
}

Status gather_elements(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const Tensor* index = TRY(call.tensor(1));
  const auto axis = TRY(checked_axis(call.integer("axis", 0), x->rank()));
  const auto places = TRY(element_places(call, *x, *index, axis));
  Tensor* y = TRY(call.make(0, x->type, index->dims));
  if (x->strings) y->strings = x->strings;
  const std::size_t size = size_of(x->type);
  for (std::size_t i = 0; i < places.size(); ++i)
    std::memcpy(y->bytes + i * size, x->bytes + static_cast<std::size_t>(places[i]) * size, size);
  return Done{};
}

// Places (in blocks) that rows of indices name; the first `batches` axes are shared.
struct Blocks {
  std::vector<std::int64_t> places;
  std::int64_t block = 1;  // elements
  Dims index_dims;         // of indices but its last axis
  std::size_t depth = 0;   // coordinates in a row
};

Result<Blocks> find_blocks(Call& call, const Tensor& x, const Tensor& index, std::size_t batches) {
  if (index.rank() == 0 || x.rank() == 0) return invalid("needs at least one axis");
  const std::int64_t depth = index.dims.back();
  if (depth < 0 || static_cast<std::size_t>(depth) + batches > x.rank() || batches >= index.rank())
    return invalid(fmt::format("indices {} for {}", to_text(index.dims), to_text(x.dims)));
  Blocks blocks;
  blocks.depth = static_cast<std::size_t>(depth);
  blocks.block = product(std::span(x.dims).subspan(batches + blocks.depth));
  blocks.index_dims.assign(index.dims.begin(), index.dims.end() - 1);
  for (std::size_t i = 0; i < batches; ++i)
    if (index.dims[i] != x.dims[i])
      return invalid(fmt::format("indices {} for {}", to_text(index.dims), to_text(x.dims)));
  const auto numbers = TRY(call.integers(1));
  const std::int64_t rows = TRY(count_of(blocks.index_dims));
  const std::int64_t per_batch =
      std::max<std::int64_t>(1, product(std::span(blocks.index_dims).subspan(batches)));
  const Dims strides = strides_of(x.dims);
  const std::int64_t batch_stride = product(std::span(x.dims).subspan(batches));
  for (std::int64_t row = 0; row < rows; ++row) {
    std::int64_t place = row / per_batch * batch_stride;
    for (std::size_t k = 0; k < blocks.depth; ++k)
      place += TRY(checked_index(numbers[static_cast<std::size_t>(row) * blocks.depth + k],
                                 x.dims[batches + k])) *
               strides[batches + k];
    blocks.places.push_back(place);
  }
  return blocks;
}

Status gather_nd(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const Tensor* index = TRY(call.tensor(1));
  const std::int64_t batches = call.integer("batch_dims", 0);
  if (batches < 0 || batches > 31) return invalid(fmt::format("batch_dims {}", batches));
  const Blocks blocks = TRY(find_blocks(call, *x, *index, static_cast<std::size_t>(batches)));
  Dims dims = blocks.index_dims;
  dims.insert(dims.end(), x->dims.begin() + static_cast<std::ptrdiff_t>(blocks.depth) + batches,
              x->dims.end());
  Tensor* y = TRY(call.make(0, x->type, std::move(dims)));
  if (x->strings) y->strings = x->strings;
  const auto size = static_cast<std::int64_t>(size_of(x->type));
  for (std::size_t i = 0; i < blocks.places.size(); ++i)
    copy_elements(y->bytes + static_cast<std::int64_t>(i) * blocks.block * size, 1,
                  x->bytes + blocks.places[i] * size, 1, blocks.block, size_of(x->type));
  return Done{};
}

// How an update meets what is there.
template <typename T>
T combine(std::string_view how, T old, T update) {
  if (how == "add") return old + update;
  if (how == "mul") return old * update;
  if (how == "min") return update < old ? update : old;
  return update > old ? update : old;  // max
}

void combine_at(std::string_view how, Tensor& y, std::int64_t place, const Tensor& updates,
                std::int64_t from, std::int64_t n) {
  const std::size_t size = size_of(y.type);
  std::byte* to = y.bytes + static_cast<std::size_t>(place) * size;
  const std::byte* at = updates.bytes + static_cast<std::size_t>(from) * size;
  if (how == "none") return copy_elements(to, 1, at, 1, n, size);
  const bool real = is_float(y.type);
  for (std::int64_t i = 0; i < n; ++i, to += size, at += size) {
    if (real) {
      double pair[2];
      load(Work::f64, &pair[0], y.type, to, 1);
      load(Work::f64, &pair[1], y.type, at, 1);
      pair[0] = combine(how, pair[0], pair[1]);
      store(y.type, to, Work::f64, pair, 1);
    } else {
      std::int64_t pair[2];
      load(Work::i64, &pair[0], y.type, to, 1);
      load(Work::i64, &pair[1], y.type, at, 1);
      const bool sums = how == "add" || how == "mul";
      if (sums)  // modulo 2^64
        pair[0] = static_cast<std::int64_t>(
            combine(how, static_cast<std::uint64_t>(pair[0]), static_cast<std::uint64_t>(pair[1])));
      else
        pair[0] = combine(how, pair[0], pair[1]);
      store(y.type, to, Work::i64, pair, 1);
    }
  }
}

Result<std::string_view> reduction_of(Call& call, const Tensor& x) {
  const std::string_view how = call.text("reduction", "none");
  if (how != "none" && how != "add" && how != "mul" && how != "min" && how != "max")
    return unsupported(fmt::format("reduction '{}'", how));
  if (how != "none" && !is_float(x.type) && !is_integer(x.type) && x.type != Element::boolean)
    return unsupported(fmt::format("reduction '{}' of {}", how, name_of(x.type)));
  return how;
}

Result<Tensor*> start_scatter(Call& call, const Tensor& x, const Tensor& updates) {
  if (updates.type != x.type)
    return invalid(fmt::format("updates of {} to {}", name_of(updates.type), name_of(x.type)));
  Tensor* y = TRY(call.make(0, x.type, x.dims));
  copy_elements(y->bytes, 1, x.bytes, 1, x.count, size_of(x.type));
  return y;
}

Status scatter_elements(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const Tensor* index = TRY(call.tensor(1));
  const Tensor* updates = TRY(call.tensor(2));
  const auto axis = TRY(checked_axis(call.integer("axis", 0), x->rank()));
  const std::string_view how = TRY(reduction_of(call, *x));
  if (updates->dims != index->dims)
    return invalid(
        fmt::format("updates {} for indices {}", to_text(updates->dims), to_text(index->dims)));
  const auto places = TRY(element_places(call, *x, *index, axis));
  Tensor* y = TRY(start_scatter(call, *x, *updates));
  for (std::size_t i = 0; i < places.size(); ++i)
    combine_at(how, *y, places[i], *updates, static_cast<std::int64_t>(i), 1);
  return Done{};
}

Status scatter_nd(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const Tensor* index = TRY(call.tensor(1));
  const Tensor* updates = TRY(call.tensor(2));
  const std::string_view how = TRY(reduction_of(call, *x));
  const Blocks blocks = TRY(find_blocks(call, *x, *index, 0));
  if (updates->count != static_cast<std::int64_t>(blocks.places.size()) * blocks.block)
    return invalid(
        fmt::format("updates {} for indices {}", to_text(updates->dims), to_text(index->dims)));
  Tensor* y = TRY(start_scatter(call, *x, *updates));
  for (std::size_t i = 0; i < blocks.places.size(); ++i)
    combine_at(how, *y, blocks.places[i], *updates, static_cast<std::int64_t>(i) * blocks.block,
               blocks.block);
  return Done{};
}

// Source: ONNX, TensorScatter.
Status tensor_scatter(Call& call) {
  const Tensor* past = TRY(call.tensor(0));
  const Tensor* update = TRY(call.tensor(1));
  const auto axis = TRY(checked_axis(call.integer("axis", -2), past->rank()));
  const bool circular = call.text("mode", "linear") == "circular";
  bool fits = axis != 0 && update->rank() == past->rank();
  for (std::size_t i = 0; fits && i < past->rank(); ++i)
    fits = i == axis || update->dims[i] == past->dims[i];
  if (!fits || update->dims[axis] > past->dims[axis])
    return invalid(
        fmt::format("an update of {} to {}", to_text(update->dims), to_text(past->dims)));
  std::vector<std::int64_t> starts(static_cast<std::size_t>(past->dims[0]), 0);
  if (call.has(2)) starts = TRY(call.integers(2));
  if (static_cast<std::int64_t>(starts.size()) != past->dims[0])
    return invalid(fmt::format("{} write indices for {}", starts.size(), to_text(past->dims)));
  Tensor* y = TRY(start_scatter(call, *past, *update));
  const std::int64_t length = past->dims[axis], steps = update->dims[axis];
  const std::int64_t outer = product(std::span(past->dims).first(axis));
  const std::int64_t inner = product(std::span(past->dims).subspan(axis + 1));
  const auto size = static_cast<std::int64_t>(size_of(past->type));
  for (std::int64_t o = 0; o < outer; ++o)
    for (std::int64_t s = 0; s < steps; ++s) {
      std::int64_t at = starts[static_cast<std::size_t>(o / (outer / past->dims[0]))];
      if (at < 0 || at > (std::int64_t{1} << 40)) return invalid(fmt::format("write index {}", at));
      at += s;
      if (circular) at %= length;
      if (at >= length) return invalid(fmt::format("write index {} of {}", at, length));
      copy_elements(y->bytes + (o * length + at) * inner * size, 1,
                    update->bytes + (o * steps + s) * inner * size, 1, inner,
                    static_cast<std::size_t>(size));
    }
  return Done{};
}

Status compress(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const Tensor* chosen = TRY(call.typed(1, Element::boolean));
  const bool flat = !call.has_attribute("axis");
  const Tensor from = flat ? reshaped(*x, {x->count}) : *x;
  const auto axis = TRY(checked_axis(call.integer("axis", 0), from.rank()));
  std::vector<std::int64_t> kept;
  for (std::int64_t i = 0; i < chosen->count; ++i) {
    if (!chosen->data<bool>()[i]) continue;
    if (i >= from.dims[axis]) return invalid(fmt::format("condition {} of {}", i, from.dims[axis]));
    kept.push_back(i);
  }
  Dims dims = from.dims;
  dims[axis] = static_cast<std::int64_t>(kept.size());
  Tensor* y = TRY(call.make(0, from.type, std::move(dims)));
  const auto size = static_cast<std::int64_t>(size_of(from.type));
  const std::int64_t outer = product(std::span(from.dims).first(axis));
  const std::int64_t inner = product(std::span(from.dims).subspan(axis + 1)) * size;
  std::byte* to = y->bytes;
  for (std::int64_t o = 0; o < outer; ++o)
    for (const std::int64_t at : kept) {
      std::memcpy(to, from.bytes + (o * from.dims[axis] + at) * inner,
                  static_cast<std::size_t>(inner));
      to += inner;
    }
  return Done{};
}

Status non_zero(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const Numbers<double> numbers(*x);
  std::vector<std::int64_t> found;
  for (std::size_t i = 0; i < numbers.size(); ++i)
    if (numbers[i] != 0) found.push_back(static_cast<std::int64_t>(i));
  const auto rank = static_cast<std::int64_t>(x->rank());
  const auto n = static_cast<std::int64_t>(found.size());
  Tensor* y = TRY(call.make(0, Element::i64, {rank, n}));
  const Dims strides = strides_of(x->dims);
  for (std::int64_t k = 0; k < rank; ++k)
    for (std::int64_t i = 0; i < n; ++i) {
      const auto axis = static_cast<std::size_t>(k);
      y->data<std::int64_t>()[k * n + i] =
          found[static_cast<std::size_t>(i)] / strides[axis] % x->dims[axis];
    }
  return Done{};
}

// values: [off, on].
Status one_hot(Call& call) {
  const Tensor* index = TRY(call.tensor(0));
  const Numbers<double> numbers(*index);
  const auto depths = TRY(call.reals(1));
  const Tensor* values = TRY(call.tensor(2));
  if (depths.size() != 1 || values->count != 2) return invalid("needs one depth and two values");
  const double depth = depths[0];
  if (!(depth >= 0 && depth < 1e9)) return invalid(fmt::format("a depth of {}", depth));
  const auto classes = static_cast<std::int64_t>(depth);
  const auto axis = TRY(checked_axis(call.integer("axis", -1), index->rank() + 1));
  Dims dims = index->dims;
  dims.insert(dims.begin() + static_cast<std::ptrdiff_t>(axis), classes);
  Tensor* y = TRY(call.make(0, values->type, std::move(dims)));
  fill(*y, values->bytes);
  const std::int64_t inner = product(std::span(y->dims).subspan(axis + 1));
  const auto size = static_cast<std::int64_t>(size_of(values->type));
  for (std::int64_t i = 0; i < index->count; ++i) {
    const double at = numbers[static_cast<std::size_t>(i)];
    if (!(at >= -depth && at < depth)) continue;  // outside: all off
    const auto place = static_cast<std::int64_t>(at < 0 ? at + depth : at);
    std::memcpy(y->bytes + ((i / inner * classes + place) * inner + i % inner) * size,
                values->bytes + size, static_cast<std::size_t>(size));
  }
  return Done{};
}

Status trilu(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const std::int64_t k = TRY(call.integer_input(1, 0));
  const bool upper = call.integer("upper", 1) != 0;
  if (x->rank() < 2) return invalid(fmt::format("a matrix is needed, not {}", to_text(x->dims)));
  Tensor* y = TRY(call.make(0, x->type, x->dims));
  fill_zero(*y);
  const std::int64_t rows = x->dims[x->rank() - 2], columns = x->dims.back();
  const auto size = static_cast<std::int64_t>(size_of(x->type));
  if (x->count == 0) return Done{};
  const std::int64_t offset = std::clamp(k, -rows - columns, rows + columns);
  for (std::int64_t row = 0; row < x->count / columns; ++row) {
    const std::int64_t edge = row % rows + offset;
    const std::int64_t begin = upper ? std::clamp(edge, std::int64_t{0}, columns) : 0;
    const std::int64_t end = upper ? columns : std::clamp(edge + 1, std::int64_t{0}, columns);
    copy_elements(y->bytes + (row * columns + begin) * size, 1,
                  x->bytes + (row * columns + begin) * size, 1, end - begin,
                  static_cast<std::size_t>(size));
  }
  return Done{};
}

constexpr Operator rows[] = {
    {"Gather", gather, infer_gather, 2, 2},
    {"GatherElements", gather_elements, nullptr, 2, 2},
    {"GatherND", gather_nd, nullptr, 2, 2},
    {"ScatterElements", scatter_elements, infer_same, 3, 3},
    {"ScatterND", scatter_nd, infer_same, 3, 3},
    {"TensorScatter", tensor_scatter, infer_same, 2, 3},
    {"Compress", compress, nullptr, 2, 2},
    {"NonZero", non_zero, nullptr, 1, 1},
    {"OneHot", one_hot, nullptr, 3, 3},
    {"Trilu", trilu, infer_same, 1, 2},
};

}  // namespace

std::span<const Operator> gather_operators() { return rows; }

}  // namespace hearth::graphs

// Operators that change shapes and leave elements as they are.
// Source: ONNX operator specification, each operator's page.
#include <algorithm>

#include "graphs/infer.h"
#include "graphs/operators/families.h"
#include "graphs/operators/move.h"

namespace hearth::graphs {
namespace {

Status identity(Call& call) {
  if (!call.has(0)) return Done{};
  call.give(0, *call.inputs[0]);
  return Done{};
}

Status reshape(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  std::vector<std::int64_t> shape = call.has(1) ? TRY(call.integers(1)) : call.list("shape");
  if (shape.size() > max_rank) return invalid(fmt::format("{} axes", shape.size()));
  const bool zero_is_zero = call.integer("allowzero", 0) != 0;
  std::int64_t known = 1, unknown = -1;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0 && !zero_is_zero) {
      if (i >= x->rank())
        return invalid(
            fmt::format("shape {}: axis {} of {} is kept", to_text(shape), i, to_text(x->dims)));
      shape[i] = x->dims[i];
    }
    if (shape[i] == -1) {
      if (unknown >= 0) return invalid(fmt::format("shape {}: two unknowns", to_text(shape)));
      unknown = static_cast<std::int64_t>(i);
    } else if (shape[i] < 0 || (shape[i] != 0 && known > (std::int64_t{1} << 40) / shape[i])) {
      return invalid(fmt::format("shape {}", to_text(shape)));
    } else {
      known *= shape[i];
    }
  }
  if (unknown >= 0 && known != 0 && x->count % known == 0)
    shape[static_cast<std::size_t>(unknown)] = x->count / known;
  else if (unknown >= 0 && known == 0 && x->count == 0)
    shape[static_cast<std::size_t>(unknown)] = 0;
  if (std::ranges::any_of(shape, [](auto extent) { return extent < 0; }) ||
      product(shape) != x->count)
    return invalid(fmt::format("{} elements of {} do not make {}", x->count, to_text(x->dims),
                               to_text(shape)));
  call.give(0, reshaped(*x, std::move(shape)));
  return Done{};
}

Status flatten(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  std::int64_t axis = call.integer("axis", 1);
  const auto rank = static_cast<std::int64_t>(x->rank());
  if (axis < -rank || axis > rank) return invalid(fmt::format("axis {}", axis));
  if (axis < 0) axis += rank;
  const auto first = std::span(x->dims).first(static_cast<std::size_t>(axis));
  const auto rest = std::span(x->dims).subspan(static_cast<std::size_t>(axis));
  call.give(0, reshaped(*x, {product(first), product(rest)}));
  return Done{};
}

Status squeeze(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const auto axes = TRY(checked_axes(TRY(axes_of(call, 1)), x->rank()));
  Dims dims;
  for (std::size_t i = 0; i < x->rank(); ++i) {
    const bool named = std::ranges::find(axes, i) != axes.end();
    if (named && x->dims[i] != 1)
      return invalid(fmt::format("axis {} of {} is not 1", i, to_text(x->dims)));
    if (!named && (!axes.empty() || x->dims[i] != 1)) dims.push_back(x->dims[i]);
  }
  call.give(0, reshaped(*x, std::move(dims)));
  return Done{};
}

Status unsqueeze(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const auto named = TRY(axes_of(call, 1));
  const std::size_t rank = x->rank() + named.size();
  if (rank > max_rank) return invalid(fmt::format("{} axes", rank));
  const auto axes = TRY(checked_axes(named, rank));
  Dims dims(rank, 1);
  std::size_t next = 0;
  for (std::size_t i = 0; i < rank; ++i)
    if (std::ranges::find(axes, i) == axes.end()) dims[i] = x->dims[next++];
  call.give(0, reshaped(*x, std::move(dims)));
  return Done{};
}

Status shape(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const auto rank = static_cast<std::int64_t>(x->rank());
  const auto limit = [&](std::int64_t at) {
    return std::clamp(at < 0 ? at + rank : at, std::int64_t{0}, rank);
  };
  const std::int64_t start = limit(call.integer("start", 0));
  const std::int64_t end = std::max(start, limit(call.integer("end", rank)));
  Tensor* y = TRY(call.make(0, Element::i64, {end - start}));
  std::copy(x->dims.begin() + start, x->dims.begin() + end, y->data<std::int64_t>());
  return Done{};
}

Status size(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  Tensor* y = TRY(call.make(0, Element::i64, {}));
  y->data<std::int64_t>()[0] = x->count;
  return Done{};
}

Status transpose(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  std::vector<std::size_t> order;
  if (call.has_attribute("perm")) {
    order = TRY(checked_axes(call.list("perm"), x->rank()));
  } else if (call.has(1)) {
    order = TRY(checked_axes(TRY(call.integers(1)), x->rank()));
  } else {
    for (std::size_t i = x->rank(); i-- > 0;) order.push_back(i);
  }
  if (order.size() != x->rank())
    return invalid(fmt::format("perm of {} axes for {}", order.size(), to_text(x->dims)));
  call.give(0, TRY(transposed(call, *x, order)));
  return Done{};
}

Status expand(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const Dims dims = TRY(broadcast(x->dims, TRY(call.integers(1))));
  TRY(count_of(dims));
  call.give(0, TRY(expanded(call, *x, dims)));
  return Done{};
}

Status tile(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const auto repeats = TRY(call.integers(1));
  if (repeats.size() != x->rank())
    return invalid(fmt::format("{} repeats for {}", repeats.size(), to_text(x->dims)));
  Dims dims, interleaved, strides;
  const Dims from = strides_of(x->dims);
  for (std::size_t i = 0; i < x->rank(); ++i) {
    if (repeats[i] < 0 || (repeats[i] > 0 && x->dims[i] > (std::int64_t{1} << 40) / repeats[i]))
      return invalid(fmt::format("{} repeats", repeats[i]));
    dims.push_back(x->dims[i] * repeats[i]);
    interleaved.push_back(repeats[i]);
    strides.push_back(0);
    interleaved.push_back(x->dims[i]);
    strides.push_back(from[i]);
  }
  Tensor* y = TRY(call.make(0, x->type, dims));
  if (interleaved.size() > max_rank) return invalid("too many axes");
  y->dims = interleaved;
  copy_strided(call, *y, *x, 0, strides);
  y->dims = std::move(dims);
  return Done{};
}

Status concat(Call& call) {
  std::vector<const Tensor*> parts;
  for (std::size_t i = 0; i < call.inputs.size(); ++i) parts.push_back(TRY(call.tensor(i)));
  if (parts.empty()) return invalid("no inputs");
  const auto axis = TRY(checked_axis(call.integer("axis", 1), parts[0]->rank()));
  call.give(0, TRY(joined(call, parts, axis)));
  return Done{};
}

// Sizes of the parts of an axis of `extent`.
Result<std::vector<std::int64_t>> split_sizes(Call& call, std::int64_t extent) {
  std::vector<std::int64_t> sizes = call.has(1) ? TRY(call.integers(1)) : call.list("split");
  if (sizes.empty()) {
    const auto parts =
        call.integer("num_outputs", static_cast<std::int64_t>(call.node.outputs.size()));
    if (parts < 1 || parts > static_cast<std::int64_t>(call.node.outputs.size()))
      return invalid(fmt::format("{} parts", parts));
    const std::int64_t each = (extent + parts - 1) / parts;
    for (std::int64_t at = 0, i = 0; i < parts; ++i, at += each)
      sizes.push_back(std::clamp(extent - at, std::int64_t{0}, each));
  }
  std::int64_t sum = 0;
  for (const std::int64_t part_size : sizes) {
    if (part_size < 0 || part_size > extent) return invalid(fmt::format("a part of {}", part_size));
    sum += part_size;
  }
  if (sum != extent || sizes.size() > call.node.outputs.size())
    return invalid(fmt::format("{} parts of {} elements from {}", sizes.size(), sum, extent));
  return sizes;
}

Status split(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const auto axis = TRY(checked_axis(call.integer("axis", 0), x->rank()));
  const auto sizes = TRY(split_sizes(call, x->dims[axis]));
  std::int64_t at = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (call.wants(i)) call.give(i, TRY(part(call, *x, axis, at, sizes[i])));
    at += sizes[i];
  }
  return Done{};
}

struct SliceAxis {
  std::int64_t start = 0, step = 1, size = 0;
};

// Source: ONNX, Slice: starts and ends are clamped to the axis.
SliceAxis clamp_slice(std::int64_t start, std::int64_t end, std::int64_t step,
                      std::int64_t extent) {
  const auto wrap = [&](std::int64_t at) { return at < 0 ? at + extent : at; };
  const std::int64_t low = step > 0 ? 0 : -1, high = step > 0 ? extent : extent - 1;
  // An end far below the axis means "to the very first" going down.
  start = start < -extent ? (step > 0 ? 0 : -1) : std::clamp(wrap(start), low, high);
  end = end < -extent ? low : std::clamp(wrap(end), low, high);
  SliceAxis axis{start, step, 0};
  if (step > 0 && end > start) axis.size = (end - start - 1) / step + 1;
  if (step < 0 && end < start) axis.size = (start - end - 1) / -step + 1;
  if (axis.size == 0) axis.start = 0;
  return axis;
}

// What a slice takes of x: its shape, its first element, elements between neighbours.
struct Sliced {
  Dims dims, strides;
  std::int64_t first = 0;
};

// starts, ends, axes and steps are inputs from `at` on.
Result<Sliced> sliced(Call& call, const Tensor& x, std::size_t at) {
  const auto starts = call.has(at) ? TRY(call.integers(at)) : call.list("starts");
  const auto ends = call.has(at + 1) ? TRY(call.integers(at + 1)) : call.list("ends");
  auto axes = call.has(at + 2) ? TRY(call.integers(at + 2)) : call.list("axes");
  auto steps = call.has(at + 3) ? TRY(call.integers(at + 3)) : std::vector<std::int64_t>();
  if (axes.empty())
    for (std::size_t i = 0; i < starts.size(); ++i) axes.push_back(static_cast<std::int64_t>(i));
  if (steps.empty()) steps.assign(starts.size(), 1);
  if (ends.size() != starts.size() || axes.size() != starts.size() || steps.size() != starts.size())
    return invalid(fmt::format("{} starts, {} ends, {} axes, {} steps", starts.size(), ends.size(),
                               axes.size(), steps.size()));
  const auto places = TRY(checked_axes(axes, x.rank()));
  Sliced part{x.dims, strides_of(x.dims), 0};
  for (std::size_t i = 0; i < places.size(); ++i) {
    const std::int64_t step = steps[i];
    if (step == 0 || step == INT64_MIN) return invalid(fmt::format("a step of {}", step));
    const SliceAxis axis = clamp_slice(starts[i], ends[i], step, x.dims[places[i]]);
    part.dims[places[i]] = axis.size;
    part.first += axis.start * part.strides[places[i]];
    part.strides[places[i]] *= axis.size > 1 ? step : 0;
  }
  return part;
}

Status slice(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  Sliced part = TRY(sliced(call, *x, 1));
  Tensor* y = TRY(call.make(0, x->type, std::move(part.dims)));
  if (y->count > 0) copy_strided(call, *y, *x, part.first, part.strides);
  return Done{};
}

// x with what a slice of it would take replaced by the elements of an update of that shape.
Status slice_update(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const Tensor* update = TRY(call.tensor(1));
  const Sliced part = TRY(sliced(call, *x, 2));
  if (update->type != x->type || update->count != product(part.dims))
    return invalid(fmt::format("{} {} for {} {}", name_of(update->type), to_text(update->dims),
                               name_of(x->type), to_text(part.dims)));
  Tensor* y = TRY(call.make(0, x->type, x->dims));
  const std::size_t size = size_of(x->type);
  if (x->count > 0) std::memcpy(y->bytes, x->bytes, x->byte_count());
  if (x->strings) y->strings = x->strings;
  if (update->count == 0) return Done{};
  const std::size_t outer = part.dims.empty() ? 0 : part.dims.size() - 1;
  const std::int64_t run = part.dims.empty() ? 1 : part.dims.back();
  const std::int64_t step = part.dims.empty() ? 1 : part.strides.back();
  for (std::int64_t row = 0; row < update->count / run; ++row) {
    std::int64_t rest = row, place = part.first;
    for (std::size_t i = outer; i-- > 0;) {
      place += rest % part.dims[i] * part.strides[i];
      rest /= part.dims[i];
    }
    copy_elements(y->bytes + place * static_cast<std::int64_t>(size), step,
                  update->bytes + static_cast<std::size_t>(row * run) * size, 1, run, size);
  }
  return Done{};
}

// Parts of axes taken apart and put together in another order.
Status rearrange(Call& call, const Tensor& x, Dims apart, std::span<const std::size_t> order,
                 Dims together) {
  Tensor y = TRY(transposed(call, reshaped(x, std::move(apart)), order));
  y.dims = std::move(together);
  call.give(0, std::move(y));
  return Done{};
}

Status depth_to_space(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const std::int64_t block = call.integer("blocksize", 0);
  if (x->rank() != 4 || block < 1 || block > (1 << 20) || x->dims[1] % (block * block) != 0)
    return invalid(fmt::format("blocks of {} from {}", block, to_text(x->dims)));
  const std::int64_t n = x->dims[0], c = x->dims[1] / (block * block), h = x->dims[2],
                     w = x->dims[3];
  const Dims result{n, c, h * block, w * block};
  if (call.text("mode", "DCR") == "CRD")
    return rearrange(call, *x, {n, c, block, block, h, w},
                     std::array<std::size_t, 6>{0, 1, 4, 2, 5, 3}, result);
  return rearrange(call, *x, {n, block, block, c, h, w},
                   std::array<std::size_t, 6>{0, 3, 4, 1, 5, 2}, result);
}

Status space_to_depth(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const std::int64_t block = call.integer("blocksize", 0);
  if (x->rank() != 4 || block < 1 || x->dims[2] % block != 0 || x->dims[3] % block != 0)
    return invalid(fmt::format("blocks of {} from {}", block, to_text(x->dims)));
  const std::int64_t n = x->dims[0], c = x->dims[1], h = x->dims[2] / block, w = x->dims[3] / block;
  const bool channels_first = call.text("mode", "DCR") == "CRD";
  return rearrange(call, *x, {n, c, h, block, w, block},
                   channels_first ? std::array<std::size_t, 6>{0, 1, 3, 5, 2, 4}
                                  : std::array<std::size_t, 6>{0, 3, 5, 1, 2, 4},
                   {n, c * block * block, h, w});
}

Status reverse_sequence(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const auto lengths = TRY(call.integers(1));
  const auto batch = TRY(checked_axis(call.integer("batch_axis", 1), x->rank()));
  const auto time = TRY(checked_axis(call.integer("time_axis", 0), x->rank()));
  if (batch == time || static_cast<std::int64_t>(lengths.size()) != x->dims[batch])
    return invalid(fmt::format("{} lengths for {}", lengths.size(), to_text(x->dims)));
  Tensor* y = TRY(call.make(0, x->type, x->dims));
  const Dims strides = strides_of(x->dims);
  const std::size_t size = size_of(x->type);
  for (std::int64_t i = 0; i < x->count; ++i) {
    const std::int64_t b = i / strides[batch] % x->dims[batch];
    const std::int64_t t = i / strides[time] % x->dims[time];
    const std::int64_t length = lengths[static_cast<std::size_t>(b)];
    if (length < 0 || length > x->dims[time]) return invalid(fmt::format("length {}", length));
    const std::int64_t from = t < length ? i + (length - 1 - 2 * t) * strides[time] : i;
    copy_elements(y->bytes + i * static_cast<std::int64_t>(size), 1,
                  x->bytes + from * static_cast<std::int64_t>(size), 1, 1, size);
  }
  return Done{};
}

Status reverse(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const auto axes = TRY(checked_axes(TRY(axes_of(call, 1)), x->rank()));
  Tensor* y = TRY(call.make(0, x->type, x->dims));
  if (y->count == 0) return Done{};
  Dims strides = strides_of(x->dims);
  std::int64_t first = 0;
  for (const std::size_t axis : axes) {
    first += (x->dims[axis] - 1) * strides[axis];
    strides[axis] = -strides[axis];
  }
  copy_strided(call, *y, *x, first, strides);
  return Done{};
}

// Source: ONNX, BitCast.
Status bit_cast(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const auto to = static_cast<Element>(call.integer("to", 0));
  if (size_of(to) != size_of(x->type) || packed_bits_of(to) != packed_bits_of(x->type) ||
      to == Element::text || x->type == Element::text)
    return invalid(fmt::format("{} as {}", name_of(x->type), name_of(to)));
  Tensor y = *x;
  y.type = to;
  call.give(0, std::move(y));
  return Done{};
}

constexpr Operator rows[] = {
    {"Identity", identity, infer_same, 1, 1},
    {"Reshape", reshape, infer_reshape, 1, 2},
    {"Flatten", flatten, infer_flatten, 1, 1},
    {"Squeeze", squeeze, infer_squeeze, 1, 2},
    {"Unsqueeze", unsqueeze, infer_unsqueeze, 1, 2},
    {"Shape", shape, infer_shape, 1, 1},
    {"Size", size, nullptr, 1, 1},
    {"Transpose", transpose, infer_transpose, 1, 2},
    {"Expand", expand, infer_expand, 2, 2},
    {"Tile", tile, nullptr, 2, 2},
    {"Concat", concat, infer_concat, 1, 1 << 20, false, Blocks::alike},
    {"Split", split, infer_split, 1, 2},
    {"Slice", slice, infer_slice, 1, 5},
    {"hearth.SliceUpdate", slice_update, infer_same, 4, 6},
    {"DepthToSpace", depth_to_space, nullptr, 1, 1},
    {"SpaceToDepth", space_to_depth, nullptr, 1, 1},
    {"ReverseSequence", reverse_sequence, infer_same, 2, 2},
    {"hearth.Reverse", reverse, infer_same, 1, 2},
    {"BitCast", bit_cast, nullptr, 1, 1},
};

}  // namespace

std::span<const Operator> shape_operators() { return rows; }

}  // namespace hearth::graphs

// Shapes: reshaping, slicing, padding, joining.
// Source: Core ML Tools, MIL operator reference.
#include <fmt/core.h>

#include <algorithm>
#include <climits>

#include "graphs/call.h"
#include "graphs/coreml/mil.h"

namespace hearth::graphs::coreml {
namespace {

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

Status reshape(MilOp& op) {
  return op.give(op.b.emit("Reshape", {TRY(op.in("x")), TRY(op.int_list("shape"))}));
}

// The shape is put together of parts of others' shapes.
Status reshape_like(MilOp& op) {
  std::vector<ValueId> parts;
  const auto number = [&](std::string_view name, std::size_t i) -> Result<std::int64_t> {
    const Var* var = TRY(op.var(name, i));
    if (!var->constant || var->constant->count != 1) return computed(name);
    std::int64_t value;
    load(Work::i64, &value, var->constant->type, var->constant->bytes, 1);
    return value;
  };
  for (std::size_t i = 0; i < op.count("ref_tensors"); ++i) {
    const ValueId shape = op.shape_of(TRY(op.in("ref_tensors", i)));
    const std::int64_t begin = TRY(number("begins", i));
    const bool to_end = TRY(number("end_masks", i)) != 0;
    const std::int64_t end = to_end ? INT_MAX : TRY(number("ends", i));
    parts.push_back(op.b.emit("Slice", {shape, op.b.integers({begin}), op.b.integers({end})}));
  }
  if (parts.empty()) return corrupt("no 'ref_tensors'");
  const ValueId shape = op.b.emit("Concat", parts, {{"axis", std::int64_t{0}}});
  return op.give(op.b.emit("Reshape", {TRY(op.in("x")), shape}));
}

Status transpose(MilOp& op) {
  Ints order = TRY(op.ints("perm"));
  const std::size_t rank = order.size();
  for (std::int64_t& axis : order) {
    const auto checked = checked_axis(axis, rank);
    if (!checked) return corrupt(fmt::format("'perm': {}", checked.error().message()));
    axis = static_cast<std::int64_t>(*checked);
  }
  return op.give(op.b.transposed(TRY(op.in("x")), order));
}

Status expand_dims(MilOp& op) {
  return op.give(op.b.emit("Unsqueeze", {TRY(op.in("x")), op.b.integers(TRY(op.ints("axes")))}));
}

// Axes of more than one element stay.
Status squeeze(MilOp& op) {
  const Dims dims = TRY(op.dims("x"));
  const ValueId x = TRY(op.in("x"));
  Ints axes;
  if (!op.has("axes")) {
    for (std::size_t i = 0; i < dims.size(); ++i)
      if (dims[i] == 1) axes.push_back(static_cast<std::int64_t>(i));
  } else {
    for (const std::int64_t each : TRY(op.ints("axes"))) {
      const auto axis = checked_axis(each, dims.size());
      if (!axis) return corrupt(axis.error().message());
      if (dims[*axis] == 1 || dims[*axis] < 0) axes.push_back(static_cast<std::int64_t>(*axis));
    }
  }
  return op.give(axes.empty() ? op.b.emit("Identity", {x})
                              : op.b.emit("Squeeze", {x, op.b.integers(axes)}));
}

Status flatten2d(MilOp& op) {
  return op.give(op.b.emit("Flatten", {TRY(op.in("x"))}, {{"axis", TRY(op.integer("axis", 1))}}));
}

Status shape(MilOp& op) { return op.give_cast(0, op.shape_of(TRY(op.in("x")))); }

// Interleaved: element i of every input, then element i + 1 of each.
Status concat(MilOp& op) {
  auto values = TRY(op.all("values"));
  const std::int64_t rank = static_cast<std::int64_t>(TRY(op.rank("values")));
  std::int64_t axis = TRY(op.integer("axis", 0));
  if (rank == 0)  // numbers become a list
    for (ValueId& each : values) each = op.reshaped(each, {1});
  if (!TRY(op.flag("interleave", false)) || values.size() == 1)
    return op.give(op.b.emit("Concat", values, {{"axis", axis}}));
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank) return corrupt(fmt::format("axis {}", axis));
  Dims dims = op.out().dims;
  if (!op.out().has_rank || std::ranges::count(dims, -1) > 1)
    return Error(ErrorKind::unsupported, "interleaved, of unknown shape");
  for (ValueId& each : values) each = op.b.emit("Unsqueeze", {each, op.b.integers({axis + 1})});
  const ValueId stacked = op.b.emit("Concat", values, {{"axis", axis + 1}});
  return op.give(op.reshaped(stacked, dims));
}

Status stack(MilOp& op) {
  auto values = TRY(op.all("values"));
  const std::int64_t axis = TRY(op.integer("axis", 0));
  for (ValueId& each : values) each = op.b.emit("Unsqueeze", {each, op.b.integers({axis})});
  return op.give(op.b.emit("Concat", values, {{"axis", axis}}));
}

Status split(MilOp& op) {
  const std::int64_t axis = TRY(op.axis("axis", 0, "x"));
  std::vector<ValueId> inputs{TRY(op.in("x"))};
  Attributes attributes{{"axis", axis}};
  if (op.has("split_sizes"))
    inputs.push_back(op.b.integers(TRY(op.ints("split_sizes"))));
  else
    attributes["num_outputs"] = static_cast<std::int64_t>(op.op.outputs.size());
  const auto parts = op.b.emit_many("Split", inputs, op.op.outputs.size(), attributes);
  for (std::size_t i = 0; i < parts.size(); ++i) TRY(op.give(i, parts[i]));
  return Done{};
}

Status tile(MilOp& op) {
  return op.give(op.b.emit("Tile", {TRY(op.in("x")), TRY(op.int_list("reps"))}));
}

// MIL: before and after each of the last axes; ours: all before, then all after, by axis.
Status pad(MilOp& op) {
  const std::string mode = TRY(op.text("mode", "constant"));
  const std::string_view ours = mode == "constant"    ? "constant"
                                : mode == "reflect"   ? "reflect"
                                : mode == "replicate" ? "edge"
                                                      : "";
  if (ours.empty()) return Error(ErrorKind::unsupported, fmt::format("mode '{}'", mode));
  const ValueId x = TRY(op.in("x"));
  const std::size_t rank = TRY(op.rank("x"));
  ValueId amounts, axes;
  std::size_t padded;
  if (op.is_constant("pad")) {
    const Ints pairs = TRY(op.ints("pad"));
    padded = pairs.size() / 2;
    Ints flat;
    for (std::size_t i = 0; i < padded; ++i) flat.push_back(pairs[2 * i]);
    for (std::size_t i = 0; i < padded; ++i) flat.push_back(pairs[2 * i + 1]);
    amounts = op.b.integers(flat);
  } else {
    const Dims dims = TRY(op.dims("pad"));
    padded = dims.size() == 1 && dims[0] > 0 ? static_cast<std::size_t>(dims[0]) / 2 : rank;
    const ValueId pairs = op.b.emit("Reshape", {TRY(op.int_list("pad")), op.b.integers({-1, 2})});
    amounts = op.b.emit("Reshape", {op.b.transposed(pairs, {1, 0}), op.b.integers({-1})});
  }
  if (padded > rank) return corrupt(fmt::format("'pad': {} axes of {}", padded, rank));
  Ints last;
  for (std::size_t i = rank - padded; i < rank; ++i) last.push_back(static_cast<std::int64_t>(i));
  axes = op.b.integers(last);
  ValueId value = absent;
  if (ours == "constant" && op.has("constant_val")) value = TRY(op.in("constant_val"));
  return op.give(op.b.emit("Pad", {x, amounts, value, axes}, {{"mode", std::string(ours)}}));
}

Status reverse(MilOp& op) {
  std::vector<ValueId> inputs{TRY(op.in("x"))};
  Ints axes;
  if (op.has("axes")) {
    axes = TRY(op.ints("axes"));
  } else {
    for (std::size_t i = 0; i < TRY(op.rank("x")); ++i)
      axes.push_back(static_cast<std::int64_t>(i));
  }
  inputs.push_back(op.b.integers(axes));
  return op.give(op.b.emit("hearth.Reverse", inputs));
}

Status reverse_sequence(MilOp& op) {
  const ValueId lengths = op.b.cast(TRY(op.in("lengths")), Element::i64);
  const std::int64_t time = TRY(op.axis("seq_axis", 0, "x")),
                     batch = TRY(op.axis("batch_axis", 0, "x"));
  return op.give(op.b.emit("ReverseSequence", {TRY(op.in("x")), lengths},
                           {{"time_axis", time}, {"batch_axis", batch}}));
}

Status slice_by_size(MilOp& op) {
  const ValueId x = TRY(op.in("x")), begin = TRY(op.int_list("begin"));
  ValueId end;
  if (op.is_constant("begin") && op.is_constant("size")) {
    const Ints from = TRY(op.ints("begin"));
    Ints to = TRY(op.ints("size"));
    if (from.size() != to.size()) return corrupt("'begin' and 'size' of different lengths");
    for (std::size_t i = 0; i < to.size(); ++i) to[i] = to[i] < 0 ? INT_MAX : from[i] + to[i];
    end = op.b.integers(to);
  } else {
    const ValueId size = TRY(op.int_list("size"));
    const ValueId whole = op.b.emit("Less", {size, op.b.integer(0)});
    end = op.b.emit("Where", {whole, op.b.integer(INT_MAX), op.b.emit("Add", {begin, size})});
  }
  return op.give(op.b.emit("Slice", {x, begin, end}));
}

// Whole blocks of the last two axes go to the batch: first the block's rows, then its columns.
Status space_to_batch(MilOp& op) {
  const Ints block = TRY(op.ints("block_shape")), pads = TRY(op.ints("paddings"));
  const Dims d = TRY(op.dims("x"));
  if (block.size() != 2 || pads.size() != 4 || d.size() != 4 || block[0] < 1 || block[1] < 1)
    return corrupt("needs four axes and blocks of two");
  if (std::ranges::count(d, -1) > 0) return Error(ErrorKind::unsupported, "of unknown shape");
  const std::int64_t h = d[2] + pads[0] + pads[1], w = d[3] + pads[2] + pads[3];
  if (h % block[0] != 0 || w % block[1] != 0) return corrupt("blocks that do not fit");
  ValueId y = op.b.emit(
      "Pad", {TRY(op.in("x")), op.b.integers({0, 0, pads[0], pads[2], 0, 0, pads[1], pads[3]})});
  y = op.reshaped(y, {d[0], d[1], h / block[0], block[0], w / block[1], block[1]});
  y = op.b.transposed(y, {3, 5, 0, 1, 2, 4});
  return op.give(op.reshaped(y, {-1, d[1], h / block[0], w / block[1]}));
}

Status batch_to_space(MilOp& op) {
  const Ints block = TRY(op.ints("block_shape")), crops = TRY(op.ints("crops"));
  const Dims d = TRY(op.dims("x"));
  if (block.size() != 2 || crops.size() != 4 || d.size() != 4 || block[0] < 1 || block[1] < 1)
    return corrupt("needs four axes and blocks of two");
  if (std::ranges::count(d, -1) > 0) return Error(ErrorKind::unsupported, "of unknown shape");
  if (d[0] % (block[0] * block[1]) != 0) return corrupt("blocks that do not fit");
  const std::int64_t n = d[0] / (block[0] * block[1]);
  ValueId y = op.reshaped(TRY(op.in("x")), {block[0], block[1], n, d[1], d[2], d[3]});
  y = op.b.transposed(y, {2, 3, 4, 0, 5, 1});
  y = op.reshaped(y, {n, d[1], d[2] * block[0], d[3] * block[1]});
  return op.give(
      op.b.emit("Slice", {y, op.b.integers({crops[0], crops[2]}),
                          op.b.integers({d[2] * block[0] - crops[1], d[3] * block[1] - crops[3]}),
                          op.b.integers({2, 3})}));
}

Status depth_to_space(MilOp& op) {
  const bool shuffles = op.op.type == "pixel_shuffle";
  const std::int64_t block = TRY(op.integer(shuffles ? "upscale_factor" : "block_size", 0));
  return op.give(
      op.b.emit("DepthToSpace", {TRY(op.in("x"))},
                {{"blocksize", block}, {"mode", std::string(shuffles ? "CRD" : "DCR")}}));
}

Status space_to_depth(MilOp& op) {
  return op.give(op.b.emit("SpaceToDepth", {TRY(op.in("x"))},
                           {{"blocksize", TRY(op.integer("block_size", 0))}}));
}

// As SpaceToDepth, but each channel's block elements stand together.
Status pixel_unshuffle(MilOp& op) {
  const std::int64_t f = TRY(op.integer("downscale_factor", 0));
  const Dims d = TRY(op.dims("x"));
  if (d.size() != 4 || f < 1) return corrupt("needs four axes and a factor");
  if (d[1] < 0 || d[2] < 0 || d[3] < 0) return Error(ErrorKind::unsupported, "of unknown shape");
  if (d[2] % f != 0 || d[3] % f != 0) return corrupt("blocks that do not fit");
  ValueId y = op.reshaped(TRY(op.in("x")), {-1, d[1], d[2] / f, f, d[3] / f, f});
  y = op.b.transposed(y, {0, 1, 3, 5, 2, 4});
  return op.give(op.reshaped(y, {-1, d[1] * f * f, d[2] / f, d[3] / f}));
}

Status sliding_windows(MilOp& op) {
  const std::int64_t axis = TRY(op.axis("axis", 0, "x")), size = TRY(op.integer("size", 1)),
                     stride = TRY(op.integer("stride", 1));
  const Dims d = TRY(op.dims("x"));
  const std::int64_t n = d[static_cast<std::size_t>(axis)];
  if (n < 0) return Error(ErrorKind::unsupported, "along an axis of unknown length");
  constexpr std::int64_t most_windows = 1 << 24;
  if (size < 1 || stride < 1 || size > n || (n - size) / stride + 1 > most_windows / size)
    return corrupt(fmt::format("windows of {} by {} over {}", size, stride, n));
  const std::int64_t windows = (n - size) / stride + 1;
  Tensor places = TRY(make_tensor(Element::i64, {windows, size}));
  for (std::int64_t i = 0; i < places.count; ++i)
    places.data<std::int64_t>()[i] = i / size * stride + i % size;
  return op.give(
      op.b.emit("Gather", {TRY(op.in("x")), op.b.constant(std::move(places))}, {{"axis", axis}}));
}

Status crop(MilOp& op) {
  const Ints h = TRY(op.ints("crop_height")), w = TRY(op.ints("crop_width"));
  if (h.size() != 2 || w.size() != 2) return corrupt("needs two amounts per axis");
  const auto end = [](std::int64_t amount) { return amount == 0 ? INT_MAX : -amount; };
  return op.give(
      op.b.emit("Slice", {TRY(op.in("x")), op.b.integers({h[0], w[0]}),
                          op.b.integers({end(h[1]), end(w[1])}), op.b.integers({-2, -1})}));
}

// Element (m, n) stays where m - n <= lower and n - m <= upper; a negative bound is none.
Status band_part(MilOp& op) {
  const std::int64_t lower = TRY(op.integer("lower", -1)), upper = TRY(op.integer("upper", -1));
  ValueId y = TRY(op.in("x"));
  const Element type = TRY(op.type("x"))->element;
  if (type == Element::boolean) y = op.b.cast(y, Element::u8);
  if (lower >= 0) y = op.b.emit("Trilu", {y, op.b.integer(-lower)}, {{"upper", std::int64_t{1}}});
  if (upper >= 0) y = op.b.emit("Trilu", {y, op.b.integer(upper)}, {{"upper", std::int64_t{0}}});
  if (type == Element::boolean) return op.give_cast(0, y);
  return op.give(op.b.emit("Identity", {y}));
}

Status fill(MilOp& op) {
  const ValueId value = op.has("value") ? TRY(op.in("value")) : op.b.scalar(0);
  return op.give(op.b.emit("hearth.Fill", {TRY(op.int_list("shape")), value}));
}

Status fill_like(MilOp& op) {
  const ValueId value = op.has("value") ? TRY(op.in("value")) : op.b.scalar(0);
  return op.give(op.b.emit("hearth.Fill", {op.shape_of(TRY(op.in("ref_tensor"))), value}));
}

Status range_1d(MilOp& op) {
  const ValueId start = TRY(op.in("start")), end = TRY(op.in("end")), step = TRY(op.in("step"));
  return op.give(op.b.emit("Range", {start, end, step}));
}

constexpr MilRow rows[] = {
    {"reshape", reshape},
    {"reshape_like", reshape_like},
    {"transpose", transpose},
    {"expand_dims", expand_dims},
    {"squeeze", squeeze},
    {"flatten2d", flatten2d},
    {"shape", shape},
    {"concat", concat},
    {"stack", stack},
    {"split", split},
    {"tile", tile},
    {"pad", pad},
    {"reverse", reverse},
    {"reverse_sequence", reverse_sequence},
    {"slice_by_size", slice_by_size},
    {"space_to_batch", space_to_batch},
    {"batch_to_space", batch_to_space},
    {"depth_to_space", depth_to_space},
    {"pixel_shuffle", depth_to_space},
    {"space_to_depth", space_to_depth},
    {"pixel_unshuffle", pixel_unshuffle},
    {"sliding_windows", sliding_windows},
    {"crop", crop},
    {"band_part", band_part},
    {"fill", fill},
    {"fill_like", fill_like},
    {"range_1d", range_1d},
};

}  // namespace

std::span<const MilRow> shape_rows() { return rows; }

}  // namespace hearth::graphs::coreml

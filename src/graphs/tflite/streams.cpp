// TFLite Micro's operators that a stream of samples goes through piece by piece: frames, delays,
// sums of frames that overlap, stacks of frames.  What a later piece needs stays from run to run.
// Source: TFLite Micro, signal library.
#include <fmt/core.h>

#include "graphs/tflite/builder.h"
#include "graphs/tflite/flexbuffer.h"

namespace hearth::graphs::tflite {
namespace {

using Ints = std::vector<std::int64_t>;

constexpr std::int64_t most_samples = 1 << 24;  // of a piece, and of what stays

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

struct Stream {
  Builder& b;
  const Operator& op;
  std::map<std::string, double, std::less<>> options;
  Dims dims;  // of the piece that comes in
  Element type = Element::none;

  Result<std::int64_t> whole(std::string_view name, std::int64_t least) const {
    constexpr std::int64_t most = 1 << 20;
    const auto found = options.find(name);
    const double number = found == options.end() ? 0 : found->second;
    if (!(number >= static_cast<double>(least) && number <= most))
      return corrupt(fmt::format("{} of {}", name, number));
    return static_cast<std::int64_t>(number);
  }
  Result<ValueId> piece() { return b.raw(op.inputs[0]); }
  // A value that begins as zeros; its place in Builder::kept.
  Result<std::size_t> keep(std::string_view what, Element of, const Dims& shape) {
    if (TRY(count_of(shape)) > most_samples)
      return Error(ErrorKind::exhausted, fmt::format("{} kept from run to run", to_text(shape)));
    const TensorInfo* out = TRY(b.info(op.outputs[0]));
    return b.keep(fmt::format("{}/{}", out->name, what), of, shape);
  }
  ValueId was(std::size_t kept) const { return (*b.kept)[kept].input; }
  void becomes(std::size_t kept, ValueId id) { (*b.kept)[kept].now = id; }
  ValueId joined(ValueId x, ValueId y, std::int64_t axis) {
    return b.emit("Concat", {x, y}, {{"axis", axis}});
  }
  ValueId part(ValueId x, std::int64_t axis, std::int64_t from, std::int64_t to) {
    return b.emit("Slice", {x, b.integers({from}), b.integers({to}), b.integers({axis})});
  }
  ValueId zero() { return b.cast(b.scalar(0), type); }
  std::int64_t last_axis() const { return static_cast<std::int64_t>(dims.size()) - 1; }
};

// Frames of `frame_size` samples, one more for every `frame_step` that come in, and whether all of
// them are whole.  Until the first one is, frames are zeros.
Status frames(Stream& s) {
  Builder& b = s.b;
  const std::int64_t size = TRY(s.whole("frame_size", 1)), step = TRY(s.whole("frame_step", 1));
  if (s.op.outputs.size() != 2 || s.dims.back() % step != 0 || s.dims.back() < step || size < step)
    return corrupt(fmt::format("frames of {} by {} from {}", size, step, to_text(s.dims)));
  const std::int64_t count = s.dims.back() / step;
  if (count > most_samples / size)
    return Error(ErrorKind::exhausted, fmt::format("{} frames of {}", count, size));
  const bool is_filled = s.options["prefill"] != 0;
  // Without zeros before the first sample frames wait for the step that completes them.
  const std::int64_t held = is_filled ? size - step : (size + step - 1) / step * step - step;
  Dims kept = s.dims;
  kept.back() = held;
  const std::size_t samples = TRY(s.keep("samples", s.type, kept)),
                    filled = TRY(s.keep("count", Element::i64, {}));
  const std::int64_t axis = s.last_axis();
  const ValueId all = s.joined(s.was(samples), TRY(s.piece()), axis);
  Ints places, coming;  // of every frame; by its end
  for (std::int64_t f = 0; f < count; ++f) {
    for (std::int64_t i = 0; i < size; ++i) places.push_back(f * step + i);
    coming.push_back((f + 1) * step);
  }
  const ValueId which = b.emit("Reshape", {b.integers(places), b.integers({count, size})});
  const ValueId there = b.emit("Add", {s.was(filled), b.integers(coming)});
  const ValueId is_whole = b.emit("GreaterOrEqual", {there, b.integer(is_filled ? 0 : size)});
  const ValueId taken = b.emit("Gather", {all, which}, {{"axis", axis}});
  const ValueId mask = b.emit("Unsqueeze", {is_whole, b.integers({-1})});
  TRY(b.give_raw(s.op.outputs[0], b.emit("Where", {mask, taken, s.zero()})));
  TRY(b.give_raw(s.op.outputs[1], b.emit("Gather", {is_whole, b.integer(0)})));
  s.becomes(samples, s.part(all, axis, count * step, count * step + held));
  const ValueId now = b.emit("Add", {s.was(filled), b.integer(count * step)});
  s.becomes(filled, b.emit("Min", {now, b.integer(held)}));
  return Done{};
}

// What came in `delay_length` samples ago.
Status delay(Stream& s) {
  const std::int64_t length = TRY(s.whole("delay_length", 1)), size = s.dims.back();
  Dims kept = s.dims;
  kept.back() = length;
  const std::size_t samples = TRY(s.keep("samples", s.type, kept));
  const ValueId all = s.joined(s.was(samples), TRY(s.piece()), s.last_axis());
  TRY(s.b.give_raw(s.op.outputs[0], s.part(all, s.last_axis(), 0, size)));
  s.becomes(samples, s.part(all, s.last_axis(), size, size + length));
  return Done{};
}

// Frames [..., n, size] that begin `frame_step` after one another, added up; of each the first
// `frame_step`, to which no later one adds: [..., n * frame_step].
Status overlap_add(Stream& s) {
  Builder& b = s.b;
  constexpr std::int64_t most_frames = 1024;
  const std::int64_t step = TRY(s.whole("frame_step", 1)), size = s.dims.back();
  if (s.dims.size() < 2 || size < step)
    return corrupt(fmt::format("frames by {} from {}", step, to_text(s.dims)));
  const std::int64_t count = s.dims[s.dims.size() - 2], axis = s.last_axis();
  if (count > most_frames) return Error(ErrorKind::exhausted, fmt::format("{} frames", count));
  Dims kept = s.dims, fresh = s.dims;
  kept[kept.size() - 2] = fresh[fresh.size() - 2] = 1;
  fresh.back() = step;
  const std::size_t sums = TRY(s.keep("sums", s.type, kept));
  const ValueId nothing = b.emit("hearth.Fill", {b.integers(fresh), s.zero()});
  ValueId now = s.was(sums);
  std::vector<ValueId> parts;
  for (std::int64_t f = 0; f < count; ++f) {
    now = b.emit("Add", {b.cast(now, Element::f32),
                         b.cast(s.part(TRY(s.piece()), axis - 1, f, f + 1), Element::f32)});
    if (s.type == Element::i16)
      now = b.emit("Clip", {now, b.scalar(INT16_MIN), b.scalar(INT16_MAX)});
    now = b.cast(now, s.type);
    parts.push_back(s.part(now, axis, 0, step));
    now = s.joined(s.part(now, axis, step, size), nothing, axis);
  }
  s.becomes(sums, now);
  Dims whole(s.dims.begin(), s.dims.end() - 2);
  whole.push_back(count * step);
  const ValueId made = b.emit("Concat", parts, {{"axis", axis - 1}});
  return b.give_raw(s.op.outputs[0], b.emit("Reshape", {made, b.integers(whole)}));
}

// Frames of `num_channels`, each beside those before and after it; one for every `stacker_step`
// that come in, and whether there is one now.  Before the first frame stands that frame.
Status stack(Stream& s) {
  Builder& b = s.b;
  const std::int64_t channels = TRY(s.whole("num_channels", 1)),
                     left = TRY(s.whole("stacker_left_context", 0)),
                     right = TRY(s.whole("stacker_right_context", 0)),
                     step = TRY(s.whole("stacker_step", 1)), rows = left + right + 1;
  if (s.op.outputs.size() != 2 || TRY(count_of(s.dims)) != channels || step > rows ||
      channels > most_samples / rows)
    return corrupt(
        fmt::format("stacks of {} frames of {} from {}", rows, channels, to_text(s.dims)));
  // How many frames are there, and one more; 0: none has ever come.
  const std::size_t held = TRY(s.keep("frames", s.type, {rows, channels})),
                    filled = TRY(s.keep("count", Element::i64, {}));
  const ValueId row = b.emit("Reshape", {TRY(s.piece()), b.integers({1, channels})});
  const ValueId is_first = b.emit("Equal", {s.was(filled), b.integer(0)});
  const ValueId later = s.joined(s.part(s.was(held), 0, 1, rows), row, 0);
  const ValueId all = b.emit("Where", {is_first, row, later});
  const ValueId count = b.emit("Where", {is_first, b.integer(left + 1), s.was(filled)});
  const ValueId is_whole = b.emit("GreaterOrEqual", {count, b.integer(rows)});
  const ValueId shown = b.emit("Where", {is_whole, all, s.zero()});
  const TensorInfo* out = TRY(b.info(s.op.outputs[0]));
  TRY(b.give_raw(s.op.outputs[0], b.emit("Reshape", {shown, b.integers(out->dims)})));
  TRY(b.give_raw(s.op.outputs[1], is_whole));
  const ValueId gone = b.emit("Where", {is_whole, b.integer(step), b.integer(0)});
  s.becomes(held, all);
  s.becomes(filled, b.emit("Add", {b.emit("Sub", {count, gone}), b.integer(1)}));
  return Done{};
}

struct Row {
  std::string_view name;
  Status (*add)(Stream& stream);
};
constexpr Row rows[] = {{"SignalFramer", frames},
                        {"SignalDelay", delay},
                        {"SignalOverlapAdd", overlap_add},
                        {"SignalStacker", stack}};

}  // namespace

Status add_stream_operator(Builder& b, const Operator& op) {
  for (const Row& row : rows) {
    if (op.custom != row.name) continue;
    if (op.inputs.empty() || op.outputs.empty()) return corrupt("no input or no output");
    Stream stream{b, op, {}, {}};
    if (!op.custom_options.empty()) stream.options = TRY(read_flexbuffer(op.custom_options));
    const TensorInfo* x = TRY(b.info(op.inputs[0]));
    stream.dims = x->dims;
    stream.type = x->type;
    const bool is_known = x->is_known && !x->dims.empty() && TRY(count_of(x->dims)) <= most_samples;
    if (!is_known || (x->type != Element::i16 && x->type != Element::f32))
      return Error(ErrorKind::unsupported,
                   fmt::format("pieces of {} {}", name_of(x->type), to_text(x->dims)));
    return row.add(stream);
  }
  return Error(ErrorKind::unsupported, "");
}

}  // namespace hearth::graphs::tflite

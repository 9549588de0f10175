// Operators that make tensors, change their types or pad them.
// Source: ONNX operator specification, each operator's page.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "graphs/infer.h"
#include "graphs/operators/families.h"
#include "graphs/operators/move.h"

namespace hearth::graphs {
namespace {

Result<double> number_of(std::string_view text) {
  if (text == "NaN" || text == "nan") return std::nan("");
  if (text == "INF" || text == "+INF" || text == "inf" || text == "+inf") return INFINITY;
  if (text == "-INF" || text == "-inf") return -INFINITY;
  double number = 0;
  const char* begin = text.data();
  const char* end = begin + text.size();
  if (begin != end && *begin == '+') ++begin;
  const auto parsed = std::from_chars(begin, end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end)
    return invalid(fmt::format("'{}': needs a number", text.substr(0, 64)));
  return number;
}

Result<Tensor> cast_from_text(Call& call, const Tensor& x, Element to) {
  Tensor y = TRY(call.scratch(to, x.dims));
  for (std::int64_t i = 0; i < x.count; ++i) {
    std::byte* at = y.bytes + i * static_cast<std::int64_t>(size_of(to));
    std::int64_t whole = 0;
    const std::string_view text = x.text(i);
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), whole);
    if (is_integer(to) && parsed.ec == std::errc() && parsed.ptr == text.data() + text.size()) {
      store(to, at, Work::i64, &whole, 1);
      continue;
    }
    const double number = TRY(number_of(text));
    store(to, at, Work::f64, &number, 1);
  }
  return y;
}

std::string text_of_float(double number, bool is_double) {
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number > 0 ? "INF" : "-INF";
  return is_double ? fmt::format("{}", number) : fmt::format("{}", static_cast<float>(number));
}

Result<Tensor> cast_to_text(Call& call, const Tensor& x) {
  Tensor y = TRY(call.scratch(Element::text, x.dims));
  const bool real = is_float(x.type);
  const auto size = static_cast<std::int64_t>(size_of(x.type));
  for (std::int64_t i = 0; i < x.count; ++i) {
    std::string text;
    if (real) {
      double number;
      load(Work::f64, &number, x.type, x.bytes + i * size, 1);
      text = text_of_float(number, x.type == Element::f64);
    } else {
      std::int64_t number;
      load(Work::i64, &number, x.type, x.bytes + i * size, 1);
      text = x.type == Element::u64 ? fmt::format("{}", static_cast<std::uint64_t>(number))
                                    : fmt::format("{}", number);
    }
    y.data<const std::string*>()[i] = call.keep(std::move(text));
  }
  return y;
}

// The largest power of two not above (`down`), not below (`up`), or nearest.
float round_e8m0(float value, std::string_view mode) {
  if (!(value > 0) || std::isinf(value)) return value;
  int exponent;
  const float fraction = std::frexp(value, &exponent);
  const bool exact = fraction == 0.5f;
  const bool up = !exact && (mode == "up" || (mode == "nearest" && fraction >= 0.75f));
  return std::ldexp(1.0f, exponent - 1 + (up ? 1 : 0));
}

}  // namespace

Result<Tensor> cast(Call& call, const Tensor& x, Element to, Overflow overflow) {
  if (to == Element::none || to == Element::c64 || to == Element::c128 || x.type == Element::c64 ||
      x.type == Element::c128)
    return unsupported(fmt::format("{} to {}", name_of(x.type), name_of(to)));
  if (to == x.type) return x;
  if (x.type == Element::text) return cast_from_text(call, x, to);
  if (to == Element::text) return cast_to_text(call, x);
  Tensor y = TRY(call.scratch(to, x.dims));
  // The wider of the two working types holds every value of either.
  const Work from = work_of(x.type), into = work_of(to);
  Work work = from;
  if (from == Work::f32 && into == Work::f64) work = Work::f64;
  if (to == Element::f64) work = Work::f64;
  if (from == Work::i64 && into == Work::f32) work = Work::f64;
  if (from == Work::f32 && into == Work::u64) work = Work::f64;
  parallel(call.machine, x.count, 32768, [&](std::int64_t begin, std::int64_t end) {
    alignas(64) std::byte buffer[512 * 8];
    const std::size_t a = size_of(x.type), b = size_of(to);
    for (auto at = static_cast<std::size_t>(begin); at < static_cast<std::size_t>(end); at += 512) {
      const std::size_t n = std::min<std::size_t>(512, static_cast<std::size_t>(end) - at);
      load(work, buffer, x.type, x.bytes + at * a, n);
      store(to, y.bytes + at * b, work, buffer, n, overflow);
    }
  });
  return y;
}

namespace {

Overflow overflow_of(Call& call) {
  return call.integer("saturate", 1) != 0 ? Overflow::saturate : Overflow::infinite;
}

Result<Tensor> cast_with_modes(Call& call, const Tensor& x, Element to) {
  if (to != Element::f8e8m0) return cast(call, x, to, overflow_of(call));
  Tensor y = TRY(call.scratch(to, x.dims));
  const Numbers<float> numbers(x);
  std::vector<float> rounded(numbers.begin(), numbers.end());
  for (float& value : rounded) value = round_e8m0(value, call.text("round_mode", "up"));
  store(to, y.bytes, Work::f32, rounded.data(), rounded.size(), overflow_of(call));
  return y;
}

Status cast_operator(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  call.give(0, TRY(cast_with_modes(call, *x, static_cast<Element>(call.integer("to", 0)))));
  return Done{};
}

Status cast_like(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const Tensor* like = TRY(call.tensor(1));
  call.give(0, TRY(cast_with_modes(call, *x, like->type)));
  return Done{};
}

Status constant_of_shape(Call& call) {
  const Tensor* value = call.tensor_of("value");
  if (value != nullptr && value->count != 1) return invalid("value: needs one element");
  Dims dims = TRY(call.integers(0));
  Tensor* y = TRY(call.make(0, value == nullptr ? Element::f32 : value->type, std::move(dims)));
  if (value == nullptr)
    fill_zero(*y);
  else
    fill(*y, value->bytes);
  return Done{};
}

Status fill_operator(Call& call) {
  Dims dims = TRY(call.integers(0));
  const Tensor* value = TRY(call.tensor(1));
  if (value->count != 1) return invalid("value: needs one element");
  Tensor* y = TRY(call.make(0, value->type, std::move(dims)));
  fill(*y, value->bytes);
  return Done{};
}

Status eye_like(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  if (x->rank() != 2) return invalid(fmt::format("a matrix is needed, not {}", to_text(x->dims)));
  const auto type =
      call.has_attribute("dtype") ? static_cast<Element>(call.integer("dtype", 0)) : x->type;
  const std::int64_t k = call.integer("k", 0);
  Tensor* y = TRY(call.make(0, type, x->dims));
  fill_zero(*y);
  const std::int64_t one = 1;
  for (std::int64_t row = 0; row < x->dims[0]; ++row) {
    if (k < -row || k >= x->dims[1] - row) continue;
    store(type, y->bytes + (row * x->dims[1] + row + k) * static_cast<std::int64_t>(size_of(type)),
          Work::i64, &one, 1);
  }
  return Done{};
}

Status range(Call& call) {
  const Tensor* start = TRY(call.tensor(0));
  double p[3];
  std::int64_t whole[3];
  for (std::size_t i = 0; i < 3; ++i) {
    const Tensor* next = TRY(call.tensor(i));
    if (next->count != 1 || next->type != start->type)
      return invalid("needs three numbers of one type");
    load(Work::f64, &p[i], next->type, next->bytes, 1);
    load(Work::i64, &whole[i], next->type, next->bytes, 1);
  }
  if (p[2] == 0) return invalid("a step of 0");
  const double steps = std::ceil((p[1] - p[0]) / p[2]);
  if (!(steps < 1e10)) return invalid(fmt::format("{} steps", steps));
  const auto n = static_cast<std::int64_t>(std::max(0.0, steps));
  Tensor* y = TRY(call.make(0, start->type, {n}));
  const std::size_t size = size_of(start->type);
  for (std::int64_t i = 0; i < n; ++i) {
    std::byte* to = y->bytes + static_cast<std::size_t>(i) * size;
    if (is_float(start->type)) {
      const double at = p[0] + static_cast<double>(i) * p[2];
      store(start->type, to, Work::f64, &at, 1);
    } else {
      const std::int64_t at = whole[0] + i * whole[2];
      store(start->type, to, Work::i64, &at, 1);
    }
  }
  return Done{};
}

// Where an index outside [0, extent) reads from; -1: from nowhere.
std::int64_t padded_from(std::int64_t at, std::int64_t extent, std::string_view mode) {
  if (at >= 0 && at < extent) return at;
  if (extent == 0 || mode == "constant") return -1;
  if (mode == "edge") return std::clamp(at, std::int64_t{0}, extent - 1);
  if (mode == "wrap") return ((at % extent) + extent) % extent;
  if (mode == "symmetric") {
    const std::int64_t period = 2 * extent, k = ((at % period) + period) % period;
    return k < extent ? k : period - 1 - k;
  }
  if (extent == 1) return 0;
  const std::int64_t period = 2 * (extent - 1);  // reflect
  const std::int64_t k = ((at % period) + period) % period;
  return k < extent ? k : period - k;
}

struct Padding {
  std::vector<std::int64_t> before, after;  // by axis
};

Result<Padding> padding_of(Call& call, std::size_t rank) {
  const auto pads = call.has(1) ? TRY(call.integers(1)) : call.list("pads");
  Padding padding{std::vector<std::int64_t>(rank, 0), std::vector<std::int64_t>(rank, 0)};
  std::vector<std::size_t> axes;
  if (call.has(3)) {
    axes = TRY(checked_axes(TRY(call.integers(3)), rank));
  } else {
    for (std::size_t i = 0; i < rank; ++i) axes.push_back(i);
  }
  if (pads.size() != 2 * axes.size())
    return invalid(fmt::format("{} pads for {} axes", pads.size(), axes.size()));
  for (std::size_t i = 0; i < axes.size(); ++i) {
    for (const std::int64_t pad : {pads[i], pads[axes.size() + i]})
      if (pad < -(std::int64_t{1} << 40) || pad > std::int64_t{1} << 40)
        return invalid(fmt::format("a pad of {}", pad));
    padding.before[axes[i]] = pads[i];
    padding.after[axes[i]] = pads[axes.size() + i];
  }
  return padding;
}

Status pad(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const std::string_view mode = call.text("mode", "constant");
  if (mode != "constant" && mode != "edge" && mode != "wrap" && mode != "reflect" &&
      mode != "symmetric")
    return unsupported(fmt::format("mode '{}'", mode));
  const Padding padding = TRY(padding_of(call, x->rank()));
  Dims dims = x->dims;
  for (std::size_t i = 0; i < dims.size(); ++i) dims[i] += padding.before[i] + padding.after[i];
  Tensor* y = TRY(call.make(0, x->type, std::move(dims)));
  const Tensor* value = call.tensor_or_null(2);
  if (value != nullptr && value->count == 1 && value->type == x->type)
    fill(*y, value->bytes);
  else if (call.has_attribute("value")) {
    const double number = call.real("value", 0);
    std::byte element[16];
    store(x->type, element, Work::f64, &number, 1);
    fill(*y, element);
  } else {
    fill_zero(*y);
  }
  const auto size = static_cast<std::int64_t>(size_of(x->type));
  if (x->rank() == 0) {
    std::memcpy(y->bytes, x->bytes, static_cast<std::size_t>(size));
    return Done{};
  }
  if (y->count == 0 || (x->count == 0 && mode != "constant")) return Done{};
  const std::size_t last = x->rank() - 1;
  const Dims from = strides_of(x->dims);
  const std::int64_t width = y->dims[last];
  parallel(call.machine, y->count / width, std::max<std::int64_t>(1, 16384 / width),
           [&](std::int64_t begin, std::int64_t end) {
             for (std::int64_t row = begin; row < end; ++row) {
               std::int64_t rest = row, base = 0;
               for (std::size_t i = last; i-- > 0 && base >= 0;) {
                 const std::int64_t at =
                     padded_from(rest % y->dims[i] - padding.before[i], x->dims[i], mode);
                 rest /= y->dims[i];
                 base = at < 0 ? -1 : base + at * from[i];
               }
               if (base < 0) continue;
               for (std::int64_t k = 0; k < width; ++k) {
                 const std::int64_t first = k - padding.before[last];
                 if (first >= 0 && first < x->dims[last]) {  // the inside in one piece
                   const std::int64_t n = std::min(x->dims[last] - first, width - k);
                   std::memcpy(y->bytes + (row * width + k) * size,
                               x->bytes + (base + first) * size,
                               static_cast<std::size_t>(n * size));
                   k += n - 1;
                   continue;
                 }
                 const std::int64_t at = padded_from(first, x->dims[last], mode);
                 if (at >= 0)
                   std::memcpy(y->bytes + (row * width + k) * size, x->bytes + (base + at) * size,
                               static_cast<std::size_t>(size));
               }
             }
           });
  return Done{};
}

// Source: ONNX, CenterCropPad: cut or padded equally at both ends, the odd one at the end.
Status center_crop_pad(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const auto shape = TRY(call.integers(1));
  std::vector<std::size_t> axes = TRY(checked_axes(call.list("axes"), x->rank()));
  if (!call.has_attribute("axes"))
    for (std::size_t i = 0; i < x->rank(); ++i) axes.push_back(i);
  if (shape.size() != axes.size())
    return invalid(fmt::format("{} sizes for {} axes", shape.size(), axes.size()));
  Dims dims = x->dims, kept = x->dims;
  const Dims from = strides_of(x->dims);
  std::vector<std::int64_t> to_first(x->rank(), 0);
  std::int64_t first = 0;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::size_t axis = axes[i];
    dims[axis] = shape[i];
    kept[axis] = std::min(shape[i], x->dims[axis]);
    if (shape[i] < 0) return invalid(fmt::format("a size of {}", shape[i]));
    first += (x->dims[axis] - kept[axis]) / 2 * from[axis];
    to_first[axis] = (dims[axis] - kept[axis]) / 2;
  }
  Tensor* y = TRY(call.make(0, x->type, std::move(dims)));
  fill_zero(*y);
  Tensor inside = TRY(call.scratch(x->type, kept));
  if (inside.count == 0) return Done{};
  copy_strided(call, inside, *x, first, from);
  const auto size = static_cast<std::int64_t>(size_of(x->type));
  const Dims to = strides_of(y->dims);
  for (std::int64_t i = 0; i < inside.count; ++i) {
    std::int64_t rest = i, place = 0;
    for (std::size_t axis = x->rank(); axis-- > 0;) {
      place += (rest % kept[axis] + to_first[axis]) * to[axis];
      rest /= kept[axis];
    }
    std::memcpy(y->bytes + place * size, inside.bytes + i * size, static_cast<std::size_t>(size));
  }
  return Done{};
}

constexpr Operator rows[] = {
    {"Cast", cast_operator, infer_cast, 1, 1},
    {"CastLike", cast_like, nullptr, 2, 2},
    {"ConstantOfShape", constant_of_shape, nullptr, 1, 1},
    {"hearth.Fill", fill_operator, nullptr, 2, 2},
    {"EyeLike", eye_like, nullptr, 1, 1},
    {"Range", range, nullptr, 3, 3},
    {"Pad", pad, nullptr, 1, 4},
    {"CenterCropPad", center_crop_pad, nullptr, 2, 2},
};

}  // namespace

std::span<const Operator> create_operators() { return rows; }

}  // namespace hearth::graphs

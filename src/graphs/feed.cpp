#include "graphs/feed.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/ascii.h"
#include "base/bytes.h"
#include "base/files.h"
#include "base/utf8.h"
#include "formats/sound/sound.h"
#include "graphs/npy.h"
#include "graphs/picture.h"

namespace hearth::graphs {
namespace {

constexpr std::uint64_t most_file_bytes = std::uint64_t{1} << 32;
constexpr double most_sound_seconds = 600;

Error wrong(const ValueInfo& info, const std::string& what) {
  return Error(ErrorKind::invalid,
               fmt::format("input '{}': {}; needs {}", info.name, what, describe(info)));
}

Element type_of(const ValueInfo& info) {
  return info.type == Element::none ? Element::f32 : info.type;
}

// The shape a tensor of so many elements takes: as described where that leaves one choice, with 1
// where nothing is known.
Dims fitted(const ValueInfo& info, const Dims& given) {
  if (!info.has_shape) return given;
  Dims dims;
  std::size_t unknown = 0;
  for (const Extent& extent : info.shape) {
    dims.push_back(extent.value);
    unknown += extent.value < 0 ? 1 : 0;
  }
  if (given.size() == dims.size()) return given;
  std::int64_t count = 1, known = 1;
  for (const std::int64_t extent : given) count *= extent;
  for (std::int64_t& extent : dims) {
    if (extent < 0 && unknown > 1) {
      extent = 1;
      --unknown;
    }
    if (extent >= 0) known *= extent;
  }
  for (std::int64_t& extent : dims)
    if (extent < 0 && known > 0 && count % known == 0) {
      extent = count / known;
      known *= extent;
    }
  return known == count ? dims : given;
}

Error rows_differ(std::string_view in) {
  return Error(ErrorKind::invalid, fmt::format("an array whose rows differ in {}", in));
}

// Numbers of a nested JSON array with its shape.
Status flatten(const Json& json, std::size_t depth, Dims& dims, std::vector<double>& numbers,
               std::vector<std::string>& texts) {
  if (json.is_array()) {
    const auto n = static_cast<std::int64_t>(json.size());
    if (dims.size() == depth && numbers.empty() && texts.empty()) dims.push_back(n);
    if (dims.size() <= depth) return rows_differ("depth");
    if (dims[depth] != n) return rows_differ("length");
    for (const Json& item : json.as_array()) {
      auto status = flatten(item, depth + 1, dims, numbers, texts);
      if (!status) return status;
    }
    return Done{};
  }
  if (depth != dims.size()) return rows_differ("depth");
  if (json.is_string())
    texts.push_back(json.as_string());
  else if (json.is_bool())
    numbers.push_back(json.as_bool() ? 1 : 0);
  else if (json.is_number())
    numbers.push_back(json.as_number());
  else if (json.is_null())
    numbers.push_back(std::nan(""));
  else
    return Error(ErrorKind::invalid, "an array of other than numbers and text");
  return Done{};
}

bool is_complex(Element type) { return type == Element::c64 || type == Element::c128; }

// No number becomes another one unseen.
Status check_kept(const ValueInfo& info, Element type, std::span<const double> numbers) {
  if (is_float(type) || type == Element::text) return Done{};
  if (is_complex(type)) return wrong(info, "real numbers (complex ones come as .npy)");
  const unsigned packed = packed_bits_of(type);
  const int bits = packed != 0 ? static_cast<int>(packed) : static_cast<int>(size_of(type)) * 8;
  const bool has_sign = type == Element::i8 || type == Element::i16 || type == Element::i32 ||
                        type == Element::i64 || type == Element::i4 || type == Element::i2;
  // Beyond 2^53 the doubles of JSON skip some.
  const double most = type == Element::boolean ? 1
                      : bits == 64             ? 0x1p53
                                               : std::ldexp(1, has_sign ? bits - 1 : bits) - 1,
               least = !has_sign    ? 0
                       : bits == 64 ? -0x1p53
                                    : -std::ldexp(1, bits - 1);
  for (const double number : numbers)
    if (!(number >= least && number <= most) || number != std::floor(number))
      return wrong(info, fmt::format("the number {}", number));
  return Done{};
}

Result<Value> from_list(const ValueInfo& info, Dims dims, const std::vector<double>& numbers,
                        const std::vector<std::string>& texts) {
  const bool is_text = !texts.empty();
  const Element type = is_text ? Element::text : type_of(info);
  if (is_text != (type == Element::text) || (type_of(info) == Element::text) != is_text ||
      (is_text && !numbers.empty()))
    return wrong(info, is_text ? "text" : "numbers");
  Tensor tensor = TRY(make_tensor(type, fitted(info, dims)));
  if (tensor.count != static_cast<std::int64_t>(is_text ? texts.size() : numbers.size()))
    return wrong(info, to_text(dims));
  for (std::size_t i = 0; i < texts.size(); ++i)
    tensor.data<const std::string*>()[i] = tensor.strings->add(texts[i]);
  TRY(check_kept(info, type, numbers));
  if (!is_text) store(type, tensor.bytes, Work::f64, numbers.data(), numbers.size());
  return Value(std::move(tensor));
}

// An array; its shape is that of the lists, or `given` beside them.
Result<Value> from_json(const ValueInfo& info, const Json& json, const Json* given = nullptr) {
  Dims dims;
  std::vector<double> numbers;
  std::vector<std::string> texts;
  auto status = flatten(json, 0, dims, numbers, texts);
  if (!status) return std::move(status).error().within(fmt::format("input '{}'", info.name));
  if (given != nullptr) {
    dims.clear();
    if (!given->is_array() || given->size() > max_rank)
      return wrong(info, "a shape that is no list");
    for (const Json& extent : given->as_array()) {
      if (!extent.is_integer()) return wrong(info, "a shape of other than whole numbers");
      dims.push_back(extent.as_integer());
    }
  }
  return from_list(info, std::move(dims), numbers, texts);
}

// {"key": number}: keys are text, or whole numbers in text.
Result<Value> map_from_json(const ValueInfo& info, const Json& json) {
  if (!json.is_object()) return wrong(info, "no JSON object");
  const auto n = static_cast<std::int64_t>(json.as_object().size());
  const bool is_text = info.type != Element::i64;
  Tensor keys = TRY(make_tensor(is_text ? Element::text : Element::i64, {n}));
  Tensor values = TRY(make_tensor(Element::f64, {n}));
  std::int64_t at = 0;
  for (const auto& [key, value] : json.as_object()) {
    if (!value.is_number()) return wrong(info, fmt::format("'{}' of no number", printable(key)));
    if (is_text) {
      keys.data<const std::string*>()[at] = keys.strings->add(key);
    } else {
      std::int64_t& number = keys.data<std::int64_t>()[at];
      const auto [end, failed] = std::from_chars(key.data(), key.data() + key.size(), number);
      if (failed != std::errc() || end != key.data() + key.size())
        return wrong(info, fmt::format("key '{}'", printable(key)));
    }
    values.data<double>()[at++] = value.as_number();
  }
  return Value::map(std::move(keys), std::move(values));
}

// An array from a file in the input's own type, when no number changes kind on the way.
Result<Value> from_array(const ValueInfo& info, Tensor tensor) {
  const Element type = type_of(info);
  tensor.dims = fitted(info, tensor.dims);
  if (tensor.type == type || info.type == Element::none) return Value(std::move(tensor));
  if (tensor.type == Element::text || type == Element::text || is_complex(tensor.type) ||
      (is_float(tensor.type) && !is_float(type)))
    return wrong(info, fmt::format("{} {}", name_of(tensor.type), to_text(tensor.dims)));
  Tensor converted = TRY(make_tensor(type, tensor.dims));
  std::vector<double> numbers(static_cast<std::size_t>(tensor.count));
  load(Work::f64, numbers.data(), tensor.type, tensor.bytes, numbers.size());
  TRY(check_kept(info, type, numbers));
  store(type, converted.bytes, Work::f64, numbers.data(), numbers.size());
  return Value(std::move(converted));
}

struct ImageShape {
  std::int64_t height = 0, width = 0, channels = 0;
  bool channels_last = false;
};

// [n, c, h, w] or [n, h, w, c], also without n.
Result<ImageShape> image_shape(const ValueInfo& info, const Picture& picture) {
  std::vector<std::int64_t> s;
  for (const Extent& extent : info.shape) s.push_back(extent.value);
  if (s.size() == 4) s.erase(s.begin());
  if (!info.has_shape || s.size() != 3) return wrong(info, "a picture");
  const auto is_channels = [](std::int64_t n) { return n == 1 || n == 3; };
  ImageShape shape;
  shape.channels_last = !is_channels(s[0]) && is_channels(s[2]);
  if (!shape.channels_last && !is_channels(s[0]) && s[0] >= 0) return wrong(info, "a picture");
  shape.channels = shape.channels_last ? s[2] : s[0] < 0 ? 3 : s[0];
  shape.height = shape.channels_last ? s[0] : s[1];
  shape.width = shape.channels_last ? s[1] : s[2];
  if (shape.height < 0) shape.height = picture.height;
  if (shape.width < 0) shape.width = picture.width;
  return shape;
}

float scaled(float value, std::size_t channel, const Pixels& pixels, Element type) {
  if (type == Element::i8) return value - 128;
  if (!is_float(type)) return value;
  return (value - pixels.mean[channel]) / pixels.deviation[channel];
}

Result<Value> from_picture(const ValueInfo& info, const Picture& picture, const Pixels& pixels) {
  const ImageShape shape = TRY(image_shape(info, picture));
  const Picture sized = TRY(resized(picture, shape.width, shape.height));
  Dims dims = shape.channels_last ? Dims{1, shape.height, shape.width, shape.channels}
                                  : Dims{1, shape.channels, shape.height, shape.width};
  if (info.shape.size() == 3) dims.erase(dims.begin());
  Tensor tensor = TRY(make_tensor(type_of(info), std::move(dims)));
  std::vector<float> numbers(static_cast<std::size_t>(tensor.count));
  const std::int64_t points = shape.height * shape.width;
  for (std::int64_t at = 0; at < points; ++at)
    for (std::int64_t c = 0; c < shape.channels; ++c) {
      const std::uint8_t* rgb = sized.rgb.data() + at * 3;
      // Source: ITU-R BT.601, luma.
      const float value =
          shape.channels == 1 ? 0.299f * rgb[0] + 0.587f * rgb[1] + 0.114f * rgb[2] : rgb[c];
      numbers[static_cast<std::size_t>(shape.channels_last ? at * shape.channels + c
                                                           : c * points + at)] =
          scaled(value, static_cast<std::size_t>(c), pixels, tensor.type);
    }
  store(tensor.type, tensor.bytes, Work::f32, numbers.data(), numbers.size());
  return Value(std::move(tensor));
}

// One channel, -1..1.
Result<Tensor> read_samples(std::span<const std::byte> bytes, std::uint32_t rate) {
  const std::vector<float> samples =
      TRY(read_sound(bytes, {.rate = rate, .seconds = most_sound_seconds}));
  Tensor tensor = TRY(make_tensor(Element::f32, {static_cast<std::int64_t>(samples.size())}));
  std::ranges::copy(samples, tensor.data<float>());
  return tensor;
}

// What the file at `path` holds.
Result<Value> from_file(const ValueInfo& info, const std::string& path, std::string file,
                        const FeedOptions& options) {
  if (ends_ignoring_case(path, ".json")) return feed_json(info, TRY(parse_json(file)));
  if (!ends_ignoring_case(path, ".txt")) return feed_bytes(info, bytes_of(file), options);
  if (file.ends_with('\n')) file.pop_back();  // the end of its last line
  if (file.ends_with('\r')) file.pop_back();
  return from_list(info, {1}, {}, {std::move(file)});
}

}  // namespace

Result<Pixels> pixels_named(std::string_view name) {
  if (name == "raw") return raw_pixels;
  if (name == "unit") return unit_pixels;
  if (name == "signed") return signed_pixels;
  if (name == "imagenet") return imagenet_pixels;
  return Error(ErrorKind::invalid,
               fmt::format("pixels '{}': needs raw, unit, signed or imagenet", name));
}

Result<Value> feed_bytes(const ValueInfo& info, std::span<const std::byte> bytes,
                         const FeedOptions& options) {
  const std::string_view text = text_of(bytes);
  if (text.starts_with("\x93NUMPY")) return from_array(info, TRY(read_npy(bytes)));
  if (text.starts_with("PK")) {
    auto arrays = TRY(read_npz(bytes));
    auto found = arrays.find(info.name);
    if (found == arrays.end() && arrays.size() == 1) found = arrays.begin();
    if (found == arrays.end()) return wrong(info, "an archive without an array of that name");
    return from_array(info, std::move(found->second));
  }
  if (picture_type(bytes).empty() && looks_like_sound(bytes))
    return from_array(info, TRY(read_samples(bytes, options.rate)));
  return from_picture(info, TRY(read_picture(bytes)), options.pixels);
}

Result<Value> feed(const ValueInfo& info, const std::string& source, const FeedOptions& options) {
  constexpr std::string_view endings[] = {".npy",  ".npz", ".png", ".jpg",  ".jpeg",
                                          ".bmp",  ".ppm", ".pgm", ".webp", ".wav",
                                          ".flac", ".ogg", ".mp3", ".json", ".txt"};
  const bool names_file =
      std::ranges::any_of(endings, [&](auto ending) { return ends_ignoring_case(source, ending); });
  if (names_file || is_file(source)) {
    auto value = from_file(info, source, TRY(read_file(source, most_file_bytes)), options);
    if (!value) return std::move(value).error().within(source);
    return value;
  }
  const bool is_json = source.starts_with('[') || source.starts_with('{');
  if (info.kind == Value::Kind::tensor && info.type == Element::text && !is_json)
    return from_list(info, {1}, {}, {source});
  auto json = parse_json(source);
  if (!json)
    return wrong(info,
                 fmt::format("'{}': neither a file nor a number nor an array", printable(source)));
  return feed_json(info, *json);
}

Result<Value> feed_json(const ValueInfo& info, const Json& source) {
  if (info.kind == Value::Kind::map) return map_from_json(info, source);
  if (info.kind == Value::Kind::sequence) {
    if (!source.is_array()) return wrong(info, "no list of arrays");
    ValueInfo item;
    item.name = info.name;
    item.type = info.type;
    std::vector<Value> items;
    for (const Json& each : source.as_array()) items.push_back(TRY(feed_json(item, each)));
    return Value::sequence(std::move(items));
  }
  if (!source.is_object()) return from_json(info, source);
  const Json* data = source.find("data");
  if (data == nullptr) return wrong(info, "an object without \"data\"");
  return from_json(info, *data, source.find("shape"));
}

Json element_json(const Tensor& tensor, std::int64_t i) {
  const std::byte* at = tensor.bytes + i * static_cast<std::int64_t>(size_of(tensor.type));
  const auto real = [](const std::byte* from, Element type) {
    double number = 0;
    load(Work::f64, &number, type, from, 1);
    return type == Element::f64 ? Json(number) : Json(static_cast<float>(number));
  };
  switch (tensor.type) {
    case Element::text:
      return Json(tensor.text(i));
    case Element::boolean:
      return Json(tensor.data<bool>()[i]);
    case Element::c64:
      return Json(Json::Array{real(at, Element::f32), real(at + 4, Element::f32)});
    case Element::c128:
      return Json(Json::Array{real(at, Element::f64), real(at + 8, Element::f64)});
    case Element::u64:
      return Json(tensor.data<std::uint64_t>()[i]);
    default:
      break;
  }
  if (is_float(tensor.type)) return real(at, tensor.type);
  std::int64_t whole = 0;
  load(Work::i64, &whole, tensor.type, at, 1);
  return Json(whole);
}

Json to_json(const Value& value) {
  if (value.kind == Value::Kind::nothing) return Json();
  if (value.kind == Value::Kind::map)
    return Json::object(
        {{"keys", to_json((*value.items)[0])}, {"values", to_json((*value.items)[1])}});
  if (value.kind == Value::Kind::sequence) {
    Json items = Json::array();
    for (const Value& item : *value.items) items.push_back(to_json(item));
    return items;
  }
  const Tensor& tensor = value.tensor;
  Json::Array data, shape(tensor.dims.begin(), tensor.dims.end());
  for (std::int64_t i = 0; i < tensor.count; ++i) data.push_back(element_json(tensor, i));
  return Json::object(
      {{"dtype", name_of(tensor.type)}, {"shape", std::move(shape)}, {"data", std::move(data)}});
}

std::string describe(const ValueInfo& info) {
  if (info.kind == Value::Kind::sequence) return "a sequence";
  if (info.kind == Value::Kind::map) return "a map";
  if (info.kind == Value::Kind::nothing) return "an optional value";
  std::string text(info.type == Element::none ? "any type" : name_of(info.type));
  if (!info.has_shape) return text + " of any shape";
  text += " [";
  for (std::size_t i = 0; i < info.shape.size(); ++i) {
    const Extent& extent = info.shape[i];
    text += fmt::format("{}{}", i == 0 ? "" : ", ",
                        extent.value >= 0     ? fmt::format("{}", extent.value)
                        : extent.name.empty() ? "?"
                                              : extent.name);
  }
  return text + "]";
}

}  // namespace hearth::graphs

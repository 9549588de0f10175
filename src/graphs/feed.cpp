#include "graphs/feed.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>

#include "base/bytes.h"
#include "base/files.h"
#include "base/utf8.h"
#include "graphs/npy.h"
#include "graphs/picture.h"

namespace hearth::graphs {
namespace {

constexpr std::uint64_t most_file_bytes = std::uint64_t{1} << 32;

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
  if (!is_text) store(type, tensor.bytes, Work::f64, numbers.data(), numbers.size());
  return Value(std::move(tensor));
}

Result<Value> from_json(const ValueInfo& info, const Json& json) {
  Dims dims;
  std::vector<double> numbers;
  std::vector<std::string> texts;
  auto status = flatten(json, 0, dims, numbers, texts);
  if (!status) return std::move(status).error().within(fmt::format("input '{}'", info.name));
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
  if (tensor.type == Element::text || type == Element::text ||
      (is_float(tensor.type) && !is_float(type)))
    return wrong(info, fmt::format("{} {}", name_of(tensor.type), to_text(tensor.dims)));
  Tensor converted = TRY(make_tensor(type, tensor.dims));
  std::vector<double> numbers(static_cast<std::size_t>(tensor.count));
  load(Work::f64, numbers.data(), tensor.type, tensor.bytes, numbers.size());
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

float scaled(float value, std::int64_t channel, Pixels pixels, Element type) {
  constexpr float mean[] = {0.485f, 0.456f, 0.406f}, deviation[] = {0.229f, 0.224f, 0.225f};
  if (type == Element::i8) return value - 128;
  if (!is_float(type)) return value;
  switch (pixels) {
    case Pixels::raw:
      return value;
    case Pixels::unit:
      return value / 255;
    case Pixels::signed_unit:
      return value / 127.5f - 1;
    case Pixels::imagenet:
      return (value / 255 - mean[channel % 3]) / deviation[channel % 3];
  }
  return value;
}

Result<Value> from_picture(const ValueInfo& info, const Picture& picture, Pixels pixels) {
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
          scaled(value, c, pixels, tensor.type);
    }
  store(tensor.type, tensor.bytes, Work::f32, numbers.data(), numbers.size());
  return Value(std::move(tensor));
}

// Of a sound: what the chunk "fmt " says.
struct WaveForm {
  std::uint16_t format = 0, channels = 0, bits = 0;
  std::size_t width() const { return bits / 8u; }  // bytes of a number
};

constexpr std::uint16_t wave_pcm = 1, wave_float = 3, wave_extensible = 0xFFFE;

// Source: RIFF WAVE; WAVEFORMATEXTENSIBLE, whose sub-format begins with the format that it means.
Result<WaveForm> read_wave_form(std::span<const std::byte> body) {
  ByteReader in(body);
  WaveForm form;
  form.format = TRY(in.value<std::uint16_t>());
  form.channels = TRY(in.value<std::uint16_t>());
  TRY(in.skip(10));
  form.bits = TRY(in.value<std::uint16_t>());
  if (form.format == wave_extensible) {
    TRY(in.skip(8));
    form.format = TRY(in.value<std::uint16_t>());
  }
  const bool is_whole = form.format == wave_pcm && form.bits >= 8 && form.bits <= 32;
  if (form.channels == 0 || form.bits % 8 != 0 ||
      (!is_whole && (form.format != wave_float || form.bits != 32)))
    return Error(ErrorKind::unsupported,
                 fmt::format("a sound of format {} with {} channels of {} bits; needs PCM of 8 to "
                             "32 bits or floats of 32",
                             form.format, form.channels, form.bits));
  return form;
}

float wave_number(const WaveForm& form, const std::byte* at) {
  std::uint32_t raw = 0;
  std::memcpy(&raw, at, form.width());
  if (form.format == wave_float) return std::bit_cast<float>(raw);
  if (form.bits == 8) return (static_cast<float>(raw) - 128) / 128;
  return static_cast<float>(static_cast<std::int32_t>(raw << (32 - form.bits))) / 2147483648.0f;
}

// One channel, the mean of all, -1..1.
Result<Tensor> read_wav(std::span<const std::byte> bytes) {
  ByteReader in(bytes);
  if (text_of(TRY(in.take(4))) != "RIFF") return Error(ErrorKind::corrupt, "not a WAVE file");
  TRY(in.skip(8));
  std::optional<WaveForm> form;
  for (;;) {
    const std::string_view id = text_of(TRY(in.take(4)));
    const auto size = TRY(in.value<std::uint32_t>());
    if (id == "data") {
      if (!form) return Error(ErrorKind::corrupt, "sound before its format ('fmt ')");
      const auto data = TRY(in.take(std::min<std::uint64_t>(size, in.remaining())));
      const std::size_t frame = form->width() * form->channels;
      Tensor tensor =
          TRY(make_tensor(Element::f32, {static_cast<std::int64_t>(data.size() / frame)}));
      for (std::int64_t i = 0; i < tensor.count; ++i) {
        float sum = 0;
        for (std::size_t c = 0; c < form->channels; ++c)
          sum += wave_number(*form,
                             data.data() + static_cast<std::size_t>(i) * frame + c * form->width());
        tensor.data<float>()[i] = sum / static_cast<float>(form->channels);
      }
      return tensor;
    }
    const auto body = TRY(in.take(size));
    if (size % 2 != 0) TRY(in.skip(1));
    if (id == "fmt ") form = TRY(read_wave_form(body));
  }
}

bool ends_as(const std::string& path, std::initializer_list<std::string_view> endings) {
  return std::ranges::any_of(endings,
                             [&](std::string_view ending) { return path.ends_with(ending); });
}

Result<Value> from_file(const ValueInfo& info, const std::string& path, Pixels pixels) {
  const std::string file = TRY(read_file(path, most_file_bytes));
  const auto bytes = bytes_of(file);
  if (path.ends_with(".npy")) return from_array(info, TRY(read_npy(bytes)));
  if (path.ends_with(".npz")) {
    auto arrays = TRY(read_npz(bytes));
    auto found = arrays.find(info.name);
    if (found == arrays.end() && arrays.size() == 1) found = arrays.begin();
    if (found == arrays.end()) return wrong(info, "an archive without an array of that name");
    return from_array(info, std::move(found->second));
  }
  if (path.ends_with(".wav")) return from_array(info, TRY(read_wav(bytes)));
  if (path.ends_with(".json")) return from_json(info, TRY(parse_json(file)));
  if (path.ends_with(".txt")) return from_list(info, {1}, {}, {file});
  return from_picture(info, TRY(read_picture(bytes)), pixels);
}

}  // namespace

Result<Pixels> pixels_named(std::string_view name) {
  if (name == "raw") return Pixels::raw;
  if (name == "unit") return Pixels::unit;
  if (name == "signed") return Pixels::signed_unit;
  if (name == "imagenet") return Pixels::imagenet;
  return Error(ErrorKind::invalid,
               fmt::format("pixels '{}': needs raw, unit, signed or imagenet", name));
}

Result<Value> feed(const ValueInfo& info, const std::string& source, Pixels pixels) {
  if (info.kind == Value::Kind::map)
    return map_from_json(
        info, TRY(parse_json(is_file(source) ? TRY(read_file(source, most_file_bytes)) : source)));
  const bool named_file = ends_as(source, {".npy", ".npz", ".png", ".jpg", ".jpeg", ".bmp", ".ppm",
                                           ".pgm", ".wav", ".json", ".txt"});
  if (named_file || is_file(source)) {
    auto value = from_file(info, source, pixels);
    if (!value) return std::move(value).error().within(source);
    return value;
  }
  if (info.type == Element::text && !source.starts_with('['))
    return from_list(info, {1}, {}, {source});
  auto json = parse_json(source);
  if (!json)
    return wrong(info,
                 fmt::format("'{}': neither a file nor a number nor an array", printable(source)));
  return from_json(info, *json);
}

Result<Value> feed_json(const ValueInfo& info, const Json& source) {
  if (info.kind == Value::Kind::map) return map_from_json(info, source);
  if (!source.is_object()) return from_json(info, source);
  const Json* shape = source.find("shape");
  const Json* data = source.find("data");
  if (data == nullptr) return wrong(info, "an object without \"data\"");
  Dims dims;
  std::vector<double> numbers;
  std::vector<std::string> texts;
  TRY(flatten(*data, 0, dims, numbers, texts));
  if (shape != nullptr) {
    dims.clear();
    if (!shape->is_array() || shape->size() > max_rank)
      return wrong(info, "a shape that is no list");
    for (const Json& extent : shape->as_array()) {
      if (!extent.is_integer()) return wrong(info, "a shape of other than whole numbers");
      dims.push_back(extent.as_integer());
    }
  }
  return from_list(info, std::move(dims), numbers, texts);
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
  const auto size = static_cast<std::int64_t>(size_of(tensor.type));
  for (std::int64_t i = 0; i < tensor.count; ++i) {
    const std::byte* at = tensor.bytes + i * size;
    double real = 0;
    std::int64_t whole = 0;
    if (tensor.type == Element::text) {
      data.emplace_back(tensor.text(i));
    } else if (tensor.type == Element::boolean) {
      data.emplace_back(tensor.data<bool>()[i]);
    } else if (is_float(tensor.type)) {
      load(Work::f64, &real, tensor.type, at, 1);
      data.push_back(tensor.type == Element::f64 ? Json(real) : Json(static_cast<float>(real)));
    } else {
      load(Work::i64, &whole, tensor.type, at, 1);
      data.emplace_back(whole);
    }
  }
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

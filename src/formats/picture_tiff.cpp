// TIFF: the first picture of a file, in strips of 8-bit samples that lie point by point.
// Source: Adobe, "TIFF Revision 6.0": sections 2 to 9, 13 (LZW), 14 (predictor); "TIFF Technical
// Note: Adobe Deflate".
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "formats/inflate.h"
#include "formats/picture_parts.h"

namespace hearth {
namespace {

constexpr std::size_t most_values = 1 << 16;  // of one field: strips, above all
enum Tag : std::uint16_t {
  width_tag = 256,
  height_tag = 257,
  bits_tag = 258,
  compression_tag = 259,
  colours_tag = 262,
  offsets_tag = 273,
  orientation_tag = 274,
  samples_tag = 277,
  rows_tag = 278,
  bytes_tag = 279,
  planes_tag = 284,
  predictor_tag = 317,
  palette_tag = 320,
  extra_tag = 338,
};
enum class Packing : std::uint64_t {
  none = 1,
  lzw = 5,
  deflate = 8,
  bits = 32773,
  old_deflate = 32946
};
enum class Colours : std::uint64_t { white_is_zero, black_is_zero, rgb, palette };

Error corrupt(std::string what) { return Error(ErrorKind::corrupt, "a TIFF picture: " + what); }
Error unsupported(std::string what) {
  return Error(ErrorKind::unsupported, "a TIFF picture: " + what);
}

// The fields of the first directory.
class Fields {
 public:
  static Result<Fields> read(std::span<const std::byte> file) {
    Fields fields(file);
    const std::uint64_t at = TRY(fields.number(4, 4)), count = TRY(fields.number(at, 2));
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t entry = at + 2 + 12 * i;
      fields.entries_.push_back({TRY(fields.number(entry, 2)), TRY(fields.number(entry + 2, 2)),
                                 TRY(fields.number(entry + 4, 4)), entry + 8});
    }
    return fields;
  }

  // All values of a field of bytes or whole numbers; empty where it is absent.
  Result<std::vector<std::uint64_t>> all(Tag tag) const {
    std::vector<std::uint64_t> values;
    for (const Entry& entry : entries_) {
      if (entry.tag != tag) continue;
      const std::size_t size = entry.type == 1 ? 1 : entry.type == 3 ? 2 : entry.type == 4 ? 4 : 0;
      if (size == 0 || entry.count == 0 || entry.count > most_values)
        return corrupt(
            fmt::format("field {}: {} values of type {}", entry.tag, entry.count, entry.type));
      const std::uint64_t from = entry.count * size > 4 ? TRY(number(entry.at, 4)) : entry.at;
      for (std::uint64_t i = 0; i < entry.count; ++i)
        values.push_back(TRY(number(from + i * size, size)));
      break;
    }
    return values;
  }
  Result<std::uint64_t> one(Tag tag, std::uint64_t fallback) const {
    const auto values = TRY(all(tag));
    return values.empty() ? fallback : values[0];
  }

 private:
  struct Entry {
    std::uint64_t tag, type, count, at;
  };
  explicit Fields(std::span<const std::byte> file)
      : file_(file), is_big_(file[0] == std::byte{'M'}) {}

  Result<std::uint64_t> number(std::uint64_t at, std::size_t size) const {
    if (at > file_.size() || size > file_.size() - at)
      return corrupt(fmt::format("offset {}: outside the file", at));
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < size; ++i) {
      const std::size_t place = is_big_ ? i : size - 1 - i;
      value = value << 8 | std::to_integer<std::uint64_t>(file_[at + place]);
    }
    return value;
  }

  std::span<const std::byte> file_;
  bool is_big_;
  std::vector<Entry> entries_;
};

using Bytes = std::vector<std::uint8_t>;

// A count and as many bytes, or a byte to repeat.  Source: section 9.
Bytes unpacked(std::span<const std::byte> packed, std::size_t size) {
  Bytes out;
  for (std::size_t at = 0; at < packed.size() && out.size() < size;) {
    const int head = static_cast<std::int8_t>(packed[at++]);
    if (head == -128) continue;
    const auto count = static_cast<std::size_t>(head < 0 ? 1 - head : 1 + head);
    for (std::size_t i = 0; i < count && at < packed.size(); ++i)
      out.push_back(std::to_integer<std::uint8_t>(packed[head < 0 ? at : at++]));
    if (head < 0) ++at;
  }
  return out;
}

// Codes of 9 to 12 bits, high ones first, each a text seen before and one byte more.
Bytes unpacked_lzw(std::span<const std::byte> packed, std::size_t size) {
  constexpr std::size_t clear = 256, end = 257, first = 258, most = 4096;
  struct Text {
    std::uint16_t before;
    std::uint8_t last;
    std::uint32_t length;
  };
  std::vector<Text> texts(first);
  for (std::size_t i = 0; i < clear; ++i) texts[i] = {0, static_cast<std::uint8_t>(i), 1};
  Bytes out;
  std::size_t before = end;
  unsigned held = 0, bits = 0, width = 9;
  for (const std::byte next : packed) {
    held = held << 8 | std::to_integer<unsigned>(next);
    bits += 8;
    if (bits < width) continue;
    bits -= width;
    const std::size_t code = held >> bits & ((1u << width) - 1);
    held &= (1u << bits) - 1;
    if (code == end || out.size() >= size) break;
    if (code == clear) {
      texts.resize(first);
      before = end;
      width = 9;
      continue;
    }
    const bool is_new = code >= texts.size();
    if (is_new && (before == end || code > texts.size())) break;  // no such text
    // The text, from its end; a new one is the text before with its own first byte behind it.
    const std::size_t from = out.size();
    std::size_t at = is_new ? before : code;
    const std::size_t length = texts[at].length;
    out.resize(from + length);
    for (std::size_t i = length; i-- > 0; at = texts[at].before) out[from + i] = texts[at].last;
    const std::uint8_t head = out[from];
    if (before != end && texts.size() < most)
      texts.push_back({static_cast<std::uint16_t>(before), head, texts[before].length + 1});
    if (is_new) out.push_back(head);
    before = code;
    width = std::clamp(static_cast<unsigned>(std::bit_width(texts.size() + 1)), 9u, 12u);
  }
  return out;
}

Result<Bytes> strip_of(std::span<const std::byte> packed, Packing packing, std::size_t size) {
  Bytes out;
  switch (packing) {
    case Packing::none:
      out.resize(packed.size());
      if (!packed.empty()) std::memcpy(out.data(), packed.data(), packed.size());
      break;
    case Packing::bits:
      out = unpacked(packed, size);
      break;
    case Packing::lzw:
      out = unpacked_lzw(packed, size);
      break;
    case Packing::deflate:
    case Packing::old_deflate: {
      const auto bytes = TRY(inflated(packed, Deflated::zlib, size + 1));
      out.resize(bytes.size());
      if (!bytes.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
      break;
    }
    default:
      return unsupported(fmt::format("compression {}", static_cast<std::uint64_t>(packing)));
  }
  if (out.size() < size) return corrupt("a strip cut short");
  return out;
}

// What a point is as RGBA, in order.
struct Form {
  Colours colours;
  std::size_t samples;
  bool has_alpha;
  std::vector<std::uint64_t> palette;  // 256 of red, of green, of blue, in 16 bits

  void put(const std::uint8_t* point, std::uint8_t* rgba) const {
    rgba[3] = has_alpha ? point[samples - 1] : 255;
    for (std::size_t c = 0; c < 3; ++c)
      if (colours == Colours::palette)
        rgba[c] = static_cast<std::uint8_t>(palette[c * 256 + point[0]] >> 8);
      else if (colours == Colours::rgb)
        rgba[c] = point[c];
      else
        rgba[c] = colours == Colours::white_is_zero ? static_cast<std::uint8_t>(255 - point[0])
                                                    : point[0];
  }
};

Result<Form> read_form(const Fields& fields) {
  const std::uint64_t colours = TRY(fields.one(colours_tag, 1));
  if (colours > 3) return unsupported(fmt::format("colours of kind {}", colours));
  Form form{static_cast<Colours>(colours), TRY(fields.one(samples_tag, 1)), false, {}};
  const std::size_t own = form.colours == Colours::rgb ? 3 : 1;
  const auto extra = TRY(fields.all(extra_tag));
  form.has_alpha = form.samples == own + 1 && !extra.empty() && extra[0] == 2;
  if (form.samples < own || form.samples > own + 4)
    return unsupported(fmt::format("{} samples of a point", form.samples));
  const auto bits = TRY(fields.all(bits_tag));
  if (bits.empty() || std::ranges::any_of(bits, [](auto n) { return n != 8; }))
    return unsupported("samples of other than 8 bits");
  if (form.colours == Colours::palette) form.palette = TRY(fields.all(palette_tag));
  if (form.colours == Colours::palette && form.palette.size() != 3 * 256)
    return corrupt("a palette of other than 256 colours");
  return form;
}

}  // namespace

Result<Picture> read_tiff(std::span<const std::byte> bytes) {
  const Fields fields = TRY(Fields::read(bytes));
  const auto width = TRY(fields.one(width_tag, 0)), height = TRY(fields.one(height_tag, 0));
  Picture picture =
      TRY(sized_picture(static_cast<std::int64_t>(width), static_cast<std::int64_t>(height)));
  const Form form = TRY(read_form(fields));
  const auto offsets = TRY(fields.all(offsets_tag)), sizes = TRY(fields.all(bytes_tag));
  if (offsets.empty()) return unsupported("tiles");
  const std::uint64_t rows = std::min(TRY(fields.one(rows_tag, height)), height);
  const std::uint64_t planes = TRY(fields.one(planes_tag, 1)),
                      predictor = TRY(fields.one(predictor_tag, 1)),
                      orientation = TRY(fields.one(orientation_tag, 1));
  if (planes != 1 && form.samples > 1) return unsupported("colours in planes");
  if (predictor > 2) return unsupported(fmt::format("predictor {}", predictor));
  if (orientation != 1) return unsupported(fmt::format("orientation {}", orientation));
  if (rows == 0 || offsets.size() != sizes.size() || offsets.size() != (height + rows - 1) / rows)
    return corrupt(fmt::format("{} strips of {} rows for {}", offsets.size(), rows, height));
  const auto packing = static_cast<Packing>(TRY(fields.one(compression_tag, 1)));
  const std::size_t line = width * form.samples;
  std::vector<std::uint8_t> rgba(width * height * 4);
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    if (offsets[i] > bytes.size() || sizes[i] > bytes.size() - offsets[i])
      return corrupt(fmt::format("strip {}: outside the file", i));
    const std::size_t top = i * rows, count = std::min(rows, height - top);
    Bytes strip = TRY(strip_of(bytes.subspan(offsets[i], sizes[i]), packing, count * line));
    for (std::size_t y = 0; y < count; ++y) {
      std::uint8_t* at = strip.data() + y * line;
      if (predictor == 2)
        for (std::size_t x = form.samples; x < line; ++x)
          at[x] = static_cast<std::uint8_t>(at[x] + at[x - form.samples]);
      for (std::size_t x = 0; x < width; ++x)
        form.put(at + x * form.samples, rgba.data() + ((top + y) * width + x) * 4);
    }
  }
  put_on_white(rgba, picture.rgb);
  return picture;
}

}  // namespace hearth

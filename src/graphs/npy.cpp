#include "graphs/npy.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "base/bytes.h"
#include "base/utf8.h"
#include "formats/inflate.h"

namespace hearth::graphs {
namespace {

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

struct Code {
  std::string_view code;
  Element type;
};
constexpr Code codes[] = {{"<f4", Element::f32}, {"<f8", Element::f64},  {"<f2", Element::f16},
                          {"|i1", Element::i8},  {"<i2", Element::i16},  {"<i4", Element::i32},
                          {"<i8", Element::i64}, {"|u1", Element::u8},   {"<u2", Element::u16},
                          {"<u4", Element::u32}, {"<u8", Element::u64},  {"|b1", Element::boolean},
                          {"<c8", Element::c64}, {"<c16", Element::c128}};

// The text after 'key': in the header, which is a Python dictionary.
std::string_view after(std::string_view header, std::string_view key) {
  const std::size_t at = header.find(fmt::format("'{}':", key));
  if (at == header.npos) return {};
  header.remove_prefix(at + key.size() + 3);
  while (header.starts_with(' ')) header.remove_prefix(1);
  return header;
}

Result<Dims> shape_in(std::string_view text) {
  Dims dims;
  if (!text.starts_with('(')) return corrupt("a header without a shape");
  text.remove_prefix(1);
  for (;;) {
    while (text.starts_with(' ') || text.starts_with(',')) text.remove_prefix(1);
    if (text.starts_with(')')) return dims;
    std::int64_t extent = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), extent);
    if (parsed.ec != std::errc() || extent < 0 || dims.size() >= max_rank)
      return corrupt("a header's shape");
    dims.push_back(extent);
    text.remove_prefix(static_cast<std::size_t>(parsed.ptr - text.data()));
  }
}

// Elements written column by column, put row by row.
Result<Tensor> from_columns(const Tensor& columns, Dims dims) {
  Tensor rows = TRY(make_tensor(columns.type, std::move(dims)));
  const std::size_t size = size_of(rows.type);
  for (std::int64_t i = 0; i < rows.count; ++i) {
    std::int64_t rest = i, place = 0;
    Dims index(rows.rank());
    for (std::size_t k = rows.rank(); k-- > 0;) {
      index[k] = rest % rows.dims[k];
      rest /= rows.dims[k];
    }
    for (std::size_t k = rows.rank(); k-- > 0;) place = place * rows.dims[k] + index[k];
    std::memcpy(rows.bytes + static_cast<std::size_t>(i) * size,
                columns.bytes + static_cast<std::size_t>(place) * size, size);
  }
  return rows;
}

void append_utf8(std::string& to, std::uint32_t c) {
  const auto put = [&](std::uint32_t byte) { to += static_cast<char>(byte); };
  if (c < 0x80) return put(c);
  if (c < 0x800) return put(0xC0 | c >> 6), put(0x80 | (c & 0x3F));
  if (c < 0x10000) return put(0xE0 | c >> 12), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
  put(0xF0 | c >> 18), put(0x80 | (c >> 12 & 0x3F)), put(0x80 | (c >> 6 & 0x3F)),
      put(0x80 | (c & 0x3F));
}

// "<U12": twelve code points of four bytes each, filled up with zeros.
Result<Tensor> read_texts(std::span<const std::byte> data, Dims dims, std::string_view width_text) {
  std::uint32_t width = 0;
  std::from_chars(width_text.data(), width_text.data() + width_text.size(), width);
  Tensor tensor = TRY(make_tensor(Element::text, std::move(dims)));
  if (width > (1u << 20) ||
      data.size() / 4 / std::max(width, 1u) < static_cast<std::size_t>(tensor.count))
    return corrupt("text cut short");
  for (std::int64_t i = 0; i < tensor.count; ++i) {
    std::string text;
    for (std::uint32_t k = 0; k < width; ++k) {
      std::uint32_t c;
      std::memcpy(&c, data.data() + (static_cast<std::size_t>(i) * width + k) * 4, 4);
      if (c == 0 || c > 0x10FFFF) break;
      append_utf8(text, c);
    }
    tensor.data<const std::string*>()[i] = tensor.strings->add(std::move(text));
  }
  return tensor;
}

}  // namespace

Result<Tensor> read_npy(std::span<const std::byte> bytes) {
  ByteReader in(bytes);
  const std::string_view magic = text_of(TRY(in.take(6)));
  if (magic != "\x93NUMPY") return corrupt("not a NumPy file");
  const auto version = TRY(in.value<std::uint16_t>());
  const std::uint64_t length =
      (version & 0xFF) == 1 ? TRY(in.value<std::uint16_t>()) : TRY(in.value<std::uint32_t>());
  if (length > (1 << 20)) return corrupt("a header too long");
  const std::string_view header = text_of(TRY(in.take(length)));
  std::string_view descr = after(header, "descr");
  if (!descr.starts_with('\'')) return Error(ErrorKind::unsupported, "records");
  descr = descr.substr(1, descr.find('\'', 1) - 1);
  const Dims dims = TRY(shape_in(after(header, "shape")));
  const bool columns = after(header, "fortran_order").starts_with("True");
  const auto data = bytes.subspan(in.position());
  if (descr.starts_with("<U")) return read_texts(data, dims, descr.substr(2));
  const auto found = std::ranges::find(codes, descr, &Code::code);
  if (found == std::end(codes))
    return Error(ErrorKind::unsupported, fmt::format("elements of '{}'", printable(descr)));
  const std::int64_t count = TRY(count_of(dims));
  if (static_cast<std::uint64_t>(count) > data.size() / size_of(found->type))
    return corrupt(fmt::format("{} bytes for {}", data.size(), to_text(dims)));
  Tensor tensor = TRY(make_tensor(found->type, dims));
  if (count > 0) std::memcpy(tensor.bytes, data.data(), tensor.byte_count());
  return columns && dims.size() > 1 ? from_columns(tensor, dims)
                                    : Result<Tensor>(std::move(tensor));
}

namespace {

// What NumPy has a type of.
Element written_as(Element type) {
  if (std::ranges::find(codes, type, &Code::type) != std::end(codes)) return type;
  if (type == Element::i4 || type == Element::i2) return Element::i8;
  if (type == Element::u4 || type == Element::u2) return Element::u8;
  return Element::f32;
}

std::vector<std::uint32_t> code_points(std::string_view text) {
  std::vector<std::uint32_t> points;
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<std::uint8_t>(text[i]);
    const std::size_t n = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    std::uint32_t c = n == 1 ? lead : lead & (0xFFu >> (n + 1));
    for (std::size_t k = 1; k < n && i + k < text.size(); ++k)
      c = c << 6 | (static_cast<std::uint8_t>(text[i + k]) & 0x3Fu);
    points.push_back(c);
    i += n;
  }
  return points;
}

std::string header_of(std::string_view descr, const Dims& dims) {
  std::string shape;
  for (const std::int64_t extent : dims) shape += fmt::format("{}, ", extent);
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", descr, shape);
  while ((header.size() + 11) % 64 != 0) header += ' ';
  header += '\n';
  std::string out("\x93NUMPY\x01\x00", 8);
  out += static_cast<char>(header.size() & 0xFF);
  out += static_cast<char>(header.size() >> 8);
  return out + header;
}

}  // namespace

std::string write_npy(const Tensor& tensor) {
  if (tensor.type == Element::text) {
    std::vector<std::vector<std::uint32_t>> all;
    std::size_t width = 1;
    for (std::int64_t i = 0; i < tensor.count; ++i) {
      all.push_back(code_points(tensor.text(i)));
      width = std::max(width, all.back().size());
    }
    std::string out = header_of(fmt::format("<U{}", width), tensor.dims);
    for (auto& points : all) {
      points.resize(width, 0);
      out.append(reinterpret_cast<const char*>(points.data()), width * 4);
    }
    return out;
  }
  const Element type = written_as(tensor.type);
  std::string out = header_of(std::ranges::find(codes, type, &Code::type)->code, tensor.dims);
  if (type == tensor.type)
    return out.append(reinterpret_cast<const char*>(tensor.bytes), tensor.byte_count());
  const std::size_t first = out.size(), size = size_of(type);
  out.resize(first + static_cast<std::size_t>(tensor.count) * size);
  std::vector<double> numbers(static_cast<std::size_t>(tensor.count));
  load(Work::f64, numbers.data(), tensor.type, tensor.bytes, numbers.size());
  store(type, out.data() + first, Work::f64, numbers.data(), numbers.size());
  return out;
}

Result<std::map<std::string, Tensor>> read_npz(std::span<const std::byte> bytes) {
  // From the directory at the end: sizes in local headers may be absent.
  constexpr std::size_t end_size = 22;
  const std::string_view text = text_of(bytes);
  const std::size_t end = text.rfind("PK\x05\x06");
  if (end == text.npos || text.size() - end < end_size) return corrupt("not an npz archive");
  ByteReader tail(bytes.subspan(end + 10));
  const auto entries = TRY(tail.value<std::uint16_t>());
  const auto directory_bytes = TRY(tail.value<std::uint32_t>());
  const auto directory_at = TRY(tail.value<std::uint32_t>());
  if (directory_at > bytes.size() || directory_bytes > bytes.size() - directory_at)
    return corrupt("a directory outside the archive");
  ByteReader in(bytes.subspan(directory_at, directory_bytes));
  std::map<std::string, Tensor> arrays;
  for (unsigned i = 0; i < entries; ++i) {
    if (TRY(in.value<std::uint32_t>()) != 0x02014b50) return corrupt("a directory entry");
    TRY(in.skip(6));
    const auto method = TRY(in.value<std::uint16_t>());
    TRY(in.skip(8));
    const auto stored = TRY(in.value<std::uint32_t>());
    const auto whole = TRY(in.value<std::uint32_t>());
    const auto name_bytes = TRY(in.value<std::uint16_t>());
    const auto extra_bytes = TRY(in.value<std::uint16_t>());
    const auto comment_bytes = TRY(in.value<std::uint16_t>());
    TRY(in.skip(8));
    const auto local_at = TRY(in.value<std::uint32_t>());
    std::string name(text_of(TRY(in.take(name_bytes))));
    TRY(in.skip(static_cast<std::uint64_t>(extra_bytes) + comment_bytes));
    constexpr unsigned as_it_is = 0, deflated = 8;
    if (method != as_it_is && method != deflated)
      return Error(ErrorKind::unsupported,
                   fmt::format("'{}': compressed by method {}", printable(name), method));
    if (local_at > bytes.size()) return corrupt("an entry outside the archive");
    ByteReader local(bytes.subspan(local_at));
    TRY(local.skip(26));
    const auto local_name = TRY(local.value<std::uint16_t>());
    const auto local_extra = TRY(local.value<std::uint16_t>());
    TRY(local.skip(static_cast<std::uint64_t>(local_name) + local_extra));
    auto data = TRY(local.take(stored));
    std::vector<std::byte> unpacked;
    if (method == deflated) {
      auto inflated_bytes = inflated(data, Deflated::raw, whole);
      if (!inflated_bytes) return std::move(inflated_bytes).error().within(printable(name));
      unpacked = std::move(*inflated_bytes);
      data = unpacked;
    }
    if (name.ends_with(".npy")) name.resize(name.size() - 4);
    auto array = read_npy(data);
    if (!array) return std::move(array).error().within(printable(name));
    arrays.emplace(std::move(name), std::move(*array));
  }
  return arrays;
}

}  // namespace hearth::graphs

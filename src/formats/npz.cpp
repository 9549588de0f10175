// Source: the documentation of numpy.lib.format, versions 1.0 to 3.0.
#include "formats/npz.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>

#include "base/bytes.h"
#include "base/utf8.h"
#include "formats/limits.h"
#include "formats/strided.h"
#include "formats/zip.h"

namespace hearth {
namespace {

constexpr std::string_view magic = "\x93NUMPY", member_suffix = ".npy";

Error corrupt(std::string what) { return Error(ErrorKind::corrupt, std::move(what)); }

struct Described {
  std::string_view descr;
  Dtype dtype;
};
constexpr Described descriptions[] = {
    {"f4", Dtype::f32},  {"f2", Dtype::f16}, {"f8", Dtype::f64}, {"i1", Dtype::i8},
    {"i2", Dtype::i16},  {"i4", Dtype::i32}, {"i8", Dtype::i64}, {"u1", Dtype::u8},
    {"u2", Dtype::u16},  {"u4", Dtype::u32}, {"u8", Dtype::u64}, {"b1", Dtype::boolean},
    {"V2", Dtype::bf16},  // what MLX and others write for bfloat16
};

// The header is a literal of three keys; it is read as that, never evaluated.
class Header {
 public:
  explicit Header(std::string_view text) : text_(text) {}

  std::optional<std::string_view> descr;
  std::optional<bool> fortran_order;
  std::optional<std::vector<std::uint64_t>> shape;

  Status read() {
    TRY(expect('{'));
    while (!accept('}')) {
      const auto key = TRY(string());
      TRY(expect(':'));
      if (key == "descr" && !descr)
        descr = TRY(string());
      else if (key == "fortran_order" && !fortran_order)
        fortran_order = TRY(truth());
      else if (key == "shape" && !shape)
        shape = TRY(tuple());
      else
        return wrong("a key");
      if (!accept(',')) {
        TRY(expect('}'));
        break;
      }
    }
    skip();
    if (at_ != text_.size() || !descr || !fortran_order || !shape)
      return wrong("descr, fortran_order and shape");
    return Done{};
  }

 private:
  Error wrong(std::string_view needed) const {
    return corrupt(fmt::format("npy header at {}: needs {}", at_, needed));
  }
  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool accept(char c) {
    skip();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  Status expect(char c) {
    if (accept(c)) return Done{};
    return wrong(std::string_view(&c, 1));
  }
  Result<std::string_view> string() {
    TRY(expect('\''));
    const auto end = text_.find('\'', at_);
    if (end == text_.npos) return wrong("the end of a string");
    const std::string_view held = text_.substr(at_, end - at_);
    at_ = end + 1;
    return held;
  }
  Result<bool> truth() {
    skip();
    for (const auto& [word, value] : {std::pair{"True", true}, {"False", false}})
      if (text_.substr(at_).starts_with(word)) {
        at_ += std::string_view(word).size();
        return value;
      }
    return wrong("True or False");
  }
  Result<std::vector<std::uint64_t>> tuple() {
    std::vector<std::uint64_t> values;
    TRY(expect('('));
    while (!accept(')')) {
      skip();
      std::uint64_t value = 0;
      const std::size_t first = at_;
      for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
        value = TRY(checked_mul(value, 10));
        value = TRY(checked_add(value, static_cast<std::uint64_t>(text_[at_] - '0')));
      }
      if (at_ == first || values.size() == limits::torch_rank) return wrong("up to 8 numbers");
      values.push_back(value);
      if (!accept(',')) {
        TRY(expect(')'));
        break;
      }
    }
    return values;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

Result<Dtype> dtype_of(std::string_view descr) {
  if (descr.starts_with('>'))
    return Error(ErrorKind::unsupported, fmt::format("'{}': big-endian", printable(descr)));
  const std::string_view type =
      descr.starts_with('<') || descr.starts_with('|') ? descr.substr(1) : descr;
  for (const Described& row : descriptions)
    if (row.descr == type) return row.dtype;
  return Error(ErrorKind::unsupported, fmt::format("dtype '{}'", printable(descr)));
}

}  // namespace

std::string_view npy_descr(Dtype dtype) {
  for (const Described& row : descriptions)
    if (row.dtype == dtype) return row.descr;
  return {};
}

Result<TensorEntry> read_npy(std::string name, std::span<const std::byte> file) {
  constexpr std::uint64_t most_header_bytes = 65535;
  ByteReader in(file);
  if (!text_of(file).starts_with(magic)) return corrupt("not an npy file");
  TRY(in.skip(magic.size()));
  const auto version = TRY(in.value<std::uint8_t>());
  TRY(in.value<std::uint8_t>());
  if (version < 1 || version > 3) return corrupt(fmt::format("npy version {}", version));
  const std::uint64_t header_bytes =
      version == 1 ? TRY(in.value<std::uint16_t>()) : TRY(in.value<std::uint32_t>());
  if (header_bytes > most_header_bytes)
    return corrupt(
        fmt::format("npy header of {} bytes, at most {}", header_bytes, most_header_bytes));
  Header header(text_of(TRY(in.take(header_bytes))));
  TRY(header.read());
  Strides view{.dtype = TRY(dtype_of(*header.descr)),
               .shape = *header.shape,
               .strides = std::vector<std::uint64_t>(header.shape->size())};
  std::uint64_t elements = 1;
  const std::size_t rank = view.shape.size();
  for (std::size_t i = 0; i < rank; ++i) {
    const std::size_t d = *header.fortran_order ? i : rank - 1 - i;
    view.strides[d] = elements;
    elements = TRY(checked_mul(elements, view.shape[d]));
  }
  const auto data = file.subspan(in.position());
  const std::uint64_t bytes = TRY(byte_size(view.dtype, elements));
  if (bytes != data.size())
    return corrupt(fmt::format("{} bytes of data, the shape needs {}", data.size(), bytes));
  return strided_tensor(std::move(name), data, std::move(view));
}

bool is_npz_file(std::span<const std::byte> file) {
  if (!text_of(file).starts_with("PK\x03\x04")) return false;
  const auto entries = read_zip(file);
  return entries && !entries->empty() && std::ranges::all_of(*entries, [](const ZipEntry& entry) {
           return entry.name.ends_with(member_suffix);
         });
}

Result<std::vector<TensorEntry>> read_npz(std::span<const std::byte> file) {
  std::vector<TensorEntry> tensors;
  for (const ZipEntry& entry : TRY(read_zip(file))) {
    if (!entry.stored)
      return Error(ErrorKind::unsupported,
                   fmt::format("{}: compressed; numpy.savez stores it plainly", entry.name));
    if (!entry.name.ends_with(member_suffix))
      return corrupt(fmt::format("{}: no .npy", entry.name));
    const std::string name(entry.name.substr(0, entry.name.size() - member_suffix.size()));
    auto tensor = read_npy(name, entry.data);
    if (!tensor) return std::move(tensor).error().within(entry.name);
    tensors.push_back(std::move(*tensor));
  }
  return tensors;
}

}  // namespace hearth

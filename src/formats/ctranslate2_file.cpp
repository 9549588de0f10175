#include "formats/ctranslate2_file.h"

#include <fmt/core.h>

#include "base/bytes.h"
#include "base/utf8.h"
#include "formats/limits.h"
#include "formats/requantise.h"

namespace hearth {
namespace {

constexpr std::uint32_t least_version = 5, most_version = 6;

Error corrupt(std::string what) { return Error(ErrorKind::corrupt, std::move(what)); }
Error unsupported(std::string what) { return Error(ErrorKind::unsupported, std::move(what)); }

// Length with the NUL behind it, which is left out.
Result<std::string> read_name(ByteReader& in) {
  const auto size = TRY(in.value<std::uint16_t>());
  const std::string_view text = text_of(TRY(in.take(size)));
  if (!text.ends_with('\0')) return corrupt(fmt::format("offset {}: a name's end", in.position()));
  return std::string(text.substr(0, text.size() - 1));
}

Result<TensorEntry> read_variable(ByteReader& in) {
  TensorEntry entry{.name = TRY(read_name(in)), .dtype = Dtype::f32, .shape = {}, .data = {}};
  const auto within = [&](std::string what) {
    return corrupt(fmt::format("variable '{}': {}", printable(entry.name), what));
  };
  const auto rank = TRY(in.value<std::uint8_t>());
  if (rank > limits::safetensors_rank) return within(fmt::format("rank {}", rank));
  std::uint64_t elements = 1;
  for (std::uint8_t i = 0; i < rank; ++i) {
    entry.shape.push_back(TRY(in.value<std::uint32_t>()));
    elements = TRY(checked_mul(elements, entry.shape.back()));
  }
  static constexpr Dtype types[] = {Dtype::f32, Dtype::i8,  Dtype::i16,
                                    Dtype::i32, Dtype::f16, Dtype::bf16};
  const auto type = TRY(in.value<std::uint8_t>());
  if (type >= std::size(types))
    return unsupported(fmt::format("variable '{}': type {}", printable(entry.name), type));
  entry.dtype = types[type];
  const auto bytes = TRY(in.value<std::uint32_t>());
  // Of more than 4 GiB the low bits stand there: the shape counts.
  const std::uint64_t wanted = TRY(byte_size(entry.dtype, elements));
  if (static_cast<std::uint32_t>(wanted) != bytes)
    return within(fmt::format("{} bytes, its shape needs {}", bytes, wanted));
  entry.data = TRY(in.take(wanted));
  return entry;
}

Status read_variables(ByteReader& in, Package& package, const MappedFile& file) {
  const auto count = TRY(in.value<std::uint32_t>());
  if (count > limits::safetensors_tensors) return corrupt(fmt::format("{} variables", count));
  std::vector<TensorEntry> tensors;
  for (std::uint32_t i = 0; i < count; ++i) tensors.push_back(TRY(read_variable(in)));
  TRY(add_tensors(package, std::move(tensors), &file));
  const auto aliases = TRY(in.value<std::uint32_t>());
  if (aliases > limits::safetensors_tensors) return corrupt(fmt::format("{} aliases", aliases));
  std::vector<TensorEntry> more;
  for (std::uint32_t i = 0; i < aliases; ++i) {
    const std::string name = TRY(read_name(in)), of = TRY(read_name(in));
    const TensorEntry* held = package.find(of);
    if (held == nullptr)
      return corrupt(
          fmt::format("'{}' stands for '{}', which is missing", printable(name), printable(of)));
    more.push_back(*held);
    more.back().name = name;
  }
  if (in.remaining() > 0)
    return corrupt(fmt::format("offset {}: bytes after the last alias", in.position()));
  return add_tensors(package, std::move(more), &file);
}

}  // namespace

Result<Ctranslate2File> read_ctranslate2_file(const std::shared_ptr<const MappedFile>& file) {
  ByteReader in(file->bytes());
  const auto version = TRY(in.value<std::uint32_t>());
  if (version < least_version || version > most_version)
    return unsupported(fmt::format("version {} of CTranslate2's files", version));
  Ctranslate2File model;
  model.kind = TRY(read_name(in));
  TRY(in.value<std::uint32_t>());  // its revision
  TRY(read_variables(in, model.variables, *file));
  return model;
}

std::optional<double> scalar(const Package& variables, std::string_view name) {
  const TensorEntry* entry = variables.find(name);
  if (entry == nullptr || entry->elements() != 1) return std::nullopt;
  ByteReader in(entry->data);
  switch (entry->dtype) {
    case Dtype::i8:
      return *in.value<std::int8_t>();
    case Dtype::i16:
      return *in.value<std::int16_t>();
    case Dtype::i32:
      return *in.value<std::int32_t>();
    default:
      return Floats::can_read(*entry) ? std::optional<double>(Floats(*entry)[0]) : std::nullopt;
  }
}

Result<TensorEntry> linear(const Package& variables, const std::string& name) {
  const TensorEntry* codes = variables.find(name + "/weight");
  if (codes == nullptr || codes->shape.size() < 2 || codes->elements() == 0)
    return corrupt(fmt::format("{}/weight is missing or no matrix", printable(name)));
  if (Floats::can_read(*codes)) return *codes;
  const TensorEntry* factors = variables.find(name + "/weight_scale");
  if (codes->dtype != Dtype::i8)
    return unsupported(fmt::format("{}/weight is stored as {}: we read floats and int8",
                                   printable(name), name_of(codes->dtype)));
  if (factors == nullptr || !Floats::can_read(*factors) || factors->elements() != codes->shape[0])
    return corrupt(fmt::format("{}/weight_scale: needs a factor of each row", printable(name)));
  const std::uint64_t columns = codes->elements() / codes->shape[0];
  CodedMatrix matrix{.rows = codes->shape[0],
                     .columns = columns,
                     .group = columns,
                     .bits = 8,
                     .symmetric = true,
                     .read = {}};
  matrix.read = [data = codes->data, factors = Floats(*factors), columns](std::uint64_t row,
                                                                          CodeRow& out) {
    for (std::uint64_t k = 0; k < columns; ++k)
      out.codes[k] = std::to_integer<std::uint8_t>(data[row * columns + k]) ^ 0x80;
    out.scales[0] = 1 / factors[row];
    out.zeros[0] = 128;
    out.shifts[0] = 0;
  };
  return coded_tensor(name + "/weight", std::move(matrix));
}

TensorEntry rows_of(const TensorEntry& entry, std::string name, std::uint64_t first,
                    std::uint64_t count) {
  TensorEntry out = entry;
  out.name = std::move(name);
  const std::uint64_t row_bytes = entry.bytes() / entry.shape[0];
  out.shape[0] = count;
  if (entry.make)
    out.make = [make = entry.make, begin = first * row_bytes,
                bytes = count * row_bytes]() -> Result<std::vector<std::byte>> {
      const auto whole = TRY(make());
      const auto from = whole.begin() + static_cast<std::ptrdiff_t>(begin);
      return std::vector<std::byte>(from, from + static_cast<std::ptrdiff_t>(bytes));
    };
  else
    out.data = entry.data.subspan(first * row_bytes, count * row_bytes);
  return out;
}

}  // namespace hearth

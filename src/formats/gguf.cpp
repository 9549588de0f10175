// GGUF versions 1 to 3, little-endian.  Strict: one reading of every file, or a refusal.
// Source: gguf.md of the ggml project, "File structure".
#include "formats/gguf.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>
#include <optional>
#include <set>

#include "base/bytes.h"
#include "base/utf8.h"
#include "formats/limits.h"

namespace hearth {
namespace {

constexpr std::uint32_t default_alignment = 32;
constexpr std::string_view alignment_key = "general.alignment";

Error corrupt(std::size_t offset, std::string what) {
  return Error(ErrorKind::corrupt, fmt::format("offset {}: {}", offset, what));
}

Error over_limit(std::size_t offset, std::uint64_t count, std::string_view things,
                 std::uint64_t most) {
  return corrupt(offset, fmt::format("{} {}, at most {}", count, things, most));
}

// Types that were given numbers and are not read, by what their files call them.
struct UnreadType {
  std::uint32_t first, last;
  std::string_view name;
};
constexpr UnreadType unread_types[] = {
    {4, 4, "Q4_2, removed in 2023"},
    {5, 5, "Q4_3, removed in 2023"},
    {9, 9, "Q8_1, for activations only"},
    {15, 15, "Q8_K, for activations only"},
    {31, 31, "Q4_0_4_4, repacked for one processor and removed; use a Q4_0 file"},
    {32, 32, "Q4_0_4_8, repacked for one processor and removed; use a Q4_0 file"},
    {33, 33, "Q4_0_8_8, repacked for one processor and removed; use a Q4_0 file"},
    {36, 36, "IQ4_NL_4_4 (removed) or I2_S (BitNet)"},
    {37, 37, "IQ4_NL_4_8, removed; use an IQ4_NL file"},
    {38, 38, "IQ4_NL_8_8, removed; use an IQ4_NL file"},
    {97, 98, "Q8_K64 or Q8_K16, of ik_llama.cpp only"},
    {133, 133, "Q6_0, of ik_llama.cpp only"},
    {134, 135, "IQ1_BN or IQ2_BN, of ik_llama.cpp only"},
    {137, 141, "IQ2_K to IQ6_K, of ik_llama.cpp only"},
    {144, 148, "IQ4_KS to IQ4_KSS, of ik_llama.cpp only"},
    {152, 158, "a trellis type (IQ*_KT) or its kin, of ik_llama.cpp only"},
    {99, 158, "a type of ik_llama.cpp only"},
    {202, 399, "an interleaved type (*_R4, *_R8) of ik_llama.cpp only"},
};

Result<Dtype> read_dtype(std::uint32_t id) {
  if (const auto dtype = dtype_from_gguf(id)) return *dtype;
  for (const UnreadType& row : unread_types)
    if (id >= row.first && id <= row.last)
      return Error(ErrorKind::unsupported, fmt::format("type {}: {}", id, row.name));
  return Error(ErrorKind::unsupported, fmt::format("type {}: unknown", id));
}

// Where a tensor's data is, counted from the end of the header.
struct Place {
  std::uint64_t offset, bytes;
  std::size_t stated_at;  // in the file
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> file) : file_(file), in_(file) {}

  Result<GgufFile> read() {
    TRY(read_version());
    const auto [tensors, pairs] = TRY(read_counts());
    for (std::uint64_t i = 0; i < pairs; ++i) TRY(read_pair());
    out_.alignment = TRY(alignment());
    for (std::uint64_t i = 0; i < tensors; ++i) TRY(read_tensor());
    TRY(place_tensors());
    TRY(check_vocabulary());
    if (!strings_->empty()) out_.rewritten = strings_;
    return std::move(out_);
  }

 private:
  struct Counts {
    std::uint64_t tensors, pairs;
  };

  std::size_t position() const { return in_.position(); }
  std::size_t length_bytes() const { return out_.version == 1 ? 4 : 8; }

  Status read_version() {
    const auto magic = TRY(in_.take(4));
    if (text_of(magic) != "GGUF") return Error(ErrorKind::unsupported, "not a GGUF file");
    out_.version = TRY(in_.value<std::uint32_t>());
    if (out_.version >= 1 && out_.version <= 3) return Done{};
    const std::uint32_t swapped = std::byteswap(out_.version);
    if (swapped >= 1 && swapped <= 3)
      return Error(
          ErrorKind::unsupported,
          fmt::format("a big-endian GGUF file (version {}): convert it to little-endian", swapped));
    return Error(ErrorKind::unsupported,
                 fmt::format("GGUF version {}: Hearth reads 1 to 3", out_.version));
  }

  Result<Counts> read_counts() {
    const std::size_t start = position();
    const std::uint64_t tensors = TRY(length());
    const std::uint64_t pairs = TRY(length());
    if (tensors > limits::gguf_tensors)
      return over_limit(start, tensors, "tensors", limits::gguf_tensors);
    if (pairs > limits::gguf_pairs)
      return over_limit(start + length_bytes(), pairs, "key/value pairs", limits::gguf_pairs);
    // The least of each: an empty name or key, rank 0 or a u8.
    const std::uint64_t least_tensor = length_bytes() + 4 + 4 + 8;
    const std::uint64_t least_pair = length_bytes() + 4 + 1;
    if (tensors * least_tensor + pairs * least_pair > in_.remaining())
      return corrupt(start, fmt::format("{} tensors and {} key/value pairs cannot be in {} bytes",
                                        tensors, pairs, in_.remaining()));
    return Counts{tensors, pairs};
  }

  Result<std::uint64_t> length() {
    if (out_.version != 1) return in_.value<std::uint64_t>();
    return std::uint64_t{TRY(in_.value<std::uint32_t>())};
  }

  Result<std::string_view> text(std::uint64_t most) {
    const std::size_t start = position();
    const std::uint64_t size = TRY(length());
    if (size > most) return corrupt(start, fmt::format("text of {} bytes, at most {}", size, most));
    return text_of(TRY(in_.take(size)));
  }

  Status read_pair() {
    const std::size_t start = position();
    const std::string key(TRY(text(limits::gguf_key_bytes)));
    // Upper case is outside the specification, but writers take template names as they are.
    const bool plain =
        std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c < 127; });
    if (key.empty() || !plain)
      return corrupt(start,
                     fmt::format("key '{}': needs printable ASCII without spaces", printable(key)));
    auto value = read_value();
    if (!value)
      return std::move(value).error().within(fmt::format("metadata '{}'", printable(key)));
    if (!out_.metadata.add(key, *value))
      return corrupt(start, fmt::format("metadata '{}': twice", printable(key)));
    return Done{};
  }

  Result<MetaType> read_type() {
    const std::size_t start = position();
    const auto code = TRY(in_.value<std::uint32_t>());
    if (code > std::to_underlying(MetaType::f64))
      return corrupt(start, fmt::format("value type {} is unknown", code));
    return static_cast<MetaType>(code);
  }

  Result<MetaValue> read_value() {
    MetaValue value;
    value.type = TRY(read_type());
    if (value.type == MetaType::array) {
      value.is_array = true;
      value.type = TRY(read_type());
      if (value.type == MetaType::array)
        return Error(ErrorKind::unsupported,
                     fmt::format("offset {}: an array of arrays", position() - 4));
      const std::size_t start = position();
      value.count = TRY(length());
      if (value.count > limits::gguf_array_elements)
        return over_limit(start, value.count, "elements", limits::gguf_array_elements);
    }
    if (value.type == MetaType::string)
      value.bytes = TRY(read_strings(value.count));
    else
      value.bytes = TRY(in_.take(value.count * size_of(value.type)));  // at most 2^24 * 8
    if (value.type == MetaType::boolean) TRY(check_booleans(value.bytes));
    return value;
  }

  Result<std::span<const std::byte>> read_strings(std::uint64_t count) {
    TRY(in_.expect_records(count, length_bytes()));
    const std::size_t start = position();
    if (out_.version != 1) {
      if (const auto size = size_of_strings(count)) return in_.take(*size);
      for (std::uint64_t i = 0; i < count; ++i) TRY(text(limits::gguf_string_bytes));  // which one
      return file_.subspan(start, position() - start);
    }
    std::string wide;
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::string_view one = TRY(text(limits::gguf_string_bytes));
      const std::uint64_t size = one.size();
      wide.append(reinterpret_cast<const char*>(&size), sizeof size).append(one);
    }
    return bytes_of(strings_->emplace_back(std::move(wide)));
  }

  // The bytes of `count` strings from here on; nothing where one of them lies.  A vocabulary has
  // some 400,000: opening a model is mostly this loop.
  std::optional<std::uint64_t> size_of_strings(std::uint64_t count) const {
    std::size_t at = position();
    for (std::uint64_t i = 0; i < count; ++i) {
      std::uint64_t size;
      if (file_.size() - at < sizeof size) return std::nullopt;
      std::memcpy(&size, file_.data() + at, sizeof size);
      at += sizeof size;
      if (size > limits::gguf_string_bytes || size > file_.size() - at) return std::nullopt;
      at += static_cast<std::size_t>(size);
    }
    return at - position();
  }

  Status check_booleans(std::span<const std::byte> bytes) {
    const auto bad =
        std::find_if(bytes.begin(), bytes.end(), [](std::byte b) { return b > std::byte{1}; });
    if (bad == bytes.end()) return Done{};
    return corrupt(position() - static_cast<std::size_t>(bytes.end() - bad),
                   fmt::format("bool of {}, needs 0 or 1", std::to_integer<int>(*bad)));
  }

  Result<std::uint32_t> alignment() {
    const MetaValue* value = out_.metadata.find(alignment_key);
    if (!value) return default_alignment;
    if (value->is_array || value->type != MetaType::u32)
      return Error(ErrorKind::corrupt,
                   fmt::format("metadata '{}': holds {}{}, needs a u32", alignment_key,
                               value->is_array ? "an array of " : "", name_of(value->type)));
    const auto bytes =
        static_cast<std::uint32_t>(TRY(out_.metadata.unsigned_integer(alignment_key)));
    if (!std::has_single_bit(bytes) || bytes < limits::gguf_min_alignment ||
        bytes > limits::gguf_max_alignment)
      return Error(ErrorKind::corrupt,
                   fmt::format("metadata '{}': {}, needs a power of 2 from {} to {}", alignment_key,
                               bytes, limits::gguf_min_alignment, limits::gguf_max_alignment));
    return bytes;
  }

  // Name, rank, dims (innermost first), type, offset into the data.
  Status read_tensor() {
    const std::size_t start = position();
    TensorEntry entry;
    entry.name = TRY(text(limits::gguf_name_bytes));
    const std::string shown = printable(entry.name);
    if (entry.name.empty() || shown != entry.name || entry.name.find('/') != std::string::npos ||
        entry.name.find("..") != std::string::npos)
      return corrupt(start, fmt::format("tensor name '{}': needs text without '/', '..' and "
                                        "control characters",
                                        shown));
    if (!names_.insert(entry.name).second)
      return corrupt(start, fmt::format("tensor '{}': twice", shown));
    auto place = read_layout(entry);
    if (!place) return std::move(place).error().within(fmt::format("tensor '{}'", shown));
    places_.push_back(*place);
    out_.tensors.push_back(std::move(entry));
    return Done{};
  }

  Result<Place> read_layout(TensorEntry& entry) {
    const std::size_t start = position();
    const auto rank = TRY(in_.value<std::uint32_t>());
    if (rank == 0 || rank > limits::gguf_rank)
      return corrupt(start, fmt::format("rank {}, needs 1 to {}", rank, limits::gguf_rank));
    entry.shape.resize(rank);
    std::uint64_t elements = 1;
    for (std::uint32_t i = rank; i-- > 0;) {
      const std::size_t dim_start = position();
      entry.shape[i] = TRY(length());
      if (entry.shape[i] == 0 || entry.shape[i] >> 63)
        return corrupt(dim_start, fmt::format("dim {}, needs 1 or more",
                                              static_cast<std::int64_t>(entry.shape[i])));
      elements = TRY(checked_mul(elements, entry.shape[i]));
    }
    const std::size_t type_start = position();
    auto dtype = read_dtype(TRY(in_.value<std::uint32_t>()));
    if (!dtype) return std::move(dtype).error().within(fmt::format("offset {}", type_start));
    entry.dtype = *dtype;
    if (entry.shape.back() % info(entry.dtype).block_elements != 0)
      return corrupt(start,
                     fmt::format("row of {} is not whole blocks of {} ({})", entry.shape.back(),
                                 info(entry.dtype).block_elements, name_of(entry.dtype)));
    const std::uint64_t bytes = TRY(byte_size(entry.dtype, elements));
    const std::size_t offset_start = position();
    const auto offset = TRY(in_.value<std::uint64_t>());
    if (offset % out_.alignment != 0)
      return corrupt(offset_start,
                     fmt::format("data offset {} is not a multiple of {}", offset, out_.alignment));
    return Place{offset, bytes, offset_start};
  }

  // Gives every tensor its bytes.  Any order is fine; the bytes of two tensors do not overlap, and
  // between them is no more than padding.
  Status place_tensors() {
    const std::uint64_t header = position();
    const std::uint64_t begin = (header + out_.alignment - 1) / out_.alignment * out_.alignment;
    const auto data =
        file_.subspan(static_cast<std::size_t>(std::min<std::uint64_t>(begin, file_.size())));
    std::vector<std::size_t> order(places_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(),
              [&](std::size_t a, std::size_t b) { return places_[a].offset < places_[b].offset; });
    std::uint64_t end = 0;
    for (const std::size_t i : order) {
      const Place& place = places_[i];
      const auto refuse = [&](std::string what) {
        return corrupt(place.stated_at, std::move(what))
            .within(fmt::format("tensor '{}'", printable(out_.tensors[i].name)));
      };
      if (place.offset > data.size() || place.bytes > data.size() - place.offset)
        return refuse(fmt::format("{} bytes at {} of {}", place.bytes, place.offset, data.size()));
      if (place.offset < end)
        return refuse(fmt::format("data at {} overlaps another's", place.offset));
      if (place.offset - end > out_.alignment)
        return refuse(
            fmt::format("{} bytes before the data belong to no tensor", place.offset - end));
      out_.tensors[i].data = data.subspan(place.offset, place.bytes);
      end = place.offset + place.bytes;
    }
    if (data.size() - end > out_.alignment)
      out_.warnings.push_back(
          fmt::format("{} bytes after the last tensor belong to none", data.size() - end));
    return Done{};
  }

  // Scores and kinds are given per token.
  Status check_vocabulary() {
    const MetaValue* tokens = out_.metadata.find("tokenizer.ggml.tokens");
    for (const std::string_view key : {"tokenizer.ggml.scores", "tokenizer.ggml.token_type"}) {
      const MetaValue* values = out_.metadata.find(key);
      if (tokens && values && values->count != tokens->count)
        return Error(ErrorKind::corrupt, fmt::format("metadata '{}': {} values for {} tokens", key,
                                                     values->count, tokens->count));
    }
    return Done{};
  }

  std::span<const std::byte> file_;
  ByteReader in_;
  GgufFile out_;
  std::shared_ptr<std::deque<std::string>> strings_ = std::make_shared<std::deque<std::string>>();
  std::set<std::string, std::less<>> names_;
  std::vector<Place> places_;  // of out_.tensors
};

}  // namespace

Result<GgufFile> read_gguf(std::span<const std::byte> file) { return Reader(file).read(); }

}  // namespace hearth

// Llama files older than GGUF: GGML without a version, GGMF, GGJT 1 to 3.  Their tensors have the
// names of Meta's releases; rows of queries and keys lie as in GGUF.
// Source: the file loaders and block layouts of llama.cpp before August 2023; what changed between
// the versions stands in its pull requests 1405 (GGJT 2) and 1508 (GGJT 3).
#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/half.h"
#include "base/utf8.h"
#include "formats/format.h"
#include "formats/ggml_tensor.h"
#include "formats/limits.h"
#include "formats/llama_vocabulary.h"
#include "formats/meta_llama.h"

namespace hearth {
namespace {

Error corrupt(std::string what) { return Error(ErrorKind::corrupt, std::move(what)); }

enum class Age { ggml, ggmf, ggjt1, ggjt2, ggjt3 };

struct Header {
  std::uint32_t vocabulary, dim, multiple, heads, layers, rotary, type;
};

// One kind of blocks of 32 weights: how old files lay it out.
struct OldBlock {
  std::uint32_t id;
  Age first, last;
  std::uint32_t bytes;
  Dtype dtype;  // what it becomes: the same numbers
  void (*convert)(const std::byte* from, std::byte* to);
};

float float_at(const std::byte* from) {
  float value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
void put_half(std::byte* to, float value) {
  const std::uint16_t half = f32_to_f16(value);
  std::memcpy(to, &half, sizeof half);
}

// Neighbours in a byte become nibbles 16 apart.
void spread(const std::byte* from, std::byte* to) {
  const auto code = [&](std::size_t i) {
    return i % 2 == 0 ? from[i / 2] & std::byte{15} : from[i / 2] >> 4;
  };
  for (std::size_t i = 0; i < 16; ++i) to[i] = code(i) | code(i + 16) << 4;
}

// f32 scale (and minimum), neighbouring nibbles: to GGJT 1.
void first_q4_0(const std::byte* from, std::byte* to) {
  put_half(to, float_at(from));
  spread(from + 4, to + 2);
}
void first_q4_1(const std::byte* from, std::byte* to) {
  put_half(to, float_at(from));
  put_half(to + 2, float_at(from + 4));
  spread(from + 8, to + 4);
}
// f16 scale, fifth bits, neighbouring nibbles.
void first_q5_0(const std::byte* from, std::byte* to) {
  std::memcpy(to, from, 6);
  spread(from + 6, to + 6);
}
void first_q5_1(const std::byte* from, std::byte* to) {
  std::memcpy(to, from, 8);
  spread(from + 8, to + 8);
}
// f32 scale, nibbles as today: GGJT 2.
void second_q4_0(const std::byte* from, std::byte* to) {
  put_half(to, float_at(from));
  std::memcpy(to + 2, from + 4, 16);
}
void second_q4_1(const std::byte* from, std::byte* to) {
  put_half(to, float_at(from));
  put_half(to + 2, float_at(from + 4));
  std::memcpy(to + 4, from + 8, 16);
}
void old_q8_0(const std::byte* from, std::byte* to) {
  put_half(to, float_at(from));
  std::memcpy(to + 2, from + 4, 32);
}

constexpr OldBlock old_blocks[] = {
    {2, Age::ggml, Age::ggjt1, 20, Dtype::q4_0, first_q4_0},
    {3, Age::ggml, Age::ggjt1, 24, Dtype::q4_1, first_q4_1},
    {6, Age::ggml, Age::ggjt1, 22, Dtype::q5_0, first_q5_0},
    {7, Age::ggml, Age::ggjt1, 24, Dtype::q5_1, first_q5_1},
    {8, Age::ggml, Age::ggjt2, 36, Dtype::q8_0, old_q8_0},
    {2, Age::ggjt2, Age::ggjt2, 20, Dtype::q4_0, second_q4_0},
    {3, Age::ggjt2, Age::ggjt2, 24, Dtype::q4_1, second_q4_1},
};

const OldBlock* old_block(std::uint32_t id, Age age) {
  for (const OldBlock& row : old_blocks)
    if (row.id == id && row.first <= age && age <= row.last) return &row;
  return nullptr;
}

Result<Age> read_age(ByteReader& in) {
  const auto magic = text_of(TRY(in.take(4)));
  if (magic == "lmgg") return Age::ggml;
  const auto version = TRY(in.value<std::uint32_t>());
  if (magic == "fmgg" && version == 1) return Age::ggmf;
  if (magic == "tjgg" && version >= 1 && version <= 3)
    return static_cast<Age>(static_cast<int>(Age::ggjt1) + static_cast<int>(version) - 1);
  return Error(ErrorKind::unsupported, fmt::format("version {} of an old GGML file", version));
}

Result<Header> read_header(ByteReader& in) {
  Header header{};
  for (std::uint32_t* field : {&header.vocabulary, &header.dim, &header.multiple, &header.heads,
                               &header.layers, &header.rotary, &header.type})
    *field = TRY(in.value<std::uint32_t>());
  constexpr std::uint32_t most = 1 << 20;
  if (header.vocabulary == 0 || header.vocabulary > (1u << 24) || header.dim == 0 ||
      header.dim > most || header.heads == 0 || header.dim % header.heads != 0 ||
      header.layers == 0 || header.layers > 1024 || header.rotary > header.dim)
    return corrupt("offset 4: the sizes are those of no llama");
  return header;
}

// Pieces as SentencePiece writes them, spaces plain; files without versions have no scores.
Result<std::vector<GgufContents::Pair>> read_vocabulary(ByteReader& in, const Header& header,
                                                        bool scored) {
  LlamaVocabulary vocabulary;
  TRY(in.expect_records(header.vocabulary, scored ? 8 : 4));
  constexpr std::uint32_t most_bytes = 1024;
  for (std::uint32_t id = 0; id < header.vocabulary; ++id) {
    const auto size = TRY(in.value<std::uint32_t>());
    if (size > most_bytes)
      return corrupt(fmt::format("offset {}: a piece of {} bytes", in.position(), size));
    const std::string_view raw = text_of(TRY(in.take(size)));
    const float score = scored ? TRY(in.value<float>()) : -static_cast<float>(id);
    if (!(score > -1e30f && score < 1e30f)) return corrupt(fmt::format("piece {}: its score", id));
    // The converter wrote bytes as themselves: ids 3 to 258 are they.
    const bool is_byte = id >= 3 && id < 259 && raw.size() == 1;
    vocabulary.add(is_byte ? fmt::format("<0x{:02X}>", static_cast<unsigned char>(raw[0]))
                           : with_marked_spaces(raw),
                   score, is_byte);
  }
  return vocabulary.pairs();
}

TensorEntry old_tensor(TensorEntry entry, const OldBlock& old) {
  entry.dtype = old.dtype;
  entry.make = [data = entry.data, &old] {
    const std::size_t blocks = data.size() / old.bytes, bytes = info(old.dtype).block_bytes;
    std::vector<std::byte> out(blocks * bytes);
    for (std::size_t b = 0; b < blocks; ++b)
      old.convert(data.data() + b * old.bytes, out.data() + b * bytes);
    return Result<std::vector<std::byte>>(std::move(out));
  };
  entry.data = {};
  return entry;
}

Result<TensorEntry> read_tensor(ByteReader& in, Age age) {
  GgmlTensorHead head = TRY(read_ggml_tensor_head(in, 2));
  constexpr std::uint64_t alignment = 32;
  if (age >= Age::ggjt1) TRY(in.skip((alignment - in.position() % alignment) % alignment));
  const OldBlock* old = old_block(head.type, age);
  const auto dtype = old != nullptr ? std::optional(old->dtype) : dtype_from_gguf(head.type);
  if (!dtype || head.elements == 0) return head.unsupported();
  head.entry.dtype = *dtype;
  TRY(head.check_rows());
  const std::uint64_t blocks = head.elements / info(*dtype).block_elements;
  const std::uint64_t bytes =
      TRY(checked_mul(blocks, old != nullptr ? old->bytes : info(*dtype).block_bytes));
  head.entry.data = TRY(in.take(bytes));
  return old != nullptr ? old_tensor(std::move(head.entry), *old) : std::move(head.entry);
}

// Files of several parts (the first converter's) have the parts of each tensor in each.
Result<Package> read_ggml(const Source& source) {
  ByteReader in(source.file->bytes());
  const Age age = TRY(read_age(in));
  const Header header = TRY(read_header(in));
  auto vocabulary = TRY(read_vocabulary(in, header, age > Age::ggml));
  std::vector<TensorEntry> tensors;
  while (in.remaining() > 0) {
    if (tensors.size() == limits::gguf_tensors)
      return corrupt(fmt::format("over {} tensors", limits::gguf_tensors));
    tensors.push_back(TRY(read_tensor(in, age)));
  }
  const auto table = std::ranges::find(tensors, "tok_embeddings.weight", &TensorEntry::name);
  if (table == tensors.end() || table->shape.size() != 2)
    return Error(ErrorKind::unsupported,
                 "an old GGML file without tok_embeddings.weight: we read llamas");
  if (table->shape[1] != header.dim)
    return Error(ErrorKind::unsupported,
                 "a part of an old GGML model that was split; join the parts with its converter");
  Package package;
  package.format = "ggml";
  package.file_bytes = source.file->bytes().size();
  package.storage.push_back(source.file);
  Json params = Json::object({{"n_heads", header.heads}, {"max_seq_len", 2048}});
  params.set("norm_eps", 5e-6);  // between Llama 1 and 2: the files do not say
  TRY(add_meta_llama(package, std::move(tensors), params));
  TRY(add_made_metadata(package, std::move(vocabulary)));
  return package;
}

bool is_ggml(const Source& source) {
  const std::string_view text = source.text();
  return text.starts_with("lmgg") || text.starts_with("fmgg") || text.starts_with("tjgg");
}

}  // namespace

extern const Format ggml_format;
const Format ggml_format{.name = "ggml", .recognises = is_ggml, .read = read_ggml};

}  // namespace hearth

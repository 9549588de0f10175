// Source: LiteRT-LM, schema/core/litertlm_header_schema.fbs, runtime/proto/llm_metadata.proto;
// MediaPipe, "LLM Inference guide", model bundles.
#include "formats/litert.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <vector>

#include "base/bytes.h"
#include "base/utf8.h"
#include "formats/format.h"
#include "formats/inflate.h"
#include "formats/limits.h"
#include "formats/zip.h"

namespace hearth {
namespace {

constexpr std::string_view magic = "LITERTLM", task_graph = "TF_LITE_PREFILL_DECODE";
constexpr std::size_t header_at = 32;
constexpr std::uint64_t most_tokenizer_bytes = 256 << 20, most_text = 1 << 20;
constexpr std::size_t most_stops = 256;

Error corrupt(std::string what) { return Error(ErrorKind::corrupt, std::move(what)); }
Error unsupported(std::string what) { return Error(ErrorKind::unsupported, std::move(what)); }

// Parts beside a decoder's without which it does not run.
Error needs_more(std::string_view part) {
  return unsupported(
      fmt::format("a model of several graphs ('{}'): Hearth runs bundles of one", printable(part)));
}

// ---- what lies in a bundle: FlatBuffers and Protocol Buffers, as far as they are needed here
// ------

// A table of the header.  Offsets that lead outside of it read as nothing.
// Source: FlatBuffers, "Internals".
class Table {
 public:
  Table(std::span<const std::byte> bytes, std::size_t at) : bytes_(bytes), at_(at) {}

  static Table root(std::span<const std::byte> bytes) {
    return {bytes, read<std::uint32_t>(bytes, 0)};
  }
  bool exists() const { return at_ != 0 && at_ < bytes_.size(); }
  template <typename T>
  T number(unsigned slot) const {
    const std::size_t place = field(slot);
    return place == 0 ? T{} : read<T>(bytes_, place);
  }
  Table table(unsigned slot) const { return {bytes_, follow(slot)}; }
  std::string_view text(unsigned slot) const {
    const std::size_t at = follow(slot);
    const std::size_t size = at == 0 ? 0 : read<std::uint32_t>(bytes_, at);
    if (size == 0 || at + 4 + size > bytes_.size()) return {};
    return text_of(bytes_.subspan(at + 4, size));
  }
  std::vector<Table> tables(unsigned slot) const {
    std::vector<Table> list;
    const std::size_t at = follow(slot), n = at == 0 ? 0 : read<std::uint32_t>(bytes_, at);
    for (std::size_t i = 0; i < std::min(n, most_tables); ++i) {
      const std::size_t place = at + 4 + 4 * i;
      list.emplace_back(bytes_, place + read<std::uint32_t>(bytes_, place));
    }
    return list;
  }

 private:
  static constexpr std::size_t most_tables = 4096;
  template <typename T>
  static T read(std::span<const std::byte> bytes, std::size_t at) {
    T value{};
    if (at < bytes.size() && bytes.size() - at >= sizeof value)
      std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
  }
  std::size_t field(unsigned slot) const {
    if (!exists()) return 0;
    const auto vtable =
        static_cast<std::size_t>(static_cast<std::int64_t>(at_) - read<std::int32_t>(bytes_, at_));
    const std::size_t place = 4 + 2 * std::size_t{slot};
    if (place >= read<std::uint16_t>(bytes_, vtable)) return 0;
    const std::size_t offset = read<std::uint16_t>(bytes_, vtable + place);
    return offset == 0 ? 0 : at_ + offset;
  }
  std::size_t follow(unsigned slot) const {
    const std::size_t place = field(slot);
    return place == 0 ? 0 : place + read<std::uint32_t>(bytes_, place);
  }

  std::span<const std::byte> bytes_;
  std::size_t at_;
};

// One field of a message.
struct Field {
  std::uint64_t number = 0, value = 0;
  std::span<const std::byte> bytes;  // of a length-delimited one
  bool is_bytes = false;

  std::string_view text() const { return text_of(bytes); }
};

Result<std::uint64_t> varint(ByteReader& reader) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const auto byte = TRY(reader.value<std::uint8_t>());
    value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  return corrupt("a number of over 64 bits");
}

// Source: Protocol Buffers documentation, "Encoding".
Status each_field(std::span<const std::byte> message,
                  const std::function<Status(const Field&)>& take) {
  ByteReader reader(message);
  while (reader.remaining() > 0) {
    const std::uint64_t key = TRY(varint(reader));
    Field field{.number = key >> 3, .bytes = {}};
    switch (key & 7) {
      case 0:
        field.value = TRY(varint(reader));
        break;
      case 1:
        TRY(reader.skip(8));
        break;
      case 2: {
        const std::uint64_t size = TRY(varint(reader));
        field.bytes = TRY(reader.take(size));
        field.is_bytes = true;
        break;
      }
      case 5:
        TRY(reader.skip(4));
        break;
      default:
        return corrupt("metadata that is no message");
    }
    TRY(take(field));
  }
  return Done{};
}

// ---- .litertlm ----------------------------------------------------------------------------------

enum class Section : std::uint8_t { tflite = 3, sentencepiece = 4, metadata = 5, packed_json = 6 };

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

// The item `model_type` of a section; "" where it has none.
std::string model_type_of(const Table& section) {
  constexpr std::uint8_t text = 9;
  for (const Table& item : section.tables(0))
    if (item.text(0) == "model_type" && item.number<std::uint8_t>(1) == text)
      return lower(item.table(2).text(0));
  return "";
}

Status take_section(LitertBundle& bundle, const Table& section, std::span<const std::byte> bytes) {
  switch (static_cast<Section>(section.number<std::uint8_t>(3))) {
    case Section::tflite: {
      const std::string type = model_type_of(section);
      if (type == "tf_lite_prefill_decode" || type.empty()) {
        bundle.graph = bytes;
      } else if (type == "tf_lite_embedder" || type == "tf_lite_per_layer_embedder" ||
                 type == "tf_lite_aux" || type == "tf_lite_artisan_text_decoder") {
        return needs_more(type);
      }  // others serve pictures, sounds or guessing ahead: text goes without them
      return Done{};
    }
    case Section::sentencepiece:
      bundle.tokenizer = bytes;
      return Done{};
    case Section::metadata:
      bundle.metadata = bytes;
      return Done{};
    case Section::packed_json:
      bundle.packed_tokenizer = bytes;
      return Done{};
  }
  return Done{};
}

Result<LitertBundle> read_sections(std::span<const std::byte> file) {
  ByteReader reader(file);
  TRY(reader.skip(magic.size()));
  const auto version = TRY(reader.value<std::uint32_t>());
  if (version != 1) return unsupported(fmt::format("version {} of LiteRT-LM", version));
  TRY(reader.skip(3 * sizeof(std::uint32_t)));
  const auto end = TRY(reader.value<std::uint64_t>());
  if (end < header_at || end > file.size())
    return corrupt(fmt::format("a header that ends at {} of {} bytes", end, file.size()));
  const Table sections = Table::root(file.subspan(header_at, end - header_at)).table(1);
  if (!sections.exists()) return corrupt("a bundle without sections");
  LitertBundle bundle;
  for (const Table& section : sections.tables(0)) {
    const auto first = section.number<std::uint64_t>(1), last = section.number<std::uint64_t>(2);
    if (first > last || last > file.size())
      return corrupt(fmt::format("a section from {} to {} of {} bytes", first, last, file.size()));
    TRY(take_section(bundle, section, file.subspan(first, last - first)));
  }
  return bundle;
}

// ---- .task --------------------------------------------------------------------------------------

Result<LitertBundle> read_entries(std::span<const std::byte> file) {
  LitertBundle bundle;
  bundle.is_task = true;
  std::string names;
  for (const ZipEntry& entry : TRY(read_zip(file))) {
    names += (names.empty() ? "" : ", ") + printable(entry.name, 64);
    if (entry.name == "TF_LITE_EMBEDDER" || entry.name == "TF_LITE_PER_LAYER_EMBEDDER")
      return needs_more(entry.name);
    std::span<const std::byte>* to = entry.name == task_graph          ? &bundle.graph
                                     : entry.name == "TOKENIZER_MODEL" ? &bundle.tokenizer
                                     : entry.name == "METADATA"        ? &bundle.metadata
                                                                       : nullptr;
    if (to == nullptr) continue;
    if (!entry.stored) return unsupported(fmt::format("'{}': compressed", entry.name));
    *to = entry.data;
  }
  if (bundle.graph.empty())
    return unsupported(fmt::format("a bundle without {}: it holds {}", task_graph, names));
  return bundle;
}

// ---- what is said of the model ------------------------------------------------------------------

struct Facts {
  std::vector<std::int64_t> starts, stops;
  std::vector<std::string> stop_texts;
  std::int64_t most_tokens = 0;
  std::string jinja, model_type;
  std::string affixes[3][2];  // of user, model and system: what stands before and after a turn
};

// TokenUnion: 1: TokenIds, 2: text.
Status read_token(std::span<const std::byte> bytes, std::vector<std::int64_t>& ids,
                  std::vector<std::string>& texts) {
  const auto add = [&](std::uint64_t id) {
    if (ids.size() < most_stops) ids.push_back(static_cast<std::int64_t>(id));
  };
  return each_field(bytes, [&](const Field& field) -> Status {
    if (field.number == 2 && texts.size() < most_stops) texts.emplace_back(field.text());
    if (field.number != 1 || !field.is_bytes) return Done{};
    return each_field(field.bytes, [&](const Field& id) -> Status {
      if (!id.is_bytes) {
        add(id.value);
        return Done{};
      }
      for (ByteReader packed(id.bytes); packed.remaining() > 0;) add(TRY(varint(packed)));
      return Done{};
    });
  });
}

// PromptTemplates: 1 user, 2 model, 3 system, each of a prefix and a suffix.
Status read_affixes(std::span<const std::byte> bytes, Facts& facts) {
  return each_field(bytes, [&](const Field& turn) -> Status {
    if (!turn.is_bytes || turn.number < 1 || turn.number > 3) return Done{};
    return each_field(turn.bytes, [&](const Field& affix) -> Status {
      if (affix.is_bytes && (affix.number == 1 || affix.number == 2))
        facts.affixes[turn.number - 1][affix.number - 1] = std::string(affix.text());
      return Done{};
    });
  });
}

constexpr std::string_view model_types[] = {"",      "generic", "gemma3n", "gemma",      "gemma3",
                                            "qwen3", "",        "qwen2",   "gemma4",     "fastvlm",
                                            "",      "lfm2",    "minicpm", "gemma3_text"};

Result<Facts> read_metadata(std::span<const std::byte> bytes) {
  Facts facts;
  std::vector<std::string> unused;
  TRY(each_field(bytes, [&](const Field& field) -> Status {
    if (field.number == 5 && !field.is_bytes)
      facts.most_tokens = static_cast<std::int64_t>(std::min<std::uint64_t>(field.value, 1u << 30));
    if (!field.is_bytes) return Done{};
    if (field.number == 1) return read_token(field.bytes, facts.starts, unused);
    if (field.number == 2) return read_token(field.bytes, facts.stops, facts.stop_texts);
    if (field.number == 3) return read_affixes(field.bytes, facts);
    if (field.number == 7 && field.bytes.size() <= most_text)
      facts.jinja = std::string(field.text());
    if (field.number != 6) return Done{};
    return each_field(field.bytes, [&](const Field& kind) -> Status {
      if (kind.number < std::size(model_types)) facts.model_type = model_types[kind.number];
      return Done{};
    });
  }));
  return facts;
}

// LlmParameters: 4 the first token, 5 texts that end an answer, 17 what stands around turns.
// Source: MediaPipe, tasks/cc/genai/inference/proto/llm_params.proto.
Result<Facts> read_parameters(std::span<const std::byte> bytes) {
  Facts facts;
  TRY(each_field(bytes, [&](const Field& field) -> Status {
    if (field.number == 4 && !field.is_bytes)
      facts.starts.push_back(static_cast<std::int64_t>(field.value));
    if (field.number == 5 && field.is_bytes && facts.stop_texts.size() < most_stops)
      facts.stop_texts.emplace_back(field.text());
    if (field.number == 17 && field.is_bytes) return read_affixes(field.bytes, facts);
    return Done{};
  }));
  return facts;
}

std::string quoted(const std::string& text) { return write_json(Json(text)); }

// A template of what stands before and after each turn.
std::string template_of(const Facts& facts) {
  const auto& [user, model, system] = facts.affixes;
  if (user[0].empty() && user[1].empty() && model[0].empty() && model[1].empty()) return "";
  const auto turn = [](const std::string(&affix)[2]) {
    return fmt::format("{{{{ {} + message['content'] + {} }}}}", quoted(affix[0]),
                       quoted(affix[1]));
  };
  return fmt::format(
      "{{% for message in messages %}}{{% if message['role'] == 'user' %}}{}"
      "{{% elif message['role'] == 'assistant' %}}{}{{% else %}}{}{{% endif %}}{{% endfor %}}"
      "{{% if add_generation_prompt %}}{{{{ {} }}}}{{% endif %}}",
      turn(user), turn(model), turn(system), quoted(model[0]));
}

void add_file(Package& package, std::string_view name, std::string text) {
  const auto held = std::make_shared<const std::string>(std::move(text));
  package.files.emplace(name, bytes_of(*held));
  package.storage.push_back(held);
}

Json ids_json(const std::vector<std::int64_t>& ids) {
  Json list = Json::array();
  for (const std::int64_t id : ids) list.push_back(id);
  return list;
}

void add_facts(Package& package, const Facts& facts) {
  Json config = Json::object({}), generation = Json::object({}), text = Json::object({});
  if (!facts.model_type.empty()) config.set("model_type", facts.model_type);
  if (facts.most_tokens > 0) config.set("max_position_embeddings", facts.most_tokens);
  if (!facts.starts.empty()) config.set("bos_token_id", facts.starts[0]);
  if (!facts.stops.empty()) {
    config.set("eos_token_id", ids_json(facts.stops));
    generation.set("eos_token_id", ids_json(facts.stops));
  }
  if (!facts.stop_texts.empty()) text.set("eos_token", facts.stop_texts[0]);
  package.config = std::move(config);
  package.generation_config = std::move(generation);
  const std::string source = facts.jinja.empty() ? template_of(facts) : facts.jinja;
  if (!source.empty()) add_file(package, "chat_template.jinja", source);
  add_file(package, "tokenizer_config.json", write_json(text));
}

Status add_tokenizer(Package& package, const LitertBundle& bundle) {
  if (!bundle.tokenizer.empty()) package.files.emplace("tokenizer.model", bundle.tokenizer);
  if (bundle.packed_tokenizer.empty()) return Done{};
  // Its size stands before it.
  constexpr std::size_t size_bytes = sizeof(std::uint64_t);
  const bool has_size = bundle.packed_tokenizer.size() > size_bytes &&
                        std::to_integer<unsigned>(bundle.packed_tokenizer[0]) != 0x78;
  auto json = inflated(bundle.packed_tokenizer.subspan(has_size ? size_bytes : 0), Deflated::zlib,
                       most_tokenizer_bytes);
  if (!json) return std::move(json).error().within("tokenizer");
  add_file(package, "tokenizer.json", std::string(text_of(*json)));
  return Done{};
}

bool is_bundle(const Source& source) {
  return !source.is_folder() && looks_like_litert(source.path, source.file->bytes());
}

Result<Package> read_bundle(const Source& source) {
  const LitertBundle bundle = TRY(read_litert(source.file->bytes()));
  Package package;
  package.format = "litert";
  package.path = source.path;
  package.naming = Naming::huggingface;
  package.file_bytes = source.file->bytes().size();
  package.storage.push_back(source.file);
  add_facts(package, TRY(bundle.is_task ? read_parameters(bundle.metadata)
                                        : read_metadata(bundle.metadata)));
  TRY(add_tokenizer(package, bundle));
  return package;
}

}  // namespace

bool looks_like_litert(const std::string& path, std::span<const std::byte> bytes) {
  const std::string_view text = text_of(bytes.first(std::min(bytes.size(), magic.size())));
  return text == magic || (path.ends_with(".task") && text.starts_with("PK\x03\x04"));
}

Result<LitertBundle> read_litert(std::span<const std::byte> file) {
  LitertBundle bundle =
      text_of(file).starts_with(magic) ? TRY(read_sections(file)) : TRY(read_entries(file));
  if (bundle.graph.empty())
    return unsupported("a bundle without a graph that reads and writes text");
  return bundle;
}

extern const Format litert_format;
const Format litert_format{.name = "litert", .recognises = is_bundle, .read = read_bundle};

}  // namespace hearth

// Source: LiteRT-LM, schema/core/litertlm_header_schema.fbs, runtime/proto/llm_metadata.proto;
// MediaPipe, "LLM Inference guide", model bundles.
#include "formats/litert.h"

#include <fmt/core.h>

#include <algorithm>
#include <vector>

#include "base/ascii.h"
#include "base/bytes.h"
#include "base/flatbuffer.h"
#include "base/protobuf.h"
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

// ---- .litertlm ----------------------------------------------------------------------------------

enum class Section : std::uint8_t { tflite = 3, sentencepiece = 4, metadata = 5, packed_json = 6 };

// The item `model_type` of a section; "" where it has none.
Result<std::string> model_type_of(const FlatTable& section) {
  constexpr std::uint8_t text = 9;
  for (const FlatTable& item : TRY(section.tables(0))) {
    const std::string_view key = TRY(item.text(0));
    if (key != "model_type" || item.number<std::uint8_t>(1, 0) != text) continue;
    const FlatTable value = TRY(item.table(2));
    return ascii_lower(TRY(value.text(0)));
  }
  return std::string();
}

Status take_section(LitertBundle& bundle, const FlatTable& section,
                    std::span<const std::byte> bytes) {
  switch (static_cast<Section>(section.number<std::uint8_t>(3, 0))) {
    case Section::tflite: {
      const std::string type = TRY(model_type_of(section));
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
  const FlatTable header = TRY(FlatTable::root(file.subspan(header_at, end - header_at)));
  const FlatTable sections = TRY(header.table(1));
  if (!sections.exists()) return corrupt("a bundle without sections");
  LitertBundle bundle;
  for (const FlatTable& section : TRY(sections.tables(0))) {
    const auto first = section.number<std::uint64_t>(1, 0),
               last = section.number<std::uint64_t>(2, 0);
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

constexpr std::uint8_t varint_type = 0, bytes_type = 2;

// TokenUnion: 1: TokenIds, 2: text.
Status read_token(std::span<const std::byte> bytes, std::vector<std::int64_t>& ids,
                  std::vector<std::string>& texts) {
  WireMessage token(bytes);
  for (WireField field; TRY(token.next(field));) {
    if (field.number == 2 && texts.size() < most_stops) texts.emplace_back(field.text());
    if (field.number != 1 || field.type != bytes_type) continue;
    WireMessage list(field.bytes);
    for (WireField id; TRY(list.next(id));) TRY(append_varints(ids, id));
    ids.resize(std::min(ids.size(), most_stops));
  }
  return Done{};
}

// PromptTemplates: 1 user, 2 model, 3 system, each of a prefix and a suffix.
Status read_affixes(std::span<const std::byte> bytes, Facts& facts) {
  WireMessage turns(bytes);
  for (WireField turn; TRY(turns.next(turn));) {
    if (turn.type != bytes_type || turn.number < 1 || turn.number > 3) continue;
    WireMessage affixes(turn.bytes);
    for (WireField affix; TRY(affixes.next(affix));)
      if (affix.type == bytes_type && (affix.number == 1 || affix.number == 2))
        facts.affixes[turn.number - 1][affix.number - 1] = std::string(affix.text());
  }
  return Done{};
}

constexpr std::string_view model_types[] = {"",      "generic", "gemma3n", "gemma",      "gemma3",
                                            "qwen3", "",        "qwen2",   "gemma4",     "fastvlm",
                                            "",      "lfm2",    "minicpm", "gemma3_text"};

Result<Facts> read_metadata(std::span<const std::byte> bytes) {
  Facts facts;
  std::vector<std::string> unused;
  WireMessage metadata(bytes);
  for (WireField field; TRY(metadata.next(field));) {
    if (field.number == 5 && field.type == varint_type)
      facts.most_tokens = static_cast<std::int64_t>(std::min<std::uint64_t>(field.value, 1u << 30));
    if (field.type != bytes_type) continue;
    if (field.number == 1) TRY(read_token(field.bytes, facts.starts, unused));
    if (field.number == 2) TRY(read_token(field.bytes, facts.stops, facts.stop_texts));
    if (field.number == 3) TRY(read_affixes(field.bytes, facts));
    if (field.number == 7 && field.bytes.size() <= most_text)
      facts.jinja = std::string(field.text());
    if (field.number != 6) continue;
    WireMessage kinds(field.bytes);
    for (WireField kind; TRY(kinds.next(kind));)
      if (kind.number < std::size(model_types)) facts.model_type = model_types[kind.number];
  }
  return facts;
}

// LlmParameters: 4 the first token, 5 texts that end an answer, 17 what stands around turns.
// Source: MediaPipe, tasks/cc/genai/inference/proto/llm_params.proto.
Result<Facts> read_parameters(std::span<const std::byte> bytes) {
  Facts facts;
  WireMessage parameters(bytes);
  for (WireField field; TRY(parameters.next(field));) {
    if (field.number == 4 && field.type == varint_type) facts.starts.push_back(field.integer());
    if (field.number == 5 && field.type == bytes_type && facts.stop_texts.size() < most_stops)
      facts.stop_texts.emplace_back(field.text());
    if (field.number == 17 && field.type == bytes_type) TRY(read_affixes(field.bytes, facts));
  }
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

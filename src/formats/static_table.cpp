// Source: the published code of Model2Vec and of sentence-transformers' StaticEmbedding.
#include "formats/static_table.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/files.h"
#include "base/utf8.h"
#include "formats/huggingface.h"
#include "formats/limits.h"
#include "formats/requantise.h"

namespace hearth {
namespace {

// Of every name that the table goes by, the one that files of today have first.
constexpr std::string_view table_names[] = {"embeddings", "embedding.weight", "0"};
constexpr std::string_view tokenizer_file = "tokenizer.json";

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

// Where the first module of modules.json lies, if it is a StaticEmbedding.
Result<std::optional<std::string>> module_path(std::string_view text) {
  std::optional<std::string> none;
  const auto modules =
      parse_json(text, {.max_bytes = limits::config_bytes, .max_members = limits::config_members});
  if (!modules) return Error(ErrorKind::corrupt, modules.error().message()).within("modules.json");
  if (!modules->is_array() || modules->as_array().empty()) return none;
  const Json& first = modules->as_array().front();
  const Json *type = first.find("type"), *path = first.find("path");
  if (type == nullptr || !type->is_string() || !type->as_string().ends_with(".StaticEmbedding"))
    return none;
  std::string name = path != nullptr && path->is_string() ? path->as_string() : "";
  if (name == ".") name.clear();
  if (name.find_first_of("/\\.") != name.npos)
    return corrupt("modules.json: the path of StaticEmbedding is not a plain name");
  return std::optional(std::move(name));
}

// nullptr: it has none.
const TensorEntry* find_table(const Package& package) {
  for (const std::string_view name : table_names)
    if (const TensorEntry* found = package.find(name)) return found;
  return nullptr;
}

Result<bool> is_static_table(const Package& package) {
  if (const Json* type = package.config.find("model_type"); type != nullptr && type->is_string())
    return type->as_string() == "model2vec";
  if (!package.config.is_null()) return false;
  if (const auto modules = package.files.find("modules.json"); modules != package.files.end())
    return TRY(module_path(text_of(modules->second))).has_value();
  return package.tensors.size() == 1 && find_table(package) != nullptr &&
         package.files.contains(tokenizer_file);
}

// Numbers of any type that such tables are stored in.
class Numbers {
 public:
  static Result<Numbers> of(const TensorEntry& entry) {
    static constexpr Dtype known[] = {Dtype::f32, Dtype::f16, Dtype::bf16, Dtype::f64,
                                      Dtype::i8,  Dtype::i32, Dtype::i64};
    if (std::ranges::find(known, entry.dtype) == std::end(known) || entry.make)
      return corrupt(fmt::format("{}: a table of {} is not read", printable(entry.name),
                                 info(entry.dtype).name));
    return Numbers(entry);
  }
  double operator[](std::size_t i) const {
    switch (dtype_) {
      case Dtype::f64:
        return at<double>(i);
      case Dtype::i8:
        return at<std::int8_t>(i);
      case Dtype::i32:
        return at<std::int32_t>(i);
      case Dtype::i64:
        return static_cast<double>(at<std::int64_t>(i));
      default:
        return floats_[i];
    }
  }

 private:
  explicit Numbers(const TensorEntry& entry)
      : floats_(entry), dtype_(entry.dtype), data_(entry.data) {}
  template <typename T>
  T at(std::size_t i) const {
    T value;
    std::memcpy(&value, data_.data() + i * sizeof(T), sizeof(T));
    return value;
  }

  Floats floats_;
  Dtype dtype_;
  std::span<const std::byte> data_;
};

// What the rows of tokens are made of.
struct Parts {
  TensorEntry table;                          // [rows, dim]
  std::optional<TensorEntry> places, shares;  // [tokens]: the row of each, and its weight
  std::uint64_t tokens = 0, dim = 0;
};

Result<Parts> take_parts(Package& package) {
  const TensorEntry* table = find_table(package);
  if (table == nullptr) return corrupt("embeddings: the table of vectors is missing");
  if (table->shape.size() != 2 || table->elements() == 0)
    return corrupt(fmt::format("{}: has {} axes and {} elements, needs [rows, dim]",
                               printable(table->name), table->shape.size(), table->elements()));
  Parts parts;
  parts.table = TRY(take_tensor(package, std::string(table->name)));
  parts.tokens = parts.table.shape[0];
  parts.dim = parts.table.shape[1];
  if (package.find("mapping") != nullptr) {
    parts.places = TRY(take_tensor(package, "mapping"));
    parts.tokens = parts.places->elements();
    const Numbers places = TRY(Numbers::of(*parts.places));
    for (std::size_t i = 0; i < parts.tokens; ++i)
      if (!(places[i] >= 0 && places[i] < static_cast<double>(parts.table.shape[0])))
        return corrupt(
            fmt::format("mapping: token {} has row {} of {}", i, places[i], parts.table.shape[0]));
  }
  if (package.find("weights") != nullptr) {
    parts.shares = TRY(take_tensor(package, "weights"));
    if (parts.shares->elements() != parts.tokens)
      return corrupt(
          fmt::format("weights: {} for {} tokens", parts.shares->elements(), parts.tokens));
    TRY(Numbers::of(*parts.shares));
  }
  TRY(Numbers::of(parts.table));
  if (parts.tokens > limits::static_table_bytes / sizeof(float) / parts.dim)
    return corrupt(fmt::format("{} tokens of {} numbers: more than {} bytes", parts.tokens,
                               parts.dim, limits::static_table_bytes));
  return parts;
}

TensorEntry whole_table(Parts parts) {
  TensorEntry whole{
      .name = "embeddings", .dtype = Dtype::f32, .shape = {parts.tokens, parts.dim}, .data = {}};
  whole.make = [parts = std::move(parts)]() -> Result<std::vector<std::byte>> {
    const Numbers table = TRY(Numbers::of(parts.table));
    std::optional<Numbers> places, shares;
    if (parts.places) places = TRY(Numbers::of(*parts.places));
    if (parts.shares) shares = TRY(Numbers::of(*parts.shares));
    std::vector<std::byte> out(parts.tokens * parts.dim * sizeof(float));
    for (std::size_t token = 0; token < parts.tokens; ++token) {
      const auto row = places ? static_cast<std::size_t>((*places)[token]) : token;
      const double share = shares ? (*shares)[token] : 1;
      for (std::size_t d = 0; d < parts.dim; ++d) {
        const auto value = static_cast<float>(table[row * parts.dim + d] * share);
        std::memcpy(out.data() + (token * parts.dim + d) * sizeof value, &value, sizeof value);
      }
    }
    return out;
  };
  return whole;
}

// Special tokens are not part of such a text.  Returns whether the vocabulary names an unknown one.
Result<bool> strip_tokenizer(Package& package) {
  const auto found = package.files.find(tokenizer_file);
  if (found == package.files.end()) return corrupt("tokenizer.json is missing");
  auto tokenizer = parse_json(text_of(found->second));
  if (!tokenizer) return Error(tokenizer.error()).within(tokenizer_file);
  if (!tokenizer->is_object()) return corrupt("tokenizer.json: needs an object");
  tokenizer->set("post_processor", Json());
  const auto text = std::make_shared<const std::string>(write_json(*tokenizer));
  found->second = bytes_of(*text);
  package.storage.push_back(text);
  const Json* model = tokenizer->find("model");
  const Json* unknown = model != nullptr ? model->find("unk_token") : nullptr;
  return unknown != nullptr && unknown->is_string();
}

}  // namespace

Result<std::string> static_table_folder(const std::string& folder) {
  const std::string path = join_path(folder, "modules.json");
  if (!is_file(path)) return std::string();
  const std::string text = TRY(read_file(path, limits::config_bytes));
  return TRY(module_path(text)).value_or("");
}

Status join_static_table(Package& package, const std::string& folder) {
  if (!TRY(is_static_table(package))) return Done{};
  if (const std::string own = TRY(static_table_folder(folder)); !own.empty()) {
    const std::string name = fmt::format("{}/{}", own, tokenizer_file);
    TRY(add_text_file(package, folder, name));
    if (const auto file = package.files.find(name); file != package.files.end())
      package.files.emplace(tokenizer_file, file->second);
  }
  const bool has_unknown = TRY(strip_tokenizer(package));
  const bool is_model2vec = !package.config.is_null();
  Json config =
      is_model2vec ? package.config : TRY(read_config(folder, "config_sentence_transformers.json"));
  if (config.is_null()) config = Json::object();
  Parts parts = TRY(take_parts(package));
  config.set("model_type", "static-embed");
  config.set("num_hidden_layers", 0);
  config.set("hidden_size", parts.dim);
  config.set("vocab_size", parts.tokens);
  config.set("max_position_embeddings", limits::static_table_context);
  if (config.find("normalize") == nullptr && is_model2vec) config.set("normalize", true);
  config.set("skip_unknown_tokens", is_model2vec && has_unknown);
  package.config = std::move(config);
  std::vector<TensorEntry> tables;
  const bool is_plain = !parts.places && !parts.shares && Floats::can_read(parts.table);
  if (is_plain) {
    parts.table.name = "embeddings";
    tables.push_back(std::move(parts.table));
  } else {
    tables.push_back(whole_table(std::move(parts)));
  }
  rebuild_index(package);
  return add_tensors(package, std::move(tables));
}

}  // namespace hearth

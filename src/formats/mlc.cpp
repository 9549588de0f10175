// MLC-LLM folders: shards of raw tensors with a JSON list of them, Hugging Face names with some
// matrices fused, weights in groups of 3 or 4 bits or as AWQ packs them.
// Source: the documentation of MLC-LLM ("Package Libraries and Weights", "Quantization"); the
// tensor cache of Apache TVM (tensor-cache.json, formerly ndarray-cache.json).
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "base/bytes.h"
#include "base/half.h"
#include "base/utf8.h"
#include "formats/format.h"
#include "formats/huggingface.h"
#include "formats/limits.h"
#include "formats/requantise.h"

namespace hearth {
namespace {

constexpr std::string_view config_name = "mlc-chat-config.json";
constexpr std::string_view cache_names[] = {"tensor-cache.json", "ndarray-cache.json"};

Error corrupt(std::string what) { return Error(ErrorKind::corrupt, std::move(what)); }

std::string text_in(const Json& object, std::string_view key) {
  const Json* held = object.find(key);
  return held != nullptr && held->is_string() ? held->as_string() : "";
}

Result<std::uint64_t> number_in(const Json& object, std::string_view key) {
  const Json* held = object.find(key);
  if (held == nullptr || !held->is_integer() || held->as_integer() < 0)
    return corrupt(fmt::format("'{}': needs a whole number", key));
  return static_cast<std::uint64_t>(held->as_integer());
}

// ---- the list of tensors -------------------------------------------------------------------

std::optional<Dtype> dtype_of_name(std::string_view name) {
  static constexpr std::pair<std::string_view, Dtype> rows[] = {
      {"float32", Dtype::f32}, {"float16", Dtype::f16}, {"bfloat16", Dtype::bf16},
      {"uint32", Dtype::u32},  {"int32", Dtype::i32},   {"int8", Dtype::i8},
      {"uint8", Dtype::u8},    {"int64", Dtype::i64},   {"uint16", Dtype::u16}};
  for (const auto& [known, dtype] : rows)
    if (known == name) return dtype;
  return std::nullopt;
}

Result<TensorEntry> read_record(const Json& record, std::span<const std::byte> shard) {
  TensorEntry entry{.name = text_in(record, "name"), .dtype = Dtype::f32, .shape = {}, .data = {}};
  const auto within = [&](std::string what) {
    return corrupt(fmt::format("tensor '{}': {}", printable(entry.name), what));
  };
  if (entry.name.empty() || entry.name.size() > limits::safetensors_name_bytes)
    return corrupt("a tensor without a name");
  const std::string type = text_in(record, "dtype"), format = text_in(record, "format");
  const auto dtype = dtype_of_name(type);
  if (!dtype)
    return Error(ErrorKind::unsupported,
                 fmt::format("tensor '{}': dtype '{}'", printable(entry.name), printable(type)));
  // The only encoding there is says of f32 that its upper halves are stored.
  entry.dtype = *dtype == Dtype::f32 && format == "f32-to-bf16" ? Dtype::bf16 : *dtype;
  const Json* shape = record.find("shape");
  if (shape == nullptr || !shape->is_array() || shape->size() > limits::safetensors_rank)
    return within("needs a shape");
  std::uint64_t elements = 1;
  for (const Json& extent : shape->as_array()) {
    if (!extent.is_integer() || extent.as_integer() < 0) return within("needs a shape");
    entry.shape.push_back(static_cast<std::uint64_t>(extent.as_integer()));
    elements = TRY(checked_mul(elements, entry.shape.back()));
  }
  const std::uint64_t bytes = TRY(number_in(record, "nbytes")),
                      offset = TRY(number_in(record, "byteOffset"));
  if (bytes != TRY(byte_size(entry.dtype, elements)))
    return within(fmt::format("{} bytes do not fit its shape", bytes));
  if (offset > shard.size() || bytes > shard.size() - offset)
    return within(fmt::format("{} bytes at {} of {}", bytes, offset, shard.size()));
  entry.data = shard.subspan(offset, bytes);
  return entry;
}

Status add_shard(Package& package, const std::string& folder, const Json& shard) {
  const std::string name = text_in(shard, "dataPath");
  if (name.empty() || name.starts_with('.') || name.find_first_of("/\\:?") != name.npos ||
      printable(name, name.size()) != name)
    return corrupt(fmt::format("dataPath '{}': needs the plain name of a file", printable(name)));
  if (const std::string format = text_in(shard, "format"); format != "raw-shard")
    return Error(ErrorKind::unsupported, fmt::format("a shard of format '{}'", printable(format)));
  const auto file = TRY(MappedFile::open(join_path(folder, name)));
  const Json* records = shard.find("records");
  if (records == nullptr || !records->is_array())
    return corrupt(fmt::format("{}: needs records", name));
  std::vector<TensorEntry> tensors;
  for (const Json& record : records->as_array()) {
    auto entry = read_record(record, file->bytes());
    if (!entry) return std::move(entry).error().within(name);
    tensors.push_back(std::move(*entry));
  }
  if (package.tensors.size() + tensors.size() > limits::safetensors_tensors)
    return corrupt(fmt::format("over {} tensors", limits::safetensors_tensors));
  TRY(add_tensors(package, std::move(tensors), file.get()));
  package.storage.push_back(file);
  package.file_bytes += file->bytes().size();
  return Done{};
}

// ---- quantised weights ---------------------------------------------------------------------

struct Sizes {
  std::uint64_t dim = 0, hidden = 0, heads = 0, kv_heads = 0, head_dim = 0;
};

Result<Sizes> sizes_of(const Json& config) {
  Sizes sizes;
  sizes.dim = TRY(number_in(config, "hidden_size"));
  sizes.hidden = TRY(number_in(config, "intermediate_size"));
  sizes.heads = TRY(number_in(config, "num_attention_heads"));
  constexpr std::uint64_t most = 1 << 24;
  if (sizes.heads == 0 || sizes.dim == 0 || sizes.dim > most || sizes.hidden > most)
    return corrupt("model_config: sizes out of range");
  const auto optional = [&](std::string_view key, std::uint64_t usual) {
    const Json* held = config.find(key);
    const bool said = held != nullptr && held->is_integer() && held->as_integer() > 0;
    return said ? static_cast<std::uint64_t>(held->as_integer()) : usual;
  };
  sizes.kv_heads = optional("num_key_value_heads", sizes.heads);
  sizes.head_dim = optional("head_dim", sizes.dim / sizes.heads);
  if (sizes.kv_heads > most || sizes.head_dim > most || sizes.heads > most)
    return corrupt("model_config: sizes out of range");
  return sizes;
}

// Inputs of a matrix: the last group may reach past them.
std::uint64_t columns_of(std::string_view module, const Sizes& sizes) {
  if (module.ends_with("down_proj")) return sizes.hidden;
  if (module.ends_with("o_proj")) return sizes.heads * sizes.head_dim;
  return sizes.dim;
}

struct Scheme {
  int bits;
  std::uint64_t group;
  bool turned;  // [inputs, outputs]; embeddings are never
};

std::optional<Scheme> scheme_of(std::string_view name) {
  const bool three = name.starts_with("q3"), four = name.starts_with("q4");
  if ((!three && !four) || name.size() < 4) return std::nullopt;
  const std::string_view layout = name.substr(name.size() - 2);
  if (layout != "_0" && layout != "_1" && layout != "_2") return std::nullopt;
  return Scheme{three ? 3 : 4, three ? 40u : 32u, layout == "_0"};
}

// w = (code - (2^(bits - 1) - 1)) * scale, codes from the low end of each word.
Result<TensorEntry> join_groups(Package& package, const std::string& module, const Scheme& scheme,
                                const Sizes& sizes) {
  const TensorEntry codes = TRY(take_tensor(package, module + ".q_weight"));
  const TensorEntry scales = TRY(take_tensor(package, module + ".q_scale"));
  const bool turned = scheme.turned && !module.ends_with("embed_tokens");
  const std::uint64_t per_word = 32 / static_cast<std::uint64_t>(scheme.bits);
  const std::uint64_t columns = columns_of(module, sizes);
  const std::uint64_t groups = (columns + scheme.group - 1) / scheme.group;
  const std::uint64_t words = groups * scheme.group / per_word;
  if (codes.dtype != Dtype::u32 || codes.shape.size() != 2 || scales.shape.size() != 2 ||
      !Floats::can_read(scales))
    return corrupt(fmt::format("{}: needs q_weight of u32 and q_scale as matrices", module));
  const std::size_t in = turned ? 0 : 1, outer = 1 - in;
  const std::uint64_t rows = codes.shape[outer];
  if (codes.shape[in] != words || scales.shape[in] != groups || scales.shape[outer] != rows)
    return corrupt(fmt::format("{}: q_weight and q_scale do not fit {} inputs in groups of {}",
                               module, columns, scheme.group));
  const float zero = static_cast<float>((1 << (scheme.bits - 1)) - 1);
  const auto code = [data = codes.data, rows, words, per_word, bits = scheme.bits, turned](
                        std::uint64_t row, std::uint64_t k) {
    const std::uint64_t at = turned ? k / per_word * rows + row : row * words + k / per_word;
    std::uint32_t word;
    std::memcpy(&word, data.data() + 4 * at, sizeof word);
    return word >> (static_cast<std::uint64_t>(bits) * (k % per_word)) & ((1u << bits) - 1);
  };
  const auto scale = [values = Floats(scales), rows, groups, turned](std::uint64_t row,
                                                                     std::uint64_t g) {
    return values[turned ? g * rows + row : row * groups + g];
  };
  if (scheme.bits != 4 || columns % scheme.group != 0)
    return computed_tensor(
        module + ".weight", rows, columns,
        [code, scale, columns, zero, group = scheme.group](std::uint64_t row, float* out) {
          for (std::uint64_t k = 0; k < columns; ++k)
            out[k] = (static_cast<float>(code(row, k)) - zero) * scale(row, k / group);
        });
  // Zero is 7 and no code is 15: one more is a level of Q4_0.
  CodedMatrix matrix{.rows = rows,
                     .columns = columns,
                     .group = scheme.group,
                     .bits = 4,
                     .symmetric = true,
                     .read = {}};
  matrix.read = [code, scale, columns, groups](std::uint64_t row, CodeRow& out) {
    for (std::uint64_t k = 0; k < columns; ++k)
      out.codes[k] = static_cast<std::uint8_t>(std::min(code(row, k) + 1, 15u));
    for (std::uint64_t g = 0; g < groups; ++g) {
      out.scales[g] = scale(row, g);
      out.zeros[g] = 8;
      out.shifts[g] = 0;
    }
  };
  return coded_tensor(module + ".weight", std::move(matrix));
}

Status join_quantised(Package& package, const std::string& quantization, const Sizes& sizes) {
  constexpr std::string_view suffix = ".q_weight";
  std::vector<std::string> modules;
  for (const TensorEntry& entry : package.tensors)
    if (entry.name.ends_with(suffix))
      modules.push_back(entry.name.substr(0, entry.name.size() - suffix.size()));
  if (quantization == "q4f16_autoawq" || quantization == "q4f16_awq") {
    package.config.set("quantization_config",
                       Json::object({{"quant_method", "awq"}, {"bits", 4}, {"version", "gemm"}}));
    return join_huggingface_scheme(package);
  }
  if (quantization.starts_with("q0")) return Done{};
  const auto scheme = scheme_of(quantization);
  if (!scheme)
    return Error(ErrorKind::unsupported,
                 fmt::format("{}: quantization '{}'", config_name, printable(quantization)));
  if (modules.empty()) return corrupt("no tensor is quantised");
  std::vector<TensorEntry> joined;
  for (const std::string& module : modules)
    joined.push_back(TRY(join_groups(package, module, *scheme, sizes)));
  rebuild_index(package);
  TRY(add_tensors(package, std::move(joined)));
  package.warnings.push_back(fmt::format("quantised by MLC-LLM: {}", quantization));
  return Done{};
}

// ---- fused matrices ------------------------------------------------------------------------

struct Part {
  std::string_view name;
  std::uint64_t rows;
};

// Rows of a tensor, or elements of a vector, as tensors of their own.
Status split(const TensorEntry& entry, std::string_view fused, std::span<const Part> parts,
             std::vector<TensorEntry>& out) {
  const auto at = entry.name.rfind(fused);
  std::uint64_t rows = 0, first = 0;
  for (const Part& part : parts) rows += part.rows;
  if (entry.shape.empty() || entry.shape[0] != rows || rows == 0)
    return corrupt(fmt::format("{}: needs {} rows", printable(entry.name), rows));
  const std::uint64_t row_bytes = entry.bytes() / rows;
  for (const Part& part : parts) {
    TensorEntry one = entry;
    one.name.replace(at, fused.size(), part.name);
    one.shape[0] = part.rows;
    const std::uint64_t begin = first * row_bytes, bytes = part.rows * row_bytes;
    if (entry.make)
      one.make = [make = entry.make, begin, bytes]() -> Result<std::vector<std::byte>> {
        const auto whole = TRY(make());
        const auto from = whole.begin() + static_cast<std::ptrdiff_t>(begin);
        return std::vector<std::byte>(from, from + static_cast<std::ptrdiff_t>(bytes));
      };
    else
      one.data = entry.data.subspan(begin, bytes);
    out.push_back(std::move(one));
    first += part.rows;
  }
  return Done{};
}

Status split_fused(Package& package, const Sizes& sizes) {
  const std::uint64_t q = sizes.heads * sizes.head_dim, kv = sizes.kv_heads * sizes.head_dim;
  const Part attention[] = {{".q_proj.", q}, {".k_proj.", kv}, {".v_proj.", kv}};
  const Part mlp[] = {{".gate_proj.", sizes.hidden}, {".up_proj.", sizes.hidden}};
  std::vector<TensorEntry> all;
  for (TensorEntry& entry : package.tensors) {
    if (entry.name.find(".qkv_proj.") != entry.name.npos)
      TRY(split(entry, ".qkv_proj.", attention, all));
    else if (entry.name.find(".c_attn.") != entry.name.npos)
      TRY(split(entry, ".c_attn.", attention, all));
    else if (entry.name.find(".gate_up_proj.") != entry.name.npos)
      TRY(split(entry, ".gate_up_proj.", mlp, all));
    else
      all.push_back(std::move(entry));
  }
  package.tensors.clear();
  package.tensor_index.clear();
  return add_tensors(package, std::move(all));
}

// MLC adds the one that Gemma's norms leave out.
void undo_gemma_norms(Package& package) {
  for (TensorEntry& entry : package.tensors) {
    if (!entry.name.ends_with("norm.weight") || !Floats::can_read(entry)) continue;
    entry.make = [values = Floats(entry), count = entry.elements()] {
      std::vector<std::byte> out(count * sizeof(float));
      for (std::size_t i = 0; i < count; ++i) {
        const float value = values[i] - 1;
        std::memcpy(out.data() + i * sizeof value, &value, sizeof value);
      }
      return Result<std::vector<std::byte>>(std::move(out));
    };
    entry.dtype = Dtype::f32;
    entry.data = {};
    entry.file_mapped = false;
  }
}

// ---- the folder ----------------------------------------------------------------------------

// MLC's words for what config.json calls otherwise.
Result<Json> config_of(const Json& chat) {
  const Json* held = chat.find("model_config");
  if (held == nullptr || !held->is_object())
    return corrupt(fmt::format("{}: needs a model_config", config_name));
  Json config = *held;
  const std::string type = text_in(chat, "model_type");
  static constexpr std::string_view known[] = {"llama", "mistral", "qwen2", "qwen3", "gemma"};
  if (std::ranges::find(known, type) == std::end(known))
    return Error(ErrorKind::unsupported,
                 fmt::format("{}: model_type '{}': we read llama, mistral, qwen2, qwen3 and gemma",
                             config_name, printable(type)));
  config.set("model_type", type);
  if (const Json* base = config.find("position_embedding_base");
      base != nullptr && base->is_number() && base->as_number() > 0 &&
      config.find("rope_theta") == nullptr) {
    const Json theta = *base;
    config.set("rope_theta", theta);
  }
  for (const Json* from : {&chat, held})
    if (const Json* window = from->find("context_window_size");
        window != nullptr && window->is_integer() && window->as_integer() > 0 &&
        config.find("max_position_embeddings") == nullptr)
      config.set("max_position_embeddings", *window);
  // -1 stands for none.
  for (const char* key : {"sliding_window_size", "sliding_window"})
    if (const Json* window = config.find(key);
        window != nullptr && window->is_integer() && window->as_integer() < 0)
      config.set(key, Json());
  return config;
}

Result<Package> read_mlc(const Source& source) {
  const std::string folder = source.is_folder() ? source.path : parent_folder(source.path);
  Package package;
  package.naming = Naming::huggingface;
  package.format = "mlc";
  TRY(add_surroundings(package, folder));
  const Json chat = TRY(read_config(folder, config_name));
  package.config = TRY(config_of(chat));
  Json cache;
  for (const std::string_view name : cache_names) {
    const std::string path = join_path(folder, name);
    if (!cache.is_null() || !is_file(path)) continue;
    const auto file = TRY(MappedFile::open(path));
    auto json =
        parse_json(text_of(file->bytes()), {.max_bytes = limits::index_bytes,
                                            .max_depth = 8,
                                            .max_members = 16 * limits::safetensors_tensors});
    if (!json) return corrupt(json.error().message()).within(name);
    cache = std::move(*json);
  }
  const Json* shards = cache.find("records");
  if (shards == nullptr || !shards->is_array() || shards->size() > limits::shards)
    return corrupt(fmt::format("{}: needs records", cache_names[0]));
  for (const Json& shard : shards->as_array()) TRY(add_shard(package, folder, shard));
  const Sizes sizes = TRY(sizes_of(package.config));
  TRY(join_quantised(package, text_in(chat, "quantization"), sizes));
  TRY(split_fused(package, sizes));
  if (text_in(chat, "model_type") == "gemma") undo_gemma_norms(package);
  return package;
}

bool is_mlc(const Source& source) {
  if (!source.is_folder()) return file_name(source.path) == config_name;
  return std::ranges::any_of(
             cache_names,
             [&](std::string_view name) { return is_file(join_path(source.path, name)); }) &&
         is_file(join_path(source.path, config_name));
}

}  // namespace

extern const Format mlc_format;
const Format mlc_format{.name = "mlc", .recognises = is_mlc, .read = read_mlc};

}  // namespace hearth

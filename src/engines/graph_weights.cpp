#include "engines/graph_weights.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>

#include "formats/requantise.h"
#include "graphs/operators.h"

namespace hearth::adapters {
namespace {

using graphs::Element;
using graphs::Graph;
using graphs::Node;
using graphs::Tensor;
using graphs::ValueId;

Error unsupported(std::string what) { return Error(ErrorKind::unsupported, std::move(what)); }

std::optional<Dtype> dtype_of(Element type) {
  switch (type) {
    case Element::f32:
      return Dtype::f32;
    case Element::f16:
      return Dtype::f16;
    case Element::bf16:
      return Dtype::bf16;
    default:
      return std::nullopt;
  }
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

bool is_layer(std::string_view name) {
  return name.starts_with("model.layers.") || name.starts_with("transformer.h.");
}

// The module that a node or constant belongs to, in transformers' words.  Exporters keep them as
// paths: "/model/layers.0/self_attn/q_proj/MatMul".
std::string module_of(std::string name) {
  std::ranges::replace(name, '/', '.');
  for (const std::string_view root :
       {"model.layers.", "model.embed_tokens", "model.norm", "transformer.h.", "transformer.wte",
        "transformer.wpe", "transformer.ln_f", "lm_head"})
    if (const std::size_t at = name.find(root); at != std::string::npos) {
      name.erase(0, at);  // what stands before is whoever wrapped the model
      break;
    }
  if (name.contains(".final_norm_layernorm")) return "model.norm";
  if (name.starts_with("model.")) name = replaced(std::move(name), ".attn.", ".self_attn.");
  return replaced(std::move(name), "_norm.layernorm", "_norm");
}

std::string without_last(const std::string& name) {
  const std::size_t dot = name.rfind('.');
  return dot == std::string::npos ? std::string() : name.substr(0, dot);
}

// Weights of a linear operator, rows of outputs, made when they are wanted.
struct Linear {
  std::string module;
  std::uint64_t rows = 0, columns = 0;
  bool is_conv1d = false;  // stored [inputs, outputs], as transformers stores it too
  std::function<TensorEntry(std::string name, std::uint64_t first, std::uint64_t count)> part;
};

// Rows [first, first + count) of a matrix that is stored [columns, rows].
TensorEntry turned(const Tensor& held, std::string name, std::uint64_t first, std::uint64_t count) {
  const auto columns = static_cast<std::uint64_t>(held.dims[0]),
             stride = static_cast<std::uint64_t>(held.dims[1]);
  TensorEntry entry{.name = std::move(name),
                    .dtype = *dtype_of(held.type),
                    .shape = {count, columns},
                    .data = {}};
  entry.make = [held, columns, stride, first, count]() -> Result<std::vector<std::byte>> {
    const std::size_t size = graphs::size_of(held.type);
    std::vector<std::byte> out(count * columns * size);
    constexpr std::uint64_t tile = 32;
    for (std::uint64_t r0 = 0; r0 < count; r0 += tile)
      for (std::uint64_t c = 0; c < columns; ++c)
        for (std::uint64_t r = r0; r < std::min(count, r0 + tile); ++r)
          std::memcpy(out.data() + (r * columns + c) * size,
                      held.bytes + (c * stride + first + r) * size, size);
    return out;
  };
  return entry;
}

// The same of one that is stored [rows, columns].
TensorEntry plain(const Tensor& held, std::string name, std::uint64_t first, std::uint64_t count) {
  const auto columns = static_cast<std::uint64_t>(held.count / held.dims[0]);
  TensorEntry entry{.name = std::move(name),
                    .dtype = *dtype_of(held.type),
                    .shape = {count, columns},
                    .data = {}};
  if (held.rank() == 1) entry.shape = {count};
  entry.data = held.span().subspan(first * columns * graphs::size_of(held.type),
                                   count * columns * graphs::size_of(held.type));
  return entry;
}

// Blocks along each row: codes, a scale and a zero point each.
// Source: ONNX Runtime, docs/ContribOperators.md, MatMulNBits.
struct Blocked {
  Tensor codes, scales, zeros;
  std::uint64_t rows = 0, columns = 0, block = 0;
  int bits = 4;
  bool zeros_are_packed = false;

  std::uint64_t blocks() const { return (columns + block - 1) / block; }

  float zero(std::uint64_t row, std::uint64_t b) const {
    if (zeros.count == 0) return static_cast<float>(1 << (bits - 1));
    if (!zeros_are_packed) {
      float value = 0;
      graphs::load(graphs::Work::f32, &value, zeros.type,
                   zeros.bytes + (row * blocks() + b) * graphs::size_of(zeros.type), 1);
      return value;
    }
    const auto per_byte = static_cast<std::uint64_t>(8 / bits);
    const std::uint64_t row_bytes = (blocks() + per_byte - 1) / per_byte;
    const auto byte = std::to_integer<unsigned>(zeros.bytes[row * row_bytes + b / per_byte]);
    return static_cast<float>(byte >> (b % per_byte * static_cast<unsigned>(bits)) &
                              ((1u << bits) - 1));
  }
  void read(std::uint64_t row, CodeRow& out) const {
    const std::uint64_t bytes = block * static_cast<std::uint64_t>(bits) / 8;
    for (std::uint64_t b = 0; b < blocks(); ++b) {
      unpack_bits(codes.bytes + (row * blocks() + b) * bytes, bits,
                  std::min(block, columns - b * block), out.codes.data() + b * block);
      graphs::load(graphs::Work::f32, &out.scales[b], scales.type,
                   scales.bytes + (row * blocks() + b) * graphs::size_of(scales.type), 1);
      out.zeros[b] = zero(row, b);
      out.shifts[b] = 0;
    }
  }
};

TensorEntry blocked_part(const Blocked& held, std::string name, std::uint64_t first,
                         std::uint64_t count) {
  if (held.columns % held.block == 0) {
    CodedMatrix matrix{.rows = count,
                       .columns = held.columns,
                       .group = held.block,
                       .bits = held.bits,
                       .symmetric = held.zeros.count == 0,
                       .read = {}};
    matrix.read = [held, first](std::uint64_t row, CodeRow& out) { held.read(first + row, out); };
    return coded_tensor(std::move(name), std::move(matrix));
  }
  return computed_tensor(
      std::move(name), count, held.columns, [held, first](std::uint64_t row, float* out) {
        CodeRow codes{std::vector<std::uint8_t>(held.columns), std::vector<float>(held.blocks()),
                      std::vector<float>(held.blocks()), std::vector<float>(held.blocks())};
        held.read(first + row, codes);
        for (std::uint64_t k = 0; k < held.columns; ++k) {
          const std::uint64_t b = k / held.block;
          out[k] = codes.scales[b] * (static_cast<float>(codes.codes[k]) - codes.zeros[b]);
        }
      });
}

struct Named {
  const Tensor* tensor;
  std::string name;
};
using Constants = std::map<ValueId, Named>;

class Finder {
 public:
  Finder(const Graph& graph, const Json& config) : graph_(graph), config_(config) {
    const Json* type = config.find("model_type");
    splits_qkv_ = type == nullptr || !type->is_string() ||
                  (type->as_string() != "phi3" && type->as_string() != "gpt2");
  }

  // A graph within another one: its captures are constants of the outer one where `outer` says.
  void visit(const Graph& graph, const Constants& outer);
  Status find();
  std::vector<TensorEntry> take() { return std::move(tensors_); }
  Json config() const;

 private:
  const Tensor* constant(const Node& node, std::size_t input) const {
    if (input >= node.inputs.size()) return nullptr;
    const auto found = constants_.find(node.inputs[input]);
    return found == constants_.end() ? nullptr : found->second.tensor;
  }
  std::int64_t integer(const Node& node, std::string_view name, std::int64_t fallback) const;
  std::optional<Linear> dense(const Node& node) const;
  std::optional<Linear> blocked(const Node& node) const;
  std::optional<Linear> table(const Node& node) const;
  void add(TensorEntry entry);
  void add_linear(const Linear& linear);
  void add_split(const std::string& module, const std::string& ending, std::uint64_t rows,
                 const std::function<TensorEntry(std::string, std::uint64_t, std::uint64_t)>& part);
  void visit_bodies(const Node& node);
  void add_named();
  void note_numbers(const Node& node);
  void note_attention(const Node& node);
  std::uint64_t number(std::string_view key) const;

  const Graph& graph_;
  const Json& config_;
  Constants constants_;  // of the graph that is visited
  std::map<std::string, std::size_t> known_;
  std::vector<TensorEntry> tensors_;
  std::map<std::string, const Tensor*> named_;  // vectors with names of their own
  int depth_ = 0;
  bool splits_qkv_ = true;
  std::uint64_t hidden_ = 0, vocabulary_ = 0, dim_ = 0, layers_ = 0;
  double eps_ = 0, theta_ = 0;
  bool is_scaled_ = false;   // the angles are not those of theta alone
  bool has_window_ = false;  // some layer sees the last tokens only
};

std::int64_t Finder::integer(const Node& node, std::string_view name, std::int64_t fallback) const {
  const auto found = node.attributes.find(name);
  if (found == node.attributes.end()) return fallback;
  const auto* value = std::get_if<std::int64_t>(&found->second);
  return value == nullptr ? fallback : *value;
}

std::uint64_t Finder::number(std::string_view key) const {
  const Json* value = config_.find(key);
  return value != nullptr && value->is_integer() && value->as_integer() > 0
             ? static_cast<std::uint64_t>(value->as_integer())
             : 0;
}

std::optional<Linear> Finder::dense(const Node& node) const {
  const bool is_gemm = node.op->name == "Gemm";
  if (!is_gemm && node.op->name != "MatMul") return std::nullopt;
  const Tensor* b = constant(node, 1);
  if (b == nullptr || b->rank() != 2 || !dtype_of(b->type)) return std::nullopt;
  Linear linear{.module = without_last(module_of(node.name)), .part = {}};
  if (is_gemm) {
    linear.is_conv1d = integer(node, "transB", 0) == 0;
    linear.rows = static_cast<std::uint64_t>(b->dims[0]);
    linear.columns = static_cast<std::uint64_t>(b->dims[1]);
    linear.part = [held = *b](std::string name, std::uint64_t first, std::uint64_t count) {
      return plain(held, std::move(name), first, count);
    };
  } else {
    linear.rows = static_cast<std::uint64_t>(b->dims[1]);
    linear.columns = static_cast<std::uint64_t>(b->dims[0]);
    linear.part = [held = *b](std::string name, std::uint64_t first, std::uint64_t count) {
      return turned(held, std::move(name), first, count);
    };
  }
  return linear;
}

std::optional<Linear> Finder::blocked(const Node& node) const {
  const bool is_table = node.op->name == "com.microsoft.GatherBlockQuantized";
  if (!is_table && node.op->name != "com.microsoft.MatMulNBits") return std::nullopt;
  const std::size_t first = is_table ? 0 : 1;
  const Tensor* codes = constant(node, first);
  const Tensor* scales = constant(node, 2);
  const Tensor* zeros = constant(node, 3);
  if (codes == nullptr || scales == nullptr || codes->type != Element::u8) return std::nullopt;
  Blocked held{.codes = *codes, .scales = *scales, .zeros = {}};
  held.bits = static_cast<int>(integer(node, "bits", 4));
  held.block = static_cast<std::uint64_t>(
      std::max<std::int64_t>(integer(node, "block_size", is_table ? 128 : 32), 1));
  if (held.bits != 2 && held.bits != 4 && held.bits != 8) return std::nullopt;
  if (is_table) {
    if (codes->rank() != 2) return std::nullopt;
    held.rows = static_cast<std::uint64_t>(codes->dims[0]);
    held.columns = static_cast<std::uint64_t>(codes->dims[1] * 8 / held.bits);
  } else {
    held.rows = static_cast<std::uint64_t>(std::max<std::int64_t>(integer(node, "N", 0), 0));
    held.columns = static_cast<std::uint64_t>(std::max<std::int64_t>(integer(node, "K", 0), 0));
  }
  if (held.rows == 0 || held.columns == 0 || held.block < 16 || held.block > (1u << 20) ||
      held.rows > (1u << 28) || held.columns > (1u << 28))
    return std::nullopt;
  const std::uint64_t codes_wanted =
      held.rows * held.blocks() * held.block * static_cast<std::uint64_t>(held.bits) / 8;
  if (std::cmp_not_equal(codes->count, codes_wanted) ||
      std::cmp_not_equal(scales->count, held.rows * held.blocks()))
    return std::nullopt;
  if (zeros != nullptr) {
    held.zeros = *zeros;
    held.zeros_are_packed = zeros->type == Element::u8;
    const auto per_byte = static_cast<std::uint64_t>(8 / held.bits);
    const std::uint64_t wanted =
        held.rows *
        (held.zeros_are_packed ? (held.blocks() + per_byte - 1) / per_byte : held.blocks());
    if (std::cmp_not_equal(zeros->count, wanted)) return std::nullopt;
  }
  Linear linear{.module = without_last(module_of(node.name)),
                .rows = held.rows,
                .columns = held.columns,
                .part = {}};
  linear.part = [held](std::string name, std::uint64_t from, std::uint64_t count) {
    return blocked_part(held, std::move(name), from, count);
  };
  return linear;
}

// A table of embeddings that the tokens pick rows of.
std::optional<Linear> Finder::table(const Node& node) const {
  if (node.op->name != "Gather" || integer(node, "axis", 0) != 0) return std::nullopt;
  const Tensor* held = constant(node, 0);
  if (held == nullptr || held->rank() != 2 || !dtype_of(held->type)) return std::nullopt;
  Linear linear{.module = without_last(module_of(node.name)),
                .rows = static_cast<std::uint64_t>(held->dims[0]),
                .columns = static_cast<std::uint64_t>(held->dims[1]),
                .part = {}};
  linear.part = [table = *held](std::string name, std::uint64_t first, std::uint64_t count) {
    return plain(table, std::move(name), first, count);
  };
  return linear;
}

void Finder::add(TensorEntry entry) {
  if (entry.name.starts_with("model.layers.")) {
    const std::string number = entry.name.substr(13, entry.name.find('.', 13) - 13);
    if (!number.empty() && number.size() < 5)
      layers_ = std::max<std::uint64_t>(layers_, std::stoul(number) + 1);
  }
  if (known_.emplace(entry.name, tensors_.size()).second) tensors_.push_back(std::move(entry));
}

// "….qkv_proj" is three, but where transformers keeps them together.
void Finder::add_split(
    const std::string& module, const std::string& ending, std::uint64_t rows,
    const std::function<TensorEntry(std::string, std::uint64_t, std::uint64_t)>& part) {
  if (!module.ends_with(".qkv_proj") || !splits_qkv_) return add(part(module + ending, 0, rows));
  const std::uint64_t heads = number("num_attention_heads"),
                      kv_heads = std::max<std::uint64_t>(number("num_key_value_heads"), 1);
  const std::uint64_t all = heads + 2 * kv_heads;
  if (heads == 0 || rows % all != 0) return add(part(module + ending, 0, rows));
  const std::string stem = without_last(module);
  const std::uint64_t q = rows / all * heads, kv = rows / all * kv_heads;
  add(part(stem + ".q_proj" + ending, 0, q));
  add(part(stem + ".k_proj" + ending, q, kv));
  add(part(stem + ".v_proj" + ending, q + kv, kv));
}

void Finder::add_linear(const Linear& linear) {
  if (linear.module.ends_with(".gate_proj")) hidden_ = linear.rows;
  if (linear.module.ends_with("embed_tokens") || linear.module.ends_with(".wte")) {
    vocabulary_ = linear.rows;
    dim_ = linear.columns;
  }
  const auto part = [&](std::string name, std::uint64_t first, std::uint64_t count) {
    return linear.part(std::move(name), first, count);
  };
  if (linear.is_conv1d)
    add(part(linear.module + ".weight", 0, linear.rows));
  else
    add_split(linear.module, ".weight", linear.rows, part);
}

// Norms and biases: constants with names of their own.
void Finder::add_named() {
  for (const auto& [name, tensor] : named_) {
    const Tensor* held = tensor;
    const std::string ending = name.ends_with(".bias") ? ".bias" : ".weight";
    std::string_view module_view = name;
    module_view.remove_suffix(ending.size());
    for (const std::string_view last : {".Add", ".MatMul", ".Gemm"})
      if (module_view.ends_with(last)) module_view.remove_suffix(last.size());
    const std::string module = module_of(std::string(module_view));
    add_split(module, ending, static_cast<std::uint64_t>(held->dims[0]),
              [&](std::string to, std::uint64_t first, std::uint64_t count) {
                return plain(*held, std::move(to), first, count);
              });
  }
}

// What genai_config.json leaves out: it is in the operators.
void Finder::note_numbers(const Node& node) {
  if (node.op->name.ends_with("SimplifiedLayerNormalization"))
    if (const auto found = node.attributes.find("epsilon"); found != node.attributes.end())
      if (const auto* eps = std::get_if<double>(&found->second)) eps_ = *eps;
  if (node.op->name == "com.microsoft.GroupQueryAttention") note_attention(node);
}

// Row 1 of the sines holds those of theta^(-i / half), where nothing scales them.
void Finder::note_attention(const Node& node) {
  if (integer(node, "local_window_size", -1) > 0) has_window_ = true;
  const Tensor* sines = constant(node, 8);
  if (sines == nullptr || theta_ > 0 || sines->rank() != 2 || sines->dims[0] < 2 ||
      sines->dims[1] < 2 || !dtype_of(sines->type))
    return;
  const auto half = static_cast<std::size_t>(sines->dims[1]);
  std::vector<double> angles(half);
  graphs::load(graphs::Work::f64, angles.data(), sines->type,
               sines->bytes + half * graphs::size_of(sines->type), half);
  for (double& angle : angles) angle = std::asin(std::clamp(angle, -1.0, 1.0));
  if (angles[1] <= 0) return;
  const double theta = std::pow(angles[1], -static_cast<double>(half));
  const double digits = std::pow(10, std::floor(std::log10(theta)) - 2);
  theta_ = std::round(theta / digits) * digits;
  for (std::size_t i = 1; i < half; ++i) {
    const double wanted = std::pow(theta_, -static_cast<double>(i) / static_cast<double>(half));
    if (std::abs(angles[i] - wanted) > 0.02 * wanted + 1e-6) is_scaled_ = true;
  }
}

// One body of each operator that has some: the others hold the same weights.
void Finder::visit_bodies(const Node& node) {
  std::size_t offset = 0;
  for (const auto& body : node.bodies) {
    Constants captured;
    for (std::size_t i = 0; i < body->captures.size() && offset + i < node.captured.size(); ++i)
      if (const auto found = constants_.find(node.captured[offset + i]); found != constants_.end())
        captured.emplace(body->captures[i], found->second);
    offset += body->captures.size();
    Constants own = std::move(constants_);
    visit(*body, captured);
    constants_ = std::move(own);
  }
}

void Finder::visit(const Graph& graph, const Constants& outer) {
  if (++depth_ > 8) return;
  constants_ = outer;
  for (const graphs::Constant& constant : graph.constants) {
    if (constant.value.kind != graphs::Value::Kind::tensor) continue;
    const Tensor& held = constant.value.tensor;
    const std::string& name = graph.values[static_cast<std::size_t>(constant.id)].name;
    constants_.insert_or_assign(constant.id, Named{&held, name});
    if (held.rank() == 1 && dtype_of(held.type) &&
        (name.ends_with(".weight") || name.ends_with(".bias")))
      named_.emplace(name, &held);
  }
  for (const Node& node : graph.nodes) {
    visit_bodies(node);
    note_numbers(node);
    auto linear = dense(node);
    if (!linear) linear = blocked(node);
    if (!linear) linear = table(node);
    if (!linear) continue;
    if (linear->module == "lm_head" || linear->module.ends_with("embed_tokens") ||
        linear->module.starts_with("transformer.") || is_layer(linear->module))
      add_linear(*linear);
  }
  --depth_;
}

Status Finder::find() {
  visit(graph_, {});
  add_named();
  const bool has_layers =
      std::ranges::any_of(tensors_, [](const TensorEntry& entry) { return is_layer(entry.name); });
  if (!has_layers || vocabulary_ == 0)
    return unsupported("a graph whose operators do not say which weights are whose");
  // Only transformers' own configuration says how, or of which layers.
  if ((is_scaled_ || has_window_) && config_.find("architectures") == nullptr)
    return unsupported(is_scaled_ ? "scaled angles, and no config.json that says how"
                                  : "a window of attention, and no config.json that says where");
  return Done{};
}

Json Finder::config() const {
  Json config = config_;
  const auto fill = [&](const char* key, const Json& value) {
    if (config.find(key) == nullptr) config.set(key, value);
  };
  fill("vocab_size", vocabulary_);
  fill("hidden_size", dim_);
  if (hidden_ > 0) fill("intermediate_size", hidden_);
  if (layers_ > 0) fill("num_hidden_layers", layers_);
  if (eps_ > 0) fill("rms_norm_eps", eps_);
  if (theta_ > 0) fill("rope_theta", theta_);
  if (known_.contains("lm_head.weight")) config.set("tie_word_embeddings", false);
  return config;
}

}  // namespace

Result<Package> weights_of_graph(const Package& from, const graphs::Program& program) {
  Finder finder(*program.graph, from.config);
  TRY(finder.find());
  Package package = from;
  package.config = finder.config();
  package.storage.push_back(program.graph);
  for (const auto& held : program.graph->storage) package.storage.push_back(held);
  TRY(add_tensors(package, finder.take()));
  return package;
}

}  // namespace hearth::adapters

#include "adapt/onnx_model.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <map>

#include "adapt/onnx_writer.h"
#include "base/bytes.h"
#include "base/files.h"
#include "models/architectures.h"

namespace hearth::adapt {
namespace {

using models::Hyper;

constexpr std::string_view data_name = "model.onnx.data";
constexpr std::int64_t operator_set = 17;
constexpr std::uint64_t alignment = 64;

Error unsupported(std::string what) { return Error(ErrorKind::unsupported, std::move(what)); }

Result<OnnxType> type_of(const StreamedTensor& tensor) {
  switch (tensor.dtype) {
    case Dtype::f32:
      return OnnxType::f32;
    case Dtype::f16:
      return OnnxType::f16;
    case Dtype::bf16:
      return OnnxType::bf16;
    default:
      return unsupported(fmt::format("tensor '{}' of type {}", tensor.name, name_of(tensor.dtype)));
  }
}

bool is_table(std::string_view name) { return name == "model.embed_tokens.weight"; }
bool is_turned(const StreamedTensor& tensor) {
  return tensor.shape.size() == 2 && !is_table(tensor.name);
}

// [rows, columns] to [columns, rows].
std::vector<std::byte> turned(std::span<const std::byte> from, std::size_t rows,
                              std::size_t columns, std::size_t size) {
  std::vector<std::byte> to(from.size());
  constexpr std::size_t tile = 32;
  for (std::size_t r0 = 0; r0 < rows; r0 += tile)
    for (std::size_t c = 0; c < columns; ++c)
      for (std::size_t r = r0; r < std::min(rows, r0 + tile); ++r)
        std::memcpy(to.data() + (c * rows + r) * size, from.data() + (r * columns + c) * size,
                    size);
  return to;
}

// The graph of one model.
class Drawing {
 public:
  Drawing(const Hyper& hyper, std::span<const StreamedTensor> tensors)
      : hyper_(hyper), writer_(std::string(data_name)) {
    for (const StreamedTensor& tensor : tensors) types_.emplace(tensor.name, tensor.dtype);
  }

  OnnxWriter& writer() { return writer_; }
  std::string draw();

 private:
  bool has(const std::string& name) const { return types_.contains(name); }
  // A weight, as f32.
  std::string weight(const std::string& name);
  std::string norm(const std::string& x, const std::string& module, const std::string& place);
  std::string linear(const std::string& x, const std::string& module, std::string_view out = {});
  std::string heads(const std::string& x, std::int64_t count, const std::string& norm_module);
  std::string rotated(const std::string& x);
  std::string repeated(const std::string& x);
  std::string attention(const std::string& x, std::size_t layer);
  std::string mlp(const std::string& x, std::size_t layer);
  void draw_angles();
  void draw_mask();
  void declare();

  std::int64_t dim() const { return hyper_.head_dim; }
  std::int64_t kv_heads() const { return hyper_.layers[0].kv_heads; }

  const Hyper& hyper_;
  OnnxWriter writer_;
  std::map<std::string, Dtype> types_;
  std::string cosine_, sine_, mask_, eps_, two_, one_;
};

std::string path_of(const std::string& module) {
  std::string path = "/" + module;
  std::ranges::replace(path, '.', '/');
  if (const std::size_t at = path.find("/layers/"); at != path.npos) path[at + 7] = '.';
  return path;
}

std::string Drawing::weight(const std::string& name) {
  if (types_.at(name) == Dtype::f32) return name;
  return writer_.op("Cast", {name}, {{"to", static_cast<std::int64_t>(OnnxType::f32)}});
}

std::string Drawing::norm(const std::string& x, const std::string& module,
                          const std::string& place) {
  const std::string mean = writer_.op("ReduceMean", {writer_.op("Pow", {x, two_})},
                                      {{.name = "axes", .integers = {-1}}});
  const std::string root = writer_.op("Sqrt", {writer_.op("Add", {mean, eps_})});
  const std::string scaled = writer_.op("Mul", {x, writer_.op("Div", {one_, root})});
  return writer_.op("Mul", {weight(module + ".weight"), scaled}, {}, place);
}

std::string Drawing::linear(const std::string& x, const std::string& module, std::string_view out) {
  const bool has_bias = has(module + ".bias");
  const std::string y = writer_.op("MatMul", {x, weight(module + ".weight")}, {},
                                   path_of(module) + "/MatMul", has_bias ? "" : out);
  if (!has_bias) return y;
  return writer_.op("Add", {weight(module + ".bias"), y}, {}, path_of(module) + "/Add", out);
}

// [batch, tokens, count * dim] to [batch, count, tokens, dim].
std::string Drawing::heads(const std::string& x, std::int64_t count,
                           const std::string& norm_module) {
  std::string shaped = writer_.op("Reshape", {x, writer_.integers({0, 0, count, dim()})});
  if (has(norm_module + ".weight"))
    shaped = norm(shaped, norm_module, path_of(norm_module) + "/Mul_1");
  return writer_.op("Transpose", {shaped}, {{.name = "perm", .integers = {0, 2, 1, 3}}});
}

std::string Drawing::rotated(const std::string& x) {
  const auto part = [&](std::int64_t begin, std::int64_t end) {
    return writer_.op(
        "Slice", {x, writer_.integers({begin}), writer_.integers({end}), writer_.integers({3})});
  };
  const std::string low = part(0, dim() / 2), high = part(dim() / 2, dim());
  const std::string turn = writer_.op("Concat", {writer_.op("Neg", {high}), low}, {{"axis", -1}});
  return writer_.op("Add", {writer_.op("Mul", {x, cosine_}), writer_.op("Mul", {turn, sine_})});
}

// Keys and values for every head that reads them.
std::string Drawing::repeated(const std::string& x) {
  const std::int64_t times = hyper_.heads / kv_heads();
  if (times == 1) return x;
  const std::string wide = writer_.op("Unsqueeze", {x, writer_.integers({2})});
  const std::string shape =
      writer_.op("Mul", {writer_.op("Shape", {wide}), writer_.integers({1, 1, times, 1, 1})});
  return writer_.op("Reshape", {writer_.op("Expand", {wide, shape}),
                                writer_.integers({0, hyper_.heads, -1, dim()})});
}

std::string Drawing::attention(const std::string& x, std::size_t layer) {
  const std::string module = fmt::format("model.layers.{}.self_attn", layer);
  const std::string q =
      rotated(heads(linear(x, module + ".q_proj"), hyper_.heads, module + ".q_norm"));
  const std::string k =
      rotated(heads(linear(x, module + ".k_proj"), kv_heads(), module + ".k_norm"));
  const std::string v = heads(linear(x, module + ".v_proj"), kv_heads(), "");
  const std::string keys = writer_.op("Concat", {fmt::format("past_key_values.{}.key", layer), k},
                                      {{"axis", -2}}, {}, fmt::format("present.{}.key", layer));
  const std::string values =
      writer_.op("Concat", {fmt::format("past_key_values.{}.value", layer), v}, {{"axis", -2}}, {},
                 fmt::format("present.{}.value", layer));
  const std::string keys_turned =
      writer_.op("Transpose", {repeated(keys)}, {{.name = "perm", .integers = {0, 1, 3, 2}}});
  const float scale = hyper_.attention_scale > 0 ? hyper_.attention_scale
                                                 : 1 / std::sqrt(static_cast<float>(dim()));
  const std::string scores =
      writer_.op("Mul", {writer_.op("MatMul", {q, keys_turned}), writer_.number(scale)});
  const std::string shares =
      writer_.op("Softmax", {writer_.op("Add", {scores, mask_})}, {{"axis", -1}});
  const std::string mixed =
      writer_.op("Transpose", {writer_.op("MatMul", {shares, repeated(values)})},
                 {{.name = "perm", .integers = {0, 2, 1, 3}}});
  return linear(writer_.op("Reshape", {mixed, writer_.integers({0, 0, hyper_.heads * dim()})}),
                module + ".o_proj");
}

std::string Drawing::mlp(const std::string& x, std::size_t layer) {
  const std::string module = fmt::format("model.layers.{}.mlp", layer);
  const std::string gate = linear(x, module + ".gate_proj");
  const std::string bent = writer_.op("Mul", {gate, writer_.op("Sigmoid", {gate})});
  return linear(writer_.op("Mul", {bent, linear(x, module + ".up_proj")}), module + ".down_proj");
}

void Drawing::draw_angles() {
  std::vector<float> frequencies;
  for (std::int64_t i = 0; i < dim() / 2; ++i)
    frequencies.push_back(static_cast<float>(
        std::pow(hyper_.rope.theta, -2.0 * static_cast<double>(i) / static_cast<double>(dim()))));
  const std::int64_t dims[] = {1, 1, dim() / 2};
  const std::string places =
      writer_.op("Cast", {writer_.op("Unsqueeze", {"position_ids", writer_.integers({2})})},
                 {{"to", static_cast<std::int64_t>(OnnxType::f32)}});
  const std::string half = writer_.op("Mul", {places, writer_.floats(frequencies, dims)});
  const std::string angles = writer_.op("Concat", {half, half}, {{"axis", -1}});
  cosine_ = writer_.op("Unsqueeze", {writer_.op("Cos", {angles}), writer_.integers({1})});
  sine_ = writer_.op("Unsqueeze", {writer_.op("Sin", {angles}), writer_.integers({1})});
}

// Each row sees keys up to its own place, where attention_mask is set.
void Drawing::draw_mask() {
  const std::string total = writer_.op(
      "Gather", {writer_.op("Shape", {"attention_mask"}), writer_.integer(1)}, {{"axis", 0}});
  const std::string keys = writer_.op("Range", {writer_.integer(0), total, writer_.integer(1)});
  const std::string rows = writer_.op("Unsqueeze", {"position_ids", writer_.integers({1, 3})});
  const std::string is_set =
      writer_.op("Cast", {writer_.op("Unsqueeze", {"attention_mask", writer_.integers({1, 2})})},
                 {{"to", static_cast<std::int64_t>(OnnxType::boolean)}});
  const std::string is_seen = writer_.op("And", {writer_.op("LessOrEqual", {keys, rows}), is_set});
  mask_ = writer_.op("Where", {is_seen, writer_.number(0), writer_.number(-3.4e38f)});
}

void Drawing::declare() {
  const OnnxExtent batch{.name = "batch_size"}, step{.name = "sequence_length"},
      past{.name = "past_sequence_length"}, total{.name = "total_sequence_length"};
  const std::array rows{batch, step}, all{batch, total};
  writer_.input("input_ids", OnnxType::i64, rows);
  writer_.input("attention_mask", OnnxType::i64, all);
  writer_.input("position_ids", OnnxType::i64, rows);
  const std::array logits{batch, step, OnnxExtent{.value = hyper_.vocab}};
  writer_.output("logits", OnnxType::f32, logits);
  for (std::size_t i = 0; i < hyper_.layers.size(); ++i)
    for (const std::string_view part : {"key", "value"}) {
      std::array shape{batch, OnnxExtent{.value = kv_heads()}, past, OnnxExtent{.value = dim()}};
      writer_.input(fmt::format("past_key_values.{}.{}", i, part), OnnxType::f32, shape);
      shape[2] = total;
      writer_.output(fmt::format("present.{}.{}", i, part), OnnxType::f32, shape);
    }
}

std::string Drawing::draw() {
  declare();
  eps_ = writer_.number(hyper_.norm_eps);
  two_ = writer_.number(2);
  one_ = writer_.number(1);
  draw_angles();
  draw_mask();
  std::string x = writer_.op("Gather", {weight("model.embed_tokens.weight"), "input_ids"}, {},
                             "/model/embed_tokens/Gather");
  for (std::size_t i = 0; i < hyper_.layers.size(); ++i) {
    const std::string module = fmt::format("model.layers.{}.", i);
    const auto normed = [&](const char* which) {
      return norm(x, module + which, path_of(module + which) + "/Mul_1");
    };
    x = writer_.op("Add", {x, attention(normed("input_layernorm"), i)});
    x = writer_.op("Add", {x, mlp(normed("post_attention_layernorm"), i)});
  }
  x = norm(x, "model.norm", "/model/norm/Mul_1");
  if (has("lm_head.weight")) {
    linear(x, "lm_head", "logits");
  } else {
    const std::string table = writer_.op("Transpose", {weight("model.embed_tokens.weight")},
                                         {{.name = "perm", .integers = {1, 0}}});
    writer_.op("MatMul", {x, table}, {}, "/lm_head/MatMul", "logits");
  }
  return writer_.model("Hearth " HEARTH_VERSION, operator_set);
}

Result<Hyper> hyper_of(const Package& package) {
  const models::ArchSpec& spec = *TRY(models::architecture_of(package));
  static constexpr std::string_view drawn[] = {"llama", "qwen2", "qwen3"};
  if (std::ranges::find(drawn, spec.name) == std::end(drawn))
    return unsupported(
        fmt::format("{} as ONNX: graphs are drawn of llama, mistral, qwen2 and qwen3", spec.name));
  Hyper hyper = TRY(models::read_hyper(package, spec));
  if (hyper.rope.scaling.kind != models::RopeScalingKind::none)
    return unsupported("scaled angles as ONNX");
  if (hyper.layers.empty() || hyper.rotary_dims != hyper.head_dim || hyper.head_dim % 2 != 0)
    return unsupported("angles of a part of each head as ONNX");
  for (const models::LayerHyper& layer : hyper.layers)
    if (layer.window != 0 || layer.kv_heads != hyper.layers[0].kv_heads || layer.sparse)
      return unsupported("layers that differ, or see a window, as ONNX");
  return hyper;
}

}  // namespace

Status check_onnx(const Package& package) {
  TRY(hyper_of(package));
  return Done{};
}

Status write_onnx(const std::string& folder, const Package& package,
                  std::span<const StreamedTensor> tensors) {
  const Hyper hyper = TRY(hyper_of(package));
  Drawing drawing(hyper, tensors);
  DraftFile data = TRY(DraftFile::create(join_path(folder, data_name)));
  std::uint64_t offset = 0;
  for (const StreamedTensor& tensor : tensors) {
    const OnnxType type = TRY(type_of(tensor));
    const auto bytes = TRY(take_streamed(tensor));
    std::vector<std::uint64_t> shape = tensor.shape;
    if (is_turned(tensor)) {
      std::swap(shape[0], shape[1]);
      TRY(data.write(
          turned(bytes, tensor.shape[0], tensor.shape[1], info(tensor.dtype).block_bytes)));
    } else {
      TRY(data.write(bytes));
    }
    drawing.writer().external(tensor.name, type, shape, offset, bytes.size());
    const std::uint64_t padding = (alignment - bytes.size() % alignment) % alignment;
    static constexpr std::array<std::byte, alignment> zeros{};
    TRY(data.write(std::span(zeros).first(padding)));
    offset += bytes.size() + padding;
  }
  TRY(data.commit());
  return replace_file(join_path(folder, "model.onnx"), bytes_of(drawing.draw()));
}

}  // namespace hearth::adapt

#include "adapt/onnx_drawing.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace hearth::adapt {
namespace {

using models::Hyper;
using models::LayerHyper;
using models::Role;

constexpr std::int64_t operator_set = 17;

Error unsupported(std::string what) { return Error(ErrorKind::unsupported, std::move(what)); }

// "model.layers.0.mlp.up_proj.weight" to "/model/layers.0/mlp/up_proj".
std::string path_of(const std::string& weight) {
  std::string path = "/" + weight.substr(0, weight.rfind('.'));
  std::ranges::replace(path, '.', '/');
  if (const std::size_t at = path.find("/layers/"); at != path.npos) path[at + 7] = '.';
  return path;
}

}  // namespace

Status check_drawable(const models::ArchSpec& spec, const Hyper& hyper) {
  const auto refuse = [&](std::string_view what) {
    return unsupported(fmt::format("{} as ONNX: {} are not drawn", spec.name, what));
  };
  if (spec.kind != models::Kind::generator || hyper.layers.empty())
    return refuse("models that write no text");
  for (const LayerHyper& layer : hyper.layers) {
    if (!layer.attends || layer.recurs || !layer.has_mlp) return refuse("layers that recur");
    if (layer.sparse) return refuse("mixtures of experts");
    if (layer.chunk > 0 || layer.from > 0) return refuse("chunks of attention");
    if (layer.kv_heads != hyper.layers[0].kv_heads || layer.head_dim != hyper.head_dim ||
        layer.borrows_kv)
      return refuse("layers whose heads differ");
    if (std::isfinite(layer.gate_cut)) return refuse("gates that pass as zero");
  }
  if (hyper.latent.kv_rank > 0) return refuse("latents of keys and values");
  if (hyper.guesses()) return refuse("layers that guess");
  if (hyper.per_layer_dim > 0 || hyper.streams.count > 1) return refuse("vectors of layers' own");
  if (hyper.unit_after_rope || spec.unit_values)
    return refuse("vectors of length one, and norms of values");
  if (spec.clamped_swiglu || hyper.gate_factor != 1) return refuse("gates of this kind");
  if (spec.rope == models::RopeRule::none) return refuse("learned places");
  using enum models::RopeScalingKind;
  for (const models::RopeHyper* rope : {&hyper.rope, &hyper.rope_local})
    if (rope->scaling.kind == longrope || rope->scaling.kind == dynamic)
      return refuse("angles that depend on the length");
  return Done{};
}

OnnxDrawing::OnnxDrawing(const Package& package, const models::ArchSpec& spec, const Hyper& hyper,
                         std::string data_name)
    : package_(package),
      spec_(spec),
      hyper_(hyper),
      finder_(package, spec, hyper),
      writer_(std::move(data_name)),
      ropes_(models::make_rope_tables(spec, hyper, {}, Naming::huggingface, hyper.context)) {
  for (const auto rows : spec.tensors)
    for (const models::TensorRow& row : rows)
      if (row.role == Role::token_embedding)
        if (const auto* entry = finder_.find(row, {}, models::TensorFinder::Part::weight))
          trunk_ = entry->name.substr(0, entry->name.find("embed_tokens"));
}

std::string OnnxDrawing::name_in_graph(const std::string& tensor) const {
  if (!trunk_.empty() && tensor.starts_with(trunk_)) return "model." + tensor.substr(trunk_.size());
  if (const auto at = tensor.find("lm_head."); at != tensor.npos) return tensor.substr(at);
  return {};
}

bool OnnxDrawing::is_table(const std::string& tensor) const {
  return name_in_graph(tensor) == "model.embed_tokens.weight";
}

// The stored tensor of a role, under its name in the graph.
OnnxDrawing::Module OnnxDrawing::module(Role role, std::size_t layer) {
  using enum models::TensorFinder::Part;
  Module found;
  for (const auto rows : spec_.tensors)
    for (const models::TensorRow& row : rows) {
      if (row.role != role || finder_.pattern(row).empty()) continue;
      const TensorEntry* entry = finder_.find(row, {layer, 0}, weight);
      if (entry == nullptr) continue;
      found.weight = name_in_graph(entry->name);
      found.shape = entry->shape;
      drawn_.insert(entry->name);
      if (const TensorEntry* other = finder_.find(row, {layer, 0}, bias)) {
        found.bias = name_in_graph(other->name);
        drawn_.insert(other->name);
      }
    }
  return found;
}

// A weight, as f32.
std::string OnnxDrawing::value(const std::string& name, bool plus_one) {
  const auto held = types_.find(name);
  std::string read = name;
  if (held != types_.end() && held->second != Dtype::f32)
    read = writer_.op("Cast", {name}, {{"to", static_cast<std::int64_t>(OnnxType::f32)}});
  return plus_one ? writer_.op("Add", {read, one_}) : read;
}

std::string OnnxDrawing::scaled(const std::string& x, double factor) {
  return factor == 1 ? x : writer_.op("Mul", {x, number(factor)});
}

std::string OnnxDrawing::capped(const std::string& x, double cap) {
  if (cap <= 0) return x;
  return scaled(writer_.op("Tanh", {scaled(x, 1 / cap)}), cap);
}

std::string OnnxDrawing::norm(const std::string& x, const Module& w) {
  std::string from = x;
  const auto mean_of = [&](const std::string& what) {
    return writer_.op("ReduceMean", {what}, {{.name = "axes", .integers = {-1}}});
  };
  const bool centred = spec_.norm == models::NormKind::layer;
  if (centred) from = writer_.op("Sub", {x, mean_of(x)});
  const std::string mean = mean_of(writer_.op("Pow", {from, two_}));
  const std::string root = writer_.op("Sqrt", {writer_.op("Add", {mean, eps_})});
  const std::string unit = writer_.op("Mul", {from, writer_.op("Div", {one_, root})});
  const std::string y = writer_.op("Mul", {value(w.weight, spec_.hf_norm_plus_one), unit}, {},
                                   path_of(w.weight) + "/Mul_1");
  return w.bias.empty() ? y : writer_.op("Add", {value(w.bias, false), y});
}

std::string OnnxDrawing::linear(const std::string& x, const Module& w, std::string_view out) {
  const std::string path = path_of(w.weight);
  const std::string y = writer_.op("MatMul", {x, value(w.weight, false)}, {}, path + "/MatMul",
                                   w.bias.empty() ? out : "");
  if (w.bias.empty()) return y;
  return writer_.op("Add", {value(w.bias, false), y}, {}, path + "/Add", out);
}

std::string OnnxDrawing::columns(const std::string& x, std::int64_t begin, std::int64_t end) {
  return writer_.op(
      "Slice", {x, writer_.integers({begin}), writer_.integers({end}), writer_.integers({-1})});
}

// [batch, tokens, count * dim] to [batch, count, tokens, dim].
std::string OnnxDrawing::heads(const std::string& x, std::int64_t count, const Module& w) {
  const bool by_head = w.present() && w.shape.back() == static_cast<std::uint64_t>(dim());
  const std::string normed = w.present() && !by_head ? norm(x, w) : x;
  std::string shaped = writer_.op("Reshape", {normed, writer_.integers({0, 0, count, dim()})});
  if (by_head) shaped = norm(shaped, w);
  return writer_.op("Transpose", {shaped}, {{.name = "perm", .integers = {0, 2, 1, 3}}});
}

// Pairs are neighbours.
std::string OnnxDrawing::turned_neighbours(const std::string& x, const Turn& turn) {
  const auto every_second = [&](std::int64_t begin) {
    return writer_.op("Slice", {x, writer_.integers({begin}), writer_.integers({turn.dims}),
                                writer_.integers({-1}), writer_.integers({2})});
  };
  const auto product = [&](const std::string& a, const std::string& b) {
    return writer_.op("Mul", {a, b});
  };
  const std::string even = every_second(0), odd = every_second(1);
  const std::string cosine = columns(turn.cosine, 0, turn.dims / 2);
  const std::string sine = columns(turn.sine, 0, turn.dims / 2);
  const auto wide = [&](const std::string& y) {
    return writer_.op("Unsqueeze", {y, writer_.integers({-1})});
  };
  const std::string first = wide(writer_.op("Sub", {product(even, cosine), product(odd, sine)}));
  const std::string second = wide(writer_.op("Add", {product(odd, cosine), product(even, sine)}));
  return writer_.op("Reshape", {writer_.op("Concat", {first, second}, {{"axis", -1}}),
                                writer_.integers({0, 0, -1, turn.dims})});
}

std::string OnnxDrawing::turned(const std::string& x, const Turn& turn) {
  const bool part = turn.dims < dim();
  const auto whole = [&](const std::string& y) {
    if (!part) return y;
    return writer_.op("Concat", {y, columns(x, turn.dims, dim())}, {{"axis", -1}});
  };
  if (ropes_.interleaved) return whole(turned_neighbours(x, turn));
  const std::string from = part ? columns(x, 0, turn.dims) : x;
  const std::string low = columns(from, 0, turn.dims / 2);
  const std::string high = columns(from, turn.dims / 2, turn.dims);
  const std::string other = writer_.op("Concat", {writer_.op("Neg", {high}), low}, {{"axis", -1}});
  const std::string y = writer_.op(
      "Add", {writer_.op("Mul", {from, turn.cosine}), writer_.op("Mul", {other, turn.sine})});
  return whole(y);
}

// Queries grow with the logarithm of their place.
std::string OnnxDrawing::tempered(const std::string& q) {
  const std::string places =
      writer_.op("Cast", {writer_.op("Unsqueeze", {"position_ids", writer_.integers({1, 3})})},
                 {{"to", static_cast<std::int64_t>(OnnxType::f32)}});
  const std::string from = writer_.op("Add", {places, writer_.number(hyper_.temperature_offset)});
  const std::string steps =
      writer_.op("Floor", {writer_.op("Div", {from, writer_.number(hyper_.temperature_floor)})});
  const std::string growth = writer_.op("Log", {writer_.op("Add", {steps, one_})});
  const std::string factor = writer_.op("Mul", {growth, writer_.number(hyper_.temperature_scale)});
  return writer_.op("Mul", {q, writer_.op("Add", {factor, one_})});
}

// Keys and values for every head that reads them.
std::string OnnxDrawing::repeated(const std::string& x) {
  const std::int64_t times = hyper_.heads / kv_heads();
  if (times == 1) return x;
  const std::string wide = writer_.op("Unsqueeze", {x, writer_.integers({2})});
  const std::string shape =
      writer_.op("Mul", {writer_.op("Shape", {wide}), writer_.integers({1, 1, times, 1, 1})});
  return writer_.op("Reshape", {writer_.op("Expand", {wide, shape}),
                                writer_.integers({0, hyper_.heads, -1, dim()})});
}

OnnxDrawing::Heads OnnxDrawing::read_heads(const std::string& x, std::size_t layer) {
  const Module fused = module(Role::qkv, layer);
  const Module q_norm = module(Role::q_norm, layer), k_norm = module(Role::k_norm, layer);
  const std::int64_t q_end = hyper_.heads * dim(), kv = kv_heads() * dim();
  std::string q, k, v;
  if (fused.present()) {
    const std::string all = linear(x, fused);
    q = columns(all, 0, q_end);
    k = columns(all, q_end, q_end + kv);
    v = columns(all, q_end + kv, q_end + 2 * kv);
  } else {
    q = linear(x, module(Role::q, layer));
    k = linear(x, module(Role::k, layer));
    v = linear(x, module(Role::v, layer));
  }
  const bool after = spec_.norm_after_rope;
  Heads read{heads(q, hyper_.heads, after ? Module() : q_norm),
             heads(k, kv_heads(), after ? Module() : k_norm), heads(v, kv_heads(), {})};
  const LayerHyper& at = hyper_.layers[layer];
  if (at.rotates) {
    const Turn& turn = at.local ? local_turn_ : turn_;
    read.q = turned(read.q, turn);
    read.k = turned(read.k, turn);
  }
  if (after && q_norm.present()) read.q = norm(read.q, q_norm);
  if (after && k_norm.present()) read.k = norm(read.k, k_norm);
  if (at.tempered) read.q = tempered(read.q);
  return read;
}

std::string OnnxDrawing::attention(const std::string& x, std::size_t layer) {
  const Heads read = read_heads(x, layer);
  const auto kept = [&](const char* part, const std::string& now) {
    return writer_.op("Concat", {fmt::format("past_key_values.{}.{}", layer, part), now},
                      {{"axis", -2}}, {}, fmt::format("present.{}.{}", layer, part));
  };
  const std::string keys = kept("key", read.k), values = kept("value", read.v);
  const std::string across =
      writer_.op("Transpose", {repeated(keys)}, {{.name = "perm", .integers = {0, 1, 3, 2}}});
  const double scale = hyper_.attention_scale > 0 ? static_cast<double>(hyper_.attention_scale)
                                                  : 1 / std::sqrt(static_cast<double>(dim()));
  const std::string scores = capped(scaled(writer_.op("MatMul", {read.q, across}), scale),
                                    static_cast<double>(hyper_.attention_softcap));
  const std::string shares =
      writer_.op("Softmax", {writer_.op("Add", {scores, mask_of(hyper_.layers[layer].window)})},
                 {{"axis", -1}});
  const std::string mixed =
      writer_.op("Transpose", {writer_.op("MatMul", {shares, repeated(values)})},
                 {{.name = "perm", .integers = {0, 2, 1, 3}}});
  const std::string rows =
      writer_.op("Reshape", {mixed, writer_.integers({0, 0, hyper_.heads * dim()})});
  return linear(rows, module(Role::attention_out, layer));
}

std::string OnnxDrawing::activated(const std::string& x) {
  using enum ops::Activation;
  switch (hyper_.activation) {
    case gelu: {
      const std::string share = writer_.op("Erf", {scaled(x, std::sqrt(0.5))});
      return scaled(writer_.op("Mul", {x, writer_.op("Add", {share, one_})}), 0.5);
    }
    case gelu_tanh: {
      const std::string cube = writer_.op("Mul", {x, writer_.op("Mul", {x, x})});
      const std::string inside = writer_.op("Add", {x, scaled(cube, 0.044715)});
      const std::string share = writer_.op("Tanh", {scaled(inside, 0.7978845608028654)});
      return scaled(writer_.op("Mul", {x, writer_.op("Add", {share, one_})}), 0.5);
    }
    case quick_gelu:
      return writer_.op("Mul", {x, writer_.op("Sigmoid", {scaled(x, 1.702)})});
    default:
      return writer_.op("Mul", {x, writer_.op("Sigmoid", {x})});
  }
}

std::string OnnxDrawing::mlp(const std::string& x, std::size_t layer) {
  const Module fused = module(Role::gate_up, layer), up = module(Role::up, layer);
  std::string inside;
  if (fused.present()) {
    const std::string both = linear(x, fused);
    const std::int64_t hidden = hyper_.layers[layer].hidden;
    inside =
        writer_.op("Mul", {activated(columns(both, 0, hidden)), columns(both, hidden, 2 * hidden)});
  } else if (spec_.mlp == models::MlpKind::plain) {
    inside = activated(linear(x, up));
  } else {
    const std::string gate = activated(linear(x, module(Role::gate, layer)));
    inside = writer_.op("Mul", {gate, linear(x, up)});
  }
  return linear(inside, module(Role::down, layer));
}

// What a branch made, added to the stream.
std::string OnnxDrawing::branch(const std::string& x, const std::string& made, Role post_norm,
                                std::size_t layer) {
  const Module after = module(post_norm, layer);
  const std::string normed = after.present() ? norm(made, after) : made;
  return writer_.op("Add", {x, scaled(normed, static_cast<double>(hyper_.residual_scale))});
}

OnnxDrawing::Turn OnnxDrawing::turn_of(const ops::RopeTable& table) {
  const std::int64_t half = table.rotary_dims / 2, dims[] = {1, 1, half};
  const std::string places =
      writer_.op("Cast", {writer_.op("Unsqueeze", {"position_ids", writer_.integers({2})})},
                 {{"to", static_cast<std::int64_t>(OnnxType::f32)}});
  const std::string once =
      writer_.op("Mul", {places, writer_.floats(table.inverse_frequencies, dims)});
  const std::string angles = writer_.op("Concat", {once, once}, {{"axis", -1}});
  const auto of = [&](const char* type) {
    return writer_.op("Unsqueeze",
                      {scaled(writer_.op(type, {angles}), static_cast<double>(table.magnitude)),
                       writer_.integers({1})});
  };
  return {of("Cos"), of("Sin"), table.rotary_dims};
}

// Each row sees keys up to its own place, within the window, where attention_mask is set.
std::string OnnxDrawing::mask_of(std::uint32_t window) {
  if (const auto found = masks_.find(window); found != masks_.end()) return found->second;
  const std::string keys = writer_.op("Range", {writer_.integer(0), total_, writer_.integer(1)});
  const std::string rows = writer_.op("Unsqueeze", {"position_ids", writer_.integers({1, 3})});
  const std::string is_set =
      writer_.op("Cast", {writer_.op("Unsqueeze", {"attention_mask", writer_.integers({1, 2})})},
                 {{"to", static_cast<std::int64_t>(OnnxType::boolean)}});
  std::string seen = writer_.op("And", {writer_.op("LessOrEqual", {keys, rows}), is_set});
  if (window > 0)
    seen = writer_.op(
        "And",
        {seen, writer_.op("Greater", {writer_.op("Add", {keys, writer_.integer(window)}), rows})});
  return masks_[window] = writer_.op("Where", {seen, writer_.number(0), writer_.number(-3.4e38f)});
}

void OnnxDrawing::declare() {
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

// A tensor that nothing reads would be a part of the model that the graph lacks.
Status OnnxDrawing::check_all_drawn() const {
  for (const TensorEntry& entry : package_.tensors)
    if (entry.shape.size() > 1 && entry.name.ends_with("norm.weight"))
      return unsupported(fmt::format("{} as ONNX: {}: norms of each head's own are not drawn",
                                     spec_.name, entry.name));
  for (const TensorEntry& entry : package_.tensors)
    if (!name_in_graph(entry.name).empty() && !drawn_.contains(entry.name) &&
        !entry.name.ends_with("rotary_emb.inv_freq"))
      return unsupported(fmt::format("{} as ONNX: {} has no place in the graphs that are drawn",
                                     spec_.name, entry.name));
  return Done{};
}

Status OnnxDrawing::draw() {
  declare();
  eps_ = writer_.number(hyper_.norm_eps);
  two_ = writer_.number(2);
  one_ = writer_.number(1);
  total_ = writer_.op("Gather", {writer_.op("Shape", {"attention_mask"}), writer_.integer(1)},
                      {{"axis", 0}});
  turn_ = turn_of(ropes_.table(false));
  local_turn_ = spec_.has_local_rope() ? turn_of(ropes_.table(true)) : turn_;
  const Module table = module(Role::token_embedding), last = module(Role::output_norm),
               output = module(Role::output);
  if (!table.present() || !last.present())
    return unsupported(fmt::format("{} as ONNX: its tensors lie otherwise", spec_.name));
  std::string x = scaled(writer_.op("Gather", {value(table.weight, false), "input_ids"}, {},
                                    "/model/embed_tokens/Gather"),
                         static_cast<double>(hyper_.embedding_scale));
  for (std::size_t i = 0; i < hyper_.layers.size(); ++i) {
    const auto normed = [&](Role role, const std::string& otherwise) {
      const Module w = module(role, i);
      return w.present() ? norm(x, w) : otherwise;
    };
    const std::string read = normed(Role::attention_norm, x);
    const std::string beside = hyper_.parallel ? normed(Role::mlp_norm, read) : "";
    x = branch(x, attention(read, i), Role::attention_post_norm, i);
    const std::string second = hyper_.parallel ? beside : normed(Role::mlp_norm, x);
    x = branch(x, mlp(second, i), Role::mlp_post_norm, i);
  }
  x = norm(x, last);
  const bool plain = hyper_.logit_scale == 1 && hyper_.output_softcap <= 0;
  std::string_view out = plain ? "logits" : "";
  if (output.present()) {
    x = linear(x, output, out);
  } else {
    const std::string across = writer_.op("Transpose", {value(table.weight, false)},
                                          {{.name = "perm", .integers = {1, 0}}});
    x = writer_.op("MatMul", {x, across}, {}, "/lm_head/MatMul", out);
  }
  if (!plain)
    writer_.op("Identity",
               {capped(scaled(x, static_cast<double>(hyper_.logit_scale)),
                       static_cast<double>(hyper_.output_softcap))},
               {}, {}, "logits");
  return check_all_drawn();
}

std::string OnnxDrawing::model() const {
  return writer_.model("Hearth " HEARTH_VERSION, operator_set);
}

}  // namespace hearth::adapt

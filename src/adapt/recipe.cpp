#include "adapt/recipe.h"

#include <algorithm>
#include <numeric>

#include "base/ascii.h"

namespace hearth::adapt {
namespace {

constexpr Recipe table[] = {
    {"F32", Mix::f32, Dtype::f32, 0, false},
    {"F16", Mix::f16, Dtype::f16, 1, false},
    {"BF16", Mix::bf16, Dtype::bf16, 32, false},
    {"Q8_0", Mix::q8_0, Dtype::q8_0, 7, false},
    {"Q6_K", Mix::q6_k, Dtype::q6_k, 18, false},
    {"Q5_K_M", Mix::q5_k_m, Dtype::q5_k, 17, false},
    {"Q5_K_S", Mix::q5_k_s, Dtype::q5_k, 16, false},
    {"Q5_1", Mix::q5_1, Dtype::q5_1, 9, false},
    {"Q5_0", Mix::q5_0, Dtype::q5_0, 8, false},
    {"Q4_K_M", Mix::q4_k_m, Dtype::q4_k, 15, false},
    {"Q4_K_S", Mix::q4_k_s, Dtype::q4_k, 14, false},
    {"Q4_1", Mix::q4_1, Dtype::q4_1, 3, false},
    {"Q4_0", Mix::q4_0, Dtype::q4_0, 2, false},
    {"IQ4_NL", Mix::iq4_nl, Dtype::iq4_nl, 25, false},
    {"IQ4_XS", Mix::iq4_xs, Dtype::iq4_xs, 30, false},
    {"Q3_K_L", Mix::q3_k_l, Dtype::q3_k, 13, false},
    {"Q3_K_M", Mix::q3_k_m, Dtype::q3_k, 12, false},
    {"Q3_K_S", Mix::q3_k_s, Dtype::q3_k, 11, false},
    {"IQ3_M", Mix::iq3_m, Dtype::iq3_s, 27, false},
    {"IQ3_S", Mix::iq3_s, Dtype::iq3_s, 26, false},
    {"IQ3_XS", Mix::iq3_xs, Dtype::iq3_s, 22, false},
    {"IQ3_XXS", Mix::iq3_xxs, Dtype::iq3_xxs, 23, false},
    {"Q2_K", Mix::q2_k, Dtype::q2_k, 10, false},
    {"Q2_K_S", Mix::q2_k_s, Dtype::q2_k, 21, true},
    {"IQ2_M", Mix::iq2_m, Dtype::iq2_s, 29, true},
    {"IQ2_S", Mix::iq2_s, Dtype::iq2_xs, 28, true},
    {"IQ2_XS", Mix::iq2_xs, Dtype::iq2_xs, 20, true},
    {"IQ2_XXS", Mix::iq2_xxs, Dtype::iq2_xxs, 19, true},
    {"IQ1_M", Mix::iq1_m, Dtype::iq1_m, 31, true},
    {"IQ1_S", Mix::iq1_s, Dtype::iq1_s, 24, true},
    {"TQ2_0", Mix::tq2_0, Dtype::tq2_0, 37, false},
    {"TQ1_0", Mix::tq1_0, Dtype::tq1_0, 36, false},
    {"Q2_0", Mix::q2_0, Dtype::q2_0, 41, false},
    {"Q1_0", Mix::q1_0, Dtype::q1_0, 40, false},
    {"MXFP4_MOE", Mix::mxfp4_moe, Dtype::mxfp4, 38, false},
    {"NVFP4", Mix::nvfp4, Dtype::nvfp4, 39, false},
};

enum class Part : std::uint8_t { output, embedding, q, k, v, attention_out, up, gate, down, other };

bool holds(std::string_view name, std::string_view part) {
  return name.find(part) != std::string_view::npos;
}

Part part_of(std::string_view name) {
  if (name == "output.weight") return Part::output;
  if (name == "token_embd.weight" || name == "per_layer_token_embd.weight") return Part::embedding;
  for (const std::string_view like_v : {"attn_qkv.weight", "attn_kv_b.weight", "attn_v.weight"})
    if (holds(name, like_v)) return Part::v;
  if (holds(name, "attn_k.weight")) return Part::k;
  if (holds(name, "attn_q.weight")) return Part::q;
  if (holds(name, "attn_output.weight")) return Part::attention_out;
  if (holds(name, "ffn_up")) return Part::up;
  if (holds(name, "ffn_gate")) return Part::gate;
  if (holds(name, "ffn_down")) return Part::down;
  return Part::other;
}

// Small or sensitive: left as they are.
constexpr std::string_view kept[] = {
    "_norm.weight",
    "ffn_gate_inp.weight",
    "ffn_gate_tid2eid.weight",
    "altup",
    "laurel",
    "per_layer_model_proj",
    "ssm_conv1d",
    "shortconv.conv.weight",
    "indexer.k_proj.weight",
    "indexer.q_proj.weight",
    "time_mix_first.weight",
    "time_mix_w0.weight",
    "time_mix_w1.weight",
    "time_mix_w2.weight",
    "time_mix_v0.weight",
    "time_mix_v1.weight",
    "time_mix_v2.weight",
    "time_mix_a0.weight",
    "time_mix_a1.weight",
    "time_mix_a2.weight",
    "time_mix_g1.weight",
    "time_mix_g2.weight",
    "time_mix_decay_w1.weight",
    "time_mix_decay_w2.weight",
    "time_mix_lerp_fused.weight",
    "attn_rel_b.weight",
    ".position_embd",
    "sam.pos_embd",
    "sam.neck.",
    "sam.net_",
    ".rel_pos",
    ".patch_embd",
    ".patch_merger",
    "a.rvq.codebook",
    "mm.a.code_embd",
};

bool is_quantised_at_all(const RecipeTensor& tensor) {
  const auto wide = std::ranges::count_if(tensor.shape, [](std::uint64_t n) { return n > 1; });
  if (tensor.shape.size() < 2 || wide < 2 || !tensor.name.ends_with("weight")) return false;
  if (tensor.name == "position_embd.weight" || tensor.name == "token_types.weight") return false;
  return std::ranges::none_of(kept,
                              [&](std::string_view part) { return holds(tensor.name, part); });
}

// The number after "blk.", or nothing.
std::optional<std::uint32_t> layer_of(std::string_view name) {
  if (!name.starts_with("blk.")) return std::nullopt;
  std::uint32_t layer = 0;
  for (const char c : name.substr(4)) {
    if (c < '0' || c > '9' || layer > 100'000) break;
    layer = layer * 10 + static_cast<std::uint32_t>(c - '0');
  }
  return layer;
}

// The first and the last eighth, and every third layer between.
bool deserves_more(std::uint32_t layer, std::uint32_t layers) {
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

// Chooses tensor after tensor: what has been met decides too.
class Chooser {
 public:
  Chooser(const Recipe& recipe, const RecipeModel& model, std::span<const RecipeTensor> tensors)
      : mix_(recipe.mix), base_(recipe.base), model_(model) {
    for (const RecipeTensor& tensor : tensors) {
      values_ += part_of(tensor.name) == Part::v ? 1 : 0;
      tied_ = tied_ && part_of(tensor.name) != Part::output;
    }
    shared_heads_ = model.kv_heads > 0 && model.heads / model.kv_heads >= 4;
    falcon_ = model.architecture == "falcon";
    seventy_ = model.layers == 80 && model.heads != model.kv_heads && model.architecture == "llama";
  }

  Dtype choose(const RecipeTensor& tensor) {
    if (!is_quantised_at_all(tensor)) return tensor.stored;
    if (!is_quantised(base_)) return base_;
    return fitting(tensor, wished(tensor, part_of(tensor.name)));
  }

 private:
  template <typename... Mixes>
  bool is(Mixes... mixes) const {
    return ((mix_ == mixes) || ...);
  }
  bool is_small() const {
    return is(Mix::iq2_xxs, Mix::iq2_xs, Mix::iq1_s, Mix::iq2_s, Mix::iq2_m, Mix::iq1_m);
  }

  Dtype wished(const RecipeTensor& tensor, Part part) {
    const bool first_use = part == Part::output || (tied_ && part == Part::embedding);
    if (first_use) return output(tensor);
    if (is(Mix::mxfp4_moe))
      return tensor.shape.size() > 2 && tensor.shape[tensor.shape.size() - 3] > 1 ? Dtype::mxfp4
                                                                                  : Dtype::q8_0;
    if (part == Part::embedding) return embedding();
    if (is_small()) return small(part);
    switch (part) {
      case Part::v:
        return value();
      case Part::q:
        return is(Mix::iq3_xs) ? Dtype::iq3_xxs : is(Mix::iq3_xxs) ? Dtype::iq2_s : base_;
      case Part::k:
        if (model_.experts == 8) return Dtype::q8_0;
        return is(Mix::iq3_xs) ? Dtype::iq3_xxs : is(Mix::iq3_xxs) ? Dtype::iq2_s : base_;
      case Part::down:
        return down(layer(tensor, downs_++));
      case Part::attention_out:
        return attention_out();
      case Part::gate:
        return middle(layer(tensor, gates_++));
      case Part::up:
        return middle(layer(tensor, ups_++));
      default:
        return base_;
    }
  }

  Dtype output(const RecipeTensor& tensor) const {
    if (is(Mix::mxfp4_moe)) return Dtype::q8_0;
    if (falcon_ || tensor.shape.back() % info(base_).block_elements != 0) return Dtype::q8_0;
    if (is_small() || is(Mix::iq3_xxs)) return Dtype::q5_k;
    return base_ == Dtype::q8_0 ? base_ : Dtype::q6_k;
  }

  Dtype embedding() const {
    if (is(Mix::iq2_xxs, Mix::iq2_xs, Mix::iq1_s, Mix::iq1_m)) return Dtype::q2_k;
    if (is(Mix::iq2_s, Mix::iq2_m, Mix::iq3_xxs)) return Dtype::iq3_s;
    if (is(Mix::tq1_0, Mix::tq2_0, Mix::q2_0)) return Dtype::q4_k;
    return base_;
  }

  // The mixtures of two bits and less.
  Dtype small(Part part) {
    const Dtype better = is(Mix::iq2_s, Mix::iq2_m) ? Dtype::iq3_s : Dtype::q2_k;
    if (part == Part::v) return shared_heads_ || model_.experts >= 4 ? Dtype::q4_k : better;
    if (part == Part::k && model_.experts == 8) return Dtype::q4_k;
    if (part == Part::down) return downs_++ < model_.layers / 8 ? better : base_;
    if (part != Part::attention_out) return base_;
    if (model_.experts == 8) return Dtype::q5_k;
    if (is(Mix::iq1_s, Mix::iq1_m)) return Dtype::iq2_xxs;
    return is(Mix::iq2_s, Mix::iq2_m) ? Dtype::iq3_s : base_;
  }

  Dtype value() {
    const std::uint32_t index = met_values_++;
    Dtype type = value_at(index);
    if (seventy_ && (type == Dtype::q3_k || type == Dtype::q4_k)) type = Dtype::q5_k;
    return model_.experts == 8 ? Dtype::q8_0 : type;
  }
  Dtype value_at(std::uint32_t index) const {
    if (is(Mix::q2_k)) return shared_heads_ ? Dtype::q4_k : Dtype::q3_k;
    if (is(Mix::q2_k_s) && shared_heads_) return Dtype::q4_k;
    if (is(Mix::iq3_xxs))
      return shared_heads_ ? Dtype::q4_k : model_.has_importance ? Dtype::iq3_xxs : Dtype::iq3_s;
    if (is(Mix::iq3_xs, Mix::iq3_s) && shared_heads_) return Dtype::q4_k;
    if (is(Mix::iq3_m)) return Dtype::q4_k;
    if (is(Mix::q3_k_m)) return index < 2 ? Dtype::q5_k : Dtype::q4_k;
    if (is(Mix::q3_k_l)) return Dtype::q5_k;
    if (is(Mix::iq4_nl, Mix::iq4_xs) && shared_heads_) return Dtype::q5_k;
    if (is(Mix::q4_k_m, Mix::q5_k_m) && deserves_more(index, values_)) return Dtype::q6_k;
    if (is(Mix::q4_k_s) && index < 4) return Dtype::q5_k;
    return base_;
  }

  Dtype down(std::uint32_t layer) const {
    const std::uint32_t layers = model_.layers;
    const bool early = layer < layers / 8, more = deserves_more(layer, layers);
    switch (mix_) {
      case Mix::q2_k:
        return Dtype::q3_k;
      case Mix::q2_k_s:
        return early ? Dtype::q4_k : base_;
      case Mix::iq3_xxs:
        if (model_.has_importance) return base_;
        return early ? Dtype::q4_k : Dtype::q3_k;
      case Mix::q3_k_m:
        if (layer < layers / 16) return Dtype::q5_k;
        return !falcon_ || more ? Dtype::q4_k : Dtype::q3_k;
      case Mix::iq3_m:
        return early || (model_.experts == 8 && more) ? Dtype::q4_k : base_;
      case Mix::q3_k_l:
        return falcon_ ? Dtype::q4_k : Dtype::q5_k;
      case Mix::q4_k_m:
        if (falcon_) return layer < layers / 16 ? Dtype::q6_k : more ? Dtype::q5_k : Dtype::q4_k;
        return more ? Dtype::q6_k : base_;
      case Mix::iq4_nl:
      case Mix::iq4_xs:
        return early && !model_.has_importance ? Dtype::q5_k : base_;
      case Mix::q5_k_m:
        return more ? Dtype::q6_k : base_;
      case Mix::q4_k_s:
        return early && !falcon_ ? Dtype::q5_k : base_;
      case Mix::q4_0:
      case Mix::q5_0:
        if (!early || !model_.has_importance) return base_;
        return is(Mix::q4_0) ? Dtype::q4_1 : Dtype::q5_1;
      default:
        return base_;
    }
  }

  Dtype attention_out() const {
    if (falcon_) return is(Mix::q3_k_l) ? Dtype::q4_k : base_;
    if (model_.experts == 8)
      return is(Mix::q2_k, Mix::iq3_xs, Mix::iq3_xxs, Mix::q3_k_s, Mix::q3_k_m, Mix::iq4_nl,
                Mix::q4_k_s, Mix::q4_k_m, Mix::iq3_s, Mix::iq3_m, Mix::iq4_xs)
                 ? Dtype::q5_k
                 : base_;
    if (is(Mix::q2_k)) return Dtype::q3_k;
    if (is(Mix::iq3_xxs)) return Dtype::iq3_s;
    if (is(Mix::q3_k_m, Mix::iq3_m)) return Dtype::q4_k;
    return is(Mix::q3_k_l) ? Dtype::q5_k : base_;
  }

  Dtype middle(std::uint32_t layer) const {
    const std::uint32_t layers = model_.layers;
    const bool inner = layer >= layers / 8 && layer < 7 * layers / 8;
    return is(Mix::iq3_xs) && inner ? Dtype::iq3_xxs : base_;
  }

  // With experts, several tensors of a kind are in one layer: the name tells which.
  std::uint32_t layer(const RecipeTensor& tensor, std::uint32_t met) const {
    return model_.experts > 1 ? layer_of(tensor.name).value_or(met) : met;
  }

  // Rows that are not whole blocks take a type of smaller ones.
  static Dtype fitting(const RecipeTensor& tensor, Dtype type) {
    const auto fits = [&](Dtype each) {
      return tensor.shape.back() % info(each).block_elements == 0;
    };
    if (fits(type)) return type;
    switch (type) {
      case Dtype::q2_0:
      case Dtype::q2_k:
      case Dtype::q3_k:
      case Dtype::tq1_0:
      case Dtype::tq2_0:
        type = Dtype::q4_0;
        break;
      case Dtype::q4_k:
        type = Dtype::q5_0;
        break;
      case Dtype::q5_k:
        type = Dtype::q5_1;
        break;
      case Dtype::q6_k:
        type = Dtype::q8_0;
        break;
      default:
        type = Dtype::iq4_nl;
    }
    return fits(type) ? type : Dtype::f16;
  }

  Mix mix_;
  Dtype base_;
  const RecipeModel& model_;
  bool tied_ = true, shared_heads_ = false, falcon_ = false, seventy_ = false;
  std::uint32_t values_ = 0, met_values_ = 0, downs_ = 0, gates_ = 0, ups_ = 0;
};

}  // namespace

std::span<const Recipe> recipes() { return table; }

const Recipe* find_recipe(std::string_view name) {
  for (const Recipe& recipe : table)
    if (equal_ignoring_case(recipe.name, name)) return &recipe;
  return nullptr;
}

std::vector<Dtype> choose_types(const Recipe& recipe, const RecipeModel& model,
                                std::span<const RecipeTensor> tensors) {
  Chooser chooser(recipe, model, tensors);
  std::vector<std::size_t> order(tensors.size());  // by layer, as their count decides
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) {
    const auto layer = layer_of(tensors[i].name);
    return layer ? std::int64_t{*layer} : -1;
  });
  std::vector<Dtype> types(tensors.size());
  for (const std::size_t i : order) types[i] = chooser.choose(tensors[i]);
  return types;
}

}  // namespace hearth::adapt

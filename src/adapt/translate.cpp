#include "adapt/translate.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "adapt/translate/origin.h"
#include "base/bytes.h"
#include "models/describe.h"
#include "models/t5.h"

namespace hearth::adapt {
namespace {

using namespace models;

// Tables that are computed, and buffers that older programs save.
bool is_derived(std::string_view name) {
  for (const std::string_view suffix :
       {"rotary_emb.inv_freq", "attn.bias", "attn.masked_bias", "attention.bias",
        "attention.masked_bias", "position_ids", "rope.freqs"})
    if (name.ends_with(suffix)) return true;
  return false;
}

bool near(double a, double b) {
  return std::abs(a - b) <= 1e-6 * std::max(std::abs(a), std::abs(b));
}

}  // namespace

void tell_unused(const Package& package, const std::set<std::string>& used,
                 std::vector<std::string>& losses) {
  std::vector<std::string_view> left;
  std::uint64_t bytes = 0;
  for (const TensorEntry& tensor : package.tensors) {
    if (used.contains(tensor.name) || is_derived(tensor.name)) continue;
    left.push_back(tensor.name);
    bytes += tensor.bytes();
  }
  if (left.empty()) return;
  std::string names;
  for (std::size_t i = 0; i < std::min<std::size_t>(left.size(), 3); ++i)
    names += fmt::format("{}{}", i > 0 ? ", " : "", left[i]);
  losses.push_back(
      fmt::format("{} tensors ({} bytes) are no part of the model that runs and stay behind: {}{}",
                  left.size(), bytes, names, left.size() > 3 ? ", ..." : ""));
}

void add_file(Package& package, std::string name, std::string bytes) {
  const auto kept = std::make_shared<const std::string>(std::move(bytes));
  package.files.insert_or_assign(std::move(name), bytes_of(*kept));
  package.storage.push_back(kept);
}

std::vector<std::string> differences(const Hyper& before, const Hyper& after) {
  std::vector<std::string> all;
  const auto tell = [&](std::string_view what, double a, double b) {
    if (!near(a, b)) all.push_back(fmt::format("{}: {} becomes {}", what, a, b));
  };
  tell("width", before.dim, after.dim);
  tell("heads", before.heads, after.heads);
  tell("head size", before.head_dim, after.head_dim);
  tell("context", before.context, after.context);
  tell("epsilon of norms", before.norm_eps, after.norm_eps);
  tell("attention scale", before.attention_scale, after.attention_scale);
  tell("attention cap", before.attention_softcap, after.attention_softcap);
  tell("output cap", before.output_softcap, after.output_softcap);
  tell("embedding scale", before.embedding_scale, after.embedding_scale);
  tell("residual scale", before.residual_scale, after.residual_scale);
  tell("logit scale", before.logit_scale, after.logit_scale);
  tell("parallel branches", before.parallel, after.parallel);
  tell("activation", static_cast<double>(before.activation), static_cast<double>(after.activation));
  tell("rotating dimensions", before.rotary_dims, after.rotary_dims);
  tell("rope base", before.rope.theta, after.rope.theta);
  tell("rope base of local layers", before.rope_local.theta, after.rope_local.theta);
  tell("experts", before.experts, after.experts);
  tell("experts used", before.experts_used, after.experts_used);
  tell("expert weights normed", before.normalise_experts, after.normalise_experts);
  tell("expert scale", before.expert_scale, after.expert_scale);
  tell("SwiGLU alpha", before.swiglu_alpha, after.swiglu_alpha);
  tell("SwiGLU limit", before.swiglu_limit, after.swiglu_limit);
  tell("pooling", static_cast<double>(before.pooling), static_cast<double>(after.pooling));
  tell("vectors of length one", before.normalise, after.normalise);
  for (std::size_t i = 0; i < std::min(before.layers.size(), after.layers.size()); ++i) {
    const LayerHyper &a = before.layers[i], &b = after.layers[i];
    tell(fmt::format("layer {}: window", i), a.window, b.window);
    tell(fmt::format("layer {}: rotates", i), a.rotates, b.rotates);
    tell(fmt::format("layer {}: sparse", i), a.sparse, b.sparse);
  }
  return all;
}

Result<Translated> translate(const Package& package, Naming naming) {
  const bool has_tokenizer = package.metadata.has("tokenizer.ggml.model");
  if (package.naming == naming && (naming == Naming::huggingface || has_tokenizer))
    return Translated{package, {}};
  const ArchSpec& spec = *TRY(architecture_of(package));
  TRY(check_scheme(package));
  if (&spec == &t5 && package.naming != naming) return translate_t5(package, naming);
  if (package.naming != naming && spec.hf_class.empty() && spec.kind == Kind::generator)
    return Error(ErrorKind::unsupported,
                 fmt::format("{}: its tensors are arranged otherwise under the other naming, which "
                             "we do not write; the model runs, and is quantised, as it is",
                             spec.name));
  const auto origin = std::make_shared<const Origin>(package, spec, TRY(read_hyper(package, spec)));
  Translated out{{}, {}};
  Package& made = out.package;
  if (package.naming == naming) {  // rows of GGUF whose tokenizer is a file beside them
    made = package;
    made.files.clear();
    TRY(write_gguf_tokenizer(package, made, origin->hyper.vocab, out.losses));
    return out;
  }
  made.naming = naming;
  made.path = package.path;
  made.format = naming == Naming::gguf ? "gguf" : "safetensors";
  made.storage.push_back(origin);

  const bool ranks =
      spec.kind == Kind::encoder && kind_of(package, spec, origin->hyper) == ModelKind::reranker;
  std::string prefix(spec.hf_prefix);
  if (ranks && naming == Naming::huggingface)
    prefix = spec.name == "modern-bert" ? "model." : "bert.";
  const TensorFinder to(made, spec, origin->hyper, prefix);
  std::set<std::string> used;
  auto tensors = TRY(translate_tensors(origin, to, used, out.losses));
  TRY(add_tensors(made, std::move(tensors)));
  if (naming == Naming::gguf)
    made.tower = translate_tower(package, origin->hyper.dim, used, out.losses);
  tell_unused(package, used, out.losses);
  if (naming == Naming::gguf) {
    TRY(write_metadata(*origin, made, out.losses));
    TRY(write_gguf_tokenizer(package, made, origin->hyper.vocab, out.losses));
  } else {
    TRY(write_config(*origin, made, out.losses));
    TRY(write_folder_tokenizer(package, made, out.losses));
    add_tower_folder(*origin, made, out.losses);
  }
  const ArchSpec& again = *TRY(architecture_of(made));
  Hyper before = origin->hyper, after = TRY(read_hyper(made, again));
  if (spec.mixer_beside_attention)  // their factors are in the matrices
    for (Hyper* hyper : {&before, &after})
      hyper->embedding_scale = hyper->logit_scale = hyper->attention_scale = 1;
  for (std::string& difference : differences(before, after))
    out.losses.push_back(std::move(difference));
  return out;
}

}  // namespace hearth::adapt

// OLMo 2 and 3: branches are normed after, not before; queries and keys over their full width.  3
// has local layers; GGUF files of it call themselves OLMo 2.
// Source: Team OLMo 2025.
#include "models/architectures.h"
#include "models/rows.h"

namespace hearth::models {
namespace {

constexpr auto whole = ends();
constexpr auto plain_attention = attention();
constexpr auto full_norms = query_key_norms(Extent::q, Extent::kv);
constexpr auto mlp = gated_mlp();

constexpr TensorRow post_norms[] = {
    {Role::attention_post_norm, "blk.{}.post_attention_norm", "layers.{}.post_attention_layernorm",
     Extent::dim},
    {Role::mlp_post_norm, "blk.{}.post_ffw_norm", "layers.{}.post_feedforward_layernorm",
     Extent::dim},
};

constexpr std::string_view types[] = {"olmo2", "olmo3"};

}  // namespace

const ArchSpec olmo2{
    .name = "olmo2",
    .hf_types = types,
    .hf_class = "Olmo2ForCausalLM",
    .tensors = {whole, post_norms, plain_attention, full_norms, mlp},
    .local = {.period = 4, .global_at = 3},
    .local_rope_unscaled = true,
};

}  // namespace hearth::models

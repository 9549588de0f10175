// Phi-3 and Phi-4: fused projections, long contexts by longrope; the mini of 4 turns three quarters
// of each head.  Source: Abdin et al. 2024; Ding et al. 2024.
#include "models/architectures.h"
#include "models/rows.h"

namespace hearth::models {
namespace {

constexpr auto whole = ends();
constexpr auto norms = norms_before();
constexpr auto mlp = fused_gated_mlp();

constexpr TensorRow attention_rows[] = {
    {Role::rope_short, "rope_factors_short", "", Extent::rotary_half, Extent::none, absent,
     optional_part},
    {Role::rope_long, "rope_factors_long", "", Extent::rotary_half, Extent::none, absent,
     optional_part},
    {Role::qkv, "blk.{}.attn_qkv", "layers.{}.self_attn.qkv_proj", Extent::qkv, Extent::dim},
    {Role::attention_out, "blk.{}.attn_output", "layers.{}.self_attn.o_proj", Extent::dim,
     Extent::q},
};

constexpr std::string_view types[] = {"phi3"};

}  // namespace

const ArchSpec phi3{
    .name = "phi3",
    .hf_types = types,
    .hf_class = "Phi3ForCausalLM",
    .tensors = {whole, norms, attention_rows, mlp},
};

}  // namespace hearth::models

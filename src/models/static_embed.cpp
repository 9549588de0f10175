// Static embeddings: a vector per token, pooled; no layers.
#include "models/architectures.h"
#include "models/rows.h"

namespace hearth::models {
namespace {

constexpr TensorRow rows[] = {
    {Role::token_embedding, "token_embd", "/embeddings!|/embedding", Extent::vocab, Extent::dim},
};
constexpr std::string_view types[] = {"static-embed"};

}  // namespace

const ArchSpec static_embed{
    .name = "static-embed",
    .hf_types = types,
    .kind = Kind::static_embedder,
    .tensors = {rows},
    .rope = RopeRule::none,
};

}  // namespace hearth::models

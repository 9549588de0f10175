// Encoders: BERT and RoBERTa (MiniLM, BGE, E5), Nomic-BERT, ModernBERT, with the classification
// heads of cross-encoders.  Source: Devlin et al. 2019; Liu et al. 2019; Nussbaum et al. 2024;
// Warner et al. 2024.
#include "models/architectures.h"
#include "models/rows.h"

namespace hearth::models {
namespace {

constexpr TensorRow bert_rows[] = {
    {Role::token_embedding, "token_embd", "embeddings.word_embeddings", Extent::vocab, Extent::dim},
    {Role::position_embedding, "position_embd", "embeddings.position_embeddings", Extent::context,
     Extent::dim},
    {Role::type_embedding, "token_types", "embeddings.token_type_embeddings", Extent::types,
     Extent::dim, absent, optional_part},
    {Role::embedding_norm, "token_embd_norm", "embeddings.LayerNorm", Extent::dim, Extent::none,
     required_part},
    {Role::q, "blk.{}.attn_q", "encoder.layer.{}.attention.self.query", Extent::q, Extent::dim,
     required_part},
    {Role::k, "blk.{}.attn_k", "encoder.layer.{}.attention.self.key", Extent::kv, Extent::dim,
     required_part},
    {Role::v, "blk.{}.attn_v", "encoder.layer.{}.attention.self.value", Extent::kv, Extent::dim,
     required_part},
    {Role::attention_out, "blk.{}.attn_output", "encoder.layer.{}.attention.output.dense",
     Extent::dim, Extent::q, required_part},
    {Role::attention_sum_norm, "blk.{}.attn_output_norm",
     "encoder.layer.{}.attention.output.LayerNorm", Extent::dim, Extent::none, required_part},
    {Role::up, "blk.{}.ffn_up", "encoder.layer.{}.intermediate.dense", Extent::hidden, Extent::dim,
     required_part},
    {Role::down, "blk.{}.ffn_down", "encoder.layer.{}.output.dense", Extent::dim, Extent::hidden,
     required_part},
    {Role::mlp_sum_norm, "blk.{}.layer_output_norm", "encoder.layer.{}.output.LayerNorm",
     Extent::dim, Extent::none, required_part},
};
constexpr TensorRow bert_head[] = {
    {Role::pooler, "cls", "pooler.dense|/classifier.dense", Extent::dim, Extent::dim, optional_part,
     optional_part},
    {Role::classifier, "cls.output", "/classifier|/classifier.out_proj", Extent::labels,
     Extent::dim, optional_part, optional_part},
};

constexpr TensorRow nomic_rows[] = {
    {Role::token_embedding, "token_embd", "embeddings.word_embeddings", Extent::vocab, Extent::dim},
    {Role::type_embedding, "token_types", "embeddings.token_type_embeddings", Extent::types,
     Extent::dim, absent, optional_part},
    {Role::embedding_norm, "token_embd_norm", "emb_ln|embeddings.LayerNorm", Extent::dim,
     Extent::none, required_part},
    {Role::qkv, "blk.{}.attn_qkv", "encoder.layers.{}.attn.Wqkv", Extent::qkv, Extent::dim,
     optional_part},
    {Role::q, "", "layers.{}.self_attn.q_proj", Extent::q, Extent::dim},
    {Role::k, "", "layers.{}.self_attn.k_proj", Extent::kv, Extent::dim},
    {Role::v, "", "layers.{}.self_attn.v_proj", Extent::kv, Extent::dim},
    {Role::attention_out, "blk.{}.attn_output",
     "encoder.layers.{}.attn.out_proj|layers.{}.self_attn.o_proj", Extent::dim, Extent::q,
     optional_part},
    {Role::attention_sum_norm, "blk.{}.attn_output_norm",
     "encoder.layers.{}.norm1|layers.{}.post_attention_layernorm", Extent::dim, Extent::none,
     required_part},
    {Role::gate, "blk.{}.ffn_gate", "encoder.layers.{}.mlp.fc12|layers.{}.mlp.gate_proj",
     Extent::hidden, Extent::dim},
    {Role::up, "blk.{}.ffn_up", "encoder.layers.{}.mlp.fc11|layers.{}.mlp.up_proj", Extent::hidden,
     Extent::dim},
    {Role::down, "blk.{}.ffn_down", "encoder.layers.{}.mlp.fc2|layers.{}.mlp.down_proj",
     Extent::dim, Extent::hidden},
    {Role::mlp_sum_norm, "blk.{}.layer_output_norm",
     "encoder.layers.{}.norm2|layers.{}.post_mlp_layernorm", Extent::dim, Extent::none,
     required_part},
};

constexpr TensorRow modern_rows[] = {
    {Role::token_embedding, "token_embd", "embeddings.tok_embeddings", Extent::vocab, Extent::dim},
    {Role::embedding_norm, "token_embd_norm", "embeddings.norm", Extent::dim, Extent::none,
     optional_part},
    {Role::output_norm, "output_norm", "final_norm", Extent::dim, Extent::none, optional_part},
    // The first layer has none: it follows the norm of the embedding.
    {Role::attention_norm, "blk.{}.attn_norm", "layers.{}.attn_norm", Extent::dim, Extent::none,
     optional_part, optional_part},
    {Role::qkv, "blk.{}.attn_qkv", "layers.{}.attn.Wqkv", Extent::qkv, Extent::dim, optional_part},
    {Role::attention_out, "blk.{}.attn_output", "layers.{}.attn.Wo", Extent::dim, Extent::q,
     optional_part},
    {Role::mlp_norm, "blk.{}.ffn_norm", "layers.{}.mlp_norm", Extent::dim, Extent::none,
     optional_part},
    {Role::gate_up, "blk.{}.ffn_up", "layers.{}.mlp.Wi", Extent::hidden2, Extent::dim,
     optional_part},
    {Role::down, "blk.{}.ffn_down", "layers.{}.mlp.Wo", Extent::dim, Extent::hidden, optional_part},
};
constexpr TensorRow modern_head[] = {
    {Role::pooler, "cls", "/head.dense", Extent::dim, Extent::dim, optional_part, optional_part},
    {Role::pooler_norm, "cls.norm", "/head.norm", Extent::dim, Extent::none, optional_part,
     optional_part},
    {Role::classifier, "cls.output", "/classifier", Extent::labels, Extent::dim, optional_part,
     optional_part},
};

constexpr std::string_view bert_types[] = {"bert"};
constexpr std::string_view roberta_types[] = {"roberta", "xlm-roberta", "camembert"};
constexpr std::string_view nomic_types[] = {"nomic_bert"};
constexpr std::string_view modern_types[] = {"modernbert"};
constexpr std::string_view modern_bert_words[] = {"hidden_activation", "norm_eps",
                                                  "local_attention"};

}  // namespace

const ArchSpec bert{
    .name = "bert",
    .hf_types = bert_types,
    .kind = Kind::encoder,
    .hf_class = "BertModel",
    .hf_prefix = "",
    .tensors = {bert_rows, bert_head},
    .defaults = {.norm_eps = 1e-12},
    .norm = NormKind::layer,
    .mlp = MlpKind::plain,
    .activation = ops::Activation::gelu,
    .activation_from_config = true,
    .rope = RopeRule::none,
};

// In GGUF files these are "bert", their table of positions cut to begin at 0.
const ArchSpec roberta{
    .name = "roberta",
    .hf_types = roberta_types,
    .kind = Kind::encoder,
    .hf_class = "RobertaModel",
    .hf_prefix = "",
    .tensors = {bert_rows, bert_head},
    .defaults = {.norm_eps = 1e-12, .position_offset = 2},
    .norm = NormKind::layer,
    .mlp = MlpKind::plain,
    .activation = ops::Activation::gelu,
    .activation_from_config = true,
    .rope = RopeRule::none,
};

const ArchSpec nomic_bert{
    .name = "nomic-bert",
    .hf_types = nomic_types,
    .kind = Kind::encoder,
    .hf_class = "NomicBertModel",
    .hf_prefix = "",
    .tensors = {nomic_rows},
    .defaults = {.norm_eps = 1e-12, .rope_theta = 1000},
    .norm = NormKind::layer,
    .activation_from_config = true,
};

const ArchSpec modern_bert{
    .name = "modern-bert",
    .hf_types = modern_types,
    .kind = Kind::encoder,
    .hf_class = "ModernBertModel",
    .hf_prefix = "",
    .hf_words = modern_bert_words,
    .tensors = {modern_rows, modern_head},
    .defaults = {.rope_theta = 160000, .rope_theta_local = 10000},
    .norm = NormKind::layer,
    .activation = ops::Activation::gelu,
    .activation_from_config = true,
    .local = {.period = 3, .global_at = 0},
    .pool_activation_gelu = true,
};

}  // namespace hearth::models

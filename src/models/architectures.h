// The architectures we know, one constant each.
#pragma once

#include "models/arch_spec.h"

namespace hearth::models {

extern const ArchSpec llama, smollm3, granite;                                         // llama.cpp
extern const ArchSpec qwen2vl, qwen2, qwen2moe, qwen3, qwen3moe, qwen3vl, qwen3vlmoe;  // qwen.cpp
extern const ArchSpec gemma, gemma2, gemma3, gemma3n, gemma4;                          // gemma.cpp
extern const ArchSpec phi3, olmo2, glm4, gpt_oss;              // phi.cpp, olmo.cpp, glm.cpp, ...
extern const ArchSpec command_r, cohere2;                      // cohere.cpp
extern const ArchSpec starcoder2, gpt2, gptneox;               // gpt.cpp
extern const ArchSpec bert, roberta, nomic_bert, modern_bert;  // bert.cpp
extern const ArchSpec olmoe, ernie4_5, ernie4_5_moe, hunyuan_dense, hunyuan_moe;
extern const ArchSpec dots1, glm4_moe, minimax_m2;                         // experts_family.cpp
extern const ArchSpec llama4, ministral3, seed_oss, exaone4, granitemoe;   // llama_kin.cpp
extern const ArchSpec deepseek2, deepseek3;                                // deepseek.cpp
extern const ArchSpec lfm2, lfm2_moe, granite_hybrid, mamba2, nemotron_h;  // hybrids.cpp
extern const ArchSpec falcon_h1, qwen3_next, qwen35, qwen35_moe;
extern const ArchSpec rwkv7;         // rwkv.cpp
extern const ArchSpec static_embed;  // static_embed.cpp

// In the order they are named to people.
std::span<const ArchSpec* const> architectures();

// The architecture of a package.  Errors: unsupported (unknown, with the ones we know).
Result<const ArchSpec*> architecture_of(const Package& package);

}  // namespace hearth::models

// The architectures we know, one constant each.
#pragma once

#include "models/arch_spec.h"

namespace hearth::models {

extern const ArchSpec llama, smollm3, granite;                    // llama.cpp
extern const ArchSpec qwen2vl, qwen2, qwen2moe, qwen3, qwen3moe;  // qwen.cpp
extern const ArchSpec gemma, gemma2, gemma3;                      // gemma.cpp
extern const ArchSpec phi3, olmo2, glm4, gpt_oss;                 // phi.cpp, olmo.cpp, glm.cpp, ...
extern const ArchSpec command_r, cohere2;                         // cohere.cpp
extern const ArchSpec starcoder2, gpt2, gptneox;                  // gpt.cpp
extern const ArchSpec bert, roberta, nomic_bert, modern_bert;     // bert.cpp
extern const ArchSpec static_embed;                               // static_embed.cpp

// In the order they are named to people.
std::span<const ArchSpec* const> architectures();

// The architecture of a package.  Errors: unsupported (unknown, with the ones we know).
Result<const ArchSpec*> architecture_of(const Package& package);

}  // namespace hearth::models

// To add an architecture: write its ArchSpec in a file of its family, name it here.
#include "models/architectures.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/utf8.h"
#include "models/hyper_source.h"
#include "models/t5.h"
#include "models/user_list.h"

namespace hearth::models {
namespace {

constexpr std::size_t shown_name_bytes = 64;  // of a name from a file, in a message

Error unknown(std::string_view what, std::string_view name) {
  std::set<std::string_view> known;
  for (const ArchSpec* spec : architectures()) known.insert(spec->name);
  for (const ArchSpec* spec : added_architectures()) known.insert(spec->name);
  std::string list;
  for (const std::string_view each : known) {
    if (!list.empty()) list += ", ";
    list += each;
  }
  return Error(ErrorKind::unsupported, fmt::format("{} '{}' is not one we run; we know {}", what,
                                                   printable(name, shown_name_bytes), list));
}

bool matches(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

std::span<const ArchSpec* const> architectures() {
  static constexpr std::array list{
      &llama,        &smollm3,    &granite,    &granitemoe,   &granite_hybrid, &llama4,
      &ministral3,   &qwen2vl,    &qwen2,      &qwen2moe,     &qwen3,          &qwen3moe,
      &qwen3vl,      &qwen3vlmoe, &qwen3_next, &qwen35,       &qwen35_moe,     &gemma,
      &gemma2,       &gemma3,     &gemma3n,    &gemma4,       &phi3,           &olmo2,
      &olmoe,        &glm4,       &glm4_moe,   &gpt_oss,      &deepseek2,      &deepseek3,
      &command_r,    &cohere2,    &ernie4_5,   &ernie4_5_moe, &hunyuan_dense,  &hunyuan_moe,
      &exaone4,      &seed_oss,   &dots1,      &minimax_m2,   &lfm2,           &mamba2,
      &nemotron_h,   &falcon_h1,  &rwkv7,      &lfm2_moe,     &starcoder2,     &gpt2,
      &gptneox,      &bert,       &roberta,    &nomic_bert,   &modern_bert,    &t5,
      &static_embed,
  };
  return list;
}

bool has_role(const ArchSpec& spec, Role role) {
  for (const auto rows : spec.tensors)
    if (std::ranges::find(rows, role, &TensorRow::role) != rows.end()) return true;
  return false;
}

Result<const ArchSpec*> architecture_of(const Package& package) {
  const auto added = added_architectures();
  const auto find = [&](auto is_it) -> const ArchSpec* {
    for (const ArchSpec* spec : added)
      if (is_it(*spec)) return spec;
    for (const ArchSpec* spec : architectures())
      if (is_it(*spec)) return spec;
    return nullptr;
  };
  if (package.naming == Naming::gguf) {
    const std::string_view name = TRY(package.metadata.string("general.architecture"));
    if (const ArchSpec* found = find([&](const ArchSpec& spec) {
          return spec.name == name || matches(spec.gguf_also, name);
        }))
      return found;
    return unknown("architecture", name);
  }
  if (!package.config.is_object())
    return Error(ErrorKind::unsupported,
                 "config.json is missing: without it weights have no architecture");
  const HyperSource source(package, "");
  const auto type = TRY(source.text({"", "model_type"}));
  if (!type) return Error(ErrorKind::unsupported, "config.json: model_type is missing");
  if (const ArchSpec* found =
          find([&](const ArchSpec& spec) { return matches(spec.hf_types, *type); }))
    return found;
  return unknown("model_type", *type);
}

}  // namespace hearth::models

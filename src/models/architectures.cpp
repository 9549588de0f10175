// To add an architecture: write its ArchSpec in a file of its family, name it here.
#include "models/architectures.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <set>

#include "models/hyper_source.h"

namespace hearth::models {
namespace {

constexpr std::size_t shown_name_bytes = 64;  // of a name from a file, in a message

Error unknown(std::string_view what, std::string_view name) {
  std::set<std::string_view> known;
  for (const ArchSpec* spec : architectures()) known.insert(spec->name);
  std::string list;
  for (const std::string_view each : known) {
    if (!list.empty()) list += ", ";
    list += each;
  }
  const bool is_long = name.size() > shown_name_bytes;
  return Error(ErrorKind::unsupported,
               fmt::format("{} '{}{}' is not one we run; we know {}", what,
                           name.substr(0, shown_name_bytes), is_long ? "..." : "", list));
}

bool matches(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

std::span<const ArchSpec* const> architectures() {
  static constexpr std::array list{
      &llama,     &smollm3,    &granite,     &qwen2,        &qwen2moe, &qwen3,   &qwen3moe,
      &gemma,     &gemma2,     &gemma3,      &phi3,         &olmo2,    &glm4,    &gpt_oss,
      &command_r, &cohere2,    &qwen2vl,     &starcoder2,   &gpt2,     &gptneox, &bert,
      &roberta,   &nomic_bert, &modern_bert, &static_embed,
  };
  return list;
}

Result<const ArchSpec*> architecture_of(const Package& package) {
  if (package.naming == Naming::gguf) {
    const std::string_view name = TRY(package.metadata.string("general.architecture"));
    for (const ArchSpec* spec : architectures())
      if (spec->name == name || matches(spec->gguf_also, name)) return spec;
    return unknown("architecture", name);
  }
  if (!package.config.is_object())
    return Error(ErrorKind::unsupported,
                 "config.json is missing: without it weights have no architecture");
  const HyperSource source(package, "");
  const auto type = TRY(source.text({"", "model_type"}));
  if (!type) return Error(ErrorKind::unsupported, "config.json: model_type is missing");
  for (const ArchSpec* spec : architectures())
    if (matches(spec->hf_types, *type)) return spec;
  return unknown("model_type", *type);
}

}  // namespace hearth::models

#include "text/pretokenizer/families.h"

#include <algorithm>

#include "text/pretokenizer/scanners.h"
#include "text/pretokenizer/splits.h"

namespace hearth {
namespace {

using namespace scan;

constexpr Scanner gpt2_stages[] = {gpt2};
constexpr Scanner llama3_stages[] = {llama3};
constexpr Scanner qwen2_stages[] = {qwen2};
constexpr Scanner qwen35_stages[] = {qwen35};
constexpr Scanner minicpm5_stages[] = {numbers_by_3, minicpm5};
constexpr Scanner ufakzeka_stages[] = {ufakzeka};
constexpr Scanner seed_coder_stages[] = {seed_coder};
constexpr Scanner jais2_stages[] = {jais2};
constexpr Scanner exaone_moe_stages[] = {exaone_moe};
constexpr Scanner laguna_stages[] = {lines, qwen2};
constexpr Scanner gpt4o_stages[] = {gpt4o};
constexpr Scanner tekken_stages[] = {tekken};
constexpr Scanner tiny_aya_stages[] = {thousands, gpt4o};
constexpr Scanner youtu_stages[] = {cjk_youtu, youtu};
constexpr Scanner kimi_stages[] = {kimi};
constexpr Scanner starcoder_stages[] = {each_number, gpt2};
constexpr Scanner deepseek_llm_stages[] = {each_newline, deepseek_letters, deepseek_punctuation,
                                           final_space,  cjk_deepseek,     numbers};
constexpr Scanner deepseek_coder_stages[] = {each_newline, spaced_letters, spaced_punctuation,
                                             cjk_deepseek, each_number};
constexpr Scanner deepseek3_stages[] = {numbers_by_3, cjk_deepseek3, deepseek3};
constexpr Scanner spark_stages[] = {numbers_by_3, cjk_deepseek3, spark, each_number};
constexpr Scanner afmoe_stages[] = {digits_from_right, cjk_afmoe, deepseek3};
constexpr Scanner superbpe_stages[] = {numbers, digits_from_right};
constexpr Scanner falcon_stages[] = {falcon_punctuation, gpt2, ascii_digits_by_3};
constexpr Scanner bloom_stages[] = {bloom};
constexpr Scanner viking_stages[] = {bloom, each_number};
constexpr Scanner chameleon_stages[] = {each_number, each_punctuation, gpt2};
constexpr Scanner lines_stages[] = {lines};
constexpr Scanner words_stages[] = {words};
constexpr Scanner default_stages[] = {default_punctuation, gpt2, numbers, ascii_digits_by_3};

// Source of the names: llama.cpp, src/llama-vocab.cpp, the values of tokenizer.ggml.pre.
constexpr PreTokenizerFamily table[] = {
    {.name = "", .stages = default_stages},
    {.name = "default", .stages = default_stages},
    {.name = "llama3", .stages = llama3_stages, .whole_first = true, .add_bos = true},
    {.name = "llama-v3", .stages = llama3_stages, .whole_first = true, .add_bos = true},
    {.name = "llama-bpe", .stages = llama3_stages, .whole_first = true, .add_bos = true},
    {.name = "falcon3", .stages = llama3_stages, .whole_first = true, .add_bos = true},
    {.name = "falcon-h1", .stages = llama3_stages, .whole_first = true, .add_bos = true},
    {.name = "pixtral", .stages = llama3_stages, .whole_first = true, .add_bos = true},
    {.name = "midm-2.0", .stages = llama3_stages, .whole_first = true, .add_bos = true},
    {.name = "lfm2", .stages = llama3_stages, .whole_first = true, .add_bos = true},
    {.name = "jina-v5-nano", .stages = llama3_stages, .whole_first = true, .add_bos = true},
    {.name = "minicpm5", .stages = minicpm5_stages, .whole_first = true},
    {.name = "dbrx", .stages = llama3_stages},
    {.name = "smaug-bpe", .stages = llama3_stages},
    {.name = "glm4", .stages = llama3_stages},
    {.name = "chatglm-bpe", .stages = llama3_stages},
    {.name = "jais-2", .stages = jais2_stages},
    {.name = "qwen2", .stages = qwen2_stages},
    {.name = "deepseek-r1-qwen", .stages = qwen2_stages},
    {.name = "kormo", .stages = qwen2_stages},
    {.name = "f2llmv2", .stages = qwen2_stages},
    {.name = "megrez", .stages = qwen2_stages},
    {.name = "stablelm2", .stages = qwen2_stages},
    {.name = "hunyuan", .stages = qwen2_stages},
    {.name = "solar-open", .stages = qwen2_stages},
    {.name = "grok-2", .stages = qwen2_stages},
    {.name = "bailingmoe", .stages = qwen2_stages},
    {.name = "bailingmoe2", .stages = qwen2_stages},
    {.name = "llada-moe", .stages = qwen2_stages},
    {.name = "ufakzeka", .stages = ufakzeka_stages},
    {.name = "laguna", .stages = laguna_stages},
    {.name = "qwen35", .stages = qwen35_stages},
    {.name = "seed-coder", .stages = seed_coder_stages},
    {.name = "exaone-moe", .stages = exaone_moe_stages},
    {.name = "gpt-4o", .stages = gpt4o_stages},
    {.name = "llama4", .stages = gpt4o_stages},
    {.name = "kanana2", .stages = gpt4o_stages},
    {.name = "talkie", .stages = gpt4o_stages},
    {.name = "minimax-m2", .stages = gpt4o_stages},
    {.name = "granite-embed-multi-97m", .stages = gpt4o_stages, .whole_first = true},
    {.name = "tiny_aya", .stages = tiny_aya_stages},
    {.name = "cohere2moe", .stages = tiny_aya_stages},
    {.name = "tekken", .stages = tekken_stages, .whole_first = true, .add_bos = true},
    {.name = "youtu", .stages = youtu_stages, .whole_first = true},
    {.name = "kimi-k2", .stages = kimi_stages},
    {.name = "deepseek-llm", .stages = deepseek_llm_stages},
    {.name = "deepseek-coder", .stages = deepseek_coder_stages},
    {.name = "deepseek-v3", .stages = deepseek3_stages},
    {.name = "hunyuan-dense", .stages = deepseek3_stages},
    {.name = "hy_v4", .stages = deepseek3_stages},
    {.name = "joyai-llm", .stages = deepseek3_stages},
    {.name = "spark2_5", .stages = spark_stages},
    {.name = "afmoe", .stages = afmoe_stages},
    {.name = "superbpe", .stages = superbpe_stages},
    {.name = "falcon", .stages = falcon_stages},
    {.name = "starcoder", .stages = starcoder_stages},
    {.name = "refact", .stages = starcoder_stages},
    {.name = "command-r", .stages = starcoder_stages},
    {.name = "smollm", .stages = starcoder_stages},
    {.name = "codeshell", .stages = starcoder_stages},
    {.name = "exaone", .stages = starcoder_stages},
    {.name = "minerva-7b", .stages = starcoder_stages},
    {.name = "mellum2", .stages = starcoder_stages},
    {.name = "gpt-2", .stages = gpt2_stages},
    {.name = "phi-2", .stages = gpt2_stages},
    {.name = "mpt", .stages = gpt2_stages},
    {.name = "olmo", .stages = gpt2_stages},
    {.name = "jais", .stages = gpt2_stages},
    {.name = "trillion", .stages = gpt2_stages},
    {.name = "granite-docling", .stages = gpt2_stages},
    {.name = "exaone4", .stages = gpt2_stages},
    {.name = "gigachat", .stages = gpt2_stages},
    {.name = "a.x-4.0", .stages = gpt2_stages},
    {.name = "mellum", .stages = gpt2_stages},
    {.name = "modern-bert", .stages = gpt2_stages},
    {.name = "jina-es", .stages = gpt2_stages},
    {.name = "jina-de", .stages = gpt2_stages},
    {.name = "jina-v1-en", .stages = gpt2_stages},
    {.name = "jina-v2-es", .stages = gpt2_stages},
    {.name = "jina-v2-de", .stages = gpt2_stages},
    {.name = "jina-v2-code", .stages = gpt2_stages},
    {.name = "roberta-bpe", .stages = gpt2_stages},
    {.name = "bloom", .stages = bloom_stages},
    {.name = "poro-chat", .stages = bloom_stages},
    {.name = "gpt3-finnish", .stages = bloom_stages},
    {.name = "viking", .stages = viking_stages},
    {.name = "chameleon", .stages = chameleon_stages, .add_bos = true},
    {.name = "gemma4", .stages = lines_stages, .add_bos = true, .raw_text = true},
    {.name = "granite-embed-multi-311m", .stages = lines_stages, .add_bos = true, .raw_text = true},
    {.name = "sarvam-moe", .stages = lines_stages, .raw_text = true},
    {.name = "whitespace", .stages = words_stages, .raw_text = true},
};

}  // namespace

const PreTokenizerFamily* find_family(std::string_view name) {
  const auto* const it = std::find_if(std::begin(table), std::end(table),
                                      [&](const PreTokenizerFamily& f) { return f.name == name; });
  return it == std::end(table) ? nullptr : it;
}

std::span<const PreTokenizerFamily> families() { return table; }

Result<PreTokenizer> make_pretokenizer(const PreTokenizerFamily& family) {
  PreTokenizer made;
  // Chameleon's sentinels, image tokens and groups of spaces come first.
  if (family.name == "chameleon")
    for (const std::string_view pattern :
         {"<sentinel:[0-9]+>", "IMGIMG[A-I]{1,4}Z", "[\\t\\n]|    |  "})
      made.add(make_regex_split(TRY(Regex::compile(pattern)), {Behavior::isolated}));
  for (const Scanner scanner : family.stages) made.add(make_scanner_step(scanner));
  return made;
}

}  // namespace hearth

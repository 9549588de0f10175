// Adapters beside the weights against the same ones merged into them, and sequences with different
// adapters in one batch.
#include "models/adapter.h"

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "models/test_support.h"
#include "models/transforms.h"
#include "models/values.h"

namespace hearth::models {
namespace {

constexpr std::size_t rank = 3;
constexpr double factor = 2;

std::vector<float> numbers(unsigned seed, std::size_t count, float size) {
  std::vector<float> out;
  for (std::size_t i = 0; i < count; ++i) {
    seed = seed * 1664525u + 1013904223u;
    out.push_back(size * (static_cast<float>(seed >> 8) / static_cast<float>(1u << 23) - 1));
  }
  return out;
}

std::span<const std::byte> bytes_of(const std::vector<float>& values) {
  return std::as_bytes(std::span(values));
}

// An adapter and what it makes of the model when it is merged.
struct Made {
  LoraFile file;
  Package merged;
};

struct Change {
  std::vector<std::string_view> modules;  // ends of the names
  bool is_transposed = false;             // the base holds [inputs, outputs]
};

// y += factor * up down x, for every module of the package that `change` names.
Made make(const Package& package, const Change& change, unsigned seed, double scale = 1) {
  Made made;
  made.file.path = "test";
  made.file.key = std::to_string(seed);
  made.merged = package;
  const auto keep = [&](std::vector<float> values) -> const std::vector<float>& {
    auto held = std::make_shared<const std::vector<float>>(std::move(values));
    made.file.storage.push_back(held);
    made.merged.storage.push_back(held);
    return *held;
  };
  for (TensorEntry& tensor : made.merged.tensors) {
    std::string module = tensor.name;
    if (!module.ends_with(".weight")) continue;
    module.resize(module.size() - 7);
    if (std::ranges::none_of(change.modules,
                             [&](std::string_view end) { return module.ends_with(end); }))
      continue;
    const std::size_t outputs = tensor.shape[change.is_transposed ? 1 : 0];
    const std::size_t inputs = tensor.shape[change.is_transposed ? 0 : 1];
    const auto& down = keep(numbers(++seed, rank * inputs, 0.2f));
    const auto& up = keep(numbers(++seed, outputs * rank, 0.2f));
    made.file.pairs.push_back({.module = module,
                               .down = {.name = module,
                                        .dtype = Dtype::f32,
                                        .shape = {rank, inputs},
                                        .data = bytes_of(down)},
                               .up = {.name = module,
                                      .dtype = Dtype::f32,
                                      .shape = {outputs, rank},
                                      .data = bytes_of(up)},
                               .factor = factor});
    std::vector<float> sum = *read_floats(tensor);
    for (std::size_t o = 0; o < outputs; ++o)
      for (std::size_t i = 0; i < inputs; ++i)
        for (std::size_t r = 0; r < rank; ++r)
          sum[change.is_transposed ? i * outputs + o : o * inputs + i] +=
              static_cast<float>(scale * factor) * up[o * rank + r] * down[r * inputs + i];
    tensor.dtype = Dtype::f32;
    tensor.data = bytes_of(keep(std::move(sum)));
    tensor.file_mapped = false;
  }
  REQUIRE(!made.file.pairs.empty());
  return made;
}

std::shared_ptr<const Model> loaded(ops::Context& ctx, const Package& package,
                                    LoadOptions options) {
  options.kv_dtype = Dtype::f32;
  auto model = load_model(ctx, package, options);
  REQUIRE_MESSAGE(model.ok(), model.error().message());
  return *model;
}

// Logits of the last row of each set; adapters: of each sequence.
std::vector<float> run(const Model& model, ops::Context& ctx, TestPages& pages,
                       std::span<const Rowset> sets,
                       std::span<const std::span<const AdapterUse>> adapters) {
  std::vector<Token> tokens;
  std::vector<ops::RowPlace> places;
  std::vector<std::uint32_t> last;
  for (const Rowset& set : sets) {
    pages.reserve(set.sequence, set.first + set.tokens.size());
    for (std::size_t i = 0; i < set.tokens.size(); ++i) {
      tokens.push_back(set.tokens[i]);
      places.push_back({set.sequence, set.first + static_cast<std::uint32_t>(i)});
    }
    last.push_back(static_cast<std::uint32_t>(tokens.size() - 1));
  }
  std::vector<float> logits(last.size() * model.info().vocabulary);
  const auto sequences = pages.sequences();
  const Status done = model.forward(ctx,
                                    {.tokens = tokens,
                                     .places = places,
                                     .sequences = sequences,
                                     .output_rows = last,
                                     .adapters = adapters},
                                    logits);
  REQUIRE_MESSAGE(done.ok(), done.error().message());
  return logits;
}

struct Case {
  std::string golden;
  Change change;
};
const Change llama_like{
    {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}};
const Case cases[] = {
    {"llama", llama_like},
    {"llama", {{"layers.1.self_attn.v_proj", "layers.0.mlp.down_proj"}}},
    {"gemma2", llama_like},
    {"qwen2", {{"self_attn.q_proj", "self_attn.v_proj"}}},
    {"phi3", {{"qkv_proj", "o_proj", "gate_up_proj", "down_proj"}}},
    {"gptneox", {{"query_key_value", "attention.dense", "dense_h_to_4h", "dense_4h_to_h"}}},
    {"gpt2", {{"c_attn", "c_proj", "c_fc"}, true}},
};

TEST_CASE("an adapter beside the weights does what it does merged into them") {
  for (const Case& each : cases) {
    CAPTURE(each.golden);
    const Golden golden = read_golden(each.golden);
    const auto package = open_package(golden.folder);
    REQUIRE(package.ok());
    const Made made = make(*package, each.change, 7, 0.5);
    const Rowset prompt{0, 0, golden.tokens("prompt")};
    each_path([&](ops::Context& ctx, const LoadOptions& options, const std::string& path) {
      CAPTURE(path);
      if (options.reference) return;
      const auto base = loaded(ctx, *package, options), merged = loaded(ctx, made.merged, options);
      const auto adapter = base->read_adapter(ctx, made.file);
      REQUIRE_MESSAGE(adapter.ok(), adapter.error().message());
      const AdapterUse use[] = {{*adapter, 0.5f}};
      const std::span<const AdapterUse> uses[] = {use};
      TestPages own(base->kv_layout(), 1), other(base->kv_layout(), 1), plain(base->kv_layout(), 1);
      const auto got = run(*base, ctx, own, {&prompt, 1}, uses);
      const auto wanted = run(*merged, ctx, other, {&prompt, 1}, {});
      CHECK(difference(got, wanted) < (is_exact(*base, ctx, options) ? 1e-4 : tier_tolerance));
      CHECK(difference(got, run(*base, ctx, plain, {&prompt, 1}, {})) > tier_tolerance);
    });
  }
}

// Rows of heads lie in another order in GGUF files of llama.
TEST_CASE("an adapter of one naming fits a model of the other") {
  const Golden golden = read_golden("llama");
  const auto folder = open_package(golden.folder),
             file = open_package(golden.folder + "/model.gguf");
  REQUIRE(folder.ok());
  REQUIRE(file.ok());
  const Made made = make(*folder, llama_like, 11);
  const Rowset prompt{0, 0, golden.tokens("prompt")};
  each_path([&](ops::Context& ctx, const LoadOptions& options, const std::string& path) {
    CAPTURE(path);
    if (options.reference) return;
    const auto base = loaded(ctx, *file, options), merged = loaded(ctx, made.merged, options);
    const auto adapter = base->read_adapter(ctx, made.file);
    REQUIRE_MESSAGE(adapter.ok(), adapter.error().message());
    const AdapterUse use[] = {{*adapter, 1}};
    const std::span<const AdapterUse> uses[] = {use};
    TestPages own(base->kv_layout(), 1), other(base->kv_layout(), 1);
    CHECK(difference(run(*base, ctx, own, {&prompt, 1}, uses),
                     run(*merged, ctx, other, {&prompt, 1}, {})) < 5e-3);
  });
}

TEST_CASE("sequences of one batch have each their own adapters") {
  const Golden golden = read_golden("llama");
  const auto package = open_package(golden.folder);
  REQUIRE(package.ok());
  const Made first = make(*package, llama_like, 21), second = make(*package, cases[1].change, 22);
  each_path([&](ops::Context& ctx, const LoadOptions& options, const std::string& path) {
    CAPTURE(path);
    if (options.reference) return;
    for (const bool deterministic : {false, true}) {
      ctx.deterministic = deterministic;
      const auto base = loaded(ctx, *package, options);
      const auto a = base->read_adapter(ctx, first.file), b = base->read_adapter(ctx, second.file);
      REQUIRE(a.ok());
      REQUIRE(b.ok());
      const std::vector<std::vector<AdapterUse>> held = {
          {}, {{*a, 1}}, {{*b, 0.5f}}, {{*a, 1}, {*b, 1}}, {{*a, 1}}, {}};
      const std::vector<std::span<const AdapterUse>> uses(held.begin(), held.end());
      std::vector<Rowset> prompts, next;
      for (std::uint32_t s = 0; s < held.size(); ++s) {
        prompts.push_back({s, 0, {}});
        for (std::uint32_t i = 0; i < 5 + 3 * s; ++i)
          prompts.back().tokens.push_back(
              static_cast<Token>((7 * i + 3) % base->info().vocabulary));
        next.push_back({s, 5 + 3 * s, {9}});
      }
      TestPages together(base->kv_layout(), held.size());
      auto got = run(*base, ctx, together, prompts, uses);
      const auto more = run(*base, ctx, together, next, uses);
      got.insert(got.end(), more.begin(), more.end());
      const std::size_t width = base->info().vocabulary;
      for (std::uint32_t s = 0; s < held.size(); ++s) {
        CAPTURE(s);
        TestPages alone(base->kv_layout(), 1);
        for (const std::size_t round : {0, 1}) {
          Rowset set = round == 0 ? prompts[s] : next[s];
          set.sequence = 0;
          const auto wanted = run(*base, ctx, alone, {&set, 1}, std::span(uses).subspan(s, 1));
          const auto own = std::span(got).subspan((round * held.size() + s) * width, width);
          if (deterministic)
            CHECK(std::ranges::equal(own, wanted));
          else
            CHECK(difference(own, wanted) < tier_tolerance);
        }
      }
    }
    ctx.deterministic = false;
  });
}

TEST_CASE("adapters that do not fit are refused") {
  const Golden golden = read_golden("llama");
  const auto package = open_package(golden.folder);
  REQUIRE(package.ok());
  each_path([&](ops::Context& ctx, const LoadOptions& options, const std::string& path) {
    CAPTURE(path);
    const auto base = loaded(ctx, *package, options);
    Made made = make(*package, llama_like, 3);
    CHECK(base->read_adapter(ctx, made.file).ok() == !options.reference);
    made.file.pairs[0].module = "model.layers.0.self_attn.q_norm";
    CHECK_FALSE(base->read_adapter(ctx, made.file).ok());
    made = make(*package, llama_like, 3);
    made.file.pairs[2].up.shape[0] += 1;
    CHECK_FALSE(base->read_adapter(ctx, made.file).ok());
    made = make(*package, {{"embed_tokens"}}, 3);
    CHECK_FALSE(base->read_adapter(ctx, made.file).ok());
  });
}

}  // namespace
}  // namespace hearth::models

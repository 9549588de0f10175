#include "models/test_support.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/files.h"

namespace hearth::models {

std::string Golden::text(std::string_view key) const { return data.find(key)->as_string(); }

std::vector<Token> Golden::tokens(std::string_view key) const { return tokens_of(*data.find(key)); }

std::vector<Token> Golden::tokens_of(const Json& list) {
  std::vector<Token> out;
  for (const Json& item : list.as_array()) out.push_back(static_cast<Token>(item.as_integer()));
  return out;
}

std::vector<std::string> Golden::containers() const {
  std::vector<std::string> out;
  if (is_file(folder + "/model.safetensors")) out.push_back(folder);
  if (is_file(folder + "/model.gguf")) out.push_back(folder + "/model.gguf");
  return out;
}

Golden read_golden(const std::string& name) {
  Golden golden{.name = name, .folder = golden_folder + "/" + name, .data = Json(), .logits = {}};
  const auto text = read_file(golden.folder + "/golden.json", 1 << 24);
  HEARTH_CHECK(text.ok());
  auto parsed = parse_json(*text);
  HEARTH_CHECK(parsed.ok());
  golden.data = *parsed;
  if (const auto logits = read_file(golden.folder + "/logits.f32", 1 << 24)) {
    golden.logits.resize(logits->size() / sizeof(float));
    std::memcpy(golden.logits.data(), logits->data(), golden.logits.size() * sizeof(float));
  }
  return golden;
}

std::vector<Golden> goldens(std::string_view kind) {
  std::vector<Golden> out;
  const auto names = list_folder(golden_folder);
  HEARTH_CHECK(names.ok());
  for (const std::string& name : *names) {
    Golden golden = read_golden(name);
    if (golden.text("kind") == kind) out.push_back(std::move(golden));
  }
  return out;
}

TestPages::TestPages(const KvLayout& layout, std::size_t sequences) : layout_(layout) {
  pages_.resize(sequences);
  guesses_.resize(sequences);
  for (std::size_t s = 0; s < sequences && layout.state_bytes > 0; ++s) {
    states_.push_back(std::make_unique<std::byte[]>(layout.state_bytes));
    certain_.push_back(std::make_unique<std::byte[]>(layout.state_bytes));
  }
}

void TestPages::reserve(std::size_t sequence, std::size_t tokens) {
  while (pages_[sequence].size() * ops::kv_page_tokens < tokens) {
    auto& block = memory_.emplace_back(layout_.page_bytes + 64);
    void* at = block.data();
    std::size_t room = block.size();
    pages_[sequence].push_back(
        static_cast<std::byte*>(std::align(64, layout_.page_bytes, at, room)));
  }
}

std::vector<ops::KvSequence> TestPages::sequences() const {
  std::vector<ops::KvSequence> out;
  for (std::size_t s = 0; s < pages_.size(); ++s) {
    out.push_back({pages_[s]});
    if (layout_.state_bytes == 0) continue;
    out.back().state = states_[s].get();
    out.back().guesses = guesses_[s];
    out.back().certain = certain_[s].get();
  }
  return out;
}

Result<std::vector<float>> step(const Model& model, ops::Context& ctx, TestPages& pages,
                                std::span<const Rowset> sets) {
  std::vector<Token> tokens;
  std::vector<ops::RowPlace> places;
  std::vector<std::uint32_t> wanted;
  for (const Rowset& set : sets) {
    pages.reserve(set.sequence, set.first + set.tokens.size());
    for (std::size_t i = 0; i < set.tokens.size(); ++i) {
      wanted.push_back(static_cast<std::uint32_t>(tokens.size()));
      tokens.push_back(set.tokens[i]);
      places.push_back({set.sequence, static_cast<std::uint32_t>(set.first + i)});
    }
  }
  std::vector<float> logits(tokens.size() * model.info().vocabulary);
  const auto sequences = pages.sequences();
  TRY(model.forward(ctx, Batch{tokens, places, sequences, wanted}, logits));
  return logits;
}

Result<std::vector<float>> step_for_last(const Model& model, ops::Context& ctx, TestPages& pages,
                                         const Rowset& set) {
  pages.reserve(set.sequence, set.first + set.tokens.size());
  std::vector<ops::RowPlace> places;
  for (std::size_t i = 0; i < set.tokens.size(); ++i)
    places.push_back({set.sequence, static_cast<std::uint32_t>(set.first + i)});
  const std::uint32_t last[] = {static_cast<std::uint32_t>(set.tokens.size() - 1)};
  std::vector<float> logits(model.info().vocabulary);
  const auto sequences = pages.sequences();
  TRY(model.forward(ctx, Batch{set.tokens, places, sequences, last}, logits));
  return logits;
}

Token best_of(std::span<const float> logits) {
  return static_cast<Token>(std::ranges::max_element(logits) - logits.begin());
}

Result<std::vector<Token>> greedy(const Model& model, ops::Context& ctx,
                                  const std::vector<Token>& prompt, std::size_t count) {
  TestPages pages(model.kv_layout(), 1);
  std::vector<Token> out;
  auto logits = TRY(step_for_last(model, ctx, pages, {0, 0, prompt}));
  out.push_back(best_of(logits));
  while (out.size() < count) {
    const auto position = static_cast<std::uint32_t>(prompt.size() + out.size() - 1);
    logits = TRY(step_for_last(model, ctx, pages, {0, position, {out.back()}}));
    out.push_back(best_of(logits));
  }
  return out;
}

double difference(std::span<const float> got, std::span<const float> wanted) {
  double worst = 0, largest = 1e-30;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const double gap = std::abs(static_cast<double>(got[i]) - wanted[i]);
    worst = gap <= worst ? worst : gap;  // NaN stays
    largest = std::max(largest, std::abs(static_cast<double>(wanted[i])));
  }
  return got.size() == wanted.size() ? worst / largest : INFINITY;
}

bool is_exact(const Model& model, const ops::Context& ctx, const LoadOptions& options) {
  const bool rounds = ctx.kernels->tiles != nullptr || ctx.kernels->bytes != ctx.kernels->rounded;
  return options.reference || model.info().quantisation == "f32" || ctx.tier == ops::Tier::exact ||
         !rounds;
}

void each_path(const std::function<void(ops::Context&, const LoadOptions&, const std::string&)>& f,
               std::uint32_t context_tokens) {
  ThreadPool pool(2);
  const kernels::Kernels& reference = kernels::reference();
  ops::Context plain{.kernels = &reference, .pool = &pool};
  LoadOptions options;
  options.context_tokens = context_tokens;
  options.kv_dtype = Dtype::f32;
  options.reference = true;
  f(plain, options, std::string("plain"));
  options.reference = false;
  for (const kernels::Candidate& candidate : kernels::tables_to_test()) {
    if (!candidate.supported()) continue;
    for (const ops::Tier tier : {ops::Tier::accurate, ops::Tier::exact}) {
      ops::Context ctx{.kernels = candidate.table, .pool = &pool, .tier = tier};
      f(ctx, options,
        fmt::format("{}, {}", candidate.table->name,
                    ops::tier_names[static_cast<std::size_t>(tier)]));
    }
  }
}

std::string shared_data(const std::string& name) {
  const char* folder = std::getenv("HEARTH_DATA");
  std::string path = join_path(folder != nullptr ? folder : "../shared/data", name);
  if (is_file(path) || is_folder(path)) return path;
  std::printf("skipped: %s is absent\n", path.c_str());
  return {};
}

}  // namespace hearth::models

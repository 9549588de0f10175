// What tests of models share: golden models, pages for keys and values, one call per step.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "kernels/test_tables.h"
#include "models/model.h"

namespace hearth::models {

inline const std::string golden_folder = "tests/golden/models";

struct Golden {
  std::string name, folder;
  Json data;
  std::vector<float> logits;  // generators: [prompt, vocabulary]

  std::string text(std::string_view key) const;
  std::vector<Token> tokens(std::string_view key) const;
  static std::vector<Token> tokens_of(const Json& list);
  // The containers that are there: Hugging Face folder, GGUF file.
  std::vector<std::string> containers() const;
};

Golden read_golden(const std::string& name);
std::vector<Golden> goldens(std::string_view kind);

// Pages of several sequences, growing as they are needed.
class TestPages {
 public:
  TestPages(const KvLayout& layout, std::size_t sequences);
  void reserve(std::size_t sequence, std::size_t tokens);
  std::vector<ops::KvSequence> sequences() const;
  // Of the sequence's next step the last so many rows are guesses.
  void guess(std::size_t sequence, std::uint32_t rows) { guesses_[sequence] = rows; }
  // The state is again what it was before the last guesses.
  void take_back(std::size_t sequence) { std::swap(states_[sequence], certain_[sequence]); }

 private:
  KvLayout layout_;
  std::vector<std::vector<std::byte>> memory_;
  std::vector<std::vector<std::byte*>> pages_;
  std::vector<std::unique_ptr<std::byte[]>> states_, certain_;
  std::vector<std::uint32_t> guesses_;
};

// Rows for some sequences in one step.
struct Rowset {
  std::uint32_t sequence;
  std::uint32_t first;  // position of the first token
  std::vector<Token> tokens;
};

// Logits of every row, in order.
Result<std::vector<float>> step(const Model& model, ops::Context& ctx, TestPages& pages,
                                std::span<const Rowset> sets);
// Logits of the last row only, as a server asks for them.
Result<std::vector<float>> step_for_last(const Model& model, ops::Context& ctx, TestPages& pages,
                                         const Rowset& set);
Token best_of(std::span<const float> logits);
Result<std::vector<Token>> greedy(const Model& model, ops::Context& ctx,
                                  const std::vector<Token>& prompt, std::size_t count);

// The largest difference, as a share of the largest wanted magnitude.
double difference(std::span<const float> got, std::span<const float> wanted);

// Kernel tables with tiles (AMX) round both factors of a product of quantised weights to bf16,
// whose step is 2^-8, in steps of several rows but not of one (gpt-oss-mxfp4: 1.7e-3); others round
// activations to 8 bits.
constexpr double tier_tolerance = 2e-2;

bool is_exact(const Model& model, const ops::Context& ctx, const LoadOptions& options);

// Calls f(ctx, options, label) for the plain path and for the fast one on every table.
void each_path(const std::function<void(ops::Context&, const LoadOptions&, const std::string&)>& f,
               std::uint32_t context_tokens = 0);

// "" (and a printed line) when it is absent.
std::string shared_data(const std::string& name);

}  // namespace hearth::models

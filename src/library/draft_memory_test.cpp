// What a model that guesses for another takes is counted before both are loaded.
#include <doctest/doctest.h>

#include "library/library.h"
#include "runtime/memory_budget.h"

namespace hearth {
namespace {

const std::string large = "src/library/builtin/chat.gguf";

// With so much memory for models, and one of the same tokens to guess for them, if any.
Result<Lease> load_within(std::uint64_t memory_bytes, const std::string& draft) {
  LibraryOptions options;
  options.threads = 1;
  options.draft = draft;
  options.runner.context_tokens = 256;
  options.pool.memory_bytes = memory_bytes;
  options.pool.min_free_bytes = 0;
  return TRY(Library::create(options))->acquire(large);
}

}  // namespace

TEST_CASE("a draft model's weights, keys and values are admitted with the large one's") {
  const auto alone = load_within(0, "");
  REQUIRE_MESSAGE(alone.ok(), alone.error().message());
  const ModelInfo& info = (*alone)->model().info();
  const std::uint64_t kv = kv_tokens_of(256) * info.kv_bytes_per_token;
  const std::uint64_t needed = info.weight_bytes + kv + info.weight_bytes / 4;  // scratch
  const std::uint64_t drafted = needed + info.weight_bytes + kv;

  CHECK(load_within(needed, "").ok());
  CHECK(load_within(needed - 1, "").error().kind() == ErrorKind::exhausted);
  CHECK(load_within(drafted - 1, "builtin").error().kind() == ErrorKind::exhausted);
  const auto both = load_within(drafted, "builtin");
  REQUIRE_MESSAGE(both.ok(), both.error().message());
  CHECK((*both)->weight_bytes >= 2 * info.weight_bytes);
  const RunnerStats stats = (*both)->runner->stats();
  const std::uint64_t page = (*both)->model().kv_layout().page_bytes;
  CHECK(stats.state_bytes_total == stats.kv_pages_total * page);  // it is the same model
  CHECK(stats.state_bytes == 0);
}

}  // namespace hearth

#include "runtime/prefix_store.h"

#include <doctest/doctest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

#include "base/thread_pool.h"
#include "formats/scratch_folder.h"
#include "kernels/kernels.h"
#include "runtime/fake_model.h"
#include "runtime/pages_testing.h"
#include "runtime/runner.h"

using namespace hearth;
using hearth::testing::ScratchFolder, hearth::testing::compute, hearth::testing::tokens_from;

namespace {

constexpr std::size_t page_bytes = 32 * sizeof(Token);

std::unique_ptr<PrefixStore> open_store(const std::string& folder, const std::string& model = "m",
                                        std::uint64_t max_bytes = 1 << 20) {
  auto store = PrefixStore::open({folder, model, max_bytes}, page_bytes);
  REQUIRE(store.ok());
  return std::move(*store);
}

// One process's life: how many of the tokens it found, and that it found the right ones.
std::size_t live(const std::string& folder, std::span<const Token> tokens,
                 const std::string& model = "m", std::string_view salt = "") {
  const auto store = open_store(folder, model);
  KvCache cache(page_bytes, 64);
  SequencePages pages(cache, cache.root(salt, false),
                      {store.get(), store->root(salt, false, ops::Tier::accurate)});
  const std::size_t found = pages.adopt(tokens);
  for (std::size_t i = 0; i < found; ++i) {
    Token held = -1;
    std::memcpy(&held, pages.data()[i / 32] + i % 32 * sizeof(Token), sizeof(Token));
    REQUIRE(held == tokens[i]);
  }
  compute(pages, tokens);
  pages.give_back(tokens);
  return found;
}

std::vector<std::filesystem::path> files_in(const std::string& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) files.push_back(entry.path());
  return files;
}

}  // namespace

TEST_CASE("what one process computed the next one finds, whole pages of it") {
  const ScratchFolder scratch;
  const auto tokens = tokens_from(7, 1000);
  CHECK(live(scratch.path(""), tokens) == 0);
  CHECK(live(scratch.path(""), tokens) == 992);
  auto other = tokens;
  other[500] = 3;
  CHECK(live(scratch.path(""), other) == 480);
  CHECK(live(scratch.path(""), std::span(tokens).first(40)) == 32);
  CHECK(live(scratch.path(""), tokens, "another model") == 0);
  CHECK(live(scratch.path(""), tokens, "m", "another tenant") == 0);
  for (const auto& file : files_in(scratch.path("")))
    CHECK((std::filesystem::status(file).permissions() & std::filesystem::perms::others_all) ==
          std::filesystem::perms::none);
}

TEST_CASE("short prompts are not kept; a longer one keeps its beginning too") {
  const ScratchFolder scratch;
  const auto tokens = tokens_from(0, 400);
  const auto store = open_store(scratch.path(""));
  KvCache cache(page_bytes, 64);
  const StoredPrefix stored{store.get(), store->root("", false, ops::Tier::accurate)};
  {
    SequencePages pages(cache, cache.root("", false), stored);
    compute(pages, std::span(tokens).first(100));
    CHECK_FALSE(store->holds(PrefixStore::next(stored.root, std::span(tokens).first(32))));
  }
  SequencePages pages(cache, cache.root("", false), stored);
  CHECK(pages.adopt(tokens) == 96);
  compute(pages, tokens);
  CHECK(store->holds(PrefixStore::next(stored.root, std::span(tokens).first(32))));
}

TEST_CASE("a damaged or shortened file is a page to compute, and goes") {
  const auto tokens = tokens_from(7, 320);
  for (const bool cuts : {false, true}) {
    const ScratchFolder scratch;
    CHECK(live(scratch.path(""), tokens) == 0);
    const auto files = files_in(scratch.path(""));
    REQUIRE(files.size() == 10);
    for (const auto& file : files) {
      if (cuts)
        std::filesystem::resize_file(file, 70);
      else
        std::fstream(file, std::ios::in | std::ios::out | std::ios::binary).seekp(100).put('x');
    }
    CHECK(live(scratch.path(""), tokens) == 0);
    CHECK(live(scratch.path(""), tokens) == 288);
  }
}

TEST_CASE("the folder keeps to its size, the prefixes used last stay") {
  const ScratchFolder scratch;
  const std::uint64_t most = 60 * (page_bytes + 40);
  const auto kept = tokens_from(0, 320);
  for (Token i = 0; i < 12; ++i) {
    const auto store = open_store(scratch.path(""), "m", most);
    KvCache cache(page_bytes, 64);
    const StoredPrefix stored{store.get(), store->root("", false, ops::Tier::accurate)};
    for (const auto& tokens : {kept, tokens_from(1000 * (i + 1), 320)}) {
      SequencePages pages(cache, cache.root("", false), stored);
      const std::size_t found = pages.adopt(tokens);
      if (i > 0 && tokens == kept) CHECK(found == 288);
      compute(pages, tokens);
    }
  }
  (void)open_store(scratch.path(""), "m", most);
  std::uint64_t sum = 0;
  for (const auto& file : files_in(scratch.path(""))) sum += std::filesystem::file_size(file);
  CHECK(sum <= most + most / 16 + page_bytes);
}

TEST_CASE("a runner goes on with what another one left, and answers the same") {
  const ScratchFolder scratch;
  std::vector<Token> prompt;
  for (Token i = 0; i < 600; ++i) prompt.push_back(3 + i % 40);
  std::vector<std::string> texts;
  for (const std::int64_t cached : {0, 576}) {
    auto model = std::make_shared<FakeModel>(FakeOptions{});
    RunnerOptions options{.context_tokens = 1024, .kv_budget_bytes = 1 << 20};
    options.prefixes = {scratch.path(""), "fake", 64 << 20};
    auto runner = make_runner(model, kernels::Kernels{}, std::make_shared<ThreadPool>(2), options);
    REQUIRE(runner.ok());
    GenerateRequest request;
    request.prompt = prompt;
    request.max_tokens = 20;
    request.sampling.temperature = 0;
    const auto answer = generate(**runner, request);
    REQUIRE(answer.ok());
    CHECK(answer->usage.cached_tokens == cached);
    texts.push_back(answer->text);
  }
  CHECK(texts[0] == texts[1]);
}

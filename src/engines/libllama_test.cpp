// llama.cpp's library by its C interface, held to a stand-in written from its public header: what
// comes next is a sum over all that was read, so that a token too many, too few or in the wrong
// place gives another text.
#include <doctest/doctest.h>
#include <fmt/core.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>

#include "base/files.h"
#include "engines/engines.h"
#include "engines/testing.h"
#include "kernels/select.h"
#include "runtime/runner.h"

using namespace hearth;
using namespace hearth::testing;

namespace {

constexpr std::uint32_t vocabulary = 512;

Token next_of(const std::vector<Token>& text) {
  std::uint32_t sum = 0;
  for (const Token token : text) sum = sum * 31 + static_cast<std::uint32_t>(token) + 7;
  return static_cast<Token>(sum % vocabulary);
}

}  // namespace

TEST_CASE("llama.cpp's library, by a stand-in, reads what it is given and forgets what it should") {
  const char* set = std::getenv("HEARTH_DATA");
  const std::string path =
      join_path(set != nullptr ? set : "../shared/data", "models/stories260K/stories260K-f32.gguf");
  if (!is_file(path)) {
    fmt::print("skipped: {} is not here\n", path);
    return;
  }
  const auto here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const std::string library = here / "libllama_stand_in.so";
  ::setenv("LLAMA_DYLIB_PATH", library.c_str(), 1);
  const auto package = open_package(path);
  REQUIRE(package.ok());
  const kernels::Kernels* table = *kernels::choose("");
  const auto pool = std::make_shared<ThreadPool>(1);
  ops::Context ctx{.kernels = table, .pool = pool.get()};
  const auto ranked = rank_engines(ctx, *package);
  CHECK(ranked[0].engine->name == "transformer");  // it is ours first
  const auto model = load_with_best_engine(ctx, *package, {}, {.wish = "libllama"});
  ::unsetenv("LLAMA_DYLIB_PATH");
  REQUIRE_MESSAGE(model.ok(), model.error().message());
  CHECK(model->model->info().context_length == 128);
  RunnerOptions options;
  options.kv_budget_bytes = 1 << 20;
  const auto runner = make_runner(model->model, *table, pool, options);
  REQUIRE_MESSAGE(runner.ok(), runner.error().message());
  for (const std::vector<Token>& prompt : std::vector<std::vector<Token>>{
           {1}, {1, 5, 9}, {1, 5, 9, 4, 4, 4}, {1, 5}, {7, 7, 7}, {1, 5, 9, 4, 2}}) {
    std::vector<Token> text = prompt;
    for (const Token token : generated(**runner, greedy_past_end(prompt, 6))) {
      CHECK(token == next_of(text));
      text.push_back(token);
    }
  }
}

TEST_CASE("where the library is not installed, the engine says so") {
  const auto list = engines();
  const auto found = std::ranges::find(list, std::string_view("libllama"),
                                       [](const Engine* e) { return e->name; });
  REQUIRE(found != list.end());
  Package package;
  package.format = "gguf";
  ::setenv("LLAMA_DYLIB_PATH", "/nonexistent/libllama.so", 1);
  const auto fit = (*found)->fit({}, package);
  ::unsetenv("LLAMA_DYLIB_PATH");
  if (!fit) CHECK(!fit.error().message().empty());
  Package other;
  other.format = "onnx";
  CHECK((*found)->fit({}, other).error().message() == "no GGUF file");
}

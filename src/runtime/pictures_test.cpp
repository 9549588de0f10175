// The runner with prompts that hold pictures: transformers' answers, whatever the steps and the
// prefixes that are found.
#include <doctest/doctest.h>

#include <cstring>

#include "base/files.h"
#include "kernels/select.h"
#include "models/vision/vision.h"
#include "runtime/prompt_rows.h"
#include "runtime/runner.h"

using namespace hearth;

namespace {

const std::string folder = "tests/golden/vision/";

std::string bytes_of_file(const std::string& path) {
  auto bytes = read_file(path, 8u << 20);
  REQUIRE_MESSAGE(bytes.ok(), bytes.error().message());
  return *std::move(bytes);
}

std::vector<Token> tokens_of(const Json& list) {
  std::vector<Token> tokens;
  for (const Json& token : list.as_array())
    tokens.push_back(static_cast<Token>(token.as_integer()));
  return tokens;
}

struct Seeing {
  std::string name;
  Json golden;
  const kernels::Kernels* table = *kernels::choose("");
  std::shared_ptr<ThreadPool> pool = std::make_shared<ThreadPool>(2);
  std::shared_ptr<const Model> model;

  Seeing(std::string which, const std::string& file, bool reference) : name(std::move(which)) {
    golden = *parse_json(bytes_of_file(folder + name + "/golden.json"));
    ops::Context ctx{.kernels = table, .pool = pool.get()};
    auto package = open_package(folder + name + file);
    REQUIRE_MESSAGE(package.ok(), package.error().message());
    if (!file.empty())
      package->tower =
          std::make_shared<const Package>(*open_package(folder + name + "/mmproj.gguf"));
    LoadOptions options;
    options.reference = reference;
    auto loaded = load_model(ctx, *package, options);
    REQUIRE_MESSAGE(loaded.ok(), loaded.error().message());
    model = *loaded;
    REQUIRE(model->vision() != nullptr);
  }

  std::unique_ptr<Runner> runner(std::uint32_t step_tokens = 256) const {
    RunnerOptions options;
    options.kv_budget_bytes = 32u << 20;
    options.step_tokens = step_tokens;
    auto made = make_runner(model, *table, pool, options);
    REQUIRE_MESSAGE(made.ok(), made.error().message());
    return std::move(*made);
  }

  // The golden prompt; with `swapped` what it shows is shown in the other order, as far as the rows
  // are as many.
  GenerateRequest request(bool swapped = false) const {
    GenerateRequest request;
    request.prompt = tokens_of(*golden.find("tokens"));
    request.max_tokens = static_cast<std::int64_t>(golden.find("greedy")->size());
    request.sampling.temperature = 0;
    request.ignore_end = true;
    const auto row = static_cast<Token>(golden.find("row_token")->as_integer());
    std::uint32_t place = 0;
    for (const char* file : {"picture.png", "wide.png"}) {
      const std::string other = file == std::string("wide.png") ? "picture.png" : "wide.png";
      const std::string bytes = bytes_of_file(folder + (swapped ? other : file));
      auto prepared = model->vision()->prepare(*read_picture(std::as_bytes(std::span(bytes))));
      REQUIRE(prepared.ok());
      PromptPicture picture;
      picture.prepared = std::make_shared<const PreparedPicture>(*std::move(prepared));
      picture.digest.fill(std::hash<std::string>()(bytes));
      for (; place < request.prompt.size() && picture.places.size() < picture.prepared->rows;
           ++place)
        if (request.prompt[place] == row) picture.places.push_back(place);
      request.pictures.push_back(std::move(picture));
    }
    return request;
  }

  std::vector<Token> wanted() const { return tokens_of(*golden.find("greedy")); }
};

std::vector<Token> said(const Answer& answer) {
  std::vector<Token> tokens;
  for (const TokenInfo& token : answer.tokens) tokens.push_back(token.token);
  return tokens;
}

Answer answer_of(Runner& runner, GenerateRequest request) {
  request.logprobs = true;
  request.show_special = true;
  auto answer = generate(runner, std::move(request));
  REQUIRE_MESSAGE(answer.ok(), answer.error().message());
  return *std::move(answer);
}

constexpr const char* names[] = {
    "qwen2.5-vl", "qwen2-vl",     "qwen3-vl", "qwen3-vl-moe",   "qwen3.5",   "gemma3",
    "gemma4",     "gemma4-large", "internvl", "internvl-large", "llama4",    "smolvlm",
    "llava",      "llava-next",   "pixtral",  "mistral3",       "ministral3"};

TEST_CASE("answers to pictures are transformers' by the plain path") {
  for (const char* name : names) {
    CAPTURE(std::string(name));
    const Seeing seeing(name, "", /*reference=*/true);
    const auto runner = seeing.runner();
    CHECK(said(answer_of(*runner, seeing.request())) == seeing.wanted());
  }
}

TEST_CASE("and by the fast one, from both containers and however long the steps are") {
  for (const char* name : {"qwen2.5-vl", "qwen3-vl", "gemma3"})
    for (const char* file : {"", "/model.gguf"}) {
      CAPTURE(std::string(name) + file);
      const Seeing seeing(name, file, /*reference=*/false);
      for (const std::uint32_t step_tokens : {256u, 40u, 7u, 1u}) {
        CAPTURE(step_tokens);
        const auto runner = seeing.runner(step_tokens);
        CHECK(said(answer_of(*runner, seeing.request())) == seeing.wanted());
      }
    }
}

TEST_CASE("a picture is found again, and another one never taken for it") {
  for (const char* name : {"qwen2.5-vl", "qwen3-vl", "gemma3", "llava"}) {
    CAPTURE(std::string(name));
    const Seeing seeing(name, "", /*reference=*/false);
    const auto runner = seeing.runner();
    const Answer first = answer_of(*runner, seeing.request());
    const Answer again = answer_of(*runner, seeing.request());
    CHECK(said(again) == said(first));
    CHECK(first.usage.cached_tokens == 0);
    CHECK(again.usage.cached_tokens + 2 > again.usage.prompt_tokens);

    // The same text and the same number of rows, but another file.
    GenerateRequest other = seeing.request();
    other.pictures[0].digest[1] ^= 1;
    const Answer changed = answer_of(*runner, other);
    CHECK(changed.usage.cached_tokens <= other.pictures[0].places.front());
    CHECK(said(changed) == said(first));  // the bytes are the same after all
  }
}

TEST_CASE("prompts of text beside those with pictures keep their answers") {
  const Seeing seeing("qwen2.5-vl", "", /*reference=*/false);
  GenerateRequest text;
  for (Token token = 40; token < 90; ++token) text.prompt.push_back(token);
  text.max_tokens = 8;
  text.sampling.temperature = 0;
  text.ignore_end = true;
  const auto alone = said(answer_of(*seeing.runner(), text));
  const auto runner = seeing.runner(16);
  std::vector<std::jthread> threads;
  std::vector<std::vector<Token>> answers(4);
  for (std::size_t i = 0; i < answers.size(); ++i)
    threads.emplace_back(
        [&, i] { answers[i] = said(answer_of(*runner, i % 2 == 0 ? seeing.request() : text)); });
  threads.clear();
  for (std::size_t i = 0; i < answers.size(); ++i)
    CHECK(answers[i] == (i % 2 == 0 ? seeing.wanted() : alone));
}

TEST_CASE("pictures that do not fit the prompt are refused, and penalties pass over their rows") {
  const Seeing seeing("llava", "", /*reference=*/false);
  const auto runner = seeing.runner();
  const struct {
    std::string what;
    void (*spoil)(GenerateRequest&);
  } rows[] = {
      {"a place behind the prompt",
       [](GenerateRequest& r) { r.pictures[1].places.back() = 100'000; }},
      {"a place twice",
       [](GenerateRequest& r) { r.pictures[0].places[1] = r.pictures[0].places[0]; }},
      {"a row too few", [](GenerateRequest& r) { r.pictures[0].places.pop_back(); }},
      {"nothing to show", [](GenerateRequest& r) { r.pictures[0].prepared = nullptr; }},
      {"scores of the prompt", [](GenerateRequest& r) { r.prompt_logprobs = true; }},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    GenerateRequest request = seeing.request();
    row.spoil(request);
    const auto answer = generate(*runner, request);
    REQUIRE(!answer.ok());
    CHECK(answer.error().kind() == ErrorKind::invalid);
  }
  GenerateRequest request = seeing.request();
  request.sampling.repetition_penalty = 1.3f;
  request.sampling.penalty_last_n = 8;
  request.sampling.frequency_penalty = 0.5f;
  request.sampling.dry_multiplier = 0.8f;
  CHECK(answer_of(*runner, request).usage.completion_tokens == request.max_tokens);
}

TEST_CASE("rows of pictures have marks of their own, and runs end before them") {
  const Seeing seeing("gemma3", "", /*reference=*/false);
  GenerateRequest request = seeing.request();
  std::vector<Token> prompt = request.prompt;
  const PromptRows rows(*seeing.model->vision(), request.pictures, prompt);
  const std::uint32_t first = request.pictures[0].places.front();
  CHECK(is_picture_row(prompt[first]));
  CHECK(prompt[first] != prompt[first + 1]);
  CHECK(prompt[first] != prompt[request.pictures[1].places.front()]);
  CHECK(rows.whole_end(first + 1) == first + 4);  // all of a picture at once
  CHECK(rows.whole_end(first) == first);
  CHECK(rows.whole_end_before(0, first + 2) == first);
  CHECK(rows.whole_end_before(0, first + 4) == first + 4);
  CHECK(before_pictures(prompt, first + 2) == first);
  CHECK(before_pictures(prompt, first + 4) == first + 4);
  CHECK(before_pictures(prompt, first) == first);
}

}  // namespace

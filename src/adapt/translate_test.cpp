// A model under the other naming is the same model: golden models answer alike, and stay what they
// were on the way back.
#include <doctest/doctest.h>

#include "adapt/translate.h"
#include "kernels/select.h"
#include "models/architectures.h"
#include "models/pooling.h"
#include "models/test_support.h"

namespace hearth::adapt {
namespace {

using models::Golden;

// The plain path: what it gives does not depend on the machine.
struct Machine {
  ThreadPool pool{1};
  ops::Context ctx{.kernels = *kernels::choose(""), .pool = &pool};

  Result<std::shared_ptr<const Model>> load(const Package& package, const Golden& golden) {
    LoadOptions options{
        .kv_dtype = {}, .reference = true, .progress = {}, .stop = {}, .name_matrix = {}};
    if (const Json* context = golden.data.find("context"))
      options.context_tokens = static_cast<std::uint32_t>(context->as_integer());
    return load_model(ctx, package, options);
  }
};

// Logits of the prompt, or the vectors of the texts.
std::vector<float> answer(Machine& machine, const Package& package, const Golden& golden) {
  const auto model = machine.load(package, golden);
  REQUIRE_MESSAGE(model.ok(), model.error().message());
  if (golden.text("kind") == "generator") {
    models::TestPages pages((*model)->kv_layout(), 1);
    const models::Rowset prompt{0, 0, golden.tokens("prompt")};
    auto logits = models::step(**model, machine.ctx, pages, {&prompt, 1});
    REQUIRE_MESSAGE(logits.ok(), logits.error().message());
    return std::move(*logits);
  }
  std::vector<std::vector<Token>> texts;
  for (const Json& text : golden.data.find("texts")->as_array())
    texts.push_back(Golden::tokens_of(text));
  const auto vectors = (*model)->embed(machine.ctx, texts);
  REQUIRE_MESSAGE(vectors.ok(), vectors.error().message());
  // GGUF files do not say whether vectors have length one; readers make them so.
  std::vector<float> all;
  for (std::vector<float> vector : *vectors) {
    if (golden.text("kind") == "embedder") models::normalise(vector.data(), vector.size());
    all.insert(all.end(), vector.begin(), vector.end());
  }
  return all;
}

Package opened(const std::string& path) {
  auto package = open_package(path);
  REQUIRE_MESSAGE(package.ok(), package.error().message());
  return std::move(*package);
}

// Divisors of the rotation, and decays, which the other side holds as logarithms: not to the last
// bit.
bool is_computed(const TensorEntry& tensor) {
  return tensor.name.starts_with("rope_f") || tensor.name.ends_with("ssm_a");
}

bool is_translated(const Golden& golden) {
  const auto spec = models::architecture_of(opened(golden.containers().front()));
  return spec.ok() && (!(*spec)->hf_class.empty() || golden.name == "static-embed");
}

std::vector<Golden> all_goldens() {
  std::vector<Golden> all;
  for (const char* kind : {"generator", "embedder", "reranker"})
    for (Golden& golden : models::goldens(kind))
      if (is_translated(golden)) all.push_back(std::move(golden));
  return all;
}

TEST_CASE("architectures without a form under the other naming are refused by name") {
  for (const Golden& golden : models::goldens("generator")) {
    if (is_translated(golden)) continue;
    CAPTURE(golden.name);
    for (const std::string& path : golden.containers()) {
      const Package package = opened(path);
      const bool gguf = package.naming == Naming::gguf;
      const auto refused = translate(package, gguf ? Naming::huggingface : Naming::gguf);
      REQUIRE(!refused.ok());
      CHECK(refused.error().kind() == ErrorKind::unsupported);
    }
  }
}

TEST_CASE("a folder as GGUF, and back, gives the same logits") {
  Machine machine;
  for (const Golden& golden : all_goldens()) {
    CAPTURE(golden.name);
    if (!is_file(golden.folder + "/config.json")) continue;
    const Package folder = opened(golden.folder);
    const auto wanted = answer(machine, folder, golden);
    const auto gguf = translate(folder, Naming::gguf);
    REQUIRE_MESSAGE(gguf.ok(), gguf.error().message());
    CHECK(models::difference(answer(machine, gguf->package, golden), wanted) < 2e-5);
    const auto back = translate(gguf->package, Naming::huggingface);
    REQUIRE_MESSAGE(back.ok(), back.error().message());
    CHECK(models::difference(answer(machine, back->package, golden), wanted) < 2e-5);
    if (golden.text("kind") != "generator") continue;  // some are bare trunks
    for (const TensorEntry& tensor : back->package.tensors) {
      CAPTURE(tensor.name);
      const TensorEntry* before = folder.find(tensor.name);
      REQUIRE(before != nullptr);
      CHECK(tensor.shape == before->shape);
    }
  }
}

TEST_CASE("a folder as GGUF has the tensors that the reference writer gives it") {
  for (const Golden& golden : all_goldens()) {
    CAPTURE(golden.name);
    if (!is_file(golden.folder + "/config.json") || !is_file(golden.folder + "/model.gguf"))
      continue;
    const auto made = translate(opened(golden.folder), Naming::gguf);
    REQUIRE_MESSAGE(made.ok(), made.error().message());
    const Package wanted = opened(golden.folder + "/model.gguf");
    // The reference leaves BERT's pooler behind.
    const std::size_t pooler =
        made->package.find("cls.weight") && !wanted.find("cls.weight") ? 2 : 0;
    CHECK(made->package.tensors.size() == wanted.tensors.size() + pooler);
    for (const TensorEntry& tensor : wanted.tensors) {
      CAPTURE(tensor.name);
      const TensorEntry* found = made->package.find(tensor.name);
      REQUIRE(found != nullptr);
      CHECK(found->dtype == tensor.dtype);
      CHECK(found->elements() == tensor.elements());
      if (!found->make) {
        CHECK(std::ranges::equal(found->data, tensor.data));
        continue;
      }
      const auto bytes = found->make();
      REQUIRE_MESSAGE(bytes.ok(), bytes.error().message());
      if (is_computed(tensor)) continue;
      CHECK(std::ranges::equal(*bytes, tensor.data));
    }
  }
}

TEST_CASE("a GGUF file as a folder, and back, is that file") {
  Machine machine;
  for (const Golden& golden : all_goldens()) {
    CAPTURE(golden.name);
    const std::string path = golden.folder + "/model.gguf";
    if (!is_file(path) || golden.name == "static-embed") continue;
    const Package before = opened(path);
    const auto folder = translate(before, Naming::huggingface);
    REQUIRE_MESSAGE(folder.ok(), folder.error().message());
    CHECK(models::difference(answer(machine, folder->package, golden),
                             answer(machine, before, golden)) < 2e-5);
    const auto after = translate(folder->package, Naming::gguf);
    REQUIRE_MESSAGE(after.ok(), after.error().message());
    for (const TensorEntry& tensor : before.tensors) {
      CAPTURE(tensor.name);
      const TensorEntry* found = after->package.find(tensor.name);
      REQUIRE(found != nullptr);
      CHECK(found->dtype == tensor.dtype);
      if (is_computed(tensor)) continue;
      std::vector<std::byte> bytes(found->data.begin(), found->data.end());
      if (found->make) bytes = *found->make();
      CHECK(std::ranges::equal(bytes, tensor.data));
    }
  }
}

TEST_CASE("T5 changes its names alone, and back") {
  for (const char* name : {"gated", "plain", "embedder"}) {
    const std::string path = std::string("tests/golden/t5/") + name;
    CAPTURE(path);
    const Package folder = opened(path), file = opened(path + "/model.gguf");
    for (const bool to_gguf : {true, false}) {
      const Package &from = to_gguf ? folder : file, &to = to_gguf ? file : folder;
      const auto made = translate(from, to.naming);
      REQUIRE_MESSAGE(made.ok(), made.error().message());
      // GGUF files have no dense heads.
      const bool loses = to_gguf && folder.find("2_Dense.linear.weight") != nullptr;
      const auto tells = [](const std::string& loss) { return loss.find("2_Dense") != loss.npos; };
      CHECK(std::ranges::any_of(made->losses, tells) == loses);
      for (const TensorEntry& tensor : to.tensors) {
        CAPTURE(tensor.name);
        if (tensor.name.starts_with("2_Dense")) continue;
        const TensorEntry* found = made->package.find(tensor.name);
        REQUIRE(found != nullptr);
        CHECK(found->shape == tensor.shape);
        CHECK(std::ranges::equal(found->data, tensor.data));
      }
      Machine machine;
      const auto model = load_model(machine.ctx, made->package, {});
      REQUIRE_MESSAGE(model.ok(), model.error().message());
      CHECK((*model)->info().kind == describe(from)->kind);
    }
  }
}

}  // namespace
}  // namespace hearth::adapt

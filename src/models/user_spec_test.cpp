// Architectures that people describe in a file.
#include "models/user_spec.h"

#include <doctest/doctest.h>

#include "models/test_support.h"

namespace hearth::models {
namespace {

struct Forget {
  ~Forget() { forget_added_architectures(); }
};

// The golden Qwen 3 as a model of a family nobody knows: other names of tensors and numbers.
Package renamed_qwen() {
  auto package = open_package(golden_folder + "/qwen3");
  REQUIRE(package.ok());
  package->config.set("model_type", "acme");
  const Json width = *package->config.find("hidden_size");
  package->config.set("hidden_size", nullptr);
  package->config.set("d_acme", width);
  for (TensorEntry& tensor : package->tensors)
    if (const auto at = tensor.name.find("self_attn.q_proj"); at != tensor.name.npos)
      tensor.name.replace(at, 16, "attention.wq");
  package->tensor_index.clear();
  for (std::size_t i = 0; i < package->tensors.size(); ++i)
    package->tensor_index[package->tensors[i].name] = i;
  return std::move(*package);
}

std::vector<ArchitectureValue> acme() {
  return {{"name", "acme"},
          {"base", "llama"},
          {"tensors.q.hf", "layers.{}.attention.wq"},
          {"tensors.q_norm.from", "qwen3"},
          {"tensors.k_norm.from", "qwen3"},
          {"rope_interleaved_gguf", false},
          {"defaults.norm_eps", 1e-6},
          {"numbers.hidden_size", "d_acme"}};
}

TEST_CASE("a model of an architecture from a file gives the logits it ought to") {
  const Forget forget;
  const Package package = renamed_qwen();
  const Golden golden = read_golden("qwen3");
  each_path([&](ops::Context& ctx, const LoadOptions& options, const std::string& path) {
    CAPTURE(path);
    forget_added_architectures();
    const auto unknown = load_model(ctx, package, options);
    REQUIRE(!unknown.ok());
    CHECK(unknown.error().kind() == ErrorKind::unsupported);
    REQUIRE(add_architecture(acme()).ok());
    const auto model = load_model(ctx, package, options);
    REQUIRE_MESSAGE(model.ok(), model.error().message());
    CHECK((*model)->info().architecture == "acme");
    TestPages pages((*model)->kv_layout(), 1);
    const Rowset prompt{0, 0, golden.tokens("prompt")};
    const auto logits = step(**model, ctx, pages, {&prompt, 1});
    REQUIRE(logits.ok());
    CHECK(difference(*logits, golden.logits) < 1e-3);
  });
}

TEST_CASE("what a file says wrongly is refused, and the message says how") {
  const Forget forget;
  const struct {
    const char *what, *key;
    Json value;
    const char* says;
  } rows[] = {
      {"no name", "name", nullptr, "name is missing"},
      {"unknown base", "base", "lama", "an architecture we know, as llama"},
      {"unknown key", "rope_interleavd", true, "did you mean rope_interleaved?"},
      {"unknown word", "norm", "batch", "one of rms, layer"},
      {"flag as text", "norm_plus_one", "yes", "true or false"},
      {"number as text", "defaults.norm_eps", "small", "a number"},
      {"half a head", "defaults.heads", 1.5, "a whole number"},
      {"unknown tensor", "tensors.qq.hf", "x", "did you mean q?"},
      {"tensor the base lacks", "tensors.sinks.hf", "x", "tensors.sinks.from"},
      {"taken from one without it", "tensors.sinks.from", "qwen3", "one that has sinks"},
      {"unknown part", "tensors.q.name", "x", "needs gguf, hf, weight, bias or from"},
      {"name as number", "tensors.q.hf", 4, "a name"},
      {"bias of another kind", "tensors.q.bias", "maybe", "absent, optional, required"},
      {"types as number", "model_type", 3, "a name, or a list of names"},
      {"key as number", "numbers.hidden_size", 4, "the key that the files have"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    auto values = acme();
    std::erase_if(values, [&](const auto& value) { return value.first == row.key; });
    if (!row.value.is_null()) values.emplace_back(row.key, row.value);
    const Status added = add_architecture(values);
    REQUIRE(!added.ok());
    CHECK(added.error().kind() == ErrorKind::invalid);
    CHECK_MESSAGE(added.error().message().find(row.says) != std::string::npos,
                  added.error().message());
  }
}

}  // namespace
}  // namespace hearth::models

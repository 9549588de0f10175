#include "library/local_models.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include "base/bytes.h"
#include "base/files.h"
#include "formats/scratch_folder.h"
#include "library/builtin.h"
#include "library/catalog.h"
#include "library/recommend.h"
#include "library/resolve.h"
#include "library/store.h"
#include "models/user_spec.h"

namespace hearth {
namespace {

// A home with models of several programs; gone at the brace.
class Home {
 public:
  Home() {
    folders.models = at("store");
    folders.cache = at("cache");
  }

  std::string put(const std::string& name, std::string_view text) {
    const std::string path = at(name);
    REQUIRE(replace_file(path, std::as_bytes(std::span(text))).ok());
    return path;
  }
  std::string put_model(const std::string& name) {
    return put(name, text_of(*builtin_file(builtin_chat)));
  }
  void link(const std::string& target, const std::string& name) {
    std::filesystem::create_directories(parent_folder(at(name)));
    std::filesystem::create_symlink(at(target), at(name));
  }
  std::string at(const std::string& name) const { return scratch_.path(name); }

  LibraryFolders folders;

 private:
  testing::ScratchFolder scratch_;
};

std::vector<std::string> names_of(const std::vector<LocalModel>& models) {
  std::vector<std::string> names;
  for (const LocalModel& model : models) names.push_back(model.name);
  return names;
}

constexpr const char* blob_digest =
    "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

// One model of each program.
void fill(Home& home) {
  home.put_model("hub/models--org--repo/blobs/b1");
  home.put_model("hub/models--org--repo/blobs/b2");
  home.put("hub/models--org--repo/refs/main", "c2");
  home.link("hub/models--org--repo/blobs/b2", "hub/models--org--repo/snapshots/c2/m-Q8_0.gguf");
  home.link("hub/models--org--repo/blobs/b1", "hub/models--org--repo/snapshots/c1/m-Q8_0.gguf");
  home.link("hub/models--org--repo/blobs/none", "hub/models--org--repo/snapshots/c2/m-Q4_0.gguf");
  home.put_model("ollama/blobs/" + std::string(blob_digest).replace(6, 1, "-"));
  home.put(
      "ollama/manifests/registry.ollama.ai/library/tiny/1b",
      std::string(R"({"layers":[{"mediaType":"application/vnd.ollama.image.model","digest":")") +
          blob_digest + R"(","size":1}]})");
  home.put("ollama/manifests/registry.ollama.ai/library/broken/1b", "{");
  home.put(
      "ollama/manifests/registry.ollama.ai/library/evil/1b",
      R"({"layers":[{"mediaType":"application/vnd.ollama.image.model",)"
      R"("digest":"sha256:../../../../../../../../../../../../../../../../../etc/passwd__"}]})");
  home.put_model("lmstudio/someone/repo/Other-Q4_K_M.gguf");
  home.put_model("lmstudio/someone/repo/mmproj-Other.gguf");
  home.put("own/sick.gguf", "GGUFnonsense");
  home.put_model("own/parts-00001-of-00002.gguf");
  home.put_model("own/parts-00002-of-00002.gguf");
  home.folders.shelves = {{"folder", home.at("own")},      {"huggingface", home.at("hub")},
                          {"ollama", home.at("ollama")},   {"lmstudio", home.at("lmstudio")},
                          {"gpt4all", home.at("nowhere")}, {"mlc", home.at("mlc")}};
  home.put("mlc/hf/mlc-ai/Small-q4f16_1-MLC/mlc-chat-config.json", "{}");
  home.put("mlc/hf/mlc-ai/Small-q4f16_1-MLC/ndarray-cache.json", "{}");
  home.put("mlc/hf/mlc-ai/Small-q4f16_1-MLC/params_shard_0.bin", "weights");
  home.put("mlc/hf/mlc-ai/Half-q4f16_1-MLC/mlc-chat-config.json", "{}");
  home.put_model("store/hf--a--b--Q8_0/b-Q8_0.gguf");
  home.put("store/hf--a--b--Q8_0/model.json",
           R"({"reference":"hf:a/b:Q8_0","name":"bee:1b","main":"b-Q8_0.gguf",)"
           R"("files":[{"name":"b-Q8_0.gguf","bytes":5,"sha256":""}]})");
  home.put_model("store/.partial/hf--a--c/c.gguf.part");
  home.put_model("store/no-manifest/c.gguf");
}

TEST_CASE("models are found where every program keeps them, and nothing half done is") {
  Home home;
  fill(home);
  const auto models = find_local_models(home.folders);
  const std::vector<std::string> wanted{
      "Other-Q4_K_M", "Small-q4f16_1-MLC", "bee:1b", "hf:org/repo:Q8_0", "ollama:tiny:1b", "parts",
      "sick"};
  CHECK(names_of(models) == wanted);
  const struct {
    const char *asked, *path;
  } rows[] = {
      {"bee:1b", "store/hf--a--b--Q8_0/b-Q8_0.gguf"},
      {"hf:a/b", "store/hf--a--b--Q8_0/b-Q8_0.gguf"},
      {"hf:A/B:q8_0", "store/hf--a--b--Q8_0/b-Q8_0.gguf"},
      {"hf:org/repo", "hub/models--org--repo/snapshots/c2/m-Q8_0.gguf"},
      {"hf:org/repo:m-Q8_0.gguf", "hub/models--org--repo/snapshots/c2/m-Q8_0.gguf"},
      {"other-q4_k_m", "lmstudio/someone/repo/Other-Q4_K_M.gguf"},
      {"parts", "own/parts-00001-of-00002.gguf"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.asked);
    const auto reference = parse_reference(row.asked);
    REQUIRE(reference);
    const LocalModel* found = match(models, *reference);
    REQUIRE(found);
    CHECK(found->path == home.at(row.path));
  }
  for (const char* absent : {"hf:org/repo:Q4_0", "hf:org/repo@v1", "ollama:tiny:2b", "tiny"}) {
    CAPTURE(absent);
    CHECK(match(models, *parse_reference(absent)) == nullptr);
  }
}

TEST_CASE("facts are read once, and again when the file is another") {
  Home home;
  fill(home);
  auto models = find_local_models(home.folders);
  describe_local_models(home.folders, models);
  const auto named = [&](const char* name) {
    return *std::ranges::find(models, name, &LocalModel::name);
  };
  CHECK(named("bee:1b").facts.kind == "generator");
  CHECK(named("bee:1b").facts.architecture == "llama");
  CHECK(named("bee:1b").facts.problem.empty());
  CHECK(named("bee:1b").facts.parameters > 1'000'000);
  CHECK(named("sick").facts.problem.find("sick.gguf") != std::string::npos);

  // What the cache says is believed while the file is the same, and not when it changes.
  const std::string cache = join_path(home.folders.cache, "facts.tsv");
  std::string text = read_file(cache, 1 << 20).value_or("");
  for (std::size_t at = 0; (at = text.find("\tllama\t", at)) != text.npos;)
    text.replace(at, 7, "\tlarma\t");
  text.replace(text.find("sick.gguf: "), 11, "of before: ");
  home.put("cache/facts.tsv", text);
  home.put_model("lmstudio/someone/repo/Other-Q4_K_M.gguf");
  models = find_local_models(home.folders);
  describe_local_models(home.folders, models);
  CHECK(named("bee:1b").facts.architecture == "larma");
  CHECK(named("Other-Q4_K_M").facts.architecture == "llama");
  CHECK(named("sick").facts.problem.find("of before: ") != std::string::npos);

  // A Hearth that knows other architectures believes nothing of it.
  REQUIRE(
      add_architecture(std::vector<ArchitectureValue>{{"name", "acme"}, {"base", "llama"}}).ok());
  describe_local_models(home.folders, models);
  forget_added_architectures();
  CHECK(named("bee:1b").facts.architecture == "llama");
  CHECK(named("sick").facts.problem.find("sick.gguf") != std::string::npos);

  home.put("cache/facts.tsv", text.substr(0, text.size() / 2) + "\n\t\t\nnonsense");
  describe_local_models(home.folders, models);
  CHECK(named("sick").facts.problem.find("sick.gguf") != std::string::npos);
}

TEST_CASE("a name resolves to what is here, or to the command that gets it") {
  Home home;
  fill(home);
  CHECK(find_model("bee:1b", home.folders).ok());
  CHECK(find_model("builtin", home.folders).ok());
  const struct {
    const char* asked;
    ErrorKind kind;
    const char* says;
  } rows[] = {
      {"qwen3:0.6b", ErrorKind::not_found, "`hearth pull qwen3:0.6b` gets it"},
      {"qwen3", ErrorKind::not_found, "`hearth pull qwen3:4b` gets it"},
      {"hf:x/y", ErrorKind::not_found, "`hearth pull hf:x/y` gets it"},
      {"qwen3:0.7b", ErrorKind::not_found, "did you mean 'qwen3:0.6b'?"},
      {"x/y", ErrorKind::not_found, "write hf:x/y"},
      {"/nowhere/a.gguf", ErrorKind::not_found, "no such file"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.asked);
    const auto found = find_model(row.asked, home.folders);
    REQUIRE(!found);
    CHECK(found.error().kind() == row.kind);
    CHECK(found.error().message().find(row.says) != std::string::npos);
  }
}

TEST_CASE("the catalog is sound, and the user's own entries replace and add") {
  Home home;
  auto catalog = load_catalog(home.folders);
  REQUIRE(catalog);
  CHECK(catalog->size() >= 60);
  for (const CatalogEntry& entry : *catalog) {
    CAPTURE(entry.name);
    CHECK(std::ranges::count(*catalog, entry.name, &CatalogEntry::name) == 1);
    CHECK(entry.name.find(':') != std::string::npos);
    CHECK(entry.bytes > 10'000'000);
    CHECK(entry.context >= 448);  // Whisper's
    CHECK(!entry.licence.empty());
    CHECK(!entry.summary.empty());
    // Between 1 and 4.5 bytes of file for each parameter, or a fraction of one.
    CHECK(static_cast<double>(entry.bytes) / (entry.parameters * 1e9) > 0.4);
    CHECK(static_cast<double>(entry.bytes) / (entry.parameters * 1e9) < 4.5);
  }
  home.folders.catalog = home.put(
      "catalog.json", R"({"models":[{"name":"qwen3:4b","task":"chat","reference":"hf:me/q"},)"
                      R"({"name":"mine","task":"code","reference":"https://h/m.gguf"}]})");
  const auto own = load_catalog(home.folders);
  REQUIRE(own);
  CHECK(own->size() == catalog->size() + 1);
  CHECK(find_in_catalog(*own, "QWEN3:4b")->reference == "hf:me/q");
  const struct {
    const char *text, *says;
  } wrong[] = {
      {"{", "catalog.json"},
      {R"({"models":[1]})", "objects"},
      {R"({"models":[{"name":"a","task":"sing","reference":"hf:a/b"}]})", "task 'sing'"},
      {R"({"models":[{"name":"a","task":"chat","reference":"/etc/passwd"}]})", "plain name"},
  };
  for (const auto& row : wrong) {
    CAPTURE(row.text);
    home.put("catalog.json", row.text);
    const auto bad = load_catalog(home.folders);
    REQUIRE(!bad);
    CHECK(bad.error().message().find(row.says) != std::string::npos);
  }
}

TEST_CASE("recommendations grow with the machine, and always fit it") {
  const auto catalog = load_catalog({});
  REQUIRE(catalog);
  const struct {
    double memory_gb, speed_gb;
    const char *chat, *code;
  } rows[] = {
      {3, 20, "qwen3:1.7b", "qwen2.5-coder:1.5b"},   {6, 30, "qwen3:4b", "qwen2.5-coder:1.5b"},
      {12, 60, "qwen3:8b", "qwen2.5-coder:7b"},      {28, 60, "qwen3:30b-a3b", "qwen3-coder:30b"},
      {124, 200, "gpt-oss:120b", "qwen3-coder:30b"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.memory_gb);
    const MachineFigures machine{static_cast<std::uint64_t>(row.memory_gb * 1e9),
                                 row.speed_gb * 1e9};
    const auto chosen = recommend(*catalog, machine);
    REQUIRE(chosen.size() == 3);
    CHECK(chosen[0].entry.name == row.chat);
    CHECK(chosen[1].entry.name == row.code);
    for (const Recommendation& one : chosen)
      CHECK(one.entry.memory_bytes() <= machine.memory_bytes);
  }
  CHECK(recommend(*catalog, {100'000'000, 1e9}).empty());
}

}  // namespace
}  // namespace hearth

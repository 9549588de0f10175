// The type of every tensor against the snapshots of llama.cpp's choices.
#include "adapt/recipe.h"

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cstdlib>
#include <map>
#include <set>
#include <sstream>

#include "base/files.h"

namespace hearth::adapt {
namespace {

std::string snapshots() {
  const char* data = std::getenv("HEARTH_DATA");
  const std::string folder = fmt::format("{}/conformance/quant/llama.cpp-type-selection-snapshots",
                                         data ? data : "../shared/data");
  if (is_folder(folder)) return folder;
  fmt::print("{} is absent: skipped\n", folder);
  return "";
}

struct Snapshot {
  RecipeModel model;
  std::string name;
  std::uint64_t dim = 0;
  // Recipe -> tensors whose type is not its base.
  std::map<std::string, std::map<std::string, std::string>> others;
  std::map<std::string, std::string> bases;
  std::set<std::string> tensors;  // named anywhere
};

std::uint64_t number_after(const std::string& line, std::string_view key) {
  const auto at = line.find(key);
  return at == std::string::npos ? 0 : std::strtoull(line.c_str() + at + key.size(), nullptr, 10);
}

Snapshot read_snapshot(const std::string& path) {
  Snapshot snapshot;
  std::istringstream in(*read_file(path, 1 << 24));
  std::string line, recipe;
  while (std::getline(in, line)) {
    if (line.starts_with("# Model: ")) snapshot.name = line.substr(9);
    if (line.starts_with("# n_embd")) {
      const auto number = [&](std::string_view key) {
        return static_cast<std::uint32_t>(number_after(line, key));
      };
      snapshot.dim = number("n_embd=");
      snapshot.model.layers = number("n_layer=");
      snapshot.model.heads = number("n_head=");
      snapshot.model.kv_heads = number("n_head_kv=");
      snapshot.model.experts = number("n_expert=");
    }
    if (line.empty() || line[0] == '#') continue;
    const auto space = line.find(' ');
    if (line[0] == '[') {
      recipe = line.substr(1, space - 2);
      snapshot.bases[recipe] = line.substr(space + 1);
    } else {
      snapshot.others[recipe][line.substr(0, space)] = line.substr(space + 1);
      snapshot.tensors.insert(line.substr(0, space));
    }
  }
  snapshot.model.architecture =
      snapshot.name.find("Llama-3.1-70B") != std::string::npos ? "llama" : "other";
  return snapshot;
}

// The snapshots hold names and no shapes: columns that are not whole blocks of 256.
std::uint64_t columns_of(const Snapshot& snapshot, const std::string& name) {
  const auto has = [&](const char* part) { return name.find(part) != std::string::npos; };
  if (has("attn_k_b")) return 128;
  if (snapshot.name == "gpt-oss-120b") return has("attn_output") ? 4096 : 2880;
  if (snapshot.name == "Nemotron-Nano-3-30B-A3B") {
    if (has("attn_output") || has("ssm_out")) return 4096;
    if (has("ffn_down_exps")) return 1856;
    if (has("ffn_down_shexp")) return 3712;
    return 2688;
  }
  if (snapshot.name == "GLM-4.6V" && has("ffn_down"))
    return has("exps") || has("shexp") ? 1408 : 10944;
  return 4096;
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(c));
  return text;
}

TEST_CASE("every tensor gets the type that llama.cpp gives it") {
  const std::string folder = snapshots();
  if (folder.empty()) return;
  const auto files = list_folder(folder);
  REQUIRE(files.ok());
  for (const std::string& file : *files) {
    if (!file.ends_with(".schema")) continue;
    const Snapshot snapshot = read_snapshot(join_path(folder, file));
    CAPTURE(file);
    std::vector<RecipeTensor> tensors;
    for (const std::string& name : snapshot.tensors) {
      const bool stacked = name.find("_exps") != std::string::npos;
      std::vector<std::uint64_t> shape{64, columns_of(snapshot, name)};
      const bool by_head =
          name.find("attn_k_b") != std::string::npos || name.find("attn_v_b") != std::string::npos;
      if (stacked || by_head) shape.insert(shape.begin(), 128);
      tensors.push_back({name, shape, Dtype::f32});
    }
    std::size_t wrong = 0;
    for (const auto& [recipe_name, base] : snapshot.bases) {
      CAPTURE(recipe_name);
      const Recipe* recipe = find_recipe(recipe_name);
      REQUIRE(recipe != nullptr);
      CHECK(name_of(recipe->base) == lower(base));
      const auto types = choose_types(*recipe, snapshot.model, tensors);
      const auto others = snapshot.others.find(recipe_name);
      for (std::size_t i = 0; i < tensors.size(); ++i) {
        const std::string name(tensors[i].name);
        CAPTURE(name);
        std::string wanted = base;
        if (others != snapshot.others.end() && others->second.contains(name))
          wanted = others->second.at(name);
        if (name_of(types[i]) != lower(wanted) && ++wrong < 8)
          CHECK(name_of(types[i]) == lower(wanted));
      }
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("recipes are found in any case") {
  CHECK(find_recipe("q4_k_m") == find_recipe("Q4_K_M"));
  CHECK(find_recipe("Q4_K_X") == nullptr);
}

}  // namespace
}  // namespace hearth::adapt

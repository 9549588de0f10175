#include "library/folders.h"

#include <cstdlib>

#include "base/files.h"
#include "base/user_folders.h"

namespace hearth {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::string expanded(const std::string& folder) {
  return folder.starts_with("~/") ? join_path(home_folder(), folder.substr(2)) : folder;
}

// Source: huggingface_hub, "Environment variables".
std::string huggingface_hub() {
  if (const std::string hub = variable("HF_HUB_CACHE"); !hub.empty()) return expanded(hub);
  if (const std::string hub = variable("HUGGINGFACE_HUB_CACHE"); !hub.empty()) return expanded(hub);
  if (const std::string root = variable("HF_HOME"); !root.empty())
    return join_path(expanded(root), "hub");
  return in_user_folder(UserFolder::cache, "huggingface/hub");
}

}  // namespace

LibraryFolders standard_folders(const std::vector<std::string>& extra) {
  const auto data = [](std::string_view own) { return in_user_folder(UserFolder::data, own); };
  const auto cache = [](std::string_view own) { return in_user_folder(UserFolder::cache, own); };
  LibraryFolders folders;
  folders.models = data("hearth/models");
  folders.cache = cache("hearth");
  folders.catalog = in_user_folder(UserFolder::config, "hearth/catalog.json");
  folders.aliases = data("hearth/aliases.json");
  folders.lifecycle = data("hearth/lifecycle.json");
  folders.downloads = data("hearth/downloads.json");

  std::vector<Shelf>& shelves = folders.shelves;
  for (const std::string& folder : extra) shelves.push_back({"folder", expanded(folder)});
  shelves.push_back({"huggingface", huggingface_hub()});
  if (const std::string own = variable("OLLAMA_MODELS"); !own.empty()) {
    shelves.push_back({"ollama", expanded(own)});
  } else {
    shelves.push_back({"ollama", join_path(home_folder(), ".ollama/models")});
    shelves.push_back({"ollama", "/usr/share/ollama/.ollama/models"});  // the system's service
  }
  shelves.push_back({"lmstudio", join_path(home_folder(), ".lmstudio/models")});
  shelves.push_back({"lmstudio", join_path(home_folder(), ".cache/lm-studio/models")});
  const std::string llama = variable("LLAMA_CACHE");
  shelves.push_back({"llama.cpp", llama.empty() ? cache("llama.cpp") : expanded(llama)});
  shelves.push_back({"gpt4all", data("nomic.ai/GPT4All")});
  // Source: MLC-LLM, support/constants.py.
  const std::string mlc = variable("MLC_LLM_HOME");
  shelves.push_back(
      {"mlc", join_path(mlc.empty() ? cache("mlc_llm") : expanded(mlc), "model_weights")});
  return folders;
}

}  // namespace hearth

#include "library/folders.h"

#include <cstdlib>

#include "base/files.h"

namespace hearth {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::string home() {
  const std::string folder = variable("HOME");
  return folder.empty() ? "/" : folder;
}

// Of the XDG base directory specification: absolute, or as if not set.
std::string base_folder(const char* name, std::string_view standard) {
  const std::string folder = variable(name);
  return folder.starts_with('/') ? folder : join_path(home(), standard);
}

std::string expanded(const std::string& folder) {
  return folder.starts_with("~/") ? join_path(home(), folder.substr(2)) : folder;
}

// Source: huggingface_hub, "Environment variables".
std::string huggingface_hub() {
  if (const std::string hub = variable("HF_HUB_CACHE"); !hub.empty()) return expanded(hub);
  if (const std::string hub = variable("HUGGINGFACE_HUB_CACHE"); !hub.empty()) return expanded(hub);
  if (const std::string root = variable("HF_HOME"); !root.empty())
    return join_path(expanded(root), "hub");
  return join_path(base_folder("XDG_CACHE_HOME", ".cache"), "huggingface/hub");
}

}  // namespace

LibraryFolders standard_folders(const std::vector<std::string>& extra) {
  const std::string data = base_folder("XDG_DATA_HOME", ".local/share");
  const std::string cache = base_folder("XDG_CACHE_HOME", ".cache");
  LibraryFolders folders;
  folders.models = join_path(data, "hearth/models");
  folders.cache = join_path(cache, "hearth");
  folders.catalog = join_path(base_folder("XDG_CONFIG_HOME", ".config"), "hearth/catalog.json");
  folders.aliases = join_path(data, "hearth/aliases.json");
  folders.lifecycle = join_path(data, "hearth/lifecycle.json");
  folders.downloads = join_path(data, "hearth/downloads.json");

  std::vector<Shelf>& shelves = folders.shelves;
  for (const std::string& folder : extra) shelves.push_back({"folder", expanded(folder)});
  shelves.push_back({"huggingface", huggingface_hub()});
  if (const std::string own = variable("OLLAMA_MODELS"); !own.empty()) {
    shelves.push_back({"ollama", expanded(own)});
  } else {
    shelves.push_back({"ollama", join_path(home(), ".ollama/models")});
    shelves.push_back({"ollama", "/usr/share/ollama/.ollama/models"});  // the system's service
  }
  shelves.push_back({"lmstudio", join_path(home(), ".lmstudio/models")});
  shelves.push_back({"lmstudio", join_path(home(), ".cache/lm-studio/models")});
  const std::string llama = variable("LLAMA_CACHE");
  shelves.push_back({"llama.cpp", llama.empty() ? join_path(cache, "llama.cpp") : expanded(llama)});
  shelves.push_back({"gpt4all", join_path(data, "nomic.ai/GPT4All")});
  // Source: MLC-LLM, support/constants.py.
  const std::string mlc = variable("MLC_LLM_HOME");
  shelves.push_back({"mlc", join_path(mlc.empty() ? join_path(cache, "mlc_llm") : expanded(mlc),
                                      "model_weights")});
  return folders;
}

}  // namespace hearth

// Names of the user's own for models, and what such a name says for requests that do not.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "library/folders.h"

namespace hearth {

// Taken where a request does not say otherwise.
struct Preset {
  Json fields = Json::object();   // of a chat request in OpenAI's form: temperature, stop, num_ctx
  std::string system = {};        // instructions; empty: none
  Json messages = Json::array();  // {"role", "content"}, which come before the request's own
  std::string licence = {};
  std::vector<std::string> adapters = {};  // paths of LoRA adapters, as open_lora takes them

  bool is_empty() const {
    return fields.size() == 0 && system.empty() && messages.size() == 0 && licence.empty() &&
           adapters.empty();
  }
};

struct Alias {
  std::string model;  // a reference
  Preset preset = {};
};

// "gpt-4o" -> "qwen3:4b".  What cannot be read is no alias.
using Aliases = std::map<std::string, Alias, std::less<>>;
Aliases read_aliases(const LibraryFolders& folders);
// The one of that name, with or without ":latest".
const Alias* find_alias(const Aliases& aliases, std::string_view name);

// Where adapters lie that were sent for a name: a folder of the store.
std::string adapter_folder(const LibraryFolders& folders, const std::string& key);
// Those that no name needs.
std::vector<std::string> unused_adapter_folders(const LibraryFolders& folders);

// An empty `model` takes the name away.  Errors: invalid (no plain name), io.
Status set_alias(const LibraryFolders& folders, const std::string& name, const Alias& alias);

// A request in OpenAI's form with what it leaves to the preset.  The preset's messages come after
// instructions and before the rest; its instructions only where the request has none.
Json with_preset(const Preset& preset, Json request);
// The same for messages alone.
Json with_preset_messages(const Preset& preset, Json messages);

}  // namespace hearth

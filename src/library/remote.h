// Models that another server already runs, behind OpenAI's interface: vLLM, llama-server, LM
// Studio, Ollama, a cloud.  Nothing goes there but to servers that a person has added by name.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "library/folders.h"
#include "runtime/runner.h"

namespace hearth {

struct RemoteSettings {
  std::string name = {};     // letters, digits, '-', '_', '.'
  std::string url = {};      // "http://127.0.0.1:11434/v1"
  std::string model = {};    // what that server calls it
  std::string key_env = {};  // the environment variable with its key; empty: it wants none
  bool embeds = false;       // it makes vectors, not texts

  bool is_on_this_machine() const;
};

// $XDG_CONFIG_HOME/hearth/remotes.json: {"name": {"url", "model", "key_env", "embeds"}}.
// Errors: corrupt (the file, and what is wrong with it).
Result<std::vector<RemoteSettings>> read_remotes(const LibraryFolders& folders);
Status write_remotes(const LibraryFolders& folders, const std::vector<RemoteSettings>& remotes);
std::string remotes_file(const LibraryFolders& folders);
// Errors: invalid (its name, its address).
Status check_remote(const RemoteSettings& remote);
// Errors: not_found (with the command that adds one).
Result<RemoteSettings> find_remote(const LibraryFolders& folders, const std::string& name);

// Its tokens are bytes: a conversation is rendered as the JSON of its messages, which the server's
// own template turns into a prompt.  The sampler, stop strings and limits of a request go with it;
// grammars, logprobs and choices of tokens are refused.
std::unique_ptr<Runner> make_remote_runner(const RemoteSettings& remote);

}  // namespace hearth

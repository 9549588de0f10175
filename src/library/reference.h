// Reference: how a person names a model.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth {

// The names of the models that the program carries with it.
constexpr std::string_view builtin_chat = "builtin";
constexpr std::string_view builtin_embedder = "builtin-embed";

struct Reference {
  enum class Kind {
    builtin,  // builtin, builtin-embed
    path,     // a file or folder
    url,      // https://host/model.gguf
    hub,      // hf:org/repo[@revision][:file or quantisation]
    ollama,   // ollama:[namespace/]name[:tag]
    name,     // name[:tag] of the catalog or of a model on this machine
    service,  // remote:name, of a server that the settings name
  };
  Kind kind = Kind::name;
  std::string name;      // path, URL, "org/repo", "namespace/name", or the name without its tag
  std::string tag;       // of an Ollama or plain name; empty: none was given
  std::string file;      // hub: a file's path in the repository, or a quantisation such as Q4_K_M
  std::string revision;  // hub: branch, tag or commit; empty: main

  // The one way to write it: "hf:org/repo:Q4_K_M".
  std::string text() const;
  bool is_remote() const { return kind == Kind::url || kind == Kind::hub || kind == Kind::ollama; }
};

// `text` is a path when it begins with `/`, `./`, `../` or `~/`, when such a file or folder exists,
// or when it ends in .gguf or .safetensors.  Addresses of model pages and files on huggingface.co
// and ollama.com are understood as hub and Ollama references.
// Errors: invalid, saying what is wrong and what was probably meant.
Result<Reference> parse_reference(std::string_view text);

}  // namespace hearth

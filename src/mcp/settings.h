// Which servers of the Model Context Protocol there are: the object "mcpServers" that other clients
// keep in a JSON file too.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/duration.h"
#include "base/json.h"

namespace hearth::mcp {

struct ServerSettings {
  std::string name;                  // letters, digits, '-', '_', '.'
  std::vector<std::string> command;  // of a server that is started; empty: one at `url`
  std::vector<std::pair<std::string, std::string>> environment;  // beside a few harmless variables
  std::string folder;                                            // it works in
  std::string url;                                               // http or https
  std::vector<std::pair<std::string, std::string>> headers;      // of every request to it
  Milliseconds patience{60'000};                                 // for one answer
  std::vector<std::string> allowed;  // tools that need no consent; "*": all
  bool is_off = false;
};

// Variables that values may name as ${NAME} or ${NAME:-otherwise}.
using Variables = std::map<std::string, std::string, std::less<>>;

// `text`: a JSON object with "mcpServers" (or "servers").  `folder`: of the file, which relative
// paths start from.  Errors: invalid, naming the server and the field.
Result<std::vector<ServerSettings>> parse_servers(const std::string& text,
                                                  const std::string& folder,
                                                  const Variables& variables);

// Of a file; others must not be able to write it, for it names programs that are run.
// Errors: those of parse_servers, not_found, invalid (its mode), io.
Result<std::vector<ServerSettings>> read_servers(const std::string& path,
                                                 const Variables& variables);

}  // namespace hearth::mcp

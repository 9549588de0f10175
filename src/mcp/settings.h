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

// Which requests to `hearth serve` are given a server's tools.
enum class Serving { never, asked, always };

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
  Serving serving = Serving::never;
  std::vector<std::string> served_keys;  // ids or names of API keys; empty: whoever may ask
  std::string grants;  // the file of what signing in has led to; empty: nobody can sign in
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

// What requests to `hearth serve` may use.
struct ServedSettings {
  std::vector<ServerSettings> servers;  // those that are served, and not off
  // Of servers that a request brings itself: "https://host", "http://host:port".
  std::vector<std::string> origins;
};
Result<ServedSettings> read_served(const std::string& path, const Variables& variables);

// "https://host" or "http://host:port", in small letters and without the usual port, of an address;
// "" when it is none of http, or has a name or password in it.
std::string origin_of(std::string_view url);

}  // namespace hearth::mcp

// Source: Model Context Protocol, "Connect to local servers" (mcpServers, command, args, env); the
// settings of Claude Code, Cursor and Visual Studio Code (url, headers, type, ${NAME}); of Cline
// and Roo Code (alwaysAllow, autoApprove, disabled, timeout).
#include "mcp/settings.h"

#include <fmt/core.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/ascii.h"
#include "base/files.h"
#include "base/utf8.h"

namespace hearth::mcp {
namespace {

constexpr std::uint64_t max_file_bytes = 1 << 20;
constexpr std::size_t max_name_bytes = 64, max_servers = 64;

Error wrong(const std::string& server, std::string_view field, std::string_view needs) {
  return Error(ErrorKind::invalid,
               fmt::format("mcpServers.{}.{}: needs {}", printable(server), field, needs));
}

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= max_name_bytes && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

Result<std::string> expanded(const std::string& text, const Variables& variables) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t open = text.find("${", at);
    out += text.substr(at, open - at);
    if (open == text.npos) break;
    const std::size_t close = text.find('}', open);
    if (close == text.npos) return Error(ErrorKind::invalid, "a '${' without its '}'");
    std::string name = text.substr(open + 2, close - open - 2);
    if (name.starts_with("env:")) name.erase(0, 4);
    const std::size_t otherwise = name.find(":-");
    const auto found = variables.find(name.substr(0, otherwise));
    if (found != variables.end())
      out += found->second;
    else if (otherwise != name.npos)
      out += name.substr(otherwise + 2);
    else
      return Error(ErrorKind::invalid, fmt::format("the variable {} is not set", printable(name)));
    at = close + 1;
  }
  return out;
}

// Texts of one server's object, with their variables.
class Reader {
 public:
  Reader(const std::string& server, const Json& json, const Variables& variables)
      : server_(server), json_(json), variables_(variables) {}

  Result<std::string> text(std::string_view field) const {
    const Json* value = json_.find(field);
    if (!value || value->is_null()) return std::string();
    return expand(field, *value);
  }
  Result<std::vector<std::string>> texts(std::string_view field) const {
    std::vector<std::string> list;
    const Json* value = json_.find(field);
    if (!value || value->is_null()) return list;
    if (!value->is_array()) return wrong(server_, field, "a list of texts");
    for (const Json& item : value->as_array()) list.push_back(TRY(expand(field, item)));
    return list;
  }
  Result<std::vector<std::pair<std::string, std::string>>> pairs(std::string_view field) const {
    std::vector<std::pair<std::string, std::string>> list;
    const Json* value = json_.find(field);
    if (!value || value->is_null()) return list;
    if (!value->is_object()) return wrong(server_, field, "an object of texts");
    for (const auto& [name, item] : value->as_object()) {
      std::string own = TRY(expand(field, item));
      if (name.empty() || name.find_first_of("=\r\n:") != name.npos ||
          own.find_first_of("\r\n") != own.npos)
        return wrong(server_, field, "plain names and values of one line");
      list.emplace_back(name, std::move(own));
    }
    return list;
  }
  bool is_true(std::string_view field) const {
    const Json* value = json_.find(field);
    return value && *value == Json(true);
  }
  const Json* find(std::string_view field) const { return json_.find(field); }

 private:
  Result<std::string> expand(std::string_view field, const Json& value) const {
    if (!value.is_string() || value.as_string().find('\0') != std::string::npos)
      return wrong(server_, field, "text");
    auto own = expanded(value.as_string(), variables_);
    if (!own) return wrong(server_, field, own.error().message());
    return own;
  }

  const std::string& server_;
  const Json& json_;
  const Variables& variables_;
};

Result<Serving> read_serving(const std::string& name, const std::string& text) {
  if (text.empty() || text == "never") return Serving::never;
  if (text == "asked") return Serving::asked;
  if (text == "always") return Serving::always;
  return wrong(name, "serve", "never, asked or always");
}

std::string from_folder(const std::string& folder, const std::string& path) {
  return path.empty() || path.starts_with('/') ? path : join_path(folder, path);
}

Result<ServerSettings> read_server(const std::string& name, const Json& json,
                                   const std::string& folder, const Variables& variables) {
  if (!is_name(name))
    return Error(ErrorKind::invalid,
                 fmt::format("mcpServers: '{}': a name has letters, digits, '-', '_' and '.'",
                             printable(name)));
  if (!json.is_object()) return wrong(name, "", "an object");
  const Reader reader(name, json, variables);
  ServerSettings server;
  server.name = name;
  server.is_off = reader.is_true("disabled");
  server.url = TRY(reader.text("url"));
  if (server.url.empty()) server.url = TRY(reader.text("serverUrl"));
  const std::string program = TRY(reader.text("command"));
  if (program.empty() == server.url.empty()) return wrong(name, "command", "it or a url");
  if (!program.empty()) {
    // A path is relative to the file; a name alone is looked for in PATH.
    const bool is_path = program.find('/') != program.npos;
    server.command = {is_path ? from_folder(folder, program) : program};
    for (std::string& argument : TRY(reader.texts("args")))
      server.command.push_back(std::move(argument));
  } else if (!server.url.starts_with("http://") && !server.url.starts_with("https://")) {
    return wrong(name, "url", "http:// or https://");
  }
  const std::string type = TRY(reader.text("type"));
  if (type == "sse")
    return wrong(name, "type", "http or stdio: the old transport by SSE alone is not spoken");
  server.environment = TRY(reader.pairs("env"));
  server.headers = TRY(reader.pairs("headers"));
  server.folder = from_folder(folder, TRY(reader.text("cwd")));
  for (const char* field : {"alwaysAllow", "autoApprove"})
    for (std::string& tool : TRY(reader.texts(field))) server.allowed.push_back(std::move(tool));
  const std::string serving = TRY(reader.text("serve"));
  server.serving = TRY(read_serving(name, serving));
  server.served_keys = TRY(reader.texts("serveTo"));
  if (const Json* seconds = reader.find("timeout"); seconds && seconds->is_number()) {
    if (seconds->as_number() < 1 || seconds->as_number() > 3600)
      return wrong(name, "timeout", "1 to 3600 seconds");
    server.patience = duration_of_seconds(seconds->as_number());
  }
  return server;
}

}  // namespace

Result<std::vector<ServerSettings>> parse_servers(const std::string& text,
                                                  const std::string& folder,
                                                  const Variables& variables) {
  const Json json = TRY(parse_json(text));
  const Json* servers = json.find("mcpServers");
  if (!servers) servers = json.find("servers");
  if (!servers || !servers->is_object())
    return Error(ErrorKind::invalid, "'mcpServers': needs an object, one member a server");
  if (servers->size() > max_servers)
    return Error(ErrorKind::invalid, fmt::format("'mcpServers': more than {}", max_servers));
  std::vector<ServerSettings> list;
  for (const auto& [name, server] : servers->as_object())
    list.push_back(TRY(read_server(name, server, folder, variables)));
  return list;
}

namespace {

Result<std::string> read_private_file(const std::string& path) {
  struct stat facts{};
  if (::stat(path.c_str(), &facts) == 0 && (facts.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return Error(ErrorKind::invalid,
                 fmt::format("{}: others may write it, and it names programs that are run; `chmod "
                             "go-w` mends that",
                             path));
  return read_file(path, max_file_bytes);
}

// "host", which stands for https://host, or an origin.
Result<std::vector<std::string>> read_origins(const Json& json) {
  std::vector<std::string> origins;
  const Json* hosts = json.find("serveHosts");
  if (!hosts || hosts->is_null()) return origins;
  const Error error(ErrorKind::invalid,
                    "'serveHosts': needs a list of hosts, \"mcp.example.com\", or of origins, "
                    "\"http://127.0.0.1:9000\"");
  if (!hosts->is_array()) return error;
  for (const Json& host : hosts->as_array()) {
    if (!host.is_string()) return error;
    const std::string& text = host.as_string();
    const bool is_origin = text.find("://") != text.npos;
    std::string origin = origin_of(is_origin ? text : "https://" + text);
    if (origin.empty() || text.find('*') != text.npos) return error;
    origins.push_back(std::move(origin));
  }
  return origins;
}

}  // namespace

Result<std::vector<ServerSettings>> read_servers(const std::string& path,
                                                 const Variables& variables) {
  const std::string text = TRY(read_private_file(path));
  auto servers = parse_servers(text, parent_folder(path), variables);
  if (!servers) return std::move(servers).error().within(path);
  return servers;
}

Result<ServedSettings> read_served(const std::string& path, const Variables& variables) {
  ServedSettings served;
  for (ServerSettings& server : TRY(read_servers(path, variables)))
    if (server.serving != Serving::never && !server.is_off)
      served.servers.push_back(std::move(server));
  const std::string text = TRY(read_private_file(path));
  const Json json = TRY(parse_json(text));
  auto origins = read_origins(json);
  if (!origins) return std::move(origins).error().within(path);
  served.origins = std::move(*origins);
  return served;
}

// Source: RFC 3986, section 3; WHATWG URL, "Origin".
std::string origin_of(std::string_view url) {
  const std::size_t gap = url.find("://");
  if (gap == url.npos) return "";
  std::string origin;
  const std::string_view authority = url.substr(0, url.find_first_of("/?#\\", gap + 3));
  for (const char c : authority) {
    if (c == '@' || static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f)
      return "";
    origin += ascii_lower(c);
  }
  for (const auto& [scheme, port] :
       {std::pair<std::string_view, std::string_view>{"https", ":443"}, {"http", ":80"}}) {
    if (origin.substr(0, gap) != scheme) continue;
    if (origin.ends_with(port)) origin.resize(origin.size() - port.size());
    return origin.size() > gap + 3 ? origin : "";
  }
  return "";
}

}  // namespace hearth::mcp

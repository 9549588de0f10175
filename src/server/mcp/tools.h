// What the server offers through the Model Context Protocol.  Every tool and resource is an
// endpoint under another name: it checks its arguments, and its key.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/json.h"
#include "http/message.h"
#include "server/errors.h"

namespace hearth::server::mcp {

struct Tool {
  std::string_view name, title, description;
  std::string_view method, path;  // of the endpoint; "{x}" stands for the argument x
  std::string_view schema;        // of the arguments, as JSON
  std::string_view text;          // where in the answer its text is: "a.0.b"; "": the whole
  bool only_reads = true;
};

struct Resource {
  std::string_view uri, name, description;  // a uri that ends with "{name}" is a template
  std::string_view path;                    // of the endpoint that gives it
};

// To add one: a row in tools.cpp.
std::span<const Tool> tools();
std::span<const Resource> resources();

// Arguments in their places: path, query and body.  Errors: an argument of the path that is missing
// or no name.
Checked<http::Request> request_of(const Tool& tool, Json arguments);
// Nothing: there is no such resource.
std::optional<http::Request> request_of_resource(std::string_view uri);

}  // namespace hearth::server::mcp

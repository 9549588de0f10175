// ToolWish: what a request says of a server of the Model Context Protocol whose tools it wants.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "server/errors.h"

namespace hearth::server {

// Tools by name, or by whether they only read; nothing of both: all.
struct ToolFilter {
  std::optional<std::vector<std::string>> names;
  std::optional<bool> only_reads;

  bool takes(const std::string& name, bool reads) const;
};

struct ToolWish {
  std::string label;
  std::string url;  // of a server that the request brings; empty: the settings have it
  std::vector<std::pair<std::string, std::string>> headers;  // for that one
  ToolFilter allowed;
  std::vector<std::string> denied;
  bool asks_before = true;  // of tools that neither of these takes
  std::optional<ToolFilter> asks, asks_not;

  bool wants(const std::string& name, bool reads) const;
  bool needs_approval(const std::string& name, bool reads) const;
};

// {"type": "mcp", "server_label": ..., "server_url", "authorization", "headers", "allowed_tools",
// "require_approval"}; "denied_tools" is ours.  Errors: 400 naming the field.
// Source: OpenAI API reference, "Create a model response", MCP tool.
Checked<ToolWish> read_tool_wish(const Json& tool);

}  // namespace hearth::server

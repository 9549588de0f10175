// ToolOffer: the tools that one request's answer may call and this server runs itself.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mcp/toolbox.h"

namespace hearth::server {

struct ServedTool {
  std::shared_ptr<hearth::mcp::Toolbox> box;
  hearth::mcp::OfferedTool offered;  // its name is the function's, for the model
  bool needs_approval = false;       // of the client, for each call
};

struct ToolOffer {
  std::vector<ServedTool> tools;
  std::vector<std::string> asked;  // labels of the servers that the request named

  // nullptr: a function of this name is not ours.
  const ServedTool* find(std::string_view function) const {
    for (const ServedTool& tool : tools)
      if (tool.offered.name == function) return &tool;
    return nullptr;
  }
};

}  // namespace hearth::server

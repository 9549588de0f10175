// The servers of the Model Context Protocol that the settings name, for commands and conversations.
#pragma once

#include <memory>
#include <string>

#include "cli/command.h"
#include "cli/line_editor.h"
#include "mcp/toolbox.h"
#include "server/serve.h"

namespace hearth::cli {

// This process's environment.
mcp::Variables environment_variables();
// Those of mcp.config; none where the standard file is absent.  Errors: those of read_servers.
Result<std::vector<mcp::ServerSettings>> mcp_settings(const Arguments& arguments);
// Those whose tools requests to a server may use.  Why there are none is told to who asks for them.
server::ToolSettings served_tools(const Arguments& arguments);
// Where decisions about tools are kept, and what signing in to servers has led to.
std::string consent_path();
std::string grants_path();

// "k=v" words and JSON values to an object of arguments.
Result<Json> read_pairs(std::span<const std::string> words);

// What happens when a model wants to call a tool and nobody can be asked, or need not be.
enum class ToolPolicy { ask, reads, all, none };
Result<ToolPolicy> read_tool_policy(const Arguments& arguments);

// Tools, and a person who is asked before one runs.  Used by one thread.
class ToolUse {
 public:
  ToolUse(App& app, LineEditor& editor, std::unique_ptr<mcp::Toolbox> box, ToolPolicy policy)
      : app_(app), editor_(editor), box_(std::move(box)), policy_(policy) {}

  mcp::Toolbox& box() { return *box_; }
  Json tools() const { return mcp::openai_tools(box_->tools()); }
  // What the model is told: the result, or why there is none.
  std::string use(const std::string& name, const std::string& arguments,
                  const std::stop_token& stop);

 private:
  bool may_run(const mcp::OfferedTool& tool, const std::string& arguments);
  bool ask(const mcp::OfferedTool& tool, const std::string& arguments);

  App& app_;
  LineEditor& editor_;
  std::unique_ptr<mcp::Toolbox> box_;
  ToolPolicy policy_;
  mcp::Consents consents_{consent_path()};
};

// Tables of what there is, for people.
void print_servers(Output& out, const mcp::Toolbox& box);

}  // namespace hearth::cli

// To add a command: write cli/<name>.cpp with one `const Command`, name it here.
#include "cli/command.h"
#include "cli/rows.h"
#include "cli/settings.h"

namespace hearth::cli {

std::span<const Command* const> commands() {
  static constexpr std::array list{&init_command,
                                   &run_command,
                                   &chat_command,
                                   &serve_command,
                                   &mcp_command,
                                   &mcp_list_command,
                                   &mcp_call_command,
                                   &mcp_read_command,
                                   &mcp_prompt_command,
                                   &mcp_login_command,
                                   &mcp_logout_command,
                                   &launch_command,
                                   &keys_create_command,
                                   &keys_list_command,
                                   &keys_show_command,
                                   &keys_revoke_command,
                                   &ps_command,
                                   &stop_command,
                                   &list_command,
                                   &pull_command,
                                   &recommend_command,
                                   &show_command,
                                   &use_command,
                                   &create_command,
                                   &rm_command,
                                   &du_command,
                                   &gc_command,
                                   &import_command,
                                   &export_command,
                                   &remote_add_command,
                                   &remote_list_command,
                                   &remote_rm_command,
                                   &verify_command,
                                   &embed_command,
                                   &rerank_command,
                                   &transcribe_command,
                                   &tokenize_command,
                                   &index_add_command,
                                   &search_command,
                                   &index_list_command,
                                   &index_info_command,
                                   &index_create_command,
                                   &index_rm_command,
                                   &index_tune_command,
                                   &index_reindex_command,
                                   &index_import_command,
                                   &index_export_command,
                                   &index_snapshot_command,
                                   &index_restore_command,
                                   &index_feedback_command,
                                   &convert_command,
                                   &quantize_command,
                                   &imatrix_command,
                                   &bench_command,
                                   &config_command,
                                   &info_command,
                                   &doctor_command,
                                   &completion_command,
                                   &help_command};
  return list;
}

std::span<const Option> common_options() {
  static const std::vector<Option> list = [] {
    std::vector<Option> all{
        {"--json", "", "One JSON object for programs instead of text for people."}};
    for (const Option& option : setting_options("runtime.")) all.push_back(option);
    all.push_back(
        {"--yes", "", "Do not ask: download a model that is not here, remove what is named."});
    all.push_back({"--verbose", "", "Log what happens to standard error."});
    return all;
  }();
  return list;
}

std::string_view name_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop:
      return "stop";
    case FinishReason::length:
      return "length";
    case FinishReason::cancelled:
      return "cancelled";
    case FinishReason::error:
      return "error";
  }
  return "error";
}

}  // namespace hearth::cli

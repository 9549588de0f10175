// The commands' rows, named for commands.cpp, and how rows are put together.
#pragma once

#include <array>
#include <string_view>

#include "cli/command.h"
#include "runtime/runner.h"

namespace hearth::cli {

extern const Command run_command, chat_command, serve_command, show_command, tokenize_command,
    embed_command, bench_command, config_command, info_command, doctor_command, help_command,
    list_command, pull_command, ps_command, stop_command, init_command, use_command, import_command,
    export_command, gc_command, completion_command, recommend_command, rm_command, du_command,
    verify_command, index_create_command, index_add_command, index_import_command,
    index_export_command, index_list_command, index_info_command, index_tune_command,
    index_reindex_command, index_snapshot_command, index_restore_command, index_rm_command,
    index_feedback_command, search_command, mcp_command, mcp_list_command, mcp_call_command,
    mcp_read_command, mcp_prompt_command, mcp_login_command, mcp_logout_command, launch_command,
    keys_create_command, keys_list_command, keys_show_command, keys_revoke_command,
    quantize_command, imatrix_command, convert_command, remote_add_command, remote_list_command,
    remote_rm_command, create_command, transcribe_command, rerank_command;

template <std::size_t N, std::size_t M>
constexpr std::array<Option, N + M> join(const Option (&a)[N], const Option (&b)[M]) {
  std::array<Option, N + M> all;
  for (std::size_t i = 0; i < N; ++i) all[i] = a[i];
  for (std::size_t i = 0; i < M; ++i) all[N + i] = b[i];
  return all;
}

std::string_view name_of(FinishReason reason);

}  // namespace hearth::cli

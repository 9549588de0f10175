// To add a command: write cli/<name>.cpp with one `const Command`, name it here.
#include "cli/command.h"
#include "cli/rows.h"

namespace hearth::cli {

std::span<const Command* const> commands() {
  static constexpr std::array list{&run_command,   &chat_command,   &serve_command,
                                   &show_command,  &embed_command,  &tokenize_command,
                                   &bench_command, &doctor_command, &help_command};
  return list;
}

std::span<const Option> common_options() {
  static constexpr Option list[] = {
      {"--json", "", "One JSON object for programs instead of text for people."},
      {"--threads", "N", "Compute threads; 0: one per physical core."},
      {"--context", "N", "Tokens of context; 0: the model's own, as far as memory allows."},
      {"--cpu", "TABLE", "Kernel table to use; `hearth doctor` lists them."},
      {"--deterministic", "", "The same bits whatever else runs, on any thread count."},
      {"--verbose", "", "Log what happens to standard error."},
  };
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

#include "cli/texts.h"

#include "base/files.h"

namespace hearth::cli {
namespace {

constexpr std::uint64_t max_input_bytes = 64u << 20;

}  // namespace

Result<std::vector<std::string>> texts_from(const Arguments& arguments, std::size_t first) {
  if (arguments.count() > first) {
    const auto words = arguments.positional().subspan(first);
    return std::vector<std::string>(words.begin(), words.end());
  }
  const std::string input = TRY(read_stdin(max_input_bytes));
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < input.size();) {
    const std::size_t end = std::min(input.find('\n', i), input.size());
    if (end > i) texts.push_back(input.substr(i, end - i));
    i = end + 1;
  }
  return texts;
}

}  // namespace hearth::cli

// The one source that knows CLI11.
#include "cli/arguments.h"

#include <fmt/core.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <charconv>

#include "cli/command.h"

namespace hearth::cli {
namespace {

void declare(CLI::App& parser, const Option& option,
             std::map<std::string, std::vector<std::string>, std::less<>>& values) {
  const std::string name(option.name);
  if (option.value.empty()) {
    parser.add_flag_function(name, [&values, name](std::int64_t) { values[name]; });
    return;
  }
  parser
      .add_option_function<std::vector<std::string>>(
          name, [&values, name](const std::vector<std::string>& given) { values[name] = given; })
      ->expected(1)
      ->allow_extra_args(false)  // what follows is no value of it, and brackets are text
      ->multi_option_policy(option.repeats ? CLI::MultiOptionPolicy::TakeAll
                                           : CLI::MultiOptionPolicy::TakeLast);
}

// How many positional arguments "MODEL [PROMPT]" or "MODEL TEXT..." asks for.
struct Needs {
  std::size_t least = 0, most = 0;
};
Needs needs_of(std::string_view arguments) {
  Needs needs;
  bool optional = false;
  for (std::size_t i = 0; i < arguments.size();) {
    const std::size_t end = std::min(arguments.find(' ', i), arguments.size());
    const std::string_view word = arguments.substr(i, end - i);
    optional = optional || word.starts_with('[');
    if (!optional) ++needs.least;
    needs.most = word.find("...") != word.npos ? 10'000 : needs.most + 1;
    if (word.ends_with(']')) optional = false;
    i = end + 1;
  }
  return needs;
}

// A negative number is a value, never an option.
bool looks_like_option(const std::string& word) {
  return word.size() > 1 && word[0] == '-' && !(word[1] >= '0' && word[1] <= '9') && word[1] != '.';
}

}  // namespace

Result<Arguments> Arguments::parse(const Command& command, std::span<const std::string> all) {
  Arguments arguments;
  // What follows "--" is no option, whatever it looks like.
  const auto end = std::ranges::find(all, "--");
  const std::span<const std::string> words(all.begin(), end);
  CLI::App parser;
  parser.set_help_flag();
  for (const Option& option : command.options) declare(parser, option, arguments.values_);
  for (const Option& option : common_options()) declare(parser, option, arguments.values_);
  parser.allow_extras();

  try {
    std::vector<std::string> reversed(words.rbegin(), words.rend());  // as CLI11 wants them
    parser.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return Error(ErrorKind::invalid, fmt::format("{}: {}", command.name, error.what()));
  }
  // Not as CLI11's positional arguments: it takes "[a,b]" apart.
  arguments.positional_ = parser.remaining();
  for (const std::string& word : arguments.positional_)
    if (looks_like_option(word))
      return Error(ErrorKind::invalid, fmt::format("{} takes no option '{}'; see `hearth help {}`",
                                                   command.name, word, command.name));
  if (end != all.end())
    arguments.positional_.insert(arguments.positional_.end(), end + 1, all.end());
  const Needs needs = needs_of(command.arguments);
  if (arguments.count() < needs.least || arguments.count() > needs.most)
    return Error(ErrorKind::invalid, fmt::format("usage: hearth {} {}; see `hearth help {}`",
                                                 command.name, command.arguments, command.name));
  return arguments;
}

const std::string& Arguments::operator[](std::size_t i) const {
  static const std::string none;
  return i < positional_.size() ? positional_[i] : none;
}

std::string Arguments::text(std::string_view option, std::string_view fallback) const {
  const auto found = values_.find(option);
  return found == values_.end() || found->second.empty() ? std::string(fallback)
                                                         : found->second.back();
}

std::vector<std::string> Arguments::all(std::string_view option) const {
  const auto found = values_.find(option);
  return found == values_.end() ? std::vector<std::string>{} : found->second;
}

namespace {

template <typename T>
Result<T> number(std::string_view option, const std::string& text, T min, T max,
                 std::string_view kind) {
  T value{};
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  if (parsed.ec != std::errc() || parsed.ptr != end || !(value >= min && value <= max))
    return Error(ErrorKind::invalid,
                 fmt::format("{} = '{}': needs {} from {} to {}", option, text, kind, min, max));
  return value;
}

}  // namespace

Result<std::int64_t> Arguments::integer(std::string_view option, std::int64_t fallback,
                                        std::int64_t min, std::int64_t max) const {
  if (!has(option)) return fallback;
  return number<std::int64_t>(option, text(option), min, max, "a whole number");
}

Result<double> Arguments::real(std::string_view option, double fallback, double min,
                               double max) const {
  if (!has(option)) return fallback;
  return number<double>(option, text(option), min, max, "a number");
}

}  // namespace hearth::cli

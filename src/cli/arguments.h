// Arguments: what stood on the command line, parsed by the command's own row.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::cli {

struct Command;

class Arguments {
 public:
  // Errors: invalid, with what was not understood and the nearest thing that would be.
  static Result<Arguments> parse(const Command& command, std::span<const std::string> words);

  std::size_t count() const { return positional_.size(); }
  // The i-th positional argument; "" where there is none.
  const std::string& operator[](std::size_t i) const;
  std::span<const std::string> positional() const { return positional_; }

  bool has(std::string_view option) const { return values_.contains(option); }
  // The last value given, or `fallback`.
  std::string text(std::string_view option, std::string_view fallback = "") const;
  std::vector<std::string> all(std::string_view option) const;
  // Errors: invalid: not a number, or outside [min, max].
  Result<std::int64_t> integer(std::string_view option, std::int64_t fallback, std::int64_t min,
                               std::int64_t max) const;
  Result<double> real(std::string_view option, double fallback, double min, double max) const;

 private:
  std::vector<std::string> positional_;
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
};

}  // namespace hearth::cli

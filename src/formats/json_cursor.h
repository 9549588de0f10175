// JsonCursor: JSON read token by token, without building values: memory does not grow with a
// header of 100 MB.  Source: RFC 8259.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth {

// Errors: corrupt, with the offset.  White space before a token is skipped.
class JsonCursor {
 public:
  // `base` is the offset of `text` in its file.
  JsonCursor(std::string_view text, std::size_t base) : text_(text), base_(base) {}

  std::size_t offset() const { return base_ + at_; }

  bool accept(char token);    // one of {}[]:, if it comes next
  Status expect(char token);  // the same, or an error
  Status expect_end();        // nothing but white space is left
  // A string with its escapes resolved; valid UTF-8.
  Result<std::string> string(std::uint64_t max_bytes);
  // A whole number without sign, fraction or exponent.
  Result<std::uint64_t> natural();

 private:
  void skip_space();
  Error error(std::string what) const;
  Result<std::uint32_t> hex4();
  Status escape(std::string& out);

  std::string_view text_;
  std::size_t base_ = 0, at_ = 0;
};

}  // namespace hearth

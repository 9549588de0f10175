// HEARTH_CHECK(condition): our own invariants, on in every build.  Never for input.
#pragma once

namespace hearth {
[[noreturn]] void check_failed(const char* condition, const char* file, int line);
}  // namespace hearth

#define HEARTH_CHECK(condition)                 \
  (__builtin_expect(!!(condition), 1) ? (void)0 \
                                      : ::hearth::check_failed(#condition, __FILE__, __LINE__))

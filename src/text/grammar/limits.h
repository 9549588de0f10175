// What bounds the work that a grammar from outside can cause.  All are far above real ones.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hearth::grammar {

constexpr std::size_t max_source_bytes = 256u << 10;  // of a schema, a grammar or a regex
constexpr int max_nesting = 128;                      // parentheses; schemas within one another
constexpr std::size_t max_expressions = 1u << 20;     // nodes of a grammar before it is compiled
constexpr std::size_t max_rules = 65'536;     // after front ends have expanded what they read
constexpr std::size_t max_states = 1u << 20;  // of a compiled grammar
constexpr std::size_t max_transitions = 1u << 21;
constexpr std::uint32_t max_repeat = 1'000'000'000;  // in {m,n}: a count, never a copy
constexpr std::size_t max_pattern_states = 4096;     // of one regex made deterministic
constexpr std::uint32_t max_depth = 256;             // rules within one another while matching
constexpr std::size_t max_parallel = 8192;           // ways to read the same text at once
constexpr std::size_t max_choices = 65'536;          // of a choice list

// Of one matcher: beyond it what has been found is forgotten and found again.
constexpr std::size_t max_kept_states = 1u << 14;
constexpr std::size_t max_kept_frames = 1u << 18;

}  // namespace hearth::grammar

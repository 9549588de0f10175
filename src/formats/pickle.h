// Pickles as data: an interpreter of the opcodes that saved tensors need.  Nothing is ever imported
// or called: a name is looked up in the caller's list, a call becomes a node of the result.
// Source: Python's Lib/pickletools.py, the table of opcodes (protocols 2 to 5).
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth {

// Nodes name one another by index: shared ones are one node, and a list may hold itself.
struct PickleNode {
  enum class Kind : std::uint8_t {
    none,
    boolean,     // number
    integer,     // number
    real,        // real
    text,        // text; UTF-8
    bytes,       // text
    tuple,       // items
    list,        // items; sets too
    dict,        // items: key, value, key, value, ...
    symbol,      // number: what the caller's list said; text: the name
    call,        // items: symbol, arguments, then the states it was given
    persistent,  // items: the id
  };
  Kind kind = Kind::none;
  std::int64_t number = 0;
  double real = 0;
  std::string_view text;
  std::vector<std::uint32_t> items;
};

struct Pickle {
  std::vector<PickleNode> nodes;
  std::uint32_t root = 0;
  std::size_t bytes = 0;          // up to and with STOP
  std::deque<std::string> names;  // what the texts of symbols point into

  const PickleNode& operator[](std::uint32_t index) const { return nodes[index]; }
  // The value of a text key of a dict, or nullptr.
  const PickleNode* find(const PickleNode& dict, std::string_view key) const;
};

// What calls of these symbols become; everything else that `meaning` gives is kept as a call.
constexpr std::int64_t pickle_dict = -1;   // of no argument, or of a list of pairs
constexpr std::int64_t pickle_first = -2;  // its first argument, or an empty list

// The meaning of "module" and "name"; nothing: refused.
using PickleNames = std::optional<std::int64_t> (*)(std::string_view module, std::string_view name);

// Reads one pickle from the start of `bytes`.  Errors: corrupt; unsupported (an opcode or a name
// outside the lists: which, and where).
Result<Pickle> read_pickle(std::span<const std::byte> bytes, PickleNames meaning);

}  // namespace hearth

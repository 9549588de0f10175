#include "formats/pickle.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <map>

#include "base/bytes.h"
#include "base/utf8.h"
#include "formats/limits.h"

namespace hearth {
namespace {

using Kind = PickleNode::Kind;

// Known, and refused by name.
struct RefusedOpcode {
  char code;
  std::string_view name;
};
constexpr RefusedOpcode refused_opcodes[] = {
    {'i', "INST"},
    {'o', "OBJ"},
    {'\x82', "EXT1"},
    {'\x83', "EXT2"},
    {'\x84', "EXT4"},
    {'2', "DUP"},
    {'I', "INT"},
    {'L', "LONG"},
    {'F', "FLOAT"},
    {'S', "STRING"},
    {'V', "UNICODE"},
    {'P', "PERSID"},
    {'g', "GET"},
    {'p', "PUT"},
    {'\x97', "NEXT_BUFFER"},
    {'\x98', "READONLY_BUFFER"},
};

class Machine {
 public:
  Machine(std::span<const std::byte> bytes, PickleNames meaning) : in_(bytes), meaning_(meaning) {}

  Result<Pickle> run() {
    while (!done_) {
      at_ = in_.position();
      const auto code = TRY(in_.value<std::uint8_t>());
      if (at_ == 0 && code != 0x80) return wrong("no PROTO first");
      auto stepped = step(static_cast<char>(code));
      if (!stepped.ok()) return std::move(stepped).error();
      if (pickle_.nodes.size() > limits::pickle_objects || stack_.size() > limits::pickle_objects)
        return Error(ErrorKind::corrupt,
                     fmt::format("offset {}: over {} objects", at_, limits::pickle_objects));
    }
    pickle_.bytes = in_.position();
    return std::move(pickle_);
  }

 private:
  Error wrong(std::string_view what) const {
    return Error(ErrorKind::corrupt, fmt::format("pickle offset {}: {}", at_, what));
  }
  Error refused(std::string_view what) const {
    return Error(
        ErrorKind::unsupported,
        fmt::format("pickle offset {}: {}: refused, nothing is run from a model file", at_, what));
  }

  std::uint32_t add(PickleNode node) {
    pickle_.nodes.push_back(std::move(node));
    return static_cast<std::uint32_t>(pickle_.nodes.size() - 1);
  }
  Status push(PickleNode node) {
    stack_.push_back(add(std::move(node)));
    return Done{};
  }
  Status push(Kind kind) { return push(PickleNode{.kind = kind, .text = {}, .items = {}}); }
  Status push_number(Kind kind, std::int64_t value) {
    return push(PickleNode{.kind = kind, .number = value, .text = {}, .items = {}});
  }
  std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  PickleNode& node(std::uint32_t index) { return pickle_.nodes[index]; }

  Result<std::uint32_t> pop() {
    if (stack_.size() <= floor()) return wrong("the stack is empty");
    const std::uint32_t top = stack_.back();
    stack_.pop_back();
    return top;
  }
  // What lies above the last mark, which goes too.
  Result<std::vector<std::uint32_t>> pop_to_mark() {
    if (marks_.empty()) return wrong("no mark");
    std::vector<std::uint32_t> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()),
                                     stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }

  Status step(char code);
  Status step_containers(char code);
  Status step_strings(char code);
  Status step_memo(char code);

  template <typename T>
  Status integer() {
    return push_number(Kind::integer, static_cast<std::int64_t>(TRY(in_.value<T>())));
  }
  Status long_integer(std::uint64_t size);
  Status protocol();
  Status text(Kind kind, std::uint64_t size);
  Status tuple(std::size_t size);
  Status global(std::string_view module, std::string_view name);
  Result<std::string_view> line();
  Status append(std::span<const std::uint32_t> items, Kind kind);
  Status set_items(std::span<const std::uint32_t> items);
  // A few bytes can copy a long list: all copies together are counted.
  Status copied(std::size_t items) {
    copied_ += items;
    return copied_ > 4 * limits::pickle_objects ? Status(wrong("too many copies")) : Done{};
  }
  Status call();
  Status build();
  Status finish();

  ByteReader in_;
  PickleNames meaning_;
  Pickle pickle_;
  std::vector<std::uint32_t> stack_;
  std::vector<std::size_t> marks_;
  std::map<std::uint32_t, std::uint32_t> memo_;  // sparse: its keys are the file's
  std::size_t at_ = 0, copied_ = 0;
  bool done_ = false;
};

Status Machine::protocol() {
  const auto version = TRY(in_.value<std::uint8_t>());
  if (version < 2 || version > 5) return wrong(fmt::format("protocol {}, needs 2 to 5", version));
  return Done{};
}

Status Machine::long_integer(std::uint64_t size) {
  if (size > sizeof(std::int64_t)) return wrong(fmt::format("an integer of {} bytes", size));
  const auto bytes = TRY(in_.take(size));
  std::uint64_t value = 0;
  for (std::size_t i = size; i-- > 0;)
    value = value << 8 | std::to_integer<std::uint64_t>(bytes[i]);
  if (size > 0 && size < 8 && (value >> (8 * size - 1) & 1) != 0) value |= ~0ull << (8 * size);
  return push_number(Kind::integer, static_cast<std::int64_t>(value));
}

Status Machine::text(Kind kind, std::uint64_t size) {
  if (size > limits::pickle_string_bytes)
    return wrong(
        fmt::format("a string of {} bytes, at most {}", size, limits::pickle_string_bytes));
  const std::string_view held = text_of(TRY(in_.take(size)));
  if (kind == Kind::text && !is_utf8(held)) return wrong("a string that is not UTF-8");
  return push(PickleNode{.kind = kind, .text = held, .items = {}});
}

Status Machine::tuple(std::size_t size) {
  PickleNode made{.kind = Kind::tuple, .text = {}, .items = std::vector<std::uint32_t>(size)};
  for (std::size_t i = size; i-- > 0;) made.items[i] = TRY(pop());
  return push(std::move(made));
}

Result<std::string_view> Machine::line() {
  std::size_t size = 0;
  ByteReader ahead = in_;
  while (TRY(ahead.value<char>()) != '\n')
    if (++size > limits::zip_name_bytes) return wrong("a name without end");
  const std::string_view text = text_of(TRY(in_.take(size)));
  TRY(in_.skip(1));
  return text;
}

Status Machine::global(std::string_view module, std::string_view name) {
  const auto meaning = meaning_(module, name);
  if (!meaning) return refused(fmt::format("the name '{}.{}'", printable(module), printable(name)));
  pickle_.names.push_back(fmt::format("{}.{}", module, name));
  return push(PickleNode{
      .kind = Kind::symbol, .number = *meaning, .text = pickle_.names.back(), .items = {}});
}

Status Machine::append(std::span<const std::uint32_t> items, Kind kind) {
  if (stack_.size() <= floor() || node(stack_.back()).kind != kind)
    return wrong("no list to add to");
  auto& list = node(stack_.back()).items;
  list.insert(list.end(), items.begin(), items.end());
  return Done{};
}

Status Machine::set_items(std::span<const std::uint32_t> items) {
  if (stack_.size() <= floor() || node(stack_.back()).kind != Kind::dict)
    return wrong("no dict to add to");
  if (items.size() % 2 != 0) return wrong("a key without a value");
  for (std::size_t i = 0; i < items.size(); i += 2) switch (node(items[i]).kind) {
      case Kind::list:
      case Kind::dict:
      case Kind::call:
      case Kind::persistent:
        return wrong("a key that cannot be one");
      default:
        break;
    }
  return append(items, Kind::dict);
}

// REDUCE and NEWOBJ: arguments above a symbol.
Status Machine::call() {
  const std::uint32_t arguments = TRY(pop()), symbol = TRY(pop());
  if (node(symbol).kind != Kind::symbol) return refused("a call of what is no name");
  if (node(arguments).kind != Kind::tuple) return wrong("arguments that are no tuple");
  TRY(copied(node(arguments).items.size()));
  const std::vector<std::uint32_t> given = node(arguments).items;
  switch (node(symbol).number) {
    case pickle_dict: {
      std::vector<std::uint32_t> pairs;
      if (given.size() > 1) return wrong("a dict of several arguments");
      if (given.size() == 1 && node(given[0]).kind != Kind::list) return wrong("a dict of no list");
      for (const std::uint32_t pair :
           given.empty() ? std::vector<std::uint32_t>() : node(given[0]).items) {
        if (node(pair).items.size() != 2) return wrong("a dict of what are no pairs");
        pairs.push_back(node(pair).items[0]);
        pairs.push_back(node(pair).items[1]);
      }
      TRY(copied(pairs.size()));
      TRY(push(PickleNode{.kind = Kind::dict, .text = {}, .items = {}}));
      return set_items(pairs);
    }
    case pickle_first:
      if (given.empty()) return push(Kind::list);
      stack_.push_back(given[0]);
      return Done{};
    default:
      return push(PickleNode{.kind = Kind::call,
                             .number = node(symbol).number,
                             .text = node(symbol).text,
                             .items = {symbol, arguments}});
  }
}

// State of an object: of a dict or list it would be attributes, which hold no tensors.
Status Machine::build() {
  const std::uint32_t state = TRY(pop());
  if (stack_.size() <= floor()) return wrong("the stack is empty");
  PickleNode& target = node(stack_.back());
  if (target.kind == Kind::dict && node(state).kind == Kind::dict) return Done{};
  if (target.kind != Kind::call) return refused("state for what is no object");
  target.items.push_back(state);
  return Done{};
}

Status Machine::finish() {
  pickle_.root = TRY(pop());
  if (!stack_.empty() || !marks_.empty()) return wrong("STOP before everything is used");
  done_ = true;
  return Done{};
}

Status Machine::step(char code) {
  switch (code) {
    case '\x80':
      return protocol();
    case '\x95': {  // FRAME
      const auto size = TRY(in_.value<std::uint64_t>());
      if (size > in_.remaining()) return wrong(fmt::format("a frame of {} bytes", size));
      return Done{};
    }
    case '.':
      return finish();
    case '(':
      marks_.push_back(stack_.size());
      return marks_.size() > limits::pickle_objects ? Status(wrong("marks without end")) : Done{};
    case '0':
      TRY(pop());
      return Done{};
    case '1':
      TRY(pop_to_mark());
      return Done{};
    case 'N':
      return push(Kind::none);
    case '\x88':
      return push_number(Kind::boolean, 1);
    case '\x89':
      return push_number(Kind::boolean, 0);
    case 'J':
      return integer<std::int32_t>();
    case 'K':
      return integer<std::uint8_t>();
    case 'M':
      return integer<std::uint16_t>();
    case '\x8a':
      return long_integer(TRY(in_.value<std::uint8_t>()));
    case '\x8b':
      return long_integer(TRY(in_.value<std::uint32_t>()));
    case 'G': {
      const auto bits = std::byteswap(TRY(in_.value<std::uint64_t>()));
      return push(PickleNode{
          .kind = Kind::real, .real = std::bit_cast<double>(bits), .text = {}, .items = {}});
    }
    case 'R':
    case '\x81':
      return call();
    case 'b':
      return build();
    case 'Q':
      return push(PickleNode{.kind = Kind::persistent, .text = {}, .items = {TRY(pop())}});
    default:
      return step_containers(code);
  }
}

Status Machine::step_containers(char code) {
  switch (code) {
    case ']':
    case '\x8f':  // EMPTY_SET
      return push(Kind::list);
    case '}':
      return push(Kind::dict);
    case ')':
      return push(Kind::tuple);
    case '\x85':
      return tuple(1);
    case '\x86':
      return tuple(2);
    case '\x87':
      return tuple(3);
    case 't':
      return push(PickleNode{.kind = Kind::tuple, .text = {}, .items = TRY(pop_to_mark())});
    case 'l':
    case '\x91':  // FROZENSET
      return push(PickleNode{.kind = Kind::list, .text = {}, .items = TRY(pop_to_mark())});
    case 'd': {
      const auto items = TRY(pop_to_mark());
      TRY(push(Kind::dict));
      return set_items(items);
    }
    case 'a': {
      const std::uint32_t item[] = {TRY(pop())};
      return append(item, Kind::list);
    }
    case 'e':
    case '\x90':  // ADDITEMS
      return append(TRY(pop_to_mark()), Kind::list);
    case 's': {
      const std::uint32_t value = TRY(pop()), key = TRY(pop());
      const std::uint32_t pair[] = {key, value};
      return set_items(pair);
    }
    case 'u':
      return set_items(TRY(pop_to_mark()));
    default:
      return step_strings(code);
  }
}

Status Machine::step_strings(char code) {
  switch (code) {
    case 'X':
      return text(Kind::text, TRY(in_.value<std::uint32_t>()));
    case '\x8c':
    case 'U':  // a str of Python 2
      return text(Kind::text, TRY(in_.value<std::uint8_t>()));
    case '\x8d':
      return text(Kind::text, TRY(in_.value<std::uint64_t>()));
    case 'T':
      return text(Kind::text, TRY(in_.value<std::uint32_t>()));
    case 'C':
      return text(Kind::bytes, TRY(in_.value<std::uint8_t>()));
    case 'B':
      return text(Kind::bytes, TRY(in_.value<std::uint32_t>()));
    case '\x8e':
    case '\x96':  // BYTEARRAY8
      return text(Kind::bytes, TRY(in_.value<std::uint64_t>()));
    case 'c': {
      const auto module = TRY(line());
      return global(module, TRY(line()));
    }
    case '\x93': {  // STACK_GLOBAL
      const std::uint32_t name = TRY(pop()), module = TRY(pop());
      if (node(name).kind != Kind::text || node(module).kind != Kind::text)
        return refused("a name that is no text");
      return global(node(module).text, node(name).text);
    }
    default:
      return step_memo(code);
  }
}

Status Machine::step_memo(char code) {
  const auto put = [&](std::uint32_t key) -> Status {
    if (stack_.size() <= floor()) return wrong("the stack is empty");
    memo_[key] = stack_.back();
    return Done{};
  };
  const auto get = [&](std::uint32_t key) -> Status {
    const auto found = memo_.find(key);
    if (found == memo_.end()) return wrong(fmt::format("memo {} is not there", key));
    stack_.push_back(found->second);
    return Done{};
  };
  switch (code) {
    case 'q':
      return put(TRY(in_.value<std::uint8_t>()));
    case 'r':
      return put(TRY(in_.value<std::uint32_t>()));
    case '\x94':
      return put(static_cast<std::uint32_t>(memo_.size()));
    case 'h':
      return get(TRY(in_.value<std::uint8_t>()));
    case 'j':
      return get(TRY(in_.value<std::uint32_t>()));
    case '\x92':
      return refused("opcode NEWOBJ_EX");
    default:
      break;
  }
  for (const RefusedOpcode& row : refused_opcodes)
    if (row.code == code) return refused(fmt::format("opcode {}", row.name));
  return wrong(fmt::format("opcode {:#04x}", static_cast<unsigned char>(code)));
}

}  // namespace

const PickleNode* Pickle::find(const PickleNode& dict, std::string_view key) const {
  if (dict.kind != Kind::dict) return nullptr;
  for (std::size_t i = 0; i + 1 < dict.items.size(); i += 2)
    if (nodes[dict.items[i]].kind == Kind::text && nodes[dict.items[i]].text == key)
      return &nodes[dict.items[i + 1]];
  return nullptr;
}

Result<Pickle> read_pickle(std::span<const std::byte> bytes, PickleNames meaning) {
  return Machine(bytes.first(std::min<std::size_t>(bytes.size(), limits::pickle_bytes)), meaning)
      .run();
}

}  // namespace hearth

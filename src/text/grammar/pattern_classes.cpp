#include "text/grammar/pattern_classes.h"

#include <algorithm>
#include <array>

#include "text/unicode.h"

namespace hearth::grammar {
namespace {

using namespace unicode;

constexpr std::size_t categories = 30;

// Every category's members, found once.
const std::array<CharSet, categories>& members() {
  static const std::array<CharSet, categories> sets = [] {
    std::array<CharSet, categories> found;
    std::uint32_t begin = 0;
    const auto category_of = [](std::uint32_t point) {
      const Class is = class_of(point) & ((Class{1} << categories) - 1);
      std::size_t i = 0;
      while (i + 1 < categories && (is >> i & 1) == 0) ++i;
      return i;
    };
    std::size_t current = category_of(0);
    for (std::uint32_t point = 1; point <= last_point + 1; ++point) {
      const std::size_t next = point <= last_point ? category_of(point) : categories;
      if (next == current) continue;
      found[current].add(begin, point - 1);
      begin = point;
      current = next;
    }
    return found;
  }();
  return sets;
}

struct Named {
  std::string_view names[3];
  Class is;
};
constexpr Named table[] = {
    {{"L", "Letter", ""}, letter},
    {{"Lu", "Uppercase_Letter", "Uppercase"}, bit(Lu)},
    {{"Ll", "Lowercase_Letter", "Lowercase"}, bit(Ll)},
    {{"Lt", "Titlecase_Letter", ""}, bit(Lt)},
    {{"Lm", "Modifier_Letter", ""}, bit(Lm)},
    {{"Lo", "Other_Letter", ""}, bit(Lo)},
    {{"M", "Mark", "Combining_Mark"}, mark},
    {{"N", "Number", ""}, number},
    {{"Nd", "Decimal_Number", "digit"}, bit(Nd)},
    {{"Nl", "Letter_Number", ""}, bit(Nl)},
    {{"No", "Other_Number", ""}, bit(No)},
    {{"P", "Punctuation", "punct"}, punctuation},
    {{"S", "Symbol", ""}, symbol},
    {{"Z", "Separator", ""}, bit(Zs) | bit(Zl) | bit(Zp)},
    {{"Zs", "Space_Separator", ""}, bit(Zs)},
    {{"C", "Other", ""}, bit(Cc) | bit(Cf) | bit(Cn) | bit(Co)},
    {{"Cc", "Control", "cntrl"}, bit(Cc)},
    {{"Sc", "Currency_Symbol", ""}, bit(Sc)},
    {{"Sm", "Math_Symbol", ""}, bit(Sm)},
    {{"Pd", "Dash_Punctuation", ""}, bit(Pd)},
};

}  // namespace

CharSet digits() { return CharSet('0', '9'); }

CharSet word_characters() {
  CharSet set('0', '9');
  set.add('A', 'Z');
  set.add('_', '_');
  set.add('a', 'z');
  return set;
}

// Source: ECMA-262, sections 12.2 and 12.3.
CharSet white_space() {
  CharSet set('\t', '\r');
  for (const std::uint32_t point :
       {0x20u, 0xA0u, 0x1680u, 0x2028u, 0x2029u, 0x202Fu, 0x205Fu, 0x3000u, 0xFEFFu})
    set.add(point, point);
  set.add(0x2000, 0x200A);
  return set;
}

CharSet not_line_ends() {
  CharSet ends('\n', '\n');
  ends.add('\r', '\r');
  ends.add(0x2028, 0x2029);
  return ends.negated();
}

std::optional<CharSet> category_named(std::string_view name) {
  for (const std::string_view prefix : {"General_Category=", "gc="})
    if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  if (name == "Any") return CharSet::all();
  if (name == "ASCII") return CharSet(0, 0x7F);
  for (const Named& row : table) {
    if (std::ranges::find(row.names, name) == std::end(row.names) || name.empty()) continue;
    CharSet set;
    for (std::size_t i = 0; i < categories; ++i)
      if ((row.is >> i & 1) != 0) set.add(members()[i]);
    return set;
  }
  return std::nullopt;
}

}  // namespace hearth::grammar

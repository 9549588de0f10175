// Numbers within limits, as machines that read their digits.
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "text/grammar/json_text.h"

namespace hearth::grammar {
namespace {

constexpr std::size_t max_digits = 24, max_fraction_digits = 20;
constexpr std::size_t max_bound_digits = 320;  // of a double without an exponent
constexpr std::uint64_t max_modulus = 4000;

// The texts of decimal numbers of no sign, as patterns.
std::string digits_between(char low, char high) {
  if (low > high) return "";
  return fmt::format("[{}-{}]", low, high);
}

// Alternatives are joined; none at all matches nothing.
std::string any_of(std::vector<std::string> parts) {
  std::erase(parts, "");
  if (parts.empty()) return "";
  std::string result = "(?:" + parts.front();
  for (std::size_t i = 1; i < parts.size(); ++i) result += "|" + parts[i];
  return result + ")";
}

std::string count(std::size_t n) { return fmt::format("[0-9]{{{}}}", n); }

// Whole numbers above or below `w`.
std::string whole_above(const std::string& w) {
  std::vector<std::string> parts = {fmt::format("[1-9][0-9]{{{},}}", w.size())};
  for (std::size_t i = 0; i < w.size(); ++i) {
    const std::string digit = w[i] == '9' ? "" : digits_between(static_cast<char>(w[i] + 1), '9');
    if (!digit.empty()) parts.push_back(w.substr(0, i) + digit + count(w.size() - i - 1));
  }
  return any_of(parts);
}

std::string whole_below(const std::string& w) {
  std::vector<std::string> parts;
  if (w.size() > 1) parts.push_back("0");
  if (w.size() > 1) parts.push_back(fmt::format("[1-9][0-9]{{0,{}}}", w.size() - 2));
  if (w.size() == 2) parts.back() = "[1-9]";
  for (std::size_t i = 0; i < w.size(); ++i) {
    const char least = i == 0 && w.size() > 1 ? '1' : '0';
    const std::string digit =
        w[i] > least ? digits_between(least, static_cast<char>(w[i] - 1)) : "";
    if (!digit.empty()) parts.push_back(w.substr(0, i) + digit + count(w.size() - i - 1));
  }
  return any_of(parts);
}

const char* const any_fraction = "(?:\\.[0-9]+)?";

std::string at_least(const Decimal& d, bool is_open) {
  const std::string &w = d.whole, &f = d.fraction;
  std::vector<std::string> parts = {whole_above(w) + any_fraction};
  const std::string above_zero = "[0-9]*[1-9][0-9]*";
  if (f.empty()) {
    parts.push_back(is_open ? w + "\\." + above_zero : w + any_fraction);
    return any_of(parts);
  }
  for (std::size_t i = 0; i < f.size(); ++i)
    if (f[i] < '9')
      parts.push_back(w + "\\." + f.substr(0, i) +
                      digits_between(static_cast<char>(f[i] + 1), '9') + "[0-9]*");
  parts.push_back(w + "\\." + f + (is_open ? above_zero : "[0-9]*"));
  return any_of(parts);
}

std::string at_most(const Decimal& d, bool is_open) {
  const std::string &w = d.whole, &f = d.fraction;
  std::vector<std::string> parts;
  if (const std::string below = whole_below(w); !below.empty())
    parts.push_back(below + any_fraction);
  if (f.empty()) {
    if (!is_open) parts.push_back(w + "(?:\\.0+)?");
    return any_of(parts);
  }
  parts.push_back(w);
  for (std::size_t i = 0; i < f.size(); ++i) {
    if (f[i] > '0')
      parts.push_back(w + "\\." + f.substr(0, i) +
                      digits_between('0', static_cast<char>(f[i] - 1)) + "[0-9]*");
    if (i > 0) parts.push_back(w + "\\." + f.substr(0, i));
  }
  if (!is_open) parts.push_back(w + "\\." + f + "0*");
  return any_of(parts);
}

Decimal magnitude(Decimal d) {
  d.is_negative = false;
  return d;
}

// Texts of no sign that `low` and `high` allow, and those after a minus.
struct Halves {
  std::vector<std::string> positive, negative;  // each must match
  bool has_positive = true, has_negative = true;
};

void limit_low(Halves& halves, const NumberLimits::Bound& bound) {
  const Decimal d = decimal_of(bound.value);
  const bool is_above = !d.is_negative || d.is_zero();
  if (is_above) {
    halves.has_negative = false;
    halves.positive.push_back(at_least(magnitude(d), bound.is_open));
  } else {
    halves.negative.push_back(at_most(magnitude(d), bound.is_open));
  }
}

void limit_high(Halves& halves, const NumberLimits::Bound& bound) {
  const Decimal d = decimal_of(bound.value);
  const bool is_below = d.is_negative && !d.is_zero();
  if (is_below) {
    halves.has_positive = false;
    halves.negative.push_back(at_least(magnitude(d), bound.is_open));
  } else {
    const std::string pattern = at_most(magnitude(d), bound.is_open);
    halves.has_positive = halves.has_positive && !pattern.empty();
    halves.positive.push_back(pattern);
  }
}

Result<Dfa> half(const std::vector<std::string>& patterns, std::string_view sign,
                 const std::string& shape) {
  Dfa dfa = TRY(pattern_dfa(std::string(sign) + shape, true));
  for (const std::string& pattern : patterns) {
    const Dfa limit = TRY(pattern_dfa(std::string(sign) + pattern, true));
    dfa = TRY(both(dfa, limit));
  }
  return dfa;
}

// m = numerator / 10^places.
struct Step {
  std::uint64_t numerator;
  unsigned places;
};
Result<Step> step_of(const Json& number) {
  const Decimal d = decimal_of(number);
  const std::string digits = d.whole + d.fraction;
  std::uint64_t numerator = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), numerator);
  if (error != std::errc() || (numerator + 1) * (d.fraction.size() + 2) > max_modulus)
    return Error(ErrorKind::exhausted, fmt::format("{}: has too many digits", write_json(number)));
  return Step{numerator, static_cast<unsigned>(d.fraction.size())};
}

// Reads a decimal number digit by digit and keeps its remainder.
Dfa multiples_dfa(const Step& step, bool is_integer) {
  const std::uint64_t m = step.numerator;
  const unsigned places = is_integer ? 0 : step.places;
  std::uint64_t scale = 1;  // 10^step.places mod m
  for (unsigned i = 0; i < step.places; ++i) scale = scale * 10 % m;
  // States: 0 begins, 1 after a minus, 2 after a leading zero, then [phase][remainder]: phase 0
  // reads whole digits, phase 1 + f has read f digits of the fraction.
  const auto at = [&](unsigned phase, std::uint64_t r) {
    return static_cast<std::uint32_t>(3 + phase * m + r);
  };
  Dfa dfa;
  dfa.states.resize(3 + (places + 2) * m);
  const auto digit = [](unsigned d) { return '0' + d; };
  dfa.states[0].edges.push_back({'-', '-', 1});
  for (const std::uint32_t begin : {0u, 1u}) {
    dfa.states[begin].edges.push_back({'0', '0', 2});
    for (unsigned d = 1; d < 10; ++d)
      dfa.states[begin].edges.push_back({digit(d), digit(d), at(0, d % m)});
  }
  dfa.states[2].accepts = true;
  if (places > 0) dfa.states[2].edges.push_back({'.', '.', at(1, 0)});
  for (std::uint64_t r = 0; r < m; ++r) {
    Dfa::State& whole = dfa.states[at(0, r)];
    if (places > 0) whole.edges.push_back({'.', '.', at(1, r)});
    for (unsigned d = 0; d < 10; ++d)
      whole.edges.push_back({digit(d), digit(d), at(0, (r * 10 + d) % m)});
    whole.accepts = r * scale % m == 0;
    for (unsigned f = 0; f <= places && places > 0; ++f) {
      Dfa::State& state = dfa.states[at(1 + f, r)];
      std::uint64_t rest = r;
      for (unsigned i = f; i < places; ++i) rest = rest * 10 % m;
      state.accepts = f > 0 && rest == 0;
      if (f == places)
        state.edges.push_back({'0', '0', at(1 + f, r)});
      else
        for (unsigned d = 0; d < 10; ++d)
          state.edges.push_back({digit(d), digit(d), at(2 + f, (r * 10 + d) % m)});
    }
  }
  return dfa;
}

}  // namespace

Decimal decimal_of(const Json& number) {
  std::string text = number.is_integer() ? std::to_string(number.as_integer())
                                         : fmt::format("{}", number.as_number());
  Decimal d;
  d.is_negative = text.starts_with('-');
  if (d.is_negative) text.erase(0, 1);
  int exponent = 0;
  if (const std::size_t e = text.find('e'); e != text.npos) {
    const char* begin = text.data() + e + (text[e + 1] == '+' ? 2 : 1);
    std::from_chars(begin, text.data() + text.size(), exponent);
    text.resize(e);
  }
  const std::size_t point = std::min(text.find('.'), text.size());
  std::string whole = text.substr(0, point);
  std::string fraction = point < text.size() ? text.substr(point + 1) : "";
  for (; exponent > 0; --exponent) {
    whole += fraction.empty() ? '0' : fraction.front();
    if (!fraction.empty()) fraction.erase(0, 1);
  }
  for (; exponent < 0; ++exponent) {
    fraction.insert(0, 1, whole.empty() ? '0' : whole.back());
    if (!whole.empty()) whole.pop_back();
  }
  whole.erase(0, std::min(whole.find_first_not_of('0'), whole.size()));
  fraction.erase(fraction.find_last_not_of('0') + 1);
  d.whole = whole.empty() ? "0" : whole;
  d.fraction = fraction;
  return d;
}

Result<Dfa> number_dfa(const NumberLimits& limits) {
  Halves halves;
  std::size_t digits = max_digits;
  for (const auto& bound : {limits.low, limits.high})
    if (bound) digits = std::max(digits, decimal_of(bound->value).whole.size() + 1);
  if (digits > max_bound_digits) return Error(ErrorKind::exhausted, "has too many digits");
  if (limits.low) limit_low(halves, *limits.low);
  if (limits.high) limit_high(halves, *limits.high);
  std::string shape = fmt::format("(?:0|[1-9][0-9]{{0,{}}})", digits - 1);
  if (limits.is_fraction)
    shape += "\\.[0-9]*[1-9][0-9]*";
  else if (!limits.is_integer)
    shape += fmt::format("(?:\\.[0-9]{{1,{}}})?", max_fraction_digits);
  Dfa dfa;
  dfa.states.emplace_back();
  if (halves.has_positive) dfa = TRY(half(halves.positive, "", shape));
  if (halves.has_negative) {
    const Dfa negative = TRY(half(halves.negative, "-", shape));
    dfa = TRY(either(dfa, negative));
  }
  for (const Json& multiple : limits.multiples_of) {
    const Dfa steps = multiples_dfa(TRY(step_of(multiple)), limits.is_integer);
    dfa = TRY(both(dfa, steps));
  }
  for (const Json& value : limits.excluded) {
    const Decimal d = decimal_of(value);
    const std::string sign = d.is_zero() ? "-?" : d.is_negative ? "-" : "";
    const std::string zeros = d.fraction.empty() ? "(?:\\.0+)?" : "\\." + d.fraction + "0*";
    const Dfa texts = TRY(pattern_dfa(sign + d.whole + zeros, true));
    dfa = TRY(both(dfa, negated(texts)));
  }
  return dfa;
}

}  // namespace hearth::grammar

#include "text/regex.h"

#include <algorithm>
#include <vector>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/core.h>
#include <pcre2.h>

#include "base/guarded.h"

namespace hearth {
namespace {

constexpr std::size_t max_pattern_bytes = 64u << 10;
// Of one search: some for every byte it may pass, and enough to look around.
constexpr std::uint64_t base_steps = 1'000'000, steps_per_byte = 32;
constexpr std::uint32_t max_heap_kib = 64u << 10;
constexpr std::size_t max_jit_stack_bytes = 1u << 20;

struct FreeCode {
  void operator()(pcre2_code* p) const { pcre2_code_free(p); }
};
struct FreeData {
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
};
struct FreeContext {
  void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
};
struct FreeStack {
  void operator()(pcre2_jit_stack* p) const { pcre2_jit_stack_free(p); }
};

// What one search needs to itself.
struct Search {
  std::unique_ptr<pcre2_match_data, FreeData> data;
  std::unique_ptr<pcre2_match_context, FreeContext> context;
  std::unique_ptr<pcre2_jit_stack, FreeStack> stack;

  explicit Search(const pcre2_code* code)
      : data(pcre2_match_data_create_from_pattern(code, nullptr)),
        context(pcre2_match_context_create(nullptr)),
        stack(pcre2_jit_stack_create(32u << 10, max_jit_stack_bytes, nullptr)) {
    pcre2_set_heap_limit(context.get(), max_heap_kib);
    if (stack != nullptr) pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
  }
};

// The script in "p{Script}" or "P{Script}" at the beginning of `text`; "": none that we know.
std::string_view script_at(std::string_view text) {
  if (!text.starts_with("p{") && !text.starts_with("P{")) return {};
  const std::string_view name = text.substr(2, text.find('}') - 2);
  for (const std::string_view script :
       {"Arabic",    "Armenian", "Bengali",  "Bopomofo", "Cyrillic", "Devanagari", "Ethiopic",
        "Georgian",  "Greek",    "Gujarati", "Gurmukhi", "Han",      "Hangul",     "Hebrew",
        "Hiragana",  "Kannada",  "Katakana", "Khmer",    "Lao",      "Latin",      "Malayalam",
        "Mongolian", "Myanmar",  "Sinhala",  "Tamil",    "Telugu",   "Thai",       "Tibetan"})
    if (name == script) return name;
  return {};
}

// Oniguruma's escapes that PCRE2 reads otherwise.
std::string translate(std::string_view pattern) {
  std::string out;
  bool in_class = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '[') in_class = true;
    if (c == ']') in_class = false;
    if (c != '\\' || i + 1 == pattern.size()) {
      out += c;
      continue;
    }
    const char escaped = pattern[++i];
    if (escaped == 'h') {
      out += in_class ? "0-9A-Fa-f" : "[0-9A-Fa-f]";
    } else if (escaped == 'w') {
      constexpr std::string_view word = "\\p{L}\\p{M}\\p{Nd}\\p{Pc}";
      out += in_class ? std::string(word) : "[" + std::string(word) + "]";
    } else if (const std::string_view script = script_at(pattern.substr(i)); !script.empty()) {
      // By itself PCRE2's \p{Han} is Script_Extensions=Han.
      out.append({'\\', escaped}).append("{sc:").append(script).append("}");
      i += script.size() + 2;
    } else if (escaped == 'u' && i + 4 < pattern.size()) {
      out.append("\\x{").append(pattern.substr(i + 1, 4)).append("}");
      i += 4;
    } else {
      out.append({'\\', escaped});
    }
  }
  return out;
}

}  // namespace

struct Regex::Code {
  std::unique_ptr<pcre2_code, FreeCode> code;
  Guarded<std::vector<Search>> idle;
};

Regex::Regex(std::unique_ptr<Code> code) : code_(std::move(code)) {}
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;
Regex::~Regex() = default;

Result<Regex> Regex::compile(std::string_view pattern) {
  if (pattern.size() > max_pattern_bytes)
    return Error(ErrorKind::unsupported, fmt::format("pattern of {} bytes; at most {} are read",
                                                     pattern.size(), max_pattern_bytes));
  if (pattern.find("&&") != std::string_view::npos)
    return Error(ErrorKind::unsupported,
                 fmt::format("pattern '{}': intersections of classes are not read", pattern));
  const std::string translated = translate(pattern);
  int code = 0;
  PCRE2_SIZE offset = 0;
  // In Oniguruma's default syntax ^ and $ are those of lines.
  std::unique_ptr<Code> made(new Code);
  made->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                                 PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_MATCH_INVALID_UTF,
                                 &code, &offset, nullptr));
  if (made->code == nullptr) {
    PCRE2_UCHAR message[128] = {};
    pcre2_get_error_message(code, message, sizeof message);
    return Error(ErrorKind::unsupported, fmt::format("pattern '{}': at {}: {}", pattern, offset,
                                                     reinterpret_cast<const char*>(message)));
  }
  // Without just-in-time compilation (some systems forbid it) the search is slower, no more.
  (void)pcre2_jit_compile(made->code.get(), PCRE2_JIT_COMPLETE);
  return Regex(std::move(made));
}

Result<std::optional<Regex::Match>> Regex::find(std::string_view text, std::size_t from) const {
  std::optional<Search> search;
  code_->idle.with([&](std::vector<Search>& idle) {
    if (idle.empty()) return;
    search.emplace(std::move(idle.back()));
    idle.pop_back();
  });
  if (!search) search.emplace(code_->code.get());
  if (search->data == nullptr || search->context == nullptr)
    return Error(ErrorKind::exhausted, "no memory for a search");
  const int count = pcre2_match(code_->code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()),
                                text.size(), from, 0, search->data.get(), search->context.get());
  const PCRE2_SIZE* const ends = pcre2_get_ovector_pointer(search->data.get());
  const Match match{ends[0], ends[1]};
  code_->idle.with([&](std::vector<Search>& idle) { idle.push_back(std::move(*search)); });
  if (count == PCRE2_ERROR_NOMATCH) return std::optional<Match>();
  if (count < 0)
    return Error(ErrorKind::exhausted,
                 fmt::format("a pattern of the tokenizer took too many steps ({})", count));
  return std::optional(match);
}

Result<std::string> replace_all(const Regex& regex, std::string_view text,
                                std::string_view replacement) {
  std::string out;
  std::size_t done = 0;
  for (std::size_t from = 0; from <= text.size();) {
    const auto match = TRY(regex.find(text, from));
    if (!match) break;
    out.append(text.substr(done, match->begin - done)).append(replacement);
    done = match->end;
    from = match->end;
    if (match->begin == match->end) {  // step over one character
      do ++from;
      while (from < text.size() && (static_cast<unsigned char>(text[from]) & 0xC0) == 0x80);
    }
  }
  out += text.substr(done);
  return out;
}

}  // namespace hearth

#include "text/regex.h"

#include <chrono>
#include <optional>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/core.h>
#include <pcre2.h>

#include "base/guarded.h"
#include "base/utf8.h"

namespace hearth {
namespace {

constexpr std::size_t max_pattern_bytes = 64u << 10;
// PCRE2 counts steps from each place where a match may begin anew, and does not count every
// character of a run.  So there are two limits: of steps from one place, and of time, which is
// looked at after every match and after at most `places_per_search` places without one.
constexpr std::size_t base_steps = 4096, steps_per_byte = 8, places_per_search = 4;
constexpr auto base_time = std::chrono::seconds(1);
constexpr auto time_per_byte = std::chrono::microseconds(2);
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

}  // namespace

// What one search needs to itself.
struct Regex::Search {
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

namespace {

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

Result<std::unique_ptr<pcre2_code, FreeCode>> compile_for(std::string_view pattern,
                                                          std::uint32_t options) {
  const std::string translated = translate(pattern);
  int code = 0;
  PCRE2_SIZE offset = 0;
  // In Oniguruma's default syntax ^ and $ are those of lines.
  options |= PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
  std::unique_ptr<pcre2_code, FreeCode> made(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                    options | PCRE2_USE_OFFSET_LIMIT, &code, &offset, nullptr));
  if (made != nullptr) return made;
  PCRE2_UCHAR message[128] = {};
  pcre2_get_error_message(code, message, sizeof message);
  return Error(ErrorKind::unsupported, fmt::format("pattern '{}': at {}: {}", pattern, offset,
                                                   reinterpret_cast<const char*>(message)));
}

// The next place after `at` where a character may begin.
std::size_t next_place(std::string_view text, std::size_t at) {
  do ++at;
  while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
  return at;
}

// How many steps a search in a text of `bytes` may take from one place.
std::uint32_t step_limit(std::size_t bytes) {
  return static_cast<std::uint32_t>(
      std::min<std::size_t>(base_steps + bytes * steps_per_byte, 1u << 30));
}

}  // namespace

struct Regex::Code {
  std::unique_ptr<pcre2_code, FreeCode> any_bytes;
  // Where just-in-time compilation is forbidden: PCRE2's interpreter would check the whole rest of
  // the text as UTF-8 in every search; this one runs on texts that are known to be.
  std::unique_ptr<pcre2_code, FreeCode> only_utf8;
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
  std::unique_ptr<Code> made(new Code);
  made->any_bytes = TRY(compile_for(pattern, PCRE2_MATCH_INVALID_UTF));
  (void)pcre2_jit_compile(made->any_bytes.get(), PCRE2_JIT_COMPLETE);
  std::size_t jit_bytes = 0;
  (void)pcre2_pattern_info(made->any_bytes.get(), PCRE2_INFO_JITSIZE, &jit_bytes);
  if (jit_bytes == 0) made->only_utf8 = TRY(compile_for(pattern, 0));
  return Regex(std::move(made));
}

Result<std::vector<Regex::Match>> Regex::matches(std::string_view text) const {
  std::optional<Search> search;
  code_->idle.with([&](std::vector<Search>& idle) {
    if (idle.empty()) return;
    search.emplace(std::move(idle.back()));
    idle.pop_back();
  });
  if (!search) search.emplace(code_->any_bytes.get());
  if (search->data == nullptr || search->context == nullptr)
    return Error(ErrorKind::exhausted, "no memory for a search");
  auto found = matches(text, *search);
  code_->idle.with([&](std::vector<Search>& idle) { idle.push_back(std::move(*search)); });
  return found;
}

Result<std::vector<Regex::Match>> Regex::matches(std::string_view text, Search& search) const {
  const bool interpret = code_->only_utf8 != nullptr && is_utf8(text);
  const pcre2_code* const code = interpret ? code_->only_utf8.get() : code_->any_bytes.get();
  const std::uint32_t options = interpret ? PCRE2_NO_UTF_CHECK : 0;
  const PCRE2_SIZE* const ends = pcre2_get_ovector_pointer(search.data.get());
  pcre2_set_match_limit(search.context.get(), step_limit(text.size()));
  const auto start = std::chrono::steady_clock::now();
  std::vector<Match> found;
  for (std::size_t from = 0; from <= text.size();) {
    const std::size_t last_place =
        text.size() - from > places_per_search ? from + places_per_search : text.size();
    pcre2_set_offset_limit(search.context.get(), last_place);
    const int count = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                  from, options, search.data.get(), search.context.get());
    if (count == PCRE2_ERROR_NOMATCH) {
      from = next_place(text, last_place);
    } else if (count < 0) {
      return Error(ErrorKind::exhausted,
                   fmt::format("a pattern of the tokenizer took too many steps ({})", count));
    } else {
      found.push_back({ends[0], ends[1]});
      from = ends[0] == ends[1] ? next_place(text, ends[1]) : ends[1];
    }
    if (std::chrono::steady_clock::now() - start > base_time + text.size() * time_per_byte)
      return Error(ErrorKind::exhausted, "a pattern of the tokenizer took too long");
  }
  return found;
}

Result<std::string> replace_all(const Regex& regex, std::string_view text,
                                std::string_view replacement) {
  std::string out;
  std::size_t done = 0;
  for (const Regex::Match& match : TRY(regex.matches(text))) {
    out.append(text.substr(done, match.begin - done)).append(replacement);
    done = match.end;
  }
  out += text.substr(done);
  return out;
}

}  // namespace hearth

#include "library/modelfile.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "base/ascii.h"
#include "base/utf8.h"

namespace hearth {
namespace {

constexpr std::int64_t far_tokens = (std::int64_t{1} << 31) - 1;

// Of a chat request, under the same names.
constexpr std::array known = {"temperature",
                              "top_k",
                              "top_p",
                              "min_p",
                              "typical_p",
                              "repeat_penalty",
                              "repeat_last_n",
                              "seed",
                              "stop",
                              "num_ctx",
                              "num_predict",
                              "presence_penalty",
                              "frequency_penalty",
                              "mirostat",
                              "mirostat_tau",
                              "mirostat_eta"};
// How a model is loaded is Hearth's to know.
constexpr std::array of_loading = {"num_thread", "num_gpu",  "num_batch",  "num_keep",
                                   "main_gpu",   "use_mmap", "use_mlock",  "numa",
                                   "low_vram",   "f16_kv",   "vocab_only", "penalize_newline"};
constexpr std::array roles = {"system", "user", "assistant"};

// Theirs and ours.
constexpr std::pair<std::string_view, std::string_view> renamed[] = {
    {"num_predict", "max_tokens"}, {"repeat_penalty", "repetition_penalty"}};

std::string_view field_of(std::string_view parameter) {
  for (const auto& [theirs, ours] : renamed)
    if (parameter == theirs) return ours;
  return parameter;
}

template <std::size_t N>
bool is_in(const std::array<const char*, N>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

// The words of an instruction and where they stood.
struct Instruction {
  std::string name;
  std::string text;
  std::size_t line = 0;
};

class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  // False: the end.
  Result<bool> next(Instruction& found) {
    while (!rest_.empty()) {
      const std::size_t line = line_;
      const std::string_view text = trimmed(take_line());
      if (text.empty() || text.starts_with('#')) continue;
      const std::size_t space = std::min(text.find_first_of(" \t"), text.size());
      found = {ascii_upper(text.substr(0, space)), "", line};
      // A message has its role before the text.
      std::string_view value = trimmed(text.substr(space));
      if (found.name == "MESSAGE") {
        const std::size_t end = std::min(value.find_first_of(" \t"), value.size());
        role_ = std::string(value.substr(0, end));
        value = trimmed(value.substr(end));
      }
      found.text = TRY(text_of(value, line));
      return true;
    }
    return false;
  }
  const std::string& role() const { return role_; }

 private:
  std::string_view take_line() {
    const std::size_t end = rest_.find('\n');
    const std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    ++line_;
    return line;
  }

  // Of one line, between quotes, or of many between """.
  Result<std::string> text_of(std::string_view value, std::size_t line) {
    constexpr std::string_view fence = "\"\"\"";
    if (!value.starts_with(fence)) {
      if (value.size() >= 2 && value.starts_with('"') && value.ends_with('"'))
        return std::string(value.substr(1, value.size() - 2));
      return std::string(value);
    }
    std::string text(value.substr(fence.size()));
    std::size_t end = text.find(fence);
    while (end == std::string::npos && !rest_.empty()) {
      text += '\n';
      text += take_line();
      end = text.find(fence);
    }
    if (end == std::string::npos)
      return Error(ErrorKind::invalid,
                   fmt::format("line {}: a text that begins with \"\"\" has no end", line));
    text.resize(end);
    if (text.starts_with('\n')) text.erase(0, 1);
    if (text.ends_with('\n')) text.pop_back();
    return text;
  }

  std::string_view rest_;
  std::size_t line_ = 1;
  std::string role_;
};

Status take_parameter(Json& parameters, const Instruction& instruction) {
  const std::string_view text = instruction.text;
  const std::size_t space = text.find_first_of(" \t");
  if (space == std::string_view::npos)
    return Error(ErrorKind::invalid,
                 fmt::format("line {}: PARAMETER needs a name and a value", instruction.line));
  const std::string name(text.substr(0, space));
  std::string_view value = trimmed(text.substr(space));
  if (value.size() >= 2 && value.starts_with('"') && value.ends_with('"'))
    value = value.substr(1, value.size() - 2);
  add_parameter(parameters, name, std::string(value));
  return Done{};
}

Status take(Modelfile& file, const Instruction& instruction, const std::string& role) {
  const auto wrong = [&](ErrorKind kind, std::string_view what) {
    return Error(kind, fmt::format("line {}: {}", instruction.line, what));
  };
  const std::string& name = instruction.name;
  if (instruction.text.empty())
    return wrong(ErrorKind::invalid, fmt::format("{} needs a text", printable(name)));
  if (name == "FROM") {
    file.from = instruction.text;
  } else if (name == "PARAMETER") {
    return take_parameter(file.parameters, instruction);
  } else if (name == "SYSTEM") {
    file.system = instruction.text;
  } else if (name == "LICENSE") {
    file.licence += (file.licence.empty() ? "" : "\n") + instruction.text;
  } else if (name == "MESSAGE") {
    if (!is_in(roles, role))
      return wrong(ErrorKind::invalid,
                   fmt::format("MESSAGE '{}': needs system, user or assistant", printable(role)));
    file.messages.push_back(Json::object({{"role", role}, {"content", instruction.text}}));
  } else if (name == "TEMPLATE") {
    return wrong(ErrorKind::unsupported,
                 "TEMPLATE: the model's own template is used; leave the line out");
  } else if (name == "ADAPTER") {
    file.adapters.push_back(instruction.text);
  } else if (name != "REQUIRES") {
    return wrong(ErrorKind::invalid,
                 fmt::format("'{}': needs FROM, PARAMETER, SYSTEM, MESSAGE, ADAPTER or LICENSE",
                             printable(name)));
  }
  return Done{};
}

std::string parameter_line(std::string_view field, const Json& value) {
  for (const auto& [theirs, ours] : renamed)
    if (field == ours) field = theirs;
  return fmt::format("{} {}\n", field, write_json(value));
}

// In quotes of the kind that the text does not have.
std::string quoted(std::string_view text) { return fmt::format("\"\"\"{}\"\"\"", text); }

}  // namespace

void add_parameter(Json& parameters, const std::string& name, const std::string& value) {
  if (name == "stop") {
    Json list = parameters.find(name) ? *parameters.find(name) : Json::array();
    list.push_back(value);
    parameters.set(name, std::move(list));
    return;
  }
  auto number = parse_json(value);
  parameters.set(name, number ? std::move(*number) : Json(value));
}

Result<Modelfile> parse_modelfile(std::string_view text) {
  if (text.size() > max_modelfile_bytes)
    return Error(ErrorKind::invalid, fmt::format("a Modelfile of {} bytes: at most {} are read",
                                                 text.size(), max_modelfile_bytes));
  Modelfile file;
  Reader reader(text);
  Instruction instruction;
  while (TRY(reader.next(instruction))) TRY(take(file, instruction, reader.role()));
  if (file.from.empty()) return Error(ErrorKind::invalid, "has no line FROM");
  return file;
}

Result<Json> preset_fields(const Json& parameters) {
  if (!parameters.is_object()) return Error(ErrorKind::invalid, "parameters: needs an object");
  Json fields = Json::object();
  for (const auto& [name, value] : parameters.as_object()) {
    if (value.is_null() || is_in(of_loading, name)) continue;
    if (!is_in(known, name))
      return Error(ErrorKind::invalid,
                   fmt::format("parameter '{}': there is none of that name", printable(name)));
    if (name == "seed" && value == Json(-1)) continue;  // none
    const bool is_endless = name == "num_predict" && value.is_integer() && value.as_integer() <= 0;
    fields.set(std::string(field_of(name)), is_endless ? Json(far_tokens) : value);
  }
  return fields;
}

std::string write_parameters(const Preset& preset) {
  std::string lines;
  for (const auto& [name, value] : preset.fields.as_object()) {
    if (value.is_array())
      for (const Json& item : value.as_array()) lines += parameter_line(name, item);
    else
      lines += parameter_line(name, value);
  }
  return lines;
}

std::string write_modelfile(std::string_view from, const Preset& preset) {
  std::string text = fmt::format("FROM {}\n", from);
  for (const std::string& adapter : preset.adapters) text += fmt::format("ADAPTER {}\n", adapter);
  if (!preset.system.empty()) text += fmt::format("SYSTEM {}\n", quoted(preset.system));
  const std::string parameters = write_parameters(preset);
  for (std::string_view lines = parameters; !lines.empty();)
    text += fmt::format("PARAMETER {}\n", take_line(lines));
  for (const Json& message : preset.messages.as_array())
    if (const Json *role = message.find("role"), *content = message.find("content");
        role && content && role->is_string() && content->is_string())
      text += fmt::format("MESSAGE {} {}\n", role->as_string(), quoted(content->as_string()));
  if (!preset.licence.empty()) text += fmt::format("LICENSE {}\n", quoted(preset.licence));
  return text;
}

}  // namespace hearth

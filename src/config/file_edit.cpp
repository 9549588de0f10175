#include "config/file_edit.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "base/ascii.h"
#include "base/utf8.h"
#include "config/file_values.h"

namespace hearth {
namespace {

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(text.size(), end + 1));
  }
  return lines;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

bool is_header(std::string_view line, std::string_view group) {
  line = trimmed(line);
  const std::string header = fmt::format("[{}]", group);
  if (!line.starts_with(header)) return false;
  line = trimmed(line.substr(header.size()));
  return line.empty() || line.front() == '#';
}

const FileValue* find(const std::vector<FileValue>& values, std::string_view key) {
  const auto found = std::ranges::find(values, key, &FileValue::key);
  return found == values.end() ? nullptr : &*found;
}

// What follows the value in its last line: a comment.
std::string comment_after(std::string_view line) {
  const std::size_t hash = line.rfind(" #");
  return hash == std::string_view::npos || line.find_first_of("\"'", hash) != std::string_view::npos
             ? ""
             : std::string(line.substr(hash));
}

// Where there is none yet, the value goes under its group's header, in a new group at the end, or,
// in a file that writes its keys with dots, to the top.
void insert(std::vector<std::string>& lines, const std::vector<FileValue>& values,
            std::string_view key, const std::string& text) {
  const std::size_t dot = key.rfind('.');
  const std::string_view group = key.substr(0, dot), name = key.substr(dot + 1);
  const auto header =
      std::ranges::find_if(lines, [&](const std::string& line) { return is_header(line, group); });
  if (header != lines.end()) {
    lines.insert(header + 1, fmt::format("{} = {}", name, text));
    return;
  }
  const std::string prefix = std::string(group) + ".";
  if (std::ranges::any_of(values, [&](const FileValue& v) { return v.key.starts_with(prefix); })) {
    lines.insert(lines.begin(), fmt::format("{} = {}", key, text));
    return;
  }
  if (!lines.empty() && !trimmed(lines.back()).empty()) lines.emplace_back();
  lines.push_back(fmt::format("[{}]", group));
  lines.push_back(fmt::format("{} = {}", name, text));
}

// A header right above `place` with nothing between it and the next one goes, and the blank lines
// that set it apart; one with a comment says something still.
void remove_empty_group(std::vector<std::string>& lines, std::vector<std::string>::iterator place,
                        std::string_view group) {
  const auto is_blank = [](const std::string& line) { return trimmed(line).empty(); };
  const auto end = std::find_if_not(place, lines.end(), is_blank);
  if (end != lines.end() && !trimmed(*end).starts_with('[')) return;
  auto begin = place;
  while (begin != lines.begin() && is_blank(*(begin - 1))) --begin;
  if (begin == lines.begin() || !is_header(*(begin - 1), group) || (begin - 1)->contains('#'))
    return;
  --begin;
  if (end == lines.end())
    while (begin != lines.begin() && is_blank(*(begin - 1))) --begin;
  lines.erase(begin, end);
}

// Whatever was done, the result must read back as meant.
Status check(const std::string& text, std::vector<FileValue> wanted) {
  const auto values = parse_toml(text);
  const auto less = [](const FileValue& a, const FileValue& b) { return a.key < b.key; };
  const auto same = [](const FileValue& a, const FileValue& b) {
    return a.key == b.key && a.value == b.value;
  };
  if (values) {
    std::vector<FileValue> got = *values;
    std::ranges::sort(got, less);
    std::ranges::sort(wanted, less);
    if (std::ranges::equal(got, wanted, same)) return Done{};
  }
  return Error(ErrorKind::invalid, "the file's form leaves no place for it; change it by hand");
}

}  // namespace

std::string toml_text(const Json& value) {
  if (!value.is_array()) return write_json(value);  // TOML's texts are escaped as JSON's
  std::string text = "[";
  for (const Json& item : value.as_array()) text += (text.size() > 1 ? ", " : "") + toml_text(item);
  return text + "]";
}

Result<std::string> with_setting(std::string_view text, std::string_view key, const Json& value) {
  std::vector<FileValue> values = TRY(parse_toml(text));
  std::vector<std::string> lines = lines_of(text);
  if (const FileValue* old = find(values, key)) {
    const std::string& first = lines[old->line - 1];
    const std::string comment = comment_after(lines[old->last_line - 1]);
    const std::string line = first.substr(0, first.find('=') + 1) + " " + toml_text(value);
    lines[old->line - 1] = line + comment;
    lines.erase(lines.begin() + old->line, lines.begin() + old->last_line);
    std::erase_if(values, [&](const FileValue& v) { return v.key == key; });
  } else {
    insert(lines, values, key, toml_text(value));
  }
  values.push_back({std::string(key), value, 0, 0});
  std::string changed = joined(lines);
  TRY(check(changed, std::move(values)));
  return changed;
}

Result<std::string> without_setting(std::string_view text, std::string_view key) {
  std::vector<FileValue> values = TRY(parse_toml(text));
  const FileValue* old = find(values, key);
  if (!old) return Error(ErrorKind::not_found, fmt::format("{} is not set", printable(key)));
  std::vector<std::string> lines = lines_of(text);
  const auto place = lines.erase(lines.begin() + old->line - 1, lines.begin() + old->last_line);
  remove_empty_group(lines, place, key.substr(0, key.rfind('.')));
  std::erase_if(values, [&](const FileValue& v) { return v.key == key; });
  std::string changed = joined(lines);
  TRY(check(changed, std::move(values)));
  return changed;
}

}  // namespace hearth

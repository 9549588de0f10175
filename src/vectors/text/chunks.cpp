#include "vectors/text/chunks.h"

#include <algorithm>

#include "base/ascii.h"

namespace hearth::vectors {
namespace {

constexpr std::size_t min_chunk_bytes = 64;

// The level of a heading line, 1 to 6; 0: it is none.
std::size_t heading_level(std::string_view line) {
  const std::size_t level = std::min(line.find_first_not_of('#'), line.size());
  return level >= 1 && level <= 6 && level < line.size() && line[level] == ' ' ? level : 0;
}

struct Section {
  std::string heading;
  std::size_t begin, end;
};

std::vector<Section> find_sections(std::string_view text) {
  std::vector<Section> sections{{"", 0, text.size()}};
  std::vector<std::pair<std::size_t, std::string>> open;  // level, title
  bool is_code = false;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    if (line.starts_with("```") || line.starts_with("~~~")) is_code = !is_code;
    const std::size_t level = is_code ? 0 : heading_level(line);
    if (level > 0) {
      while (!open.empty() && open.back().first >= level) open.pop_back();
      open.emplace_back(level, std::string(trimmed(line.substr(level))));
      std::string path;
      for (const auto& [depth, title] : open) path += (path.empty() ? "" : " > ") + title;
      sections.back().end = at;
      sections.push_back({std::move(path), at, text.size()});
    }
    at = end + 1;
  }
  std::erase_if(sections, [&](const Section& section) {
    return trimmed(text.substr(section.begin, section.end - section.begin)).empty();
  });
  return sections;
}

// The last place in (low, high] where the text may best be cut.
std::size_t best_cut(std::string_view text, std::size_t low, std::size_t high) {
  const auto last = [&](std::string_view mark) {
    const std::size_t at = text.rfind(mark, high - mark.size());
    return at != text.npos && at + mark.size() > low ? at + mark.size() : 0;
  };
  if (const std::size_t cut = last("\n\n")) return cut;
  std::size_t cut = 0;
  for (const std::string_view mark : {". ", ".\n", "? ", "! ", "?\n", "!\n"})
    cut = std::max(cut, last(mark));
  if (cut == 0) cut = last("\n");
  if (cut == 0) cut = last(" ");
  if (cut != 0) return cut;
  // Between characters.
  cut = high;
  while (cut > low + 1 && (static_cast<unsigned char>(text[cut]) & 0xc0) == 0x80) --cut;
  return cut;
}

// Where a word or line begins at or after `at`, before `end`.
std::size_t word_begin(std::string_view text, std::size_t at, std::size_t end) {
  const std::size_t line = text.find('\n', at);
  if (line < end) return line + 1;
  const std::size_t space = text.find(' ', at);
  if (space < end) return space + 1;
  while (at < end && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) ++at;
  return at;
}

}  // namespace

std::vector<Chunk> split_text(std::string_view text, const ChunkOptions& options) {
  const std::size_t most = std::max(options.max_bytes, min_chunk_bytes);
  const std::size_t overlap = std::min(options.overlap_bytes, most / 2);
  std::vector<Chunk> chunks;
  std::size_t counted = 0, line = 1;  // lines before `counted`
  const auto add = [&](const Section& section, std::size_t begin, std::size_t end) {
    const std::string_view piece = trimmed(text.substr(begin, end - begin));
    if (piece.empty()) return;
    const auto at = static_cast<std::size_t>(piece.data() - text.data());
    if (at < counted) counted = 0, line = 1;
    line +=
        static_cast<std::size_t>(std::count(text.begin() + static_cast<std::ptrdiff_t>(counted),
                                            text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
    counted = at;
    chunks.push_back({std::string(piece), section.heading, line});
  };
  for (const Section& section : find_sections(text)) {
    std::size_t begin = section.begin;
    while (section.end - begin > most) {
      const std::size_t cut = best_cut(text.substr(0, section.end), begin + most / 2, begin + most);
      add(section, begin, cut);
      const std::size_t back = word_begin(text, cut - overlap, cut);
      begin = overlap > 0 && back > begin ? back : cut;
    }
    add(section, begin, section.end);
  }
  return chunks;
}

}  // namespace hearth::vectors

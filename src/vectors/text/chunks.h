// Texts cut into pieces of a size that a search can answer with.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::vectors {

struct ChunkOptions {
  std::size_t max_bytes = 1200;
  // A piece that goes on within a section begins with so much of the one before.
  std::size_t overlap_bytes = 150;
};

struct Chunk {
  std::string text;      // trimmed, not empty, UTF-8 as the whole was
  std::string heading;   // the Markdown headings it is under: "Install > Linux"
  std::size_t line = 1;  // of its first byte
};

// Cuts between sections, else paragraphs, else sentences, else words, else characters.  Lines that
// begin with '#' are Markdown's headings; fenced code is never taken for them.
std::vector<Chunk> split_text(std::string_view text, const ChunkOptions& options);

}  // namespace hearth::vectors

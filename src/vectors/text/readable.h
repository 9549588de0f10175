// The text in the bytes of a file: a text itself, or what a PDF says.
#pragma once

#include <chrono>
#include <stop_token>
#include <string>

#include "base/result.h"

namespace hearth::vectors {

constexpr std::size_t max_readable_bytes = 16u << 20;  // as many tokens as no context holds

// The text of PDFs is taken out by a program that may be installed: poppler's or xpdf's pdftotext,
// a process of its own with bounds on its time, its memory and what it says.
struct PdfReader {
  std::string program = "pdftotext";
  std::chrono::milliseconds patience{20'000};
};

// UTF-8, without a mark of the order of bytes; pages of a PDF are apart by a form feed.  Blocks.
// Errors: unsupported, which says what the file is: no text, a PDF without text, or one where no
// such program is installed; corrupt: a PDF that cannot be read; exhausted: too much, too long;
// cancelled.
Result<std::string> readable_text(std::string bytes, const std::stop_token& stop,
                                  const PdfReader& reader = {});

}  // namespace hearth::vectors

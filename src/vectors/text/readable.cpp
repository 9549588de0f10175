// Source: poppler, manual page of pdftotext; "-" is its standard input and output.
#include "vectors/text/readable.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>

#include "base/child_process.h"
#include "base/utf8.h"

namespace hearth::vectors {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t max_memory_bytes = 1u << 30, max_complaint_bytes = 200;
constexpr std::chrono::milliseconds look_interval{50};

bool is_blank(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) <= ' '; });
}

// The first line of what the program complained of.
std::string complaint(std::string_view errors) {
  const std::string line(errors.substr(0, errors.find('\n')));
  return line.empty() ? "it ended without a word" : printable(line, max_complaint_bytes);
}

Error too_large() {
  return Error(ErrorKind::exhausted, fmt::format("over {} MiB of text", max_readable_bytes >> 20));
}

Result<std::string> pdf_text(std::string_view bytes, const std::stop_token& stop,
                             const PdfReader& reader) {
  const Clock::time_point deadline = Clock::now() + reader.patience;
  const char* path = std::getenv("PATH");
  const ChildOptions options{
      .command = {reader.program, "-enc", "UTF-8", "-", "-"},
      .environment = {{"PATH", path ? path : "/usr/bin:/bin"}},
      .folder = "/",
      .memory_bytes = max_memory_bytes,
      .processor_seconds = static_cast<unsigned>(1 + reader.patience.count() / 1000)};
  auto child = ChildProcess::start(options);
  if (!child && child.error().kind() == ErrorKind::not_found)
    return Error(ErrorKind::unsupported,
                 fmt::format("a PDF, whose text only {} can take out, and that is not installed "
                             "here (Debian: poppler-utils)",
                             printable(reader.program)));
  if (!child) return std::move(child).error();
  ChildProcess& program = **child;
  // It reads all before it says anything.  That it stops reading is told by how it ends.
  const Status written = program.write(bytes, deadline, stop);
  if (!written && written.error().kind() == ErrorKind::cancelled) return written.error();
  program.close_input();
  std::string text, errors;
  for (bool is_over = false; !is_over;) {
    if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
    if (Clock::now() >= deadline)
      return Error(ErrorKind::exhausted, fmt::format("a PDF whose text takes over {} ms to find",
                                                     reader.patience.count()));
    ChildProcess::Read part = program.read(look_interval);
    text += part.output;
    if (errors.size() < max_complaint_bytes) errors += part.errors;
    if (text.size() > max_readable_bytes) return too_large();
    is_over = part.is_over;
  }
  if (!program.succeeded(deadline))
    return Error(ErrorKind::corrupt,
                 fmt::format("a PDF that cannot be read: {}", complaint(errors)));
  if (is_blank(text))
    return Error(ErrorKind::unsupported, "a PDF without text: perhaps pictures of pages");
  return repair_utf8(text);
}

}  // namespace

Result<std::string> readable_text(std::string bytes, const std::stop_token& stop,
                                  const PdfReader& reader) {
  constexpr std::string_view mark = "\xEF\xBB\xBF";  // of the order of bytes
  if (bytes.starts_with("%PDF-")) return pdf_text(bytes, stop, reader);
  if (bytes.starts_with(mark)) bytes = bytes.substr(mark.size());
  if (bytes.size() > max_readable_bytes) return too_large();
  if (!is_utf8(bytes) || bytes.find('\0') != bytes.npos)
    return Error(ErrorKind::unsupported, "no text in UTF-8 and no PDF");
  return bytes;
}

}  // namespace hearth::vectors

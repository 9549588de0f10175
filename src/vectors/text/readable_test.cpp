// The text in files, and files that have none.
#include "vectors/text/readable.h"

#include <doctest/doctest.h>
#include <fmt/core.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace hearth::vectors {
namespace {

// A PDF of one page that says `text`.  Source: ISO 32000-1, 7.5.
std::string pdf_of(std::string_view text) {
  const std::string stream = fmt::format("BT /F1 24 Tf 72 700 Td ({}) Tj ET", text);
  const std::string objects[] = {
      "<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
      "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources "
      "<< /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
      fmt::format("<< /Length {} >>\nstream\n{}\nendstream", stream.size(), stream)};
  std::string pdf = "%PDF-1.4\n", table = "0000000000 65535 f \n";
  int number = 0;
  for (const std::string& object : objects) {
    table += fmt::format("{:010} 00000 n \n", pdf.size());
    pdf += fmt::format("{} 0 obj\n{}\nendobj\n", ++number, object);
  }
  return fmt::format("{}xref\n0 {}\n{}trailer << /Size {} /Root 1 0 R >>\nstartxref\n{}\n%%EOF\n",
                     pdf, number + 1, table, number + 1, pdf.size());
}

struct Scratch {
  std::string path = (std::filesystem::temp_directory_path() / "hearth-readable-XXXXXX").string();
  Scratch() { REQUIRE(::mkdtemp(path.data()) != nullptr); }
  ~Scratch() { std::filesystem::remove_all(path); }
};

// A program that stands in for pdftotext.
std::string program(const Scratch& scratch, std::string_view commands) {
  const std::string path = scratch.path + "/program";
  std::ofstream(path) << "#!/bin/sh\n" << commands;
  ::chmod(path.c_str(), 0700);
  return path;
}

TEST_CASE("a text is itself, without a mark of the order of bytes") {
  CHECK(readable_text("\xEF\xBB\xBFline\n", {}).value() == "line\n");
  for (const std::string_view bytes : {std::string_view("\xFF\xFE"), std::string_view("a\0b", 3)}) {
    const auto text = readable_text(std::string(bytes), {});
    REQUIRE(!text);
    CHECK(text.error().kind() == ErrorKind::unsupported);
  }
  CHECK(readable_text(std::string(max_readable_bytes + 1, 'a'), {}).error().kind() ==
        ErrorKind::exhausted);
}

TEST_CASE("what a PDF says") {
  if (std::system("command -v pdftotext >/dev/null") != 0) {
    MESSAGE("skipped: no pdftotext (poppler-utils)");
    return;
  }
  const auto text = readable_text(pdf_of("The boat is red."), {});
  REQUIRE_MESSAGE(text, text.error().message());
  CHECK(text->find("The boat is red.") != std::string::npos);
  CHECK(readable_text(pdf_of(""), {}).error().message().find("without text") != std::string::npos);
  CHECK(readable_text("%PDF-1.7 nothing", {}).error().kind() == ErrorKind::corrupt);
}

TEST_CASE("a program that reads PDFs badly is bounded") {
  const Scratch scratch;
  const std::string pdf = "%PDF-1.4";
  const auto error_of = [&](const PdfReader& reader) {
    const auto text = readable_text(pdf, {}, reader);
    REQUIRE(!text);
    return text.error();
  };
  const Error absent = error_of({.program = "no-such-pdftotext"});
  CHECK(absent.kind() == ErrorKind::unsupported);
  CHECK(absent.message().find("poppler-utils") != std::string::npos);

  CHECK(readable_text(pdf, {}, {.program = program(scratch, "cat")}).value() == pdf);
  CHECK(error_of({program(scratch, "exec sleep 60"), std::chrono::milliseconds(100)}).kind() ==
        ErrorKind::exhausted);
  CHECK(error_of({.program = program(scratch, "exec yes")}).kind() == ErrorKind::exhausted);
  // Half of a text is none.
  const Error half = error_of({.program = program(scratch, "echo half; echo why >&2; exit 1")});
  CHECK(half.kind() == ErrorKind::corrupt);
  CHECK(half.message().find("why") != std::string::npos);
  CHECK(error_of({.program = program(scratch, "echo half; kill -9 $$")}).kind() ==
        ErrorKind::corrupt);
  std::stop_source stop;
  stop.request_stop();
  CHECK(readable_text(pdf, stop.get_token(), {.program = program(scratch, "cat")}).error().kind() ==
        ErrorKind::cancelled);
}

}  // namespace
}  // namespace hearth::vectors

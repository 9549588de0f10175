// Texts in pieces, names of files, words, and files kept up to date in a collection.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "base/utf8.h"
#include "vectors/store/exchange.h"
#include "vectors/store/test_index.h"
#include "vectors/text/chunks.h"
#include "vectors/text/files.h"
#include "vectors/text/glob.h"

namespace hearth::vectors {
namespace {

TEST_CASE("globs") {
  const struct {
    std::string glob, path;
    bool matches;
  } rows[] = {
      {"*.md", "a.md", true},
      {"*.md", "deep/er/a.md", true},
      {"*.md", "a.md.txt", false},
      {"docs/*.md", "docs/a.md", true},
      {"docs/*.md", "docs/b/a.md", false},
      {"docs/**", "docs/b/a.md", true},
      {"**/a.md", "a.md", true},
      {"**/a.md", "x/y/a.md", true},
      {"a?.txt", "ab.txt", true},
      {"a?.txt", "a.txt", false},
      {"[a-c].txt", "b.txt", true},
      {"[!a-c].txt", "b.txt", false},
      {"*.{md,txt}", "x.txt", true},
      {"*.{md,txt}", "x.rst", false},
      {"", "x", false},
      {"[", "[", false},
  };
  for (const auto& row : rows) {
    CAPTURE(row.glob);
    CAPTURE(row.path);
    CHECK(matches_glob(row.glob, row.path) == row.matches);
  }
  CHECK(!matches_glob(std::string(100, '*') + "b", std::string(200, 'a')));  // and ends
}

TEST_CASE("pieces cover the text, keep to their size and know where they stand") {
  std::string text = "Before.\n\n# One\n\nFirst line.\n\n```\n# no heading\n```\n\n## Two\n\n";
  for (int i = 0; i < 40; ++i) text += fmt::format("Sentence number {} of the caf\u00e9. ", i);
  text += "\n\n# Three\n";
  for (int i = 1000; i < 1230; ++i) text += fmt::format("{}", i);  // no place to cut at
  text += "\u00e9\u00e9\u00e9";
  for (const std::size_t size : {64, 100, 333, 5000}) {
    CAPTURE(size);
    const auto chunks = split_text(text, {size, size / 5});
    std::size_t at = 0;
    for (const Chunk& chunk : chunks) {
      CHECK(chunk.text.size() <= size);
      CHECK(is_utf8(chunk.text));
      const std::size_t found = text.find(chunk.text, at > size ? at - size : 0);
      REQUIRE(found != text.npos);
      CHECK(found <= at + 2 * 2);  // only white space lies between
      at = std::max(at, found + chunk.text.size());
    }
    CHECK(at == text.size());
    CHECK(chunks.front().heading.empty());
    CHECK(chunks.back().heading == "Three");
    CHECK(std::any_of(chunks.begin(), chunks.end(),
                      [](const Chunk& chunk) { return chunk.heading == "One > Two"; }));
  }
  CHECK(split_text("a\nb\n# H\nc", {}).back().line == 3);
  CHECK(split_text(" \n\n ", {}).empty());
  CHECK(split_text("", {}).empty());
}

class Scratch {
 public:
  Scratch() {
    std::string name = std::filesystem::temp_directory_path() / "hearth-text-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Scratch() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(*this / name).parent_path());
    std::ofstream(*this / name) << text;
  }

 private:
  std::string path_;
};

std::unique_ptr<Collection> made(const Scratch& scratch, const std::string& name) {
  Schema schema;
  schema.dim = 2;
  StoreOptions options;
  options.indexes = plain_indexes();
  auto collection = create_collection(scratch / name, schema, options);
  REQUIRE(collection.ok());
  return std::move(*collection);
}

TEST_CASE("files are brought up to date, and what did not change costs nothing") {
  const Scratch scratch;
  auto collection = made(scratch, "store");
  std::size_t embedded = 0;
  const Embed embed = [&](const std::vector<std::string>& texts,
                          std::stop_token) -> Result<std::vector<std::vector<float>>> {
    embedded += texts.size();
    std::vector<std::vector<float>> vectors;
    for (const std::string& text : texts) vectors.push_back({static_cast<float>(text.size()), 1});
    return vectors;
  };
  const auto update = [&](FileOptions options = {}) {
    auto report = index_files(*collection, {scratch / "notes"}, options, embed, [](double) {}, {});
    REQUIRE(report.ok());
    return *report;
  };
  scratch.write("notes/a.md", "# A\nalpha\n# B\nbeta");
  scratch.write("notes/sub/b.txt", "gamma");
  scratch.write("notes/.hidden/c.md", "never");
  scratch.write("notes/picture", std::string("\0\1\2", 3));
  FileReport report = update();
  CHECK(report.added == 2);
  CHECK(report.skipped.size() == 1);
  CHECK(collection->count(nullptr).value_or(0) == 3);
  CHECK(embedded == 3);

  report = update();
  CHECK(report.unchanged == 2);
  CHECK(embedded == 3);

  scratch.write("notes/a.md", "# A\nalpha\n# B\nbeta and more\n# C\nnew");
  report = update();
  CHECK(report.changed == 1);
  CHECK(embedded == 5);  // the piece that stayed keeps its vector
  CHECK(collection->count(nullptr).value_or(0) == 4);

  scratch.write("notes/a.md", "short");
  std::filesystem::remove(scratch / "notes/sub/b.txt");
  report = update({{"*.md"}, {}, {}});
  CHECK(report.removed == 1);
  CHECK(report.changed == 1);
  CHECK(report.chunks_removed == 3);
  const auto page = collection->scroll("", 10, nullptr, {});
  REQUIRE(page.ok());
  REQUIRE(page->documents.size() == 1);
  CHECK(page->documents[0].text == "short");
  CHECK(!index_files(*collection, {scratch / "nowhere"}, {}, embed, [](double) {}, {}).ok());
}

TEST_CASE("documents go out and come in the same") {
  const Scratch scratch;
  auto collection = made(scratch, "from");
  std::vector<Document> documents;
  for (int i = 0; i < 1500; ++i)
    documents.push_back({fmt::format("{}", i),
                         {static_cast<float>(i), 0.1f},
                         "text\n\"quoted\"",
                         Json::object({{"n", i}})});
  REQUIRE(upsert(*collection, documents).ok());
  for (const std::string name : {"out.jsonl", "out.npy", "out.fvecs"}) {
    CAPTURE(name);
    const std::string path = scratch / name;
    const auto format = exchange_format(path);
    REQUIRE(format.ok());
    CHECK(export_documents(*collection, path, *format, {}).value_or(0) == 1500);
    std::vector<Document> read;
    const auto use = [&](std::vector<Document> batch) -> Status {
      for (Document& one : batch) read.push_back(std::move(one));
      return Done{};
    };
    REQUIRE(read_documents(path, *format, use, {}, {}).ok());
    REQUIRE(read.size() == 1500);
    for (std::size_t i = 0; i < read.size(); ++i) {
      CHECK(read[i].id == documents[i].id);
      CHECK(read[i].vector == documents[i].vector);
      if (*format != ExchangeFormat::jsonl) continue;
      CHECK(read[i].text == documents[i].text);
      CHECK(read[i].metadata == documents[i].metadata);
    }
    // Cut anywhere, it is an error or fewer documents, never another one.
    std::string bytes;
    {
      std::ifstream in(path, std::ios::binary);
      bytes.assign(std::istreambuf_iterator<char>(in), {});
    }
    for (std::size_t cut = 0; cut < 400; cut += 7) {
      std::ofstream(path, std::ios::binary) << bytes.substr(0, cut);
      read.clear();
      const auto got = read_documents(path, *format, use, {}, {});
      if (got.ok()) CHECK(read.size() <= cut / 12);
    }
  }
  CHECK(!exchange_format("x.parquet").ok());
}

}  // namespace
}  // namespace hearth::vectors

#include "vectors/text/words.h"

#include <fmt/core.h>

#include "base/utf8.h"
#include "vectors/sqlite_handles.h"

namespace hearth::vectors {
namespace {

constexpr std::size_t max_query_words = 64;
constexpr int busy_milliseconds = 5000;

Error failed(sqlite3* database) {
  const int code = sqlite3_errcode(database);
  return Error(code == SQLITE_FULL ? ErrorKind::exhausted : ErrorKind::io,
               fmt::format("index of words: {}", sqlite3_errmsg(database)));
}

Status execute(sqlite3* database, const char* text) {
  if (sqlite3_exec(database, text, nullptr, nullptr, nullptr) != SQLITE_OK) return failed(database);
  return Done{};
}

Result<Statement> prepare(sqlite3* database, const char* text) {
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v2(database, text, -1, &raw, nullptr) != SQLITE_OK) return failed(database);
  return Statement(raw);
}

// FTS5 has a query language of its own: every word goes in quotes, joined by OR.
std::string to_match(std::string_view query) {
  std::string match, word;
  std::size_t words = 0;
  const auto finish = [&] {
    if (!word.empty() && words < max_query_words) {
      match += fmt::format("{}\"{}\"", words == 0 ? "" : " OR ", word);
      ++words;
    }
    word.clear();
  };
  for (std::size_t i = 0; i < query.size();) {
    const Decoded next = decode_utf8(query.substr(i));
    const char c = query[i];
    const bool is_letter = next.valid && (next.size > 1 || (c >= '0' && c <= '9') ||
                                          (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'));
    if (is_letter)
      word += query.substr(i, next.size);
    else
      finish();
    i += next.size;
  }
  finish();
  return match;
}

class SqliteWords final : public WordIndex {
 public:
  explicit SqliteWords(Database database) : database_(std::move(database)) {}

  Status prepare_tables();
  Result<State> state() override;
  Status add(const State& before, const std::vector<Row>& rows,
             const std::vector<std::string>& texts, Row new_limit) override;
  Status clear() override;
  Result<std::vector<WordHit>> search(std::string_view query, std::size_t n,
                                      const std::function<bool(Row)>& allows) override;

 private:
  Status add_all(const std::vector<Row>& rows, const std::vector<std::string>& texts,
                 Row new_limit);

  Database database_;
};

Status SqliteWords::prepare_tables() {
  sqlite3_busy_timeout(database_.get(), busy_milliseconds);
  // The words alone: the texts stay in the segments.
  return execute(database_.get(),
                 "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                 "CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(text, content = '', "
                 "tokenize = \"porter unicode61 remove_diacritics 2\");"
                 "CREATE TABLE IF NOT EXISTS state(row_limit INTEGER, row_count INTEGER) STRICT;"
                 "INSERT INTO state SELECT 0, 0 WHERE NOT EXISTS (SELECT 1 FROM state);");
}

Result<WordIndex::State> SqliteWords::state() {
  const Statement read =
      TRY(prepare(database_.get(), "SELECT row_limit, row_count FROM state LIMIT 1"));
  if (sqlite3_step(read.get()) != SQLITE_ROW) return failed(database_.get());
  return State{static_cast<Row>(sqlite3_column_int64(read.get(), 0)),
               static_cast<std::size_t>(sqlite3_column_int64(read.get(), 1))};
}

Status SqliteWords::add_all(const std::vector<Row>& rows, const std::vector<std::string>& texts,
                            Row new_limit) {
  const Statement insert =
      TRY(prepare(database_.get(), "INSERT INTO words(rowid, text) VALUES(?, ?)"));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    sqlite3_bind_int64(insert.get(), 1, rows[i]);
    sqlite3_bind_text(insert.get(), 2, texts[i].data(), static_cast<int>(texts[i].size()),
                      SQLITE_STATIC);
    if (sqlite3_step(insert.get()) != SQLITE_DONE) return failed(database_.get());
    sqlite3_reset(insert.get());
  }
  const Statement update =
      TRY(prepare(database_.get(), "UPDATE state SET row_limit = ?, row_count = row_count + ?"));
  sqlite3_bind_int64(update.get(), 1, new_limit);
  sqlite3_bind_int64(update.get(), 2, static_cast<std::int64_t>(rows.size()));
  if (sqlite3_step(update.get()) != SQLITE_DONE) return failed(database_.get());
  return execute(database_.get(), "COMMIT");
}

Status SqliteWords::add(const State& before, const std::vector<Row>& rows,
                        const std::vector<std::string>& texts, Row new_limit) {
  TRY(execute(database_.get(), "BEGIN IMMEDIATE"));
  const auto now = state();
  Status added = now.ok() ? Status(Done{}) : Status(now.error());
  const bool is_same = now.ok() && now->limit == before.limit && now->rows == before.rows;
  if (is_same) added = add_all(rows, texts, new_limit);
  if (!is_same || !added.ok()) (void)execute(database_.get(), "ROLLBACK").ok();
  return added;
}

Status SqliteWords::clear() {
  return execute(database_.get(),
                 "BEGIN IMMEDIATE; INSERT INTO words(words) VALUES('delete-all');"
                 "UPDATE state SET row_limit = 0, row_count = 0; COMMIT");
}

Result<std::vector<WordHit>> SqliteWords::search(std::string_view query, std::size_t n,
                                                 const std::function<bool(Row)>& allows) {
  std::vector<WordHit> hits;
  const std::string match = to_match(query);
  if (match.empty()) return hits;
  const Statement find = TRY(prepare(
      database_.get(), "SELECT rowid, rank FROM words WHERE words MATCH ? ORDER BY rank, rowid"));
  sqlite3_bind_text(find.get(), 1, match.data(), static_cast<int>(match.size()), SQLITE_STATIC);
  while (hits.size() < n) {
    const int code = sqlite3_step(find.get());
    if (code == SQLITE_DONE) break;
    if (code != SQLITE_ROW) return failed(database_.get());
    const auto row = static_cast<Row>(sqlite3_column_int64(find.get(), 0));
    // FTS5 gives the best the lowest rank.
    if (allows(row)) hits.push_back({row, -sqlite3_column_double(find.get(), 1)});
  }
  return hits;
}

}  // namespace

Result<std::unique_ptr<WordIndex>> WordIndex::open(const std::string& path) {
  sqlite3* raw = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  const int code = sqlite3_open_v2(path.empty() ? ":memory:" : path.c_str(), &raw, flags, nullptr);
  Database database(raw);
  if (code != SQLITE_OK)
    return raw ? failed(raw) : Error(ErrorKind::exhausted, "index of words: no memory");
  auto words = std::make_unique<SqliteWords>(std::move(database));
  TRY(words->prepare_tables());
  return std::unique_ptr<WordIndex>(std::move(words));
}

}  // namespace hearth::vectors

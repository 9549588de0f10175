// Databases are made in memory and read where their file is mapped, so that every byte goes through
// Files, as those of other segments do.
#include "vectors/store/cold.h"

#include <fmt/core.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "vectors/sqlite_handles.h"
#include "vectors/store/encoding.h"

namespace hearth::vectors {
namespace {

constexpr std::uint32_t version = 1;

Error failed(sqlite3* database) {
  const int code = sqlite3_errcode(database);
  const ErrorKind kind =
      code == SQLITE_NOMEM || code == SQLITE_FULL ? ErrorKind::exhausted : ErrorKind::corrupt;
  return Error(kind, fmt::format("cold documents: {}", sqlite3_errmsg(database)));
}

Result<Statement> prepare(sqlite3* database, const char* text) {
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v2(database, text, -1, &raw, nullptr) != SQLITE_OK) return failed(database);
  return Statement(raw);
}

Status execute(sqlite3* database, const char* text) {
  if (sqlite3_exec(database, text, nullptr, nullptr, nullptr) != SQLITE_OK) return failed(database);
  return Done{};
}

Result<Database> open_memory() {
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(
      ":memory:", &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  Database database(raw);
  if (code == SQLITE_OK) return database;
  return raw ? failed(raw) : Error(ErrorKind::exhausted, "cold documents: no memory");
}

void bind_bytes(sqlite3_stmt* statement, int at, std::string_view bytes) {
  sqlite3_bind_blob64(statement, at, bytes.data(), bytes.size(), SQLITE_STATIC);
}

std::string_view column(sqlite3_stmt* statement, int at) {
  const void* bytes = sqlite3_column_blob(statement, at);
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement, at));
  return bytes ? std::string_view(static_cast<const char*>(bytes), size) : std::string_view();
}

std::uint32_t body_checksum(Row row, std::string_view text, std::string_view metadata,
                            std::string_view vector) {
  std::string place;
  put(place, row);
  put(place, static_cast<std::uint32_t>(text.size()));
  put(place, static_cast<std::uint32_t>(metadata.size()));
  std::uint32_t crc = crc32c(bytes_of(place));
  for (const std::string_view part : {text, metadata, vector}) crc = crc32c(bytes_of(part), crc);
  return crc;
}

class Writer final : public ColdWriter {
 public:
  Writer(Database database, std::size_t dim, std::uint64_t store_id)
      : database_(std::move(database)), dim_(dim), store_id_(store_id) {}

  Status begin() {
    TRY(execute(database_.get(),
                "PRAGMA page_size = 8192;"
                "CREATE TABLE directory(body BLOB, checksum INTEGER) STRICT;"
                "CREATE TABLE documents(row INTEGER PRIMARY KEY, checksum INTEGER, text BLOB, "
                "metadata BLOB, vector BLOB) STRICT;"
                "BEGIN;"));
    insert_ = TRY(prepare(database_.get(), "INSERT INTO documents VALUES(?, ?, ?, ?, ?)"));
    return Done{};
  }

  Status add(Row row, const DocumentView& document) override {
    HEARTH_CHECK(rows_.empty() || rows_.back() < row);
    HEARTH_CHECK(document.vector.size() == dim_);
    const std::string_view vector = text_of(std::as_bytes(document.vector));
    sqlite3_bind_int64(insert_.get(), 1, row);
    sqlite3_bind_int64(insert_.get(), 2,
                       body_checksum(row, document.text, document.metadata, vector));
    bind_bytes(insert_.get(), 3, document.text);
    bind_bytes(insert_.get(), 4, document.metadata);
    bind_bytes(insert_.get(), 5, vector);
    if (sqlite3_step(insert_.get()) != SQLITE_DONE) return failed(database_.get());
    sqlite3_reset(insert_.get());
    rows_.push_back(row);
    ids_.append(document.id);
    id_ends_.push_back(static_cast<std::uint32_t>(ids_.size()));
    bytes_ += document.id.size() + document.text.size() + document.metadata.size() + vector.size();
    return Done{};
  }

  std::size_t count() const override { return rows_.size(); }
  std::uint64_t bytes() const override { return bytes_; }

  Status commit(Files& files, const std::string& path, std::span<const Row> dead) override {
    std::string body;
    put(body, version);
    put(body, static_cast<std::uint32_t>(dim_));
    put(body, store_id_);
    put(body, static_cast<std::uint32_t>(rows_.size()));
    put(body, static_cast<std::uint32_t>(dead.size()));
    for (const Row row : rows_) put(body, row);
    for (const Row row : dead) put(body, row);
    for (const std::uint32_t end : id_ends_) put(body, end);
    body += ids_;
    {
      const Statement insert = TRY(prepare(database_.get(), "INSERT INTO directory VALUES(?, ?)"));
      bind_bytes(insert.get(), 1, body);
      sqlite3_bind_int64(insert.get(), 2, crc32c(bytes_of(body)));
      if (sqlite3_step(insert.get()) != SQLITE_DONE) return failed(database_.get());
    }
    insert_.reset();
    TRY(execute(database_.get(), "COMMIT"));
    sqlite3_int64 size = 0;
    const unsigned char* bytes =
        sqlite3_serialize(database_.get(), "main", &size, SQLITE_SERIALIZE_NOCOPY);
    std::unique_ptr<unsigned char, void (*)(void*)> copy(nullptr, sqlite3_free);
    if (!bytes) {
      copy.reset(sqlite3_serialize(database_.get(), "main", &size, 0));
      bytes = copy.get();
    }
    if (!bytes) return Error(ErrorKind::exhausted, "cold documents: no memory");
    const auto file = TRY(files.create(path));
    TRY(file->append({reinterpret_cast<const std::byte*>(bytes), static_cast<std::size_t>(size)}));
    return file->sync();
  }

 private:
  Database database_;
  Statement insert_;
  std::size_t dim_;
  std::uint64_t store_id_, bytes_ = 0;
  std::vector<Row> rows_;
  std::vector<std::uint32_t> id_ends_;
  std::string ids_;
};

class Reader final : public ColdDocuments {
 public:
  explicit Reader(Database database) : database_(std::move(database)) {}

  Status open(std::size_t dim, std::uint64_t store_id) {
    dim_ = dim;
    const Statement read =
        TRY(prepare(database_.get(), "SELECT body, checksum FROM directory LIMIT 1"));
    if (sqlite3_step(read.get()) != SQLITE_ROW) return failed(database_.get());
    const std::string_view body = column(read.get(), 0);
    if (sqlite3_column_int64(read.get(), 1) != crc32c(bytes_of(body)))
      return Error(ErrorKind::corrupt, "its directory is damaged");
    TRY(read_directory(body, store_id));
    select_ = TRY(prepare(database_.get(),
                          "SELECT checksum, text, metadata, vector FROM documents WHERE row = ?"));
    return Done{};
  }

  std::span<const Row> rows() const override { return rows_; }
  std::span<const Row> dead() const override { return dead_; }

  Result<DocumentView> document(std::size_t place) const override {
    const Row row = rows_[place];
    auto stored = std::make_shared<StoredDocument>();
    {
      const std::lock_guard lock(mutex_);
      sqlite3_stmt* const select = select_.get();
      sqlite3_reset(select);
      sqlite3_bind_int64(select, 1, row);
      if (sqlite3_step(select) != SQLITE_ROW)
        return Error(ErrorKind::corrupt, fmt::format("row {} cannot be read", row));
      stored->text = column(select, 1);
      stored->metadata = column(select, 2);
      const std::string_view vector = column(select, 3);
      if (sqlite3_column_int64(select, 0) !=
              body_checksum(row, stored->text, stored->metadata, vector) ||
          vector.size() != dim_ * sizeof(float))
        return Error(ErrorKind::corrupt, fmt::format("row {} is damaged", row));
      stored->vector.resize(dim_);
      std::memcpy(stored->vector.data(), vector.data(), vector.size());
    }
    const StoredDocument& document = *stored;
    return DocumentView{id(place), document.text, document.metadata, document.vector,
                        std::move(stored)};
  }

  std::string_view id(std::size_t place) const override {
    const std::size_t begin = place == 0 ? 0 : id_ends_[place - 1];
    return std::string_view(ids_).substr(begin, id_ends_[place] - begin);
  }

 private:
  Status read_directory(std::string_view body, std::uint64_t store_id) {
    const auto corrupt = [](std::string message) { return Error(ErrorKind::corrupt, message); };
    ByteReader in(bytes_of(body));
    const auto file_version = TRY(in.value<std::uint32_t>());
    if (file_version != version)
      return corrupt(fmt::format("version {}: this program reads {}", file_version, version));
    if (TRY(in.value<std::uint32_t>()) != dim_) return corrupt("vectors of another length");
    if (TRY(in.value<std::uint64_t>()) != store_id) return corrupt("belongs to another collection");
    const auto count = TRY(in.value<std::uint32_t>());
    const auto dead = TRY(in.value<std::uint32_t>());
    TRY(in.expect_records(std::uint64_t{count} * 2 + dead, sizeof(Row)));
    for (std::uint32_t i = 0; i < count; ++i) rows_.push_back(TRY(in.value<Row>()));
    for (std::uint32_t i = 0; i < dead; ++i) dead_.push_back(TRY(in.value<Row>()));
    for (std::uint32_t i = 0; i < count; ++i) id_ends_.push_back(TRY(in.value<std::uint32_t>()));
    ids_ = text_of(TRY(in.take(in.remaining())));
    if (!std::is_sorted(id_ends_.begin(), id_ends_.end()) ||
        (count > 0 ? id_ends_.back() : 0) != ids_.size() ||
        std::adjacent_find(rows_.begin(), rows_.end(), std::greater_equal<>()) != rows_.end())
      return corrupt("its directory does not fit");
    return Done{};
  }

  std::size_t dim_ = 0;
  Database database_;
  mutable std::mutex mutex_;  // held while the statement is used
  Statement select_;
  std::vector<Row> rows_, dead_;
  std::vector<std::uint32_t> id_ends_;
  std::string ids_;
};

}  // namespace

Result<std::unique_ptr<ColdWriter>> ColdWriter::create(std::size_t dim, std::uint64_t store_id) {
  auto writer = std::make_unique<Writer>(TRY(open_memory()), dim, store_id);
  TRY(writer->begin());
  return std::unique_ptr<ColdWriter>(std::move(writer));
}

Result<std::unique_ptr<ColdDocuments>> ColdDocuments::open(std::span<const std::byte> bytes,
                                                           std::size_t dim,
                                                           std::uint64_t store_id) {
  Database database = TRY(open_memory());
  // SQLite does not write to what it is given for reading only.
  auto* data = const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(bytes.data()));
  const auto size = static_cast<sqlite3_int64>(bytes.size());
  if (sqlite3_deserialize(database.get(), "main", data, size, size, SQLITE_DESERIALIZE_READONLY) !=
      SQLITE_OK)
    return failed(database.get());
  auto reader = std::make_unique<Reader>(std::move(database));
  TRY(reader->open(dim, store_id));
  return std::unique_ptr<ColdDocuments>(std::move(reader));
}

}  // namespace hearth::vectors

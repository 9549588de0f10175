// SQLite's connections and statements, closed by whoever holds them.
#pragma once

#include <sqlite3.h>

#include <memory>

namespace hearth::vectors {

struct SqliteClose {
  void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Database = std::unique_ptr<sqlite3, SqliteClose>;
using Statement = std::unique_ptr<sqlite3_stmt, SqliteClose>;

}  // namespace hearth::vectors

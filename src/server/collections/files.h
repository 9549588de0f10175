// Files that were uploaded, to be put into vector stores or answered as batches.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "server/service.h"

namespace hearth::server {

struct StoredFile {
  std::string id;  // "file-..."
  std::string name, purpose;
  std::string owner;  // the tenant whose it is; empty: everybody's
  std::int64_t bytes = 0, created = 0;
};

// Not found is also what is another tenant's.
Checked<StoredFile> find_file(Service& service, std::string_view id, std::string_view tenant);
// A file on disk becomes a stored one; `facts`: its name, purpose and owner.
Checked<StoredFile> keep_file(Service& service, const std::string& path, StoredFile facts);
Checked<std::string> read_stored_file(Service& service, const StoredFile& file);

// A name that nobody has: prefix and 24 random letters.
std::string fresh_id(std::string_view prefix);

// {"object": "list", ...} of items with an "id", newest first unless the request says otherwise:
// limit, order, after.  Source: OpenAI API reference, "Pagination".
Checked<Json> list_page(const Call& call, std::vector<Json> items);

}  // namespace hearth::server

// PrefixStore: keys and values of prompts on the disk, so that a conversation goes on after a
// restart without its prompt being computed again.
//
// A file holds one whole page.  Its name is a hash of all that determines what the page holds: the
// model, the kernels and tier, the tenant, and every token up to the page's end.
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "ops/context.h"
#include "runtime/prefix_options.h"
#include "text/tokenizer.h"

namespace hearth {

// Thread-safe.  A file that is gone or damaged is a page that has to be computed; a disk that is
// full or slow costs pages, never an answer.
class PrefixStore {
 public:
  // Errors: io (the folder cannot be made).
  static Result<std::unique_ptr<PrefixStore>> open(const PrefixStoreOptions& options,
                                                   std::size_t page_bytes);
  ~PrefixStore();  // writes what waits

  // Of SHA-256: others' pages cannot be had by making up tokens.
  using Id = std::array<std::uint8_t, 16>;
  Id root(std::string_view salt, bool deterministic, ops::Tier tier) const;
  static Id next(const Id& before, std::span<const Token> tokens);

  bool holds(const Id& id) const;
  // page: [page_bytes].  False: it holds something arbitrary, and the store no such page.
  bool read(const Id& id, std::span<std::byte> page);
  // Will be written anew by whoever computes it.
  void forget(const Id& id);
  // Copies the page and returns; it is dropped when too many wait.
  void write(const Id& id, std::span<const std::byte> page);

  std::size_t page_bytes() const { return page_bytes_; }

 private:
  struct Hash {
    std::size_t operator()(const Id& id) const;
  };
  struct Waiting {
    Id id;
    std::vector<std::byte> page;
  };

  PrefixStore(PrefixStoreOptions options, std::size_t page_bytes);
  void index();
  void work(std::stop_token leaving);
  bool put(const Waiting& waiting);
  void make_room();
  std::string path_of(const Id& id) const;

  const PrefixStoreOptions options_;
  const std::size_t page_bytes_;
  const std::string folder_;  // of this model
  mutable std::mutex mutex_;  // of what follows
  std::condition_variable_any woken_;
  std::unordered_set<Id, Hash> held_;  // on the disk, or on its way there
  std::deque<Waiting> waiting_;
  std::uint64_t written_ = 0;  // bytes since room was made
  std::jthread writer_;
};

}  // namespace hearth

// CollectionPool: the collections that requests work with, opened when first asked for and let go
// of when nobody asks, so that other programs may write them.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "server/service.h"
#include "vectors/store/local.h"

namespace hearth::server {

using OpenCollection = std::shared_ptr<vectors::Collection>;

// Thread-safe.
class CollectionPool {
 public:
  // root: the folder of all collections.
  CollectionPool(std::string root, vectors::StoreOptions options);
  ~CollectionPool();
  CollectionPool(const CollectionPool&) = delete;
  CollectionPool& operator=(const CollectionPool&) = delete;

  // Errors: not_found; unavailable: another process writes it (those who only read get it as it
  // is now).
  Result<OpenCollection> open(const std::string& name, vectors::Access access);
  Result<OpenCollection> create(const std::string& name, const vectors::Schema& schema);
  Status remove(const std::string& name);
  std::vector<std::string> names() const;
  // A copy beside the collections; returns its folder.
  Result<std::string> snapshot(const std::string& name, const std::string& label);
  // Their names: "NAME-LABEL".
  std::vector<std::string> snapshots() const;
  // A collection as it was; the copy stays.
  Result<OpenCollection> restore(const std::string& name, const std::string& snapshot);
  const std::string& root() const { return root_; }

 private:
  struct Entry {
    OpenCollection collection;
    std::chrono::steady_clock::time_point used;
    std::chrono::seconds patience;
  };
  void close_idle(std::stop_token leaving);
  std::string folder(const std::string& name) const;

  const std::string root_;
  const vectors::StoreOptions options_;
  mutable std::mutex mutex_;  // held while one is opened: nobody opens it twice
  std::condition_variable_any woken_;
  std::map<std::string, Entry> open_;
  std::jthread closer_;
};

// The pool of the service, or why there is none.
Checked<CollectionPool*> pool_of(Service& service);
// By the collection's own model, which must be served.  texts: none empty.
Checked<std::vector<std::vector<float>>> embed_for(Service& service, const vectors::Schema& schema,
                                                   const std::vector<std::string>& texts,
                                                   std::stop_token stop);

// The best k of the matches, in the order a served cross-encoder gives them.
Check rerank_for(Service& service, const std::string& model, const std::string& text, std::size_t k,
                 std::vector<vectors::Match>& matches, std::stop_token stop);
constexpr std::size_t reranked_share = 5;  // so many times k are given to the model

}  // namespace hearth::server

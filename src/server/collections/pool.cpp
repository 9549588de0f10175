#include "server/collections/pool.h"

#include <fmt/core.h>

#include "base/utf8.h"

namespace hearth::server {
namespace {

// Small ones are opened again in no time; of large ones the index is worth keeping.
constexpr std::size_t large_documents = 20'000;
constexpr std::chrono::seconds small_patience(5), large_patience(300), look_every(1);

}  // namespace

CollectionPool::CollectionPool(std::string root, vectors::StoreOptions options)
    : root_(std::move(root)), options_(std::move(options)) {
  closer_ = std::jthread([this](std::stop_token leaving) { close_idle(leaving); });
}

CollectionPool::~CollectionPool() {
  closer_.request_stop();
  closer_.join();
}

std::string CollectionPool::folder(const std::string& name) const { return join_path(root_, name); }

void CollectionPool::close_idle(std::stop_token leaving) {
  std::unique_lock lock(mutex_);
  while (!leaving.stop_requested()) {
    woken_.wait_for(lock, leaving, look_every, [] { return false; });
    const auto now = std::chrono::steady_clock::now();
    // With the lock held: whoever asks for it now waits, and opens it again.
    std::erase_if(open_, [&](const auto& item) {
      const Entry& entry = item.second;
      return entry.collection.use_count() == 1 && now - entry.used > entry.patience;
    });
  }
}

Result<OpenCollection> CollectionPool::open(const std::string& name, vectors::Access access) {
  TRY(vectors::check_name(name));
  const std::lock_guard lock(mutex_);
  if (const auto found = open_.find(name); found != open_.end()) {
    found->second.used = std::chrono::steady_clock::now();
    return found->second.collection;
  }
  if (!vectors::is_collection(folder(name)))
    return Error(ErrorKind::not_found, fmt::format("there is no collection '{}'", printable(name)));
  auto opened = vectors::open_collection(folder(name), vectors::Access::write, options_);
  const bool is_taken = !opened.ok() && opened.error().kind() == ErrorKind::unavailable;
  if (is_taken && access == vectors::Access::read)
    return OpenCollection(
        TRY(vectors::open_collection(folder(name), vectors::Access::read, options_)));
  if (is_taken)
    return Error(ErrorKind::unavailable,
                 fmt::format("collection '{}' is being written by another program", name));
  const OpenCollection collection = TRY(std::move(opened));
  const std::size_t documents = TRY(collection->count(nullptr));
  open_[name] = {collection, std::chrono::steady_clock::now(),
                 documents < large_documents ? small_patience : large_patience};
  return collection;
}

Result<OpenCollection> CollectionPool::create(const std::string& name,
                                              const vectors::Schema& schema) {
  TRY(vectors::check_name(name));
  const std::lock_guard lock(mutex_);
  const OpenCollection made = TRY(vectors::create_collection(folder(name), schema, options_));
  open_[name] = {made, std::chrono::steady_clock::now(), small_patience};
  return made;
}

Status CollectionPool::remove(const std::string& name) {
  TRY(vectors::check_name(name));
  const std::lock_guard lock(mutex_);
  if (const auto found = open_.find(name); found != open_.end()) {
    if (found->second.collection.use_count() > 1)
      return Error(ErrorKind::unavailable, fmt::format("collection '{}' is in use", name));
    open_.erase(found);
  }
  return vectors::remove_collection(folder(name), options_);
}

std::vector<std::string> CollectionPool::names() const { return vectors::list_collections(root_); }

Result<std::string> CollectionPool::snapshot(const std::string& name, const std::string& label) {
  TRY(vectors::check_name(label));
  const OpenCollection collection = TRY(open(name, vectors::Access::write));
  const std::string target = join_path(root_ + "-snapshots", name + "-" + label);
  TRY(collection->snapshot(target));
  return target;
}

std::vector<std::string> CollectionPool::snapshots() const {
  return vectors::list_collections(root_ + "-snapshots");
}

Result<OpenCollection> CollectionPool::restore(const std::string& name,
                                               const std::string& snapshot) {
  TRY(vectors::check_name(name));
  TRY(vectors::check_name(snapshot));
  const std::string source = join_path(root_ + "-snapshots", snapshot);
  if (!vectors::is_collection(source))
    return Error(ErrorKind::not_found, fmt::format("there is no snapshot '{}'", snapshot));
  {
    const std::lock_guard lock(mutex_);
    if (vectors::is_collection(folder(name)))
      return Error(ErrorKind::invalid, fmt::format("collection '{}' exists already", name));
    const auto copy = TRY(vectors::open_collection(source, vectors::Access::write, options_));
    TRY(copy->snapshot(folder(name)));
  }
  return open(name, vectors::Access::write);
}

Checked<CollectionPool*> pool_of(Service& service) {
  if (service.collections) return service.collections.get();
  return Problem{501, "unsupported", "this server keeps no collections", "", 0};
}

Checked<std::vector<std::vector<float>>> embed_for(Service& service, const vectors::Schema& schema,
                                                   const std::vector<std::string>& texts,
                                                   std::stop_token stop) {
  if (schema.embedder.empty())
    return invalid_value("vector",
                         "is missing, and the collection has no model to make one of text");
  AcquireOptions options;
  options.stop = stop;
  auto lease = service.find_model(schema.embedder, options);
  if (lease.ok()) return TRY(embed_texts(*lease.value(), texts, std::move(stop)));
  Problem problem = std::move(lease).error();
  if (problem.status == 404) problem.status = 400;  // the collection is here, its model is not
  problem.message = fmt::format("the collection's model: {}", problem.message);
  return problem;
}

Check rerank_for(Service& service, const std::string& model, const std::string& text, std::size_t k,
                 std::vector<vectors::Match>& matches, std::stop_token stop) {
  const Lease lease = TRY(service.find_model(model));
  if (lease->model().info().kind != ModelKind::reranker)
    return invalid_value("rerank", fmt::format("'{}' is no cross-encoder", printable(model)));
  std::vector<std::string> texts;
  for (const vectors::Match& match : matches) texts.push_back(match.document.text);
  if (!texts.empty()) {
    const Ranking ranking = TRY(rerank_texts(*lease, text, texts, std::move(stop)));
    for (std::size_t i = 0; i < matches.size(); ++i)
      matches[i].score = static_cast<double>(ranking.scores[i]);
  }
  std::stable_sort(matches.begin(), matches.end(),
                   [](const auto& a, const auto& b) { return a.score > b.score; });
  if (matches.size() > k) matches.resize(k);
  return Done{};
}

}  // namespace hearth::server

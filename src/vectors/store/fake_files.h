// For tests: files in memory whose calls fail when told to, and that lose power.
#pragma once

#include <fmt/core.h>

#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>

#include "base/bytes.h"
#include "base/disk.h"

namespace hearth::vectors {

// Thread-safe.  Maps stay readable as long as the object lives.
class FakeFiles final : public Files {
 public:
  // The call that fails, counted from 0; after it, all when `is_sticky`.
  std::size_t failing_call = ~std::size_t{0};
  bool is_sticky = false;
  ErrorKind failure = ErrorKind::io;
  std::size_t capacity = ~std::size_t{0};  // bytes of all files
  std::size_t calls = 0;

  // What a machine finds that lost power now: everything synced, and of the rest anything: files
  // cut anywhere, sectors of zeros or noise, names of before or after.
  std::shared_ptr<FakeFiles> after_power_loss(unsigned seed) const {
    const std::lock_guard lock(mutex_);
    std::mt19937 random(seed);
    auto left = std::make_shared<FakeFiles>();
    std::map<std::string, std::shared_ptr<Node>> names = durable_names_;
    for (const Change& change : pending_) {
      if (random() % 2 != 0) continue;  // it had not reached the disk
      if (change.node)
        names[change.name] = change.node;
      else
        names.erase(change.name);
      if (!change.gone.empty()) names.erase(change.gone);
    }
    left->folders_ = folders_;
    for (const auto& [name, node] : names) {
      auto copy = std::make_shared<Node>();
      copy->data = damaged(*node, random);
      copy->synced = copy->data.size();
      left->names_[name] = copy;
    }
    left->durable_names_ = left->names_;
    return left;
  }
  // What another process finds now.
  std::shared_ptr<FakeFiles> after_kill() const {
    const std::lock_guard lock(mutex_);
    auto left = std::make_shared<FakeFiles>();
    left->folders_ = folders_;
    for (const auto& [name, node] : names_) left->names_[name] = std::make_shared<Node>(*node);
    left->durable_names_ = left->names_;
    return left;
  }
  void change(const std::string& path, const std::function<void(std::string&)>& edit) {
    edit(names_.at(path)->data);
  }
  std::string content(const std::string& path) const { return names_.at(path)->data; }
  std::vector<std::string> paths() const {
    std::vector<std::string> all;
    for (const auto& [name, node] : names_) all.push_back(name);
    return all;
  }

  Result<std::unique_ptr<AppendFile>> create(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    TRY(call());
    auto node = std::make_shared<Node>();
    names_[path] = node;
    pending_.push_back({path, node, ""});
    return std::unique_ptr<AppendFile>(new File(*this, node));
  }
  Result<std::unique_ptr<AppendFile>> append_to(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    TRY(call());
    if (!names_.contains(path)) return missing(path);
    return std::unique_ptr<AppendFile>(new File(*this, names_[path]));
  }
  Result<std::shared_ptr<const MappedFile>> map(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    TRY(call());
    if (!names_.contains(path)) return missing(path);
    const std::string& data = names_[path]->data;
    auto& kept = maps_.emplace_back(
        std::make_unique<std::max_align_t[]>(data.size() / sizeof(std::max_align_t) + 1));
    std::memcpy(kept.get(), data.data(), data.size());
    return MappedFile::of_program({reinterpret_cast<const std::byte*>(kept.get()), data.size()});
  }
  Result<std::string> read(const std::string& path, std::uint64_t) override {
    const std::lock_guard lock(mutex_);
    TRY(call());
    if (!names_.contains(path)) return missing(path);
    return names_[path]->data;
  }
  Status rename(const std::string& from, const std::string& to) override {
    const std::lock_guard lock(mutex_);
    TRY(call());
    if (!names_.contains(from)) return missing(from);
    names_[to] = names_[from];
    names_.erase(from);
    pending_.push_back({to, names_[to], from});
    return Done{};
  }
  Status remove(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    TRY(call());
    if (names_.erase(path) == 0) return missing(path);
    pending_.push_back({path, nullptr, ""});
    return Done{};
  }
  Status sync_folder(const std::string&) override {
    const std::lock_guard lock(mutex_);
    TRY(call());
    durable_names_ = names_;
    pending_.clear();
    return Done{};
  }
  Status make_folder(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    TRY(call());
    folders_.insert(path);
    return Done{};
  }
  Status remove_folder(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    folders_.erase(path);
    return Done{};
  }
  Result<std::vector<std::string>> list(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    TRY(call());
    if (!folders_.contains(path)) return missing(path);
    std::vector<std::string> found;
    for (const auto& [name, node] : names_)
      if (parent_folder(name) == path) found.push_back(file_name(name));
    return found;
  }
  Status link(const std::string& from, const std::string& to) override {
    const std::lock_guard lock(mutex_);
    TRY(call());
    if (!names_.contains(from)) return missing(from);
    names_[to] = names_[from];
    pending_.push_back({to, names_[to], ""});
    return Done{};
  }
  Result<std::unique_ptr<StoreLock>> lock(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    TRY(call());
    if (!locks_->insert(path).second)
      return Error(ErrorKind::unavailable, path + ": in use by process 1");
    return std::unique_ptr<StoreLock>(new Lock(locks_, path));
  }

 private:
  struct Node {
    std::string data;
    std::size_t synced = 0;  // so many bytes are on the disk
    std::string before_cut;  // what an unsynced truncation may have left
  };
  struct Change {
    std::string name;
    std::shared_ptr<Node> node;  // null: removed
    std::string gone;
  };

  struct File final : AppendFile {
    File(FakeFiles& all, std::shared_ptr<Node> its_node) : files(all), node(std::move(its_node)) {}
    Status append(std::span<const std::byte> bytes) override {
      const std::lock_guard lock(files.mutex_);
      std::size_t used = 0;
      for (const auto& [name, other] : files.names_) used += other->data.size();
      Status allowed = files.call();
      const std::size_t room = files.capacity - std::min(files.capacity, used);
      const std::size_t written = allowed.ok() ? std::min(room, bytes.size()) : bytes.size() / 2;
      node->data += text_of(bytes.first(written));
      if (allowed.ok() && written < bytes.size())
        return Error(ErrorKind::exhausted, "no space left on device");
      return allowed;
    }
    Status sync() override {
      const std::lock_guard lock(files.mutex_);
      TRY(files.call());
      node->synced = node->data.size();
      node->before_cut.clear();
      return Done{};
    }
    Status truncate(std::uint64_t size) override {
      const std::lock_guard lock(files.mutex_);
      TRY(files.call());
      node->before_cut = node->data;
      node->data.resize(size);
      node->synced = std::min<std::size_t>(node->synced, size);
      return Done{};
    }
    FakeFiles& files;
    std::shared_ptr<Node> node;
  };

  struct Lock final : StoreLock {
    Lock(std::shared_ptr<std::set<std::string>> all, std::string its_path)
        : locks(std::move(all)), path(std::move(its_path)) {}
    ~Lock() override { locks->erase(path); }
    std::shared_ptr<std::set<std::string>> locks;
    std::string path;
  };

  static Error missing(const std::string& path) {
    return Error(ErrorKind::not_found, path + ": no such file");
  }

  Status call() {
    const std::size_t number = calls++;
    if (number == failing_call || (is_sticky && number > failing_call))
      return Error(failure, fmt::format("call {} fails", number));
    return Done{};
  }

  static std::string damaged(const Node& node, std::mt19937& random) {
    constexpr std::size_t sector = 512;
    const bool is_uncut = !node.before_cut.empty() && random() % 2 == 0;
    std::string data = is_uncut ? node.before_cut : node.data;
    const std::size_t safe = std::min(node.synced, data.size());
    switch (random() % 4) {
      case 0:
        data.resize(safe);
        break;
      case 1:
        break;
      case 2:
        data.resize(safe + random() % (data.size() - safe + 1));
        break;
      default:
        for (std::size_t at = safe; at < data.size(); at = (at / sector + 1) * sector) {
          const std::size_t size = std::min((at / sector + 1) * sector, data.size()) - at;
          if (random() % 2 == 0) continue;
          const bool is_noise = random() % 2 == 0;
          for (std::size_t i = 0; i < size; ++i)
            data[at + i] = is_noise ? static_cast<char>(random()) : '\0';
        }
    }
    return data;
  }

  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Node>> names_, durable_names_;
  std::vector<Change> pending_;
  std::set<std::string> folders_;
  std::shared_ptr<std::set<std::string>> locks_ = std::make_shared<std::set<std::string>>();
  std::deque<std::unique_ptr<std::max_align_t[]>> maps_;
};

}  // namespace hearth::vectors

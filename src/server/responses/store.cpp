#include "server/responses/store.h"

#include <algorithm>

namespace hearth::server {

bool StoredResponse::is_running() const { return *response.find("status") == Json("in_progress"); }

std::vector<const Json*> all_items(const StoredResponse& turn) {
  std::vector<const StoredResponse*> turns;
  for (const StoredResponse* one = &turn; one; one = one->previous.get()) turns.push_back(one);
  std::vector<const Json*> items;
  for (auto one = turns.rbegin(); one != turns.rend(); ++one) {
    for (const auto& item : (*one)->before) items.push_back(item.get());
    for (const Json& item : (*one)->input->as_array()) items.push_back(&item);
    const Json* output = (*one)->response.find("output");
    if (!output) continue;
    for (const Json& item : output->as_array()) items.push_back(&item);
  }
  return items;
}

void ResponseStore::insert(StoredTurn turn, std::stop_source cancel) {
  Entry entry;
  entry.bytes = write_json(*turn->input).size() + write_json(turn->response).size();
  entry.used = ++uses_;
  entry.cancel = std::move(cancel);
  Entry& place = entries_[turn->id];
  bytes_ += entry.bytes - place.bytes;
  entry.turn = std::move(turn);
  place = std::move(entry);
  make_room();
}

// What runs stays: its end is still to be told.
void ResponseStore::make_room() {
  while (entries_.size() > max_responses || bytes_ > max_bytes) {
    auto oldest = entries_.end();
    for (auto at = entries_.begin(); at != entries_.end(); ++at)
      if (!at->second.turn->is_running() &&
          (oldest == entries_.end() || at->second.used < oldest->second.used))
        oldest = at;
    if (oldest == entries_.end()) return;
    bytes_ -= oldest->second.bytes;
    entries_.erase(oldest);
  }
}

ResponseStore::Entry* ResponseStore::entry(std::string_view id, std::string_view tenant) {
  const auto found = entries_.find(std::string(id));
  if (found == entries_.end() || found->second.turn->tenant != tenant) return nullptr;
  found->second.used = ++uses_;
  return &found->second;
}

void ResponseStore::put(StoredTurn turn) {
  const std::lock_guard lock(mutex_);
  insert(std::move(turn), std::stop_source(std::nostopstate));
}

void ResponseStore::put_running(StoredTurn turn, std::stop_source cancel) {
  const std::lock_guard lock(mutex_);
  insert(std::move(turn), std::move(cancel));
}

void ResponseStore::finish(StoredTurn turn) {
  const std::lock_guard lock(mutex_);
  const Entry* running = entry(turn->id, turn->tenant);
  if (running && running->turn->is_running())
    insert(std::move(turn), std::stop_source(std::nostopstate));
}

StoredTurn ResponseStore::find(std::string_view id, std::string_view tenant) {
  const std::lock_guard lock(mutex_);
  const Entry* found = entry(id, tenant);
  return found ? found->turn : nullptr;
}

bool ResponseStore::remove(std::string_view id, std::string_view tenant) {
  const std::lock_guard lock(mutex_);
  Entry* found = entry(id, tenant);
  if (!found) return false;
  found->cancel.request_stop();
  bytes_ -= found->bytes;
  entries_.erase(std::string(id));
  return true;
}

StoredTurn ResponseStore::cancel(std::string_view id, std::string_view tenant) {
  const std::lock_guard lock(mutex_);
  Entry* found = entry(id, tenant);
  if (!found) return nullptr;
  if (!found->turn->is_running()) return found->turn;
  found->cancel.request_stop();
  auto ended = std::make_shared<StoredResponse>(*found->turn);
  ended->response.set("status", "cancelled");
  insert(ended, std::stop_source(std::nostopstate));
  return ended;
}

void ResponseStore::cancel_all() {
  const std::lock_guard lock(mutex_);
  for (auto& [id, entry] : entries_) entry.cancel.request_stop();
}

}  // namespace hearth::server

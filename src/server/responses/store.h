// ResponseStore: responses that can be asked for again, or be gone on from.  In memory: what people
// say to a model is not written to a disk that they did not ask for.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "server/responses/conversations.h"

namespace hearth::server {

// Immutable.
struct StoredResponse {
  std::string id, tenant;
  std::shared_ptr<const StoredResponse> previous;   // the turn before, or nullptr
  std::vector<std::shared_ptr<const Json>> before;  // items of a conversation, ahead of this turn
  std::shared_ptr<const Json> input;                // items of this turn
  Json response;                                    // the object, with its "output"
  std::size_t depth = 1;                            // turns, with this one

  bool is_running() const;  // of the background, and not over
};
using StoredTurn = std::shared_ptr<const StoredResponse>;

// The items of all turns, oldest first.  They belong to `turn`.
std::vector<const Json*> all_items(const StoredResponse& turn);

// Thread-safe.  Of each tenant's responses only that tenant sees any.
class ResponseStore {
 public:
  static constexpr std::size_t max_responses = 1024, max_bytes = 256u << 20, max_depth = 1024;

  // The ones used longest ago make room.
  void put(StoredTurn turn);
  // One that runs in the background; cancel() requests `cancel` to stop.
  void put_running(StoredTurn turn, std::stop_source cancel);
  // The end of one that runs; what was cancelled or removed meanwhile stays so.
  void finish(StoredTurn turn);
  StoredTurn find(std::string_view id, std::string_view tenant);  // nullptr: there is none
  bool remove(std::string_view id, std::string_view tenant);
  // Stops one that runs.  nullptr: there is none of this id; what does not run stays as it is.
  StoredTurn cancel(std::string_view id, std::string_view tenant);
  void cancel_all();

  ConversationStore conversations;  // that responses belong to

 private:
  struct Entry {
    StoredTurn turn;
    std::size_t bytes = 0;
    std::uint64_t used = 0;
    std::stop_source cancel{std::nostopstate};
  };
  void insert(StoredTurn turn, std::stop_source cancel);
  void make_room();
  Entry* entry(std::string_view id, std::string_view tenant);

  std::mutex mutex_;
  std::unordered_map<std::string, Entry> entries_;
  std::size_t bytes_ = 0;
  std::uint64_t uses_ = 0;
};

}  // namespace hearth::server

// ConversationStore: conversations that responses belong to, item by item.  In memory, as responses
// are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "server/errors.h"

namespace hearth::server {

using ConversationItems = std::vector<std::shared_ptr<const Json>>;  // each with an "id"

struct StoredConversation {
  std::string id, tenant;
  std::int64_t created_seconds = 0;  // Unix time
  Json metadata = Json::object();
  ConversationItems items;  // oldest first
};

// Thread-safe.  Of each tenant's conversations only that tenant sees any.
class ConversationStore {
 public:
  static constexpr std::size_t max_conversations = 1024, max_items = 8192, max_bytes = 256u << 20;

  // The ones used longest ago make room.
  void put(StoredConversation conversation);
  std::optional<StoredConversation> find(std::string_view id, std::string_view tenant);
  bool set_metadata(std::string_view id, std::string_view tenant, Json metadata);
  // False: there is none, or it is full.
  bool add(std::string_view id, std::string_view tenant, const ConversationItems& items);
  bool remove_item(std::string_view id, std::string_view tenant, std::string_view item);
  bool remove(std::string_view id, std::string_view tenant);

 private:
  struct Entry {
    StoredConversation conversation;
    std::size_t bytes = 0;
    std::uint64_t used = 0;
  };
  Entry* entry(std::string_view id, std::string_view tenant);
  void erase(std::map<std::string, Entry, std::less<>>::iterator at);
  void make_room();

  std::mutex mutex_;
  std::map<std::string, Entry, std::less<>> entries_;
  std::size_t bytes_ = 0;
  std::uint64_t uses_ = 0;
};

// 404 in the words of OpenAI's interface.
Problem no_such_conversation(std::string_view id, std::string_view param = "");

}  // namespace hearth::server

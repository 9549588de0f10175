// /v1/conversations.  Source: OpenAI API reference, "Conversations".
#include "server/responses/conversations.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/utf8.h"
#include "server/collections/files.h"
#include "server/fields.h"
#include "server/reply.h"
#include "server/responses/items.h"
#include "server/responses/responses.h"
#include "server/responses/store.h"
#include "server/rows.h"

namespace hearth::server {
namespace {

constexpr std::size_t max_metadata_pairs = 16, max_metadata_bytes = 16 << 10;

std::size_t bytes_of(const ConversationItems& items) {
  std::size_t bytes = 0;
  for (const auto& item : items) bytes += write_json(*item).size();
  return bytes;
}

}  // namespace

Problem no_such_conversation(std::string_view id, std::string_view param) {
  return {404, "not_found",
          fmt::format("There is no conversation '{}': it was not made here, or is no longer kept",
                      printable(std::string(id))),
          std::string(param), 0};
}

void ConversationStore::put(StoredConversation conversation) {
  const std::lock_guard lock(mutex_);
  Entry entry;
  entry.bytes = bytes_of(conversation.items) + write_json(conversation.metadata).size();
  entry.used = ++uses_;
  bytes_ += entry.bytes;
  std::string id = conversation.id;
  entry.conversation = std::move(conversation);
  entries_.insert_or_assign(std::move(id), std::move(entry));
  make_room();
}

void ConversationStore::erase(std::map<std::string, Entry, std::less<>>::iterator at) {
  bytes_ -= at->second.bytes;
  entries_.erase(at);
}

void ConversationStore::make_room() {
  while (entries_.size() > max_conversations || (bytes_ > max_bytes && entries_.size() > 1))
    erase(std::ranges::min_element(entries_, {},
                                   [](const auto& named) { return named.second.used; }));
}

ConversationStore::Entry* ConversationStore::entry(std::string_view id, std::string_view tenant) {
  const auto found = entries_.find(id);
  if (found == entries_.end() || found->second.conversation.tenant != tenant) return nullptr;
  found->second.used = ++uses_;
  return &found->second;
}

std::optional<StoredConversation> ConversationStore::find(std::string_view id,
                                                          std::string_view tenant) {
  const std::lock_guard lock(mutex_);
  const Entry* found = entry(id, tenant);
  return found ? std::optional(found->conversation) : std::nullopt;
}

bool ConversationStore::set_metadata(std::string_view id, std::string_view tenant, Json metadata) {
  const std::lock_guard lock(mutex_);
  Entry* found = entry(id, tenant);
  if (found) found->conversation.metadata = std::move(metadata);
  return found != nullptr;
}

bool ConversationStore::add(std::string_view id, std::string_view tenant,
                            const ConversationItems& items) {
  const std::size_t bytes = bytes_of(items);
  const std::lock_guard lock(mutex_);
  Entry* found = entry(id, tenant);
  if (!found || found->conversation.items.size() + items.size() > max_items) return false;
  auto& all = found->conversation.items;
  all.insert(all.end(), items.begin(), items.end());
  found->bytes += bytes;
  bytes_ += bytes;
  make_room();
  return true;
}

bool ConversationStore::remove_item(std::string_view id, std::string_view tenant,
                                    std::string_view item) {
  const std::lock_guard lock(mutex_);
  Entry* found = entry(id, tenant);
  if (!found) return false;
  auto& items = found->conversation.items;
  const auto at =
      std::ranges::find_if(items, [&](const auto& one) { return text_of(*one, "id") == item; });
  if (at == items.end()) return false;
  const std::size_t bytes = write_json(**at).size();
  found->bytes -= bytes;
  bytes_ -= bytes;
  items.erase(at);
  return true;
}

bool ConversationStore::remove(std::string_view id, std::string_view tenant) {
  const std::lock_guard lock(mutex_);
  if (!entry(id, tenant)) return false;
  erase(entries_.find(id));
  return true;
}

namespace {

Json shown(const StoredConversation& conversation) {
  return Json::object({{"id", conversation.id},
                       {"object", "conversation"},
                       {"created_at", conversation.created_seconds},
                       {"metadata", conversation.metadata}});
}

Checked<Json> read_metadata(const Json& body) {
  const Json* metadata = given(body, "metadata");
  if (!metadata) return Json::object();
  if (!metadata->is_object() || metadata->size() > max_metadata_pairs ||
      write_json(*metadata).size() > max_metadata_bytes)
    return invalid_value("metadata",
                         fmt::format("needs an object of up to {} pairs", max_metadata_pairs));
  return *metadata;
}

// The body's "items", each one a conversation can hold.
Checked<ConversationItems> read_given(const Json& body, const Call& call) {
  const Json list = TRY(responses::read_items(body, call.request.id.substr(4), /*field=*/"items"));
  responses::Conversation known;
  ConversationItems items;
  for (const Json& item : list.as_array()) {
    TRY(known.add(item, fmt::format("items[{}]", items.size())));
    items.push_back(std::make_shared<const Json>(item));
  }
  if (items.size() > ConversationStore::max_items)
    return invalid_value("items", fmt::format("needs up to {}", ConversationStore::max_items));
  return items;
}

Checked<StoredConversation> find(Service& service, const Call& call) {
  auto found = service.responses->conversations.find(call.parts.at(0), call.tenant);
  if (!found) return no_such_conversation(call.parts.at(0));
  return *std::move(found);
}

Checked<Json> create(Service& service, const Call& call) {
  const Json body = call.request.body.empty() ? Json::object() : TRY(parse_body(call.request.body));
  StoredConversation made;
  made.id = fresh_id("conv_");
  made.tenant = call.tenant;
  made.created_seconds = unix_seconds();
  made.metadata = TRY(read_metadata(body));
  made.items = TRY(read_given(body, call));
  Json answer = shown(made);
  service.responses->conversations.put(std::move(made));
  return answer;
}

Checked<Json> retrieve(Service& service, const Call& call) {
  return shown(TRY(find(service, call)));
}

Checked<Json> update(Service& service, const Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  Json metadata = TRY(read_metadata(body));
  if (!service.responses->conversations.set_metadata(call.parts.at(0), call.tenant,
                                                     std::move(metadata)))
    return no_such_conversation(call.parts.at(0));
  return retrieve(service, call);
}

Checked<Json> remove(Service& service, const Call& call) {
  const std::string& id = call.parts.at(0);
  if (!service.responses->conversations.remove(id, call.tenant)) return no_such_conversation(id);
  return Json::object({{"id", id}, {"object", "conversation.deleted"}, {"deleted", true}});
}

Checked<Json> list_items(Service& service, const Call& call) {
  std::vector<Json> items;
  for (const auto& item : TRY(find(service, call)).items) items.push_back(responses::listed(*item));
  return list_page(call, std::move(items));
}

Checked<Json> add_items(Service& service, const Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  if (!given(body, "items")) return invalid_value("items", "is missing");
  const ConversationItems items = TRY(read_given(body, call));
  TRY(find(service, call));
  if (!service.responses->conversations.add(call.parts.at(0), call.tenant, items))
    return invalid_value("items", fmt::format("makes the conversation longer than {} items",
                                              ConversationStore::max_items));
  Json data = Json::array();
  for (const auto& item : items) data.push_back(responses::listed(*item));
  const auto id = [&](const Json& item) { return *item.find("id"); };
  return Json::object({{"object", "list"},
                       {"data", data},
                       {"first_id", data.size() > 0 ? id(data.as_array().front()) : Json()},
                       {"last_id", data.size() > 0 ? id(data.as_array().back()) : Json()},
                       {"has_more", false}});
}

Problem no_such_item(const Call& call) {
  return {404, "not_found",
          fmt::format("The conversation has no item '{}'", printable(call.parts.at(1))), "", 0};
}

Checked<Json> retrieve_item(Service& service, const Call& call) {
  for (const auto& item : TRY(find(service, call)).items)
    if (text_of(*item, "id") == call.parts.at(1)) return responses::listed(*item);
  return no_such_item(call);
}

Checked<Json> remove_item(Service& service, const Call& call) {
  const StoredConversation conversation = TRY(find(service, call));
  if (!service.responses->conversations.remove_item(conversation.id, call.tenant, call.parts.at(1)))
    return no_such_item(call);
  return shown(conversation);
}

constexpr auto on_worker = Endpoint::Place::worker;

constexpr Endpoint rows[] = {
    {"POST", "/v1/conversations", "Begin a conversation that responses go on with.", Scope::chat,
     "ConversationRequest", "Conversation", on_worker, reply_json<create>},
    {"GET", "/v1/conversations/{conversation_id}", "A conversation.", Scope::chat, "",
     "Conversation", on_worker, reply_json<retrieve>},
    {"POST", "/v1/conversations/{conversation_id}", "Change its metadata.", Scope::chat,
     "ConversationRequest", "Conversation", on_worker, reply_json<update>},
    {"DELETE", "/v1/conversations/{conversation_id}", "Forget a conversation.", Scope::chat, "", "",
     on_worker, reply_json<remove>},
    {"GET", "/v1/conversations/{conversation_id}/items", "The items of a conversation.",
     Scope::chat, "", "ResponseItems", on_worker, reply_json<list_items>},
    {"POST", "/v1/conversations/{conversation_id}/items", "Add items to a conversation.",
     Scope::chat, "ConversationRequest", "ResponseItems", on_worker, reply_json<add_items>},
    {"GET", "/v1/conversations/{conversation_id}/items/{item_id}", "An item of a conversation.",
     Scope::chat, "", "", on_worker, reply_json<retrieve_item>},
    {"DELETE", "/v1/conversations/{conversation_id}/items/{item_id}",
     "Take an item out of a conversation.", Scope::chat, "", "Conversation", on_worker,
     reply_json<remove_item>},
};

}  // namespace

std::span<const Endpoint> conversation_rows() { return rows; }

}  // namespace hearth::server

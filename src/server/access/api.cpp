// GET /api/keys/usage: what the keys used.
#include "server/reply.h"
#include "server/rows.h"
#include "server/schemas.h"

namespace hearth::server {
namespace {

Json usage_of(Service& service, const KeyRecord& record) {
  Json json = to_json(record);
  json.set("usage", service.ledger->usage(record.id));
  return json;
}

// Who looks after the server sees all keys, others their own.
Checked<Json> usage(Service& service, const Call& call) {
  Json keys = Json::array();
  const bool sees_all =
      !call.key || (call.key->scopes & static_cast<std::uint8_t>(Scope::manage)) != 0;
  if (sees_all)
    for (const auto& record : service.keys->records()) keys.push_back(usage_of(service, *record));
  else
    keys.push_back(usage_of(service, *call.key));
  return Json::object({{"object", "list"}, {"data", std::move(keys)}});
}

constexpr Endpoint rows[] = {
    {"GET", "/api/keys/usage", "What the API keys used; a key without `admin` sees its own.",
     Scope::any, "", "KeyUsageList", Endpoint::Place::worker, reply_json<usage>},
};

}  // namespace

std::span<const Endpoint> access_rows() { return rows; }

void schema::add_access(Json& all) {
  const Json time = any_of({type("integer"), type("null")});
  all.set("KeyUsage",
          object_of(Json::object(
              {{"id", type("string")},
               {"name", type("string")},
               {"scopes", list_of(type("string"))},
               {"limits", type("object", "requests_per_minute, tokens_per_minute, ...")},
               {"created", type("integer", "Unix time, as the two below.")},
               {"expires", time},
               {"revoked", time},
               {"usage", type("object",
                              "requests, refused, failed, prompt_tokens, "
                              "completion_tokens, last_used, days.")}})));
  all.set("KeyUsageList", object_of(Json::object({{"object", type("string")},
                                                  {"data", list_of(reference("KeyUsage"))}})));
}

}  // namespace hearth::server

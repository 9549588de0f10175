#include "server/preset.h"

#include <limits>

#include "server/conversation.h"
#include "server/parameters.h"

namespace hearth::server {

Checked<Preset> preset_of(const Modelfile& wish, Preset base) {
  auto fields = preset_fields(wish.parameters);
  if (!fields) return Problem{400, "invalid_value", fields.error().message(), "parameters", 0};
  // Of any model: its vocabulary is not known yet.
  TRY(read_parameters(*fields, Dialect::chat, std::numeric_limits<std::int32_t>::max()));
  for (const auto& [name, value] : fields->as_object()) base.fields.set(name, value);
  if (!wish.system.empty()) base.system = wish.system;
  if (wish.messages.size() > 0) {
    TRY(read_chat_input(Json::object({{"messages", wish.messages}})));
    base.messages = wish.messages;
  }
  if (!wish.licence.empty()) base.licence = wish.licence;
  if (!wish.adapters.empty()) base.adapters = wish.adapters;
  return base;
}

}  // namespace hearth::server

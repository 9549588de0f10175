// "post_processor" of tokenizer.json: what add_special puts around one sequence.
#include <fmt/core.h>

#include "text/hugging_face/parts.h"

namespace hearth::hugging_face {
namespace {

Result<Token> id_of(const Json& value) {
  if (!value.is_integer() || value.as_integer() < 0 ||
      value.as_integer() >= static_cast<std::int64_t>(max_vocabulary))
    return Error(ErrorKind::corrupt, "post_processor: an id that is no token");
  return static_cast<Token>(value.as_integer());
}

// ["[CLS]", 101]
Result<Token> pair_id(const Json& part, std::string_view key) {
  const Json* const pair = part.find(key);
  if (pair == nullptr || !pair->is_array() || pair->size() != 2)
    return Error(ErrorKind::corrupt, fmt::format("post_processor: '{}' is no [name, id]", key));
  return id_of(pair->as_array()[1]);
}

Status read_pair(const Json& part, Frame& frame) {
  frame.before.insert(frame.before.begin(), TRY(pair_id(part, "cls")));
  frame.after.push_back(TRY(pair_id(part, "sep")));
  return Done{};
}

Status append_special(const Json& specials, const Json& item, std::vector<Token>& out) {
  const std::string name = TRY(needed_text(item, "id"));
  const Json* const special = specials.find(name);
  const Json* const ids = special != nullptr ? special->find("ids") : nullptr;
  if (ids == nullptr || !ids->is_array())
    return Error(ErrorKind::corrupt,
                 fmt::format("post_processor: special token '{}' is not defined", name));
  for (const Json& id : ids->as_array()) out.push_back(TRY(id_of(id)));
  return Done{};
}

Status read_template(const Json& part, Frame& frame) {
  const Json* const single = part.find("single");
  if (single == nullptr || !single->is_array())
    return Error(ErrorKind::corrupt, "post_processor: a template without 'single'");
  const Json none = Json::object();
  const Json* const specials = part.find("special_tokens");
  std::vector<Token> before, after;
  int sequences = 0;
  for (const Json& item : single->as_array()) {
    if (item.find("Sequence") != nullptr) {
      ++sequences;
    } else if (const Json* const special = item.find("SpecialToken")) {
      TRY(append_special(specials != nullptr ? *specials : none, *special,
                         sequences == 0 ? before : after));
    } else {
      return Error(ErrorKind::corrupt, "post_processor: a template of unknown parts");
    }
  }
  if (sequences != 1)
    return Error(ErrorKind::unsupported,
                 fmt::format("post_processor: a template with {} sequences", sequences));
  frame.before.insert(frame.before.begin(), before.begin(), before.end());
  frame.after.insert(frame.after.end(), after.begin(), after.end());
  return Done{};
}

}  // namespace

Status read_post_processor(const Json& part, Frame& frame, int depth) {
  if (part.is_null()) return Done{};
  if (depth > max_depth) return Error(ErrorKind::corrupt, "post_processor: sequences too deep");
  const std::string_view type = TRY(type_of(part, "post_processor"));
  if (type == "ByteLevel") return Done{};
  if (type == "BertProcessing" || type == "RobertaProcessing") return read_pair(part, frame);
  if (type == "TemplateProcessing") return read_template(part, frame);
  if (type != "Sequence")
    return Error(ErrorKind::unsupported, fmt::format("post_processor '{}' is not known", type));
  const Json* const list = part.find("processors");
  if (list == nullptr || !list->is_array())
    return Error(ErrorKind::corrupt, "post_processor: a Sequence without 'processors'");
  for (const Json& item : list->as_array()) TRY(read_post_processor(item, frame, depth + 1));
  return Done{};
}

}  // namespace hearth::hugging_face

#include "text/grammar/schema/lists.h"

#include <algorithm>
#include <cmath>

#include "base/json.h"

namespace hearth::grammar {
namespace {

// Equal values in one spelling: members in order of their keys, 1.0 as 1.
Json in_order(const Json& value) {
  if (value.is_array()) {
    Json list = Json::array();
    for (const Json& item : value.as_array()) list.push_back(in_order(item));
    return list;
  }
  if (value.is_object()) {
    Json::Object members;
    for (const auto& [key, member] : value.as_object()) members.emplace_back(key, in_order(member));
    std::ranges::sort(members, {}, &Json::Member::first);
    return members;
  }
  constexpr double most_exact = 9.1e15;
  const bool is_whole = value.is_number() && !value.is_integer() &&
                        std::abs(value.as_number()) < most_exact &&
                        value.as_number() == std::floor(value.as_number());
  return is_whole ? Json(static_cast<std::int64_t>(value.as_number())) : value;
}

std::string one_spelling(std::string_view text) {
  const auto value = parse_json(text);
  // A key that came twice: no other text means the same.
  return value ? write_json(in_order(*value)) : std::string(text);
}

bool is_blank(char byte) { return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r'; }

}  // namespace

const ListRules::Place* ListReader::place_of(ListRules::PlaceId id) const {
  return id == ListRules::nowhere ? nullptr : &rules_->places[id];
}

// Of the value that begins.
ListRules::PlaceId ListReader::next_place() const {
  if (levels_.empty()) return rules_->root;
  const Level& level = levels_.back();
  const ListRules::Place* place = place_of(level.place);
  if (place == nullptr) return ListRules::nowhere;
  if (!level.is_object)
    return level.items < place->prefix.size() ? place->prefix[level.items] : place->items;
  const auto found = place->members.find(level.key);
  return found == place->members.end() ? place->others : found->second;
}

bool ListReader::read(std::string_view bytes) {
  return std::ranges::all_of(bytes, [this](char byte) { return read_byte(byte); });
}

bool ListReader::read_byte(char byte) {
  const std::size_t at = text_.size();
  if (is_within()) text_ += byte;
  if (is_in_string_) {
    if (is_key_) key_ += byte;
    if (is_escaped_ || byte == '\\') {
      is_escaped_ = !is_escaped_;
    } else if (byte == '"') {
      is_in_string_ = false;
      if (!is_key_) return end_value();
      const auto key = parse_json(key_);
      levels_.back().key = key && key->is_string() ? key->as_string() : key_;
    }
    return has_value_left();
  }
  if (is_blank(byte)) return end_scalar();
  switch (byte) {
    case '"':
      is_in_string_ = true;
      is_key_ = awaits_key_;
      if (is_key_)
        key_ = byte;
      else
        begin_value(at);
      break;
    case '{':
    case '[':
      begin_value(at);
      open(byte == '{');
      break;
    case '}':
    case ']':
      return end_scalar() && close();
    case ',':
      if (!end_scalar()) return false;
      awaits_key_ = !levels_.empty() && levels_.back().is_object;
      break;
    case ':':
      awaits_key_ = false;
      break;
    default:
      if (!is_in_scalar_) begin_value(at);
      is_in_scalar_ = true;
  }
  return has_value_left();
}

void ListReader::begin_value(std::size_t at) {
  if (watched_.empty() || watched_.back().level + 1 != levels_.size()) return;
  watched_.back().begin = at;
  watched_.back().is_in_item = true;
}

void ListReader::open(bool is_object) {
  const ListRules::PlaceId place = next_place();
  levels_.push_back({is_object, place});
  awaits_key_ = is_object;
  if (is_object || place == ListRules::nowhere || !rules_->places[place].is_unique) return;
  watched_.push_back({levels_.size() - 1, text_.size()});
}

bool ListReader::close() {
  if (levels_.empty()) return true;
  if (is_within() && watched_.back().level + 1 == levels_.size()) watched_.pop_back();
  if (watched_.empty()) text_.clear();
  levels_.pop_back();
  awaits_key_ = false;
  return end_value();
}

bool ListReader::end_scalar() {
  if (!is_in_scalar_) return has_value_left();
  is_in_scalar_ = false;
  // The byte that ended it is no part of it.
  const bool has_byte = is_within();
  const char byte = has_byte ? text_.back() : '\0';
  if (has_byte) text_.pop_back();
  const bool is_new = end_value();
  if (has_byte && is_within()) text_ += byte;
  return is_new && has_value_left();
}

bool ListReader::end_value() {
  if (levels_.empty()) return true;
  ++levels_.back().items;
  if (watched_.empty() || watched_.back().level + 1 != levels_.size()) return true;
  Watched& list = watched_.back();
  list.is_in_item = false;
  std::string item = one_spelling(std::string_view(text_).substr(list.begin));
  if (std::ranges::find(list.seen, item) != list.seen.end()) return false;
  list.seen.push_back(std::move(item));
  if (watched_.size() == 1) text_.clear();
  return true;
}

// Where the values of items are counted out: one that has not come yet begins like this one.
bool ListReader::has_value_left() const {
  if (watched_.empty() || watched_.back().level + 1 != levels_.size()) return true;
  const Watched& list = watched_.back();
  const std::vector<std::string>& values = rules_->places[levels_.back().place].values;
  const bool has_begun = list.is_in_item || (!text_.empty() && text_.back() == ',');
  if (values.empty() || !has_begun) return true;
  const std::string_view begun =
      list.is_in_item ? std::string_view(text_).substr(list.begin) : std::string_view();
  return std::ranges::any_of(values, [&](const std::string& value) {
    return value.starts_with(begun) && std::ranges::find(list.seen, value) == list.seen.end();
  });
}

bool ListReader::is_near_repeat() const {
  if (watched_.empty() || !watched_.back().is_in_item) return false;
  const Watched& list = watched_.back();
  std::string item = text_.substr(list.begin);
  if (is_in_string_) item += '"';
  for (std::size_t i = levels_.size(); i-- > list.level + 1;)
    item += levels_[i].is_object ? '}' : ']';
  return std::ranges::find(list.seen, one_spelling(item)) != list.seen.end();
}

std::string ListReader::where() const {
  std::string path;
  for (std::size_t i = 0; is_within() && i < watched_.back().level; ++i)
    path += "/" + (levels_[i].is_object ? levels_[i].key : std::to_string(levels_[i].items));
  return path.empty() ? "the list" : path;
}

}  // namespace hearth::grammar

// ListRules: which lists of a text that is held to a schema may hold no item twice, where its
// grammar cannot say so.  ListReader: follows the text and finds the item that comes again.
// Source: JSON Schema 2020-12 validation, section 6.4.3 ("uniqueItems").
//
// A grammar cannot compare what comes with all that came before.  So the text is read once more as
// JSON, beside it: by place, as far as the schema speaks of such lists.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::grammar {

struct ListRules {
  using PlaceId = std::uint32_t;
  static constexpr PlaceId nowhere = 0xFFFFFFFF;  // nothing is asked here or further in

  struct Place {
    bool is_unique = false;                               // a list here holds no item twice
    std::vector<PlaceId> prefix;                          // of a list's first items
    PlaceId items = nowhere;                              // of the others
    std::map<std::string, PlaceId, std::less<>> members;  // of an object, by key
    PlaceId others = nowhere;                             // of other keys
    // Of a unique list: JSON of all that an item can be; empty: they are not counted out.
    std::vector<std::string> values;
  };
  std::vector<Place> places;
  PlaceId root = nowhere;
};

// A copy is a state to come back to.  Used by one thread at a time.
class ListReader {
 public:
  explicit ListReader(const ListRules& rules) : rules_(&rules) {}  // which must outlive it

  // More of a text that is JSON so far.  False, once and for all: an item comes a second time, or
  // nothing is left for one that has begun.
  bool read(std::string_view bytes);
  // The object or list that it began with has ended.
  bool is_over() const { return levels_.empty(); }
  // Whether a list is being read that may hold no item twice.
  bool is_within() const { return !watched_.empty(); }
  // The item that is being read has come already, if it ends here.
  bool is_near_repeat() const;
  // What stands in the way of bytes that read() does not take, for people.
  std::string where() const;

 private:
  struct Level {
    bool is_object;
    ListRules::PlaceId place;
    std::size_t items = 0;  // that are over
    std::string key = {};   // of the member that is being read
  };
  // A list that may hold no item twice.
  struct Watched {
    std::size_t level;  // of levels_
    std::size_t begin;  // of the item that is being read, in text_
    bool is_in_item = false;
    std::vector<std::string> seen = {};  // in one spelling
  };

  bool read_byte(char byte);
  void begin_value(std::size_t at);
  bool end_value();
  bool end_scalar();
  void open(bool is_object);
  bool close();
  bool has_value_left() const;
  const ListRules::Place* place_of(ListRules::PlaceId id) const;
  ListRules::PlaceId next_place() const;

  const ListRules* rules_;
  std::vector<Level> levels_;
  std::vector<Watched> watched_;
  std::string text_;  // of the outermost watched list's item that is being read
  std::string key_;
  bool is_in_string_ = false, is_escaped_ = false, is_key_ = false, is_in_scalar_ = false;
  bool awaits_key_ = false;
};

}  // namespace hearth::grammar

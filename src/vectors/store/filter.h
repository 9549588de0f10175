// Filter: which documents a query is about, by their metadata.
//
// A field is named by its place in the metadata: "year", "author.name".  Numbers compare as
// doubles; a comparison of different types is false.  What a document does not have equals nothing
// and differs from everything (!=).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace hearth::vectors {

struct Filter {
  enum class Op {
    all,        // every one of `parts`; no parts: everything
    any,        // one of `parts` at least
    negation,   // not `parts[0]`
    equal,      // value: text, number or truth
    not_equal,  //
    less,       // texts compare by bytes
    at_most,    //
    greater,    //
    at_least,   //
    in,         // value: a list
    prefix,     // of a text
    contains,   // a part of a text, or an element of a list
    is_null,    // absent or null
  };
  Op op = Op::all;
  std::string field;
  Json value;
  std::vector<Filter> parts;
};

constexpr int max_filter_depth = 32;
constexpr std::size_t max_filter_values = 10'000;  // of one `in`, and parts of one filter

// {"year": {"$gte": 2020}, "lang": "de", "$or": [{...}, {...}], "$not": {...}}; operators: $eq $ne
// $lt $lte $gt $gte $in $nin $prefix $contains $exists; a null value asks for absence.  Also
// OpenAI's form: {"type": "eq", "key": "year", "value": 2020}, {"type": "and", "filters": [...]}.
Result<Filter> filter_from_json(const Json& json);

// year >= 2020 and (lang = 'de' or lang in ('en', 'fr')) and not draft = true
// and path prefix 'docs/' and tags contains 'new' and author is not null
Result<Filter> parse_filter(std::string_view text);

// Whether a document of this metadata is meant: the slow, obvious reference of FieldIndex.
bool matches(const Filter& filter, const Json& metadata);

// The value at a place such as "author.name"; nullptr: there is none.
const Json* find_field(const Json& metadata, std::string_view field);

// One text for each meaning: the same filter gives the same.
std::string describe(const Filter& filter);

// Every field the filter asks about.
void collect_fields(const Filter& filter, std::vector<std::string>& fields);

}  // namespace hearth::vectors

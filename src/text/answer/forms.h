// The families' ways to write calls and thoughts, one row each.
#pragma once

#include <array>
#include <span>
#include <string_view>

namespace hearth {

enum class CallSyntax {
  json,        // open {"name":..., "arguments":{...}} close; or a list of such objects
  keyed_json,  // open [{"NAME": {...}}] close
  bare_json,   // the answer begins with such an object, without a mark
  named_json,  // open NAME separator {...} close
  tagged,      // open NAME and every argument between marks of their own
  python,      // open [name(key=value)] close
  braces,      // open NAME{key:value} close, strings between marks
  harmony,     // channels
};

struct CallForm {
  std::string_view family;
  std::array<std::string_view, 2> shown;  // what templates of the family hold, all of it
  CallSyntax syntax;
  std::string_view open = {}, close = {};  // close may be empty: the value's own end
  // named_json: what stands between the name, an id and the arguments.
  std::array<std::string_view, 2> separators = {};
  // tagged: <name_open>NAME<name_close>, then <key_open>K<key_close><value_open>V<value_close>, and
  // <function_close>.  braces: value_open is the mark of strings.
  std::string_view name_open = {}, name_close = {}, key_open = {}, key_close = {}, value_open = {},
                   value_close = {}, function_close = {};
  std::array<std::string_view, 2> silent = {};  // marks around calls that say nothing
  // How an answer that must call begins: before the name, and after it.
  std::string_view forced = {}, forced_name_end = {};
};

struct ThoughtForm {
  std::string_view open, close;
};

std::span<const CallForm> call_forms();
std::span<const ThoughtForm> thought_forms();

}  // namespace hearth

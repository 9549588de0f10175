// Modelfiles: a model under a name of the user's own, with instructions and parameters.
// Source: Ollama, docs/modelfile.md.
#pragma once

#include <string>
#include <string_view>

#include "library/aliases.h"

namespace hearth {

constexpr std::size_t max_modelfile_bytes = 1u << 20;

struct Modelfile {
  std::string from;                  // a reference, or the path of a file
  Json parameters = Json::object();  // under Ollama's names; "stop" is a list
  std::string system;
  Json messages = Json::array();
  std::string licence;
  std::vector<std::string> adapters;  // paths, as they are written
};

// Errors: invalid with the line: no FROM, an instruction without its text, a text without its end;
// unsupported: TEMPLATE.
Result<Modelfile> parse_modelfile(std::string_view text);

// "stop" may come again and again; what is a number, true or false is no text.
void add_parameter(Json& parameters, const std::string& name, const std::string& value);

// The fields of a chat request in OpenAI's form for parameters of Ollama's.  Those that only say
// how a model is loaded are left out.  Their ranges are not looked at.  Errors: invalid, naming a
// parameter that nobody knows.
Result<Json> preset_fields(const Json& parameters);

// The other way round, as /api/show and `hearth show` tell it.
std::string write_modelfile(std::string_view from, const Preset& preset);
// Lines of "name value".
std::string write_parameters(const Preset& preset);

}  // namespace hearth

// Parts of the OpenAPI description.  Source: OpenAPI 3.1.0; JSON Schema draft 2020-12.
#pragma once

#include <initializer_list>
#include <string_view>

#include "base/json.h"

namespace hearth::server::schema {

Json type(std::string_view name, std::string_view description = "");
Json list_of(Json item);
Json any_of(std::initializer_list<Json> choices);
Json object_of(Json properties, std::initializer_list<Json> required = {});
Json reference(std::string_view name);
Json whole(std::int64_t min, std::int64_t max, std::string_view description);
// The numbers that go straight to the sampler.
void add_sampling_numbers(Json& properties);

// The schemas of each interface beside OpenAI's, by name.
void add_ollama(Json& all);
void add_anthropic(Json& all);
void add_responses(Json& all);
void add_llama_server(Json& all);
void add_collections(Json& all);
void add_manage(Json& all);
void add_access(Json& all);
void add_batches(Json& all);

}  // namespace hearth::server::schema

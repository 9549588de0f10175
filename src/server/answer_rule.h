// The fields that say what an answer must be, in every dialect that clients use.
// Source: OpenAI API reference, "response_format"; llama.cpp, tools/server/README.md, "grammar" and
// "json_schema"; vLLM, "Structured Outputs" (and its older guided_ fields); Hugging Face Text
// Generation Inference, "Guidance".
#pragma once

#include "server/parameters.h"
#include "server/task.h"

namespace hearth::server {

// Sets `rule`, and the name of the field that said it.  Errors: 400, naming the field; two fields
// at once.
Check read_answer_rule(const Json& body, AnswerRule& rule, std::string_view& field);

// The rule of a schema, which may be written as a text.
Checked<AnswerRule> schema_rule(const Json& schema, std::string_view field);

// Holds the answers of the task to what the request asks.  Errors: 400, with the place in the
// schema.
Check hold(const LoadedModel& loaded, const HeldAnswer& asked, const AnswerForm& form, Task& task);

}  // namespace hearth::server

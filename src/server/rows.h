// The endpoints' rows, named for endpoints.cpp.
#pragma once

#include "server/endpoints.h"

namespace hearth::server {

extern const Endpoint root_endpoint, livez_endpoint, readyz_endpoint, health_endpoint,
    metrics_endpoint, openapi_endpoint, models_endpoint, model_endpoint, chat_endpoint,
    completions_endpoint, embeddings_endpoint, tokenize_endpoint, detokenize_endpoint,
    apply_template_endpoint;

}  // namespace hearth::server

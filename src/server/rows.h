// The endpoints' rows, named for endpoints.cpp.
#pragma once

#include "server/endpoints.h"

namespace hearth::server {

extern const Endpoint root_endpoint, livez_endpoint, readyz_endpoint, health_endpoint,
    metrics_endpoint, openapi_endpoint, models_endpoint, model_endpoint, chat_endpoint,
    completions_endpoint, embeddings_endpoint, tokenize_endpoint, detokenize_endpoint,
    apply_template_endpoint, ollama_chat_endpoint, ollama_generate_endpoint, ollama_embed_endpoint,
    ollama_embeddings_endpoint, ollama_tags_endpoint, ollama_ps_endpoint, ollama_version_endpoint,
    ollama_show_endpoint, messages_endpoint, count_tokens_endpoint;

// Those of /api/collections, /v1/vector_stores and /v1/files.
std::span<const Endpoint> collection_rows(), vector_store_rows(), file_rows();
// Those of /v1/responses and /v1/conversations.
std::span<const Endpoint> response_rows(), conversation_rows();
// Those of /v1/batches and /v1/messages/batches.
std::span<const Endpoint> batch_rows(), message_batch_rows();
// Those of /api/keys.
std::span<const Endpoint> access_rows();
std::span<const Endpoint> graph_rows(), rerank_rows(), mcp_rows(), llama_server_rows(),
    lm_studio_rows();
// Those of /v1/audio/transcriptions and /v1/audio/translations.
std::span<const Endpoint> transcription_rows();
// Those of /v1/images, /v1/audio/speech and /v1/moderations.
std::span<const Endpoint> unable_rows();
// 501: no installed model can do it, `model` could.
void send_unable(Service& service, Call& call, std::string_view does, std::string_view model);

// Those of /api/models, /api/downloads, /api/events, /api/system, /api/config, and of Ollama's that
// change what is here.
std::span<const Endpoint> model_rows(), download_rows(), upload_rows(), event_rows(), system_rows(),
    ollama_manage_rows(), config_rows(), optimization_rows();

}  // namespace hearth::server

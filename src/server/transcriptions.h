// Speech to text over HTTP, and what is said where no model can.
#pragma once

#include "server/endpoints.h"

namespace hearth::server {

// Those of /v1/audio/transcriptions and /v1/audio/translations.
std::span<const Endpoint> transcription_rows();

// 501: no installed model can do it, `model` could.
void send_unable(Service& service, Call& call, std::string_view does, std::string_view model);

}  // namespace hearth::server

// What a new name says to requests.
#pragma once

#include "library/modelfile.h"
#include "server/fields.h"

namespace hearth::server {

// The wish, and behind it `base`: what the model's own name says.  Problems: those of requests,
// with the field ("parameters", "messages") that brought them.
Checked<Preset> preset_of(const Modelfile& wish, Preset base);

}  // namespace hearth::server

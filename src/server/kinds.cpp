#include "server/kinds.h"

#include "library/transcriber.h"

namespace hearth::server {

Check may_generate(const Service& service, const Json& body) {
  const Json* name = body.find("model");
  if (!service.installed || !name || !name->is_string()) return Done{};
  if (service.find_loaded(name->as_string())) return Done{};
  const auto model = service.installed->find(service.meant_by(name->as_string()));
  if (!model) return Done{};  // loading says what is wrong
  if (const Status reads = check_reads_text(*model); !reads.ok())
    return unsupported_value("model", reads.error().message());
  for (const ModelKind kind : {ModelKind::embedder, ModelKind::reranker})
    if (model->facts.kind == name_of(kind))
      return unsupported_value("model", "does not generate text");
  return Done{};
}

}  // namespace hearth::server

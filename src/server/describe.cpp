#include "server/describe.h"

#include <fmt/core.h>

#include <chrono>
#include <ctime>

#include "server/tool_messages.h"
#include "text/answer/answer.h"

namespace hearth::server {

namespace {

// What the caller is told where the model's own context is the limit of memory alone.
std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> items;
  while (!list.empty()) {
    const std::string_view item = list.substr(0, list.find(','));
    list.remove_prefix(std::min(list.size(), item.size() + 1));
    items.emplace_back(item);
  }
  return items;
}

// An installed model that is in memory: what only the loaded one knows.
void take_loaded(ModelCard& card, const LoadedModel& loaded) {
  card.is_loaded = true;
  card.context = loaded.runner->context_tokens();
  card.capabilities = capabilities_of(loaded);
}

}  // namespace

std::vector<std::string> capabilities_of(const LoadedModel& loaded) {
  const ModelKind kind = loaded.model().info().kind;
  std::vector<std::string> capabilities = {std::string(capability_of(kind))};
  if (kind != ModelKind::generator) return capabilities;
  const AnswerForm form = find_answer_form(loaded.model().chat_template_source());
  if (form.calls && knows_tools(loaded.model())) capabilities.emplace_back("tools");
  if (loaded.model().vision() != nullptr) capabilities.emplace_back("vision");
  if (form.thoughts) capabilities.emplace_back("thinking");
  const SpecialTokens& special = loaded.model().tokenizer().special();
  if (special.fim_prefix && special.fim_suffix && special.fim_middle)
    capabilities.emplace_back("insert");
  return capabilities;
}

ModelCard card_of(const LoadedModel& loaded) {
  const ModelInfo& info = loaded.model().info();
  ModelCard card{.id = loaded.id,
                 .title = info.name,
                 .path = loaded.path,
                 .architecture = info.architecture,
                 .quantisation = info.quantisation,
                 .kind = info.kind,
                 .parameters = info.parameters,
                 .file_bytes = info.file_bytes,
                 .trained_context = info.context_length,
                 .vocabulary = info.vocabulary,
                 .dim = info.dim,
                 .context = 0,
                 .created_seconds = loaded.loaded_seconds,
                 .capabilities = {}};
  take_loaded(card, loaded);
  return card;
}

ModelCard card_of(const LocalModel& model) {
  const ModelFacts& facts = model.facts;
  return {.id = model.name,
          .title = facts.title,
          .path = model.path,
          .architecture = facts.architecture,
          .quantisation = facts.quantisation,
          .kind = find_kind(facts.kind).value_or(ModelKind::generator),
          .parameters = facts.parameters,
          .file_bytes = model.bytes,
          .trained_context = facts.context_length,
          .vocabulary = facts.vocabulary,
          .dim = facts.dim,
          .context = facts.context_length,
          .created_seconds = model.identity.modified_ns / 1'000'000'000,
          .capabilities = split(facts.capabilities)};
}

std::vector<ModelCard> cards_of(Service& service) {
  std::vector<ModelCard> cards;
  std::vector<Lease> loaded = service.pool->loaded();
  const InstalledModels::List installed =
      service.installed ? service.installed->list() : InstalledModels::List();
  if (installed)
    for (const LocalModel& model : *installed) {
      // Graphs answer no prompts: those who ask for a list of models want some that do.
      if (!model.facts.problem.empty() || model.facts.kind == "graph") continue;
      cards.push_back(card_of(model));
      for (Lease& lease : loaded)
        if (lease && lease->id == model.name) {
          take_loaded(cards.back(), *lease);
          lease.reset();
        }
    }
  if (installed)
    for (const auto& [name, alias] : read_aliases(service.installed->folders()))
      if (const LocalModel* meant =
              find_by_name(*installed, alias.model, service.installed->folders());
          meant && meant->name != name) {
        cards.push_back(card_of(*meant));
        cards.back().id = name;
      }
  std::vector<ModelCard> all;
  for (const Lease& lease : loaded)
    if (lease) all.push_back(card_of(*lease));
  for (const Lease& lease : service.pool->loaded())
    for (std::size_t i = 0; lease->adapters && i < lease->adapters->entries().size(); ++i) {
      all.push_back(card_of(*with_adapter(lease, i)));
      all.back().parent = lease->id;
    }
  for (ModelCard& card : cards) all.push_back(std::move(card));
  return all;
}

Checked<ModelCard> find_card(Service& service, const std::string& name) {
  if (const Lease lease = service.find_loaded(name)) {
    ModelCard card = card_of(*lease);
    if (!service.installed) return card;
    const InstalledModels::List list = service.installed->list();
    for (const LocalModel& model : *list)
      if (model.name == lease->id) card = card_of(model);
    take_loaded(card, *lease);
    return card;
  }
  if (!service.installed) return service.no_such_model(name);
  auto found = service.installed->find(service.meant_by(name));
  if (!found) return model_problem(name, found.error());
  return card_of(*found);
}

std::string time_text(std::int64_t unix_microseconds) {
  const std::time_t seconds = unix_microseconds / 1'000'000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}+00:00", utc.tm_year + 1900,
                     utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                     unix_microseconds % 1'000'000);
}

std::string time_now() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return time_text(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

}  // namespace hearth::server

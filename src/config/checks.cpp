#include "config/checks.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cstdlib>

#include "base/files.h"
#include "base/json.h"
#include "base/utf8.h"

namespace hearth {
namespace {

using Kind = Conflict::Kind;

constexpr std::uint64_t max_key_store_bytes = 16u << 20;

bool is_loopback(std::string_view host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

// `hearth keys` made some.
bool has_stored_keys(const Config& config) {
  const auto text = read_file(key_store_path(config), max_key_store_bytes);
  const auto json = text ? parse_json(*text) : Result<Json>(Json());
  const Json* keys = json ? json->find("keys") : nullptr;
  return keys && keys->is_array() && !keys->as_array().empty();
}

void check_server(const Config& config, std::vector<Conflict>& conflicts) {
  const ServerConfig& server = config.server;
  if (server.tls_cert.empty() != server.tls_key.empty())
    conflicts.push_back(
        {Kind::contradiction,
         {"server.tls_cert", "server.tls_key"},
         fmt::format("server.tls_cert = '{}' and server.tls_key = '{}': TLS needs both",
                     printable(server.tls_cert), printable(server.tls_key))});
  if (!is_loopback(server.host) && server.api_key_file.empty() && !has_stored_keys(config))
    conflicts.push_back({Kind::exposure,
                         {"server.host", "server.api_key_file"},
                         fmt::format("server.host = '{}' opens the server to the network: needs "
                                     "server.api_key_file, or keys that `hearth keys create` makes",
                                     printable(server.host))});
}

void check_runtime(const RuntimeConfig& runtime, std::vector<Conflict>& conflicts) {
  if (runtime.max_context > 0 && runtime.context > runtime.max_context)
    conflicts.push_back({Kind::contradiction,
                         {"runtime.context", "runtime.max_context"},
                         fmt::format("runtime.context = {} is more than runtime.max_context = {}",
                                     runtime.context, runtime.max_context)});
}

void check_memory(const ModelsConfig& models, const ConfigFacts& facts,
                  std::vector<Conflict>& conflicts) {
  const auto wanted = static_cast<std::uint64_t>(models.memory_mb + models.min_free_mb) << 20;
  if (facts.memory_bytes == 0 || wanted <= facts.memory_bytes) return;
  conflicts.push_back(
      {Kind::memory_budget,
       {"models.memory_mb", "models.min_free_mb"},
       fmt::format("models.memory_mb = {} and models.min_free_mb = {} need {} MiB: there are {}",
                   models.memory_mb, models.min_free_mb, wanted >> 20, facts.memory_bytes >> 20)});
}

void check_port(const ServerConfig& server, const ConfigFacts& facts,
                std::vector<Conflict>& conflicts) {
  if (server.port > 0 && server.port < facts.first_free_port)
    conflicts.push_back({Kind::port,
                         {"server.port"},
                         fmt::format("server.port = {}: ports below {} are the system's",
                                     server.port, facts.first_free_port)});
}

}  // namespace

std::string_view name_of(Kind kind) {
  constexpr std::string_view names[] = {"contradiction", "exposure", "memory_budget", "port",
                                        "dimension"};
  return names[static_cast<std::size_t>(kind)];
}

ConfigFacts read_config_facts(std::uint64_t memory_bytes) {
  ConfigFacts facts{.memory_bytes = memory_bytes};
  if (::geteuid() == 0) return facts;
  // Source: Linux, Documentation/networking/ip-sysctl.rst.
  const auto first = read_file("/proc/sys/net/ipv4/ip_unprivileged_port_start", 64);
  facts.first_free_port =
      static_cast<std::uint16_t>(first ? std::strtoul(first->c_str(), nullptr, 10) : 1024);
  return facts;
}

std::vector<Conflict> find_conflicts(const Config& config, const ConfigFacts& facts) {
  std::vector<Conflict> conflicts;
  check_server(config, conflicts);
  check_runtime(config.runtime, conflicts);
  check_memory(config.models, facts, conflicts);
  check_port(config.server, facts, conflicts);
  return conflicts;
}

Status check_config(const Config& config) {
  for (const Conflict& conflict : find_conflicts(config, {}))
    if (conflict.kind == Kind::contradiction) return Error(ErrorKind::invalid, conflict.message);
  return Done{};
}

Status check_config(const Config& config, const ConfigFacts& facts) {
  const std::vector<Conflict> conflicts = find_conflicts(config, facts);
  if (!conflicts.empty()) return Error(ErrorKind::invalid, conflicts.front().message);
  return Done{};
}

std::optional<Conflict> find_dimension_conflict(std::string_view collection,
                                                std::uint64_t index_dim, std::string_view embedder,
                                                std::uint64_t embedder_dim) {
  if (index_dim == embedder_dim || embedder_dim == 0) return std::nullopt;
  return Conflict{Kind::dimension,
                  {},
                  fmt::format("collection '{}' holds vectors of {} numbers, its embedder {} makes "
                              "{}: `hearth index reindex` computes them anew",
                              printable(collection), index_dim, printable(embedder), embedder_dim)};
}

}  // namespace hearth

// Hearth's settings in code: each has a function of its own type, and the result is the text of a
// settings file.  C++17, nothing to link.
//
//   hearth::Settings settings;
//   settings.workload(hearth::Settings::Workload::latency).queue(32);
//   std::ofstream("/home/ada/.config/hearth/config.toml") << settings.toml();
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace hearth {

// What is not set keeps what suits the machine, or its default.  Ranges are checked where the
// settings are read.
class Settings {
 public:
  enum class Workload { balanced, throughput, latency, efficient };
  enum class Tier { accurate, exact, turbo };
  enum class KvType { automatic, f16, bf16, f32, q8_0, q4_0 };
  enum class LogLevel { debug, info, warning, error, off };

  // Where a secret is kept; settings never hold one.
  class Secret {
   public:
    static Secret variable(std::string_view name) { return Secret("env:", name); }
    static Secret file(std::string_view path) { return Secret("file:", path); }  // mode 0600
    static Secret keyring(std::string_view name) { return Secret("keyring:", name); }
    const std::string& reference() const { return reference_; }

   private:
    Secret(const char* form, std::string_view name) : reference_(form) { reference_ += name; }
    std::string reference_;
  };

  using Mebibytes = std::int64_t;
  using Texts = std::vector<std::string>;
  static constexpr std::chrono::seconds forever{-1};

  Settings& host(std::string_view v) { return set("server.host", text(v)); }
  Settings& port(std::uint16_t v) { return set("server.port", number(v)); }
  Settings& queue(std::int64_t v) { return set("server.queue", number(v)); }
  Settings& api_key_file(std::string_view v) { return set("server.api_key_file", text(v)); }
  Settings& key_store(std::string_view v) { return set("server.key_store", text(v)); }
  Settings& audit_log(std::string_view v) { return set("server.audit_log", text(v)); }
  Settings& allow_origin(const Texts& v) { return set("server.allow_origin", list(v)); }
  Settings& allow_host(const Texts& v) { return set("server.allow_host", list(v)); }
  Settings& tls(std::string_view certificate, std::string_view key) {
    return set("server.tls_cert", text(certificate)).set("server.tls_key", text(key));
  }
  Settings& max_body_bytes(std::int64_t v) { return set("server.max_body_bytes", number(v)); }
  Settings& log_level(LogLevel v) {
    return set("server.log_level", word(v, {"debug", "info", "warning", "error", "off"}));
  }

  Settings& threads(std::int64_t v) { return set("runtime.threads", number(v)); }
  Settings& context(std::int64_t tokens) { return set("runtime.context", number(tokens)); }
  Settings& max_context(std::int64_t tokens) { return set("runtime.max_context", number(tokens)); }
  Settings& deterministic(bool v = true) { return set("runtime.deterministic", truth(v)); }
  Settings& cpu(std::string_view table) { return set("runtime.cpu", text(table)); }
  Settings& tier(Tier v) { return set("runtime.tier", word(v, {"accurate", "exact", "turbo"})); }
  Settings& speculate(bool v) { return set("runtime.speculate", truth(v)); }
  Settings& draft(std::string_view model) { return set("runtime.draft", text(model)); }
  Settings& prefix_disk(Mebibytes v) { return set("runtime.prefix_disk_mb", number(v)); }
  Settings& workload(Workload v) {
    return set("runtime.workload", word(v, {"balanced", "throughput", "latency", "efficient"}));
  }
  Settings& step_tokens(std::int64_t v) { return set("runtime.step_tokens", number(v)); }
  Settings& parallel(std::int64_t answers) { return set("runtime.parallel", number(answers)); }
  Settings& kv_type(KvType v) {
    return set("runtime.kv_type", word(v, {"auto", "f16", "bf16", "f32", "q8_0", "q4_0"}));
  }

  Settings& temperature(double v) { return set("sampling.temperature", real(v)); }
  Settings& top_k(std::int64_t v) { return set("sampling.top_k", number(v)); }
  Settings& top_p(double v) { return set("sampling.top_p", real(v)); }
  Settings& min_p(double v) { return set("sampling.min_p", real(v)); }
  Settings& repetition_penalty(double v) { return set("sampling.repetition_penalty", real(v)); }

  Settings& folders(const Texts& v) { return set("library.folders", list(v)); }
  Settings& offline(bool v = true) { return set("library.offline", truth(v)); }
  Settings& hub(std::string_view url) { return set("library.hub", text(url)); }
  Settings& ollama(std::string_view url) { return set("library.ollama", text(url)); }
  Settings& stall(std::chrono::seconds v) {
    return set("library.stall_seconds", number(v.count()));
  }
  Settings& mirrors(const Texts& urls) { return set("library.mirrors", list(urls)); }
  Settings& connections(std::int64_t v) { return set("library.connections", number(v)); }
  Settings& max_kib_per_second(std::int64_t v) {
    return set("library.max_kb_per_second", number(v));
  }
  Settings& token(const Secret& v) { return set("library.token", text(v.reference())); }

  Settings& model(std::string_view name) { return set("models.default", text(name)); }
  Settings& keep_alive(std::chrono::seconds v) {
    return set("models.keep_alive", text(number(v.count())));
  }
  Settings& max_loaded(std::int64_t v) { return set("models.max_loaded", number(v)); }
  Settings& memory_limit(Mebibytes v) { return set("models.memory_mb", number(v)); }
  Settings& min_free(Mebibytes v) { return set("models.min_free_mb", number(v)); }
  Settings& preferred(std::string_view name) { return set("models.preferred", text(name)); }
  Settings& quantisation(std::string_view label) { return set("models.quantisation", text(label)); }

  Settings& governor(bool v) { return set("governor.enabled", truth(v)); }
  Settings& hot_celsius(std::int64_t v) { return set("governor.hot_celsius", number(v)); }
  Settings& battery_percent(std::int64_t v) { return set("governor.battery_percent", number(v)); }
  Settings& memory_pressure(std::int64_t v) { return set("governor.memory_pressure", number(v)); }

  Settings& collections(std::string_view folder) { return set("collections.folder", text(folder)); }
  Settings& relaxed(bool v = true) { return set("collections.relaxed", truth(v)); }
  Settings& hot(Mebibytes v) { return set("collections.hot_mb", number(v)); }
  Settings& warm(Mebibytes v) { return set("collections.warm_mb", number(v)); }

  Settings& mcp_servers(std::string_view file) { return set("mcp.config", text(file)); }

  // Back to what suits the machine: settings.unset("server.queue").
  Settings& unset(std::string_view key) {
    values_.erase(std::string(key));
    return *this;
  }

  // Key -> value as TOML writes it.
  const std::map<std::string, std::string>& values() const { return values_; }

  // The text of a settings file.
  std::string toml() const {
    std::string all, group;
    for (const auto& [key, value] : values_) {
      const std::size_t dot = key.find('.');
      if (key.substr(0, dot) != group) {
        group = key.substr(0, dot);
        all += (all.empty() ? "[" : "\n[") + group + "]\n";
      }
      all += key.substr(dot + 1) + " = " + value + "\n";
    }
    return all;
  }

 private:
  Settings& set(const char* key, std::string value) {
    values_[key] = std::move(value);
    return *this;
  }
  static std::string number(std::int64_t value) { return std::to_string(value); }
  static std::string truth(bool value) { return value ? "true" : "false"; }
  static std::string real(double value) {
    char digits[32];
    std::snprintf(digits, sizeof digits, "%.9g", value);
    std::string written = digits;
    if (written.find_first_of(".en") == std::string::npos) written += ".0";
    return written;
  }
  template <typename Enum>
  static std::string word(Enum value, const std::vector<const char*>& words) {
    return text(words.at(static_cast<std::size_t>(value)));
  }
  // Source: TOML v1.0.0, "String".
  static std::string text(std::string_view value) {
    std::string quoted = "\"";
    for (const char c : value) {
      char code[8];
      if (c == '"' || c == '\\') {
        quoted += '\\';
        quoted += c;
      } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
        std::snprintf(code, sizeof code, "\\u%04X", static_cast<unsigned>(c));
        quoted += code;
      } else {
        quoted += c;
      }
    }
    return quoted + "\"";
  }
  static std::string list(const Texts& values) {
    std::string all = "[";
    for (const std::string& value : values) all += (all.size() > 1 ? ", " : "") + text(value);
    return all + "]";
  }

  std::map<std::string, std::string> values_;
};

}  // namespace hearth

// hearth/settings.hpp against the table of settings.
#include "../../include/hearth/settings.hpp"

#include <doctest/doctest.h>

#include "config/config.h"
#include "config/temp_folder.h"

TEST_CASE("settings built in code are those of the table, and load as they were meant") {
  hearth::Settings settings;
  settings.host("::1").port(8080).queue(3).api_key_file("a \"b\"\\\n\x7f").tls("c.pem", "k.pem");
  settings.allow_origin({"https://a", "https://b"}).allow_host({}).max_body_bytes(4096);
  settings.log_level(hearth::Settings::LogLevel::info).threads(4).context(10).max_context(20);
  settings.deterministic().cpu("portable").tier(hearth::Settings::Tier::turbo).speculate(false);
  settings.draft("small");
  settings.workload(hearth::Settings::Workload::latency).step_tokens(64).parallel(5);
  settings.kv_type(hearth::Settings::KvType::f32).temperature(0.5).top_k(40).top_p(0.9).min_p(0);
  settings.repetition_penalty(1.1)
      .folders({"/models"})
      .offline()
      .hub("http://h")
      .ollama("http://o");
  settings.stall(std::chrono::minutes(1))
      .token(hearth::Settings::Secret::variable("T"))
      .model("m:1");
  settings.keep_alive(std::chrono::hours(1)).max_loaded(2).memory_limit(3000).min_free(100);
  settings.preferred("p").quantisation("Q8_0").governor(false).hot_celsius(80);
  settings.battery_percent(30).memory_pressure(20).collections("/c").relaxed().hot(1).warm(2);
  settings.key_store("/k").audit_log("/a").mcp_servers("/m.json").prefix_disk(1);
  settings.mirrors({"http://m"}).connections(5).max_kib_per_second(100);
  for (const hearth::Setting& setting : hearth::settings()) {
    CAPTURE(std::string(setting.key));
    CHECK(settings.values().contains(std::string(setting.key)));
  }
  CHECK(settings.values().size() == hearth::settings().size());

  const hearth::TempFolder folder;
  const auto load = [&] {
    return hearth::load_config(
        {.files = {{hearth::Layer::user_file, folder.put("config.toml", settings.toml())}}});
  };
  const auto loaded = load();
  if (!loaded) MESSAGE(loaded.error().message());
  REQUIRE(loaded);
  const hearth::Config& config = loaded->config;
  CHECK(config.server.host == "::1");
  CHECK(config.server.port == 8080);
  CHECK(config.server.api_key_file == "a \"b\"\\\n\x7f");
  CHECK(config.server.allow_origin == std::vector<std::string>{"https://a", "https://b"});
  CHECK(config.server.log_level == "info");
  CHECK(config.runtime.tier == "turbo");
  CHECK(config.runtime.workload == "latency");
  CHECK(config.runtime.kv_type == "f32");
  CHECK(config.sampling.top_k == 40);
  CHECK(config.sampling.repetition_penalty == 1.1);
  CHECK(config.library.token == "env:T");
  CHECK(config.models.keep_alive == "3600");
  CHECK(config.models.memory_mb == 3000);
  CHECK(!config.governor.enabled);
  // Each value of a row differs from its default, so that no function sets another's key.
  for (const hearth::Setting& setting : hearth::settings())
    if (setting.key != "server.allow_host")
      CHECK_MESSAGE(setting.show(config) != setting.show({}), std::string(setting.key));

  settings.keep_alive(hearth::Settings::forever).unset("server.port");
  const auto again = load();
  REQUIRE(again);
  CHECK(again->config.models.keep_alive == "-1");
  CHECK(again->config.server.port == 11500);
}

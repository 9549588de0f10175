// Speech-to-text models among the others: one pool loads, counts and unloads them.
#include "library/transcriber.h"

#include <doctest/doctest.h>

#include <latch>
#include <thread>

#include "library/verify.h"
#include "speech/mel.h"

namespace hearth {
namespace {

const std::string tiny = "tests/golden/speech/tiny";

std::unique_ptr<Library> library_with(PoolOptions pool = {}, std::uint32_t max_queued = 512) {
  LibraryOptions options;
  options.threads = 2;
  options.pool = pool;
  options.runner.max_queued = max_queued;
  auto library = Library::create(options);
  REQUIRE(library);
  return *std::move(library);
}

Lease load(Library& library, const AcquireOptions& options = {}) {
  auto lease = library.pool().acquire(tiny, options);
  if (!lease) MESSAGE(lease.error().message());
  REQUIRE(lease);
  return *std::move(lease);
}

bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 5000 && !condition(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return condition();
}

const std::vector<float> silence(speech::sample_rate);

}  // namespace

TEST_CASE("a transcriber is loaded, listed, used and unloaded as any model") {
  const auto library = library_with();
  Lease lease = load(*library);
  CHECK(lease->model().info().kind == ModelKind::transcriber);
  CHECK(lease->engine == "speech");
  auto listed = library->pool().models();
  REQUIRE(listed.size() == 1);
  CHECK(listed[0].id == "tiny");
  CHECK(listed[0].users == 1);
  CHECK(listed[0].bytes == lease->weight_bytes);
  CHECK(lease->weight_bytes >= lease->model().info().weight_bytes);

  std::uint64_t bytes_meanwhile = 0;
  speech::TranscribeHooks hooks;
  hooks.progress = [&](double) { bytes_meanwhile = library->pool().models()[0].bytes; };
  REQUIRE(transcribe(*lease, silence, {}, hooks));
  CHECK(bytes_meanwhile > lease->weight_bytes);  // the window's keys and values
  const RunnerStats stats = lease->runner->stats();
  CHECK(stats.requests_done == 1);
  CHECK(stats.running == 0);
  CHECK(stats.state_bytes == 0);

  REQUIRE(library->pool().unload("tiny").ok());
  lease.reset();
  CHECK(eventually([&] { return library->pool().models().empty(); }));
  AcquireOptions briefly;
  briefly.keep_alive = Milliseconds(0);
  lease = load(*library, briefly);
  lease.reset();
  CHECK(eventually([&] { return library->pool().models().empty(); }));
}

TEST_CASE("a transcriber's weights and windows are admitted before it is loaded") {
  std::uint64_t needed = 0;
  {
    const auto library = library_with();
    const Lease lease = load(*library);
    const ModelInfo& info = lease->model().info();
    const RunnerStats stats = lease->runner->stats();
    CHECK(stats.state_bytes_total > 0);
    const std::uint64_t windows =
        std::uint64_t{recordings_at_once} * info.context_length * info.kv_bytes_per_token;
    CHECK(windows >= stats.state_bytes_total);
    CHECK(windows < stats.state_bytes_total + 2 * info.context_length);
    needed = info.weight_bytes + windows + info.weight_bytes / 4;
  }
  PoolOptions pool;
  pool.min_free_bytes = 0;
  pool.memory_bytes = needed - 1;
  const auto refused = library_with(pool)->acquire(tiny);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind() == ErrorKind::exhausted);
  pool.memory_bytes = needed;
  CHECK(library_with(pool)->acquire(tiny));
}

TEST_CASE("it is evicted for another model, and another one for it") {
  PoolOptions pool;
  pool.max_models = 1;
  const auto library = library_with(pool);
  const auto in_memory = [&] {
    const auto listed = library->pool().models();
    REQUIRE(listed.size() == 1);
    return listed[0].id;
  };
  load(*library);
  REQUIRE(library->acquire("builtin"));
  CHECK(in_memory() == "builtin");
  load(*library);
  CHECK(in_memory() == "tiny");
}

TEST_CASE("it answers no prompts and other models hear nothing") {
  const auto library = library_with();
  const Lease lease = load(*library);
  GenerateRequest request;
  request.prompt = {1};
  const auto answer = generate(*lease->runner, request);
  REQUIRE_FALSE(answer);
  CHECK(answer.error().kind() == ErrorKind::unsupported);
  CHECK(answer.error().message().find("hearth transcribe") != std::string::npos);
  CHECK(embed_texts(*lease, {"Hello"}, {}).error().kind() == ErrorKind::unsupported);
  CHECK_FALSE(check_reads_text(*lease).ok());
  const auto builtin = library->acquire("builtin");
  REQUIRE(builtin);
  CHECK(check_reads_text(**builtin).ok());
  CHECK(transcribe(**builtin, silence, {}, {}).error().message().find("speech-to-text") !=
        std::string::npos);
}

TEST_CASE("recordings take turns; who would wait too long is told at once") {
  const auto library = library_with({}, 1);
  const Lease lease = load(*library);
  const auto runs = [&](std::uint32_t running, std::uint32_t queued) {
    return eventually([&] {
      const RunnerStats stats = lease->runner->stats();
      return stats.running == running && stats.queued == queued;
    });
  };
  std::latch may_end(1);
  speech::TranscribeHooks slow;
  slow.progress = [&](double) { may_end.wait(); };
  std::vector<std::jthread> busy;
  for (std::uint32_t i = 0; i < recordings_at_once; ++i)
    busy.emplace_back([&] { CHECK(transcribe(*lease, silence, {}, slow).ok()); });
  CHECK(runs(recordings_at_once, 0));
  std::stop_source leaves;
  std::jthread waiting([&] {
    speech::TranscribeHooks hooks;
    hooks.stop = leaves.get_token();
    const auto stopped = transcribe(*lease, silence, {}, hooks);
    CHECK(stopped.error().kind() == ErrorKind::cancelled);
  });
  CHECK(runs(recordings_at_once, 1));
  CHECK(transcribe(*lease, silence, {}, {}).error().kind() == ErrorKind::exhausted);
  leaves.request_stop();
  CHECK(runs(recordings_at_once, 0));
  may_end.count_down();
  busy.clear();
  CHECK(runs(0, 0));
  CHECK(lease->runner->stats().requests_done == recordings_at_once);
  CHECK(lease->runner->stats().requests_cancelled == 1);
  lease->runner->drain();
  CHECK(transcribe(*lease, silence, {}, {}).error().kind() == ErrorKind::unavailable);
}

}  // namespace hearth

// Recorded exchanges: tests/http/<endpoint>/<case>.request and .response.  With HEARTH_UPDATE=1 in
// the environment the responses are rewritten; the difference is reviewed like code.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/bytes.h"
#include "base/files.h"
#include "http/testing.h"
#include "server/endpoints.h"
#include "server/fakes.h"
#include "server/serve.h"
#include "vectors/store/local.h"

using namespace hearth;
using namespace hearth::server;

namespace {

constexpr std::uint64_t max_bytes = 1 << 20;

// "/v1/models/{id}" -> "v1_models_id"
std::string folder_of(std::string_view path) {
  std::string name;
  for (const char c : path)
    if (c == '/')
      name += name.empty() ? "" : "_";
    else if (c != '{' && c != '}')
      name += c;
  return name.empty() ? "root" : name;
}

// What follows `before`, up to `end`, becomes "*": it differs from run to run.
void hide(std::string& text, std::string_view before, std::string_view end) {
  for (std::size_t at = text.find(before); at != std::string::npos;
       at = text.find(before, at + before.size())) {
    const std::size_t begin = at + before.size();
    const std::size_t stop = std::min(text.find_first_of(end, begin), text.size());
    text.replace(begin, stop - begin, "*");
  }
}

std::string without_chance(std::string text) {
  hide(text, "x-request-id: ", "\r");
  hide(text, "Date: ", "\r");
  hide(text, "Server-Timing: ", "\r");
  hide(text, "Content-Length: ", "\r");
  hide(text, "\"id\":\"chatcmpl-", "\"");
  hide(text, "\"id\":\"cmpl-", "\"");
  hide(text, "\"id\":\"msg_", "\"");
  hide(text, "\"id\":\"conv_", "\"");
  hide(text, "\"id\":\"call_", "\"");
  hide(text, "\"id\":\"toolu_", "\"");
  for (const char* start : {"\"resp_", "\"msg_", "\"rs_"}) hide(text, start, "\"");
  hide(text, "\nrequest-id: ", "\r");
  hide(text, "\"request_id\":\"", "\"");
  hide(text, "\"created\":", ",");
  hide(text, "\"created_at\":\"", "\"");
  hide(text, "_duration\":", ",}");
  for (const char* name : {"_ms\":", "_per_second\":"}) hide(text, name, ",}");
  for (const char* start : {"vs_", "file-", "vsfb_"})
    hide(text, fmt::format("\"id\":\"{}", start), "\"");
  for (const char* name : {"created_at\":1", "last_active_at\":1", "memory_bytes\":",
                           "usage_bytes\":", "queries_per_second\":", "_id\":\"vs_"})
    hide(text, name, ",}\"");
  hide(text, "\"explanation\":\"", "\"");
  hide(text, "\"hearth\":\"", "\"");
  hide(text, "\"seconds\":", ",}");
  hide(text, "\"system_fingerprint\":\"", "\"");
  hide(text, "\"version\": \"", "\"");
  for (const char* name :
       {"hearth_received_bytes_total ", "hearth_sent_bytes_total ", "hearth_start_time_seconds ",
        "hearth_connections_total ", "hearth_connections_open ", "hearth_http_requests_total ",
        "hearth_http_requests_open "})
    hide(text, fmt::format("\n{}", name), "\n");
  std::erase(text, '\r');
  return text;
}

// The chunks of a chunked body, joined: how they were cut is chance.
std::string exchange(std::uint16_t port, std::string request) {
  // Recordings have plain line ends in their heads, and no length.
  const std::size_t gap = request.find("\n\n");
  REQUIRE(gap != std::string::npos);
  const std::string body = request.substr(gap + 2);
  std::string head;
  for (const char c : request.substr(0, gap))
    head += c == '\n' ? std::string("\r\n") : std::string(1, c);
  http::TestClient client(port);
  client.send(fmt::format("{}\r\nContent-Length: {}\r\n\r\n{}", head, body.size(), body));
  const auto answer = client.read_answer();
  return without_chance(answer.head) + without_chance(answer.body);
}

// A collection, a vector store and a file that requests can ask about.
class Kept {
 public:
  Kept() {
    std::string name = std::filesystem::temp_directory_path() / "hearth-recorded-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    scratch_ = name;
    vectors::Schema points;
    points.dim = 2;
    points.metric = vectors::Metric::l2;
    points.index.kind = "flat";
    auto collection = vectors::create_collection(root() + "/points", points);
    REQUIRE(collection.ok());
    std::vector<vectors::Document> documents;
    for (int i = 0; i < 3; ++i)
      documents.push_back({fmt::format("p{}", i),
                           {static_cast<float>(i), 0},
                           fmt::format("point {}", i),
                           Json::object({{"n", i}})});
    REQUIRE(vectors::upsert(**collection, documents).ok());
    vectors::Schema store;
    store.dim = 4;
    store.embedder = "embed";
    store.index.kind = "flat";
    store.extra = Json::object({{"name", "notes"}, {"created_at", 1700000000}});
    auto notes = vectors::create_collection(root() + "/vs_notes", store);
    REQUIRE(notes.ok());
    REQUIRE(vectors::upsert(**notes, {{"file-a1#0",
                                       {1, 0, 0, 0},
                                       "a text",
                                       Json::object({{"file_id", "file-a1"},
                                                     {"filename", "a.txt"},
                                                     {"chunk", 0},
                                                     {"attributes", Json::object({{"n", 1}})},
                                                     {"bytes", 6},
                                                     {"batch", "vsfb_abc"},
                                                     {"created_at", 1700000000}})}})
                .ok());
    const std::string file = root() + "-files/file-a1";
    REQUIRE(replace_file(file, bytes_of("a text")).ok());
    REQUIRE(
        replace_file(file + ".json", bytes_of(R"({"id":"file-a1","object":"file","bytes":6,)"
                                              R"("created_at":1700000000,"filename":"a.txt",)"
                                              R"("purpose":"assistants","status":"processed"})"))
            .ok());
  }
  ~Kept() { std::filesystem::remove_all(scratch_); }
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;
  std::string root() const { return scratch_ + "/collections"; }

 private:
  std::string scratch_;
};

}  // namespace

TEST_CASE("recorded exchanges") {
  const bool update = std::getenv("HEARTH_UPDATE") != nullptr;
  for (const Endpoint* endpoint : endpoints()) {
    const std::string folder = "tests/http/" + folder_of(endpoint->path);
    CAPTURE(folder);
    const auto names = list_folder(folder);
    REQUIRE(names);
    int recordings = 0;
    for (const std::string& name : *names) {
      if (!name.ends_with(".request")) continue;
      ++recordings;
      CAPTURE(name);
      // A server of its own, so that what it counts depends on nothing else.
      ServerConfig config;
      config.port = 0;
      const bool is_kept = folder.find("collections") != folder.npos ||
                           folder.find("vector_stores") != folder.npos ||
                           folder.find("files") != folder.npos ||
                           folder.find("batches") != folder.npos;
      const auto kept = is_kept ? std::make_unique<Kept>() : nullptr;
      auto server = ApiServer::create(
          config,
          {fake_lease("fake", ModelKind::generator), fake_lease("embed", ModelKind::embedder)},
          {.collections = {.folder = kept ? kept->root() : ""}, .standard_model = ""});
      REQUIRE(server);
      std::jthread thread([&] { (*server)->run(); });
      const std::string path = join_path(folder, name.substr(0, name.size() - 8));
      const std::string got = exchange((*server)->port(), *read_file(path + ".request", max_bytes));
      (*server)->stop();
      (*server)->stop();
      thread.join();
      if (update) REQUIRE(replace_file(path + ".response", bytes_of(got)).ok());
      const auto want = read_file(path + ".response", max_bytes);
      REQUIRE(want);
      CHECK(got == *want);
    }
    CHECK(recordings > 0);
  }
}

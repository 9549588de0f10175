#include "server/manage/events.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>

using namespace hearth;
using namespace hearth::server;
using Topic = EventHub::Topic;

namespace {

// A client that keeps what it is told.
class Ear final : public http::Responder {
 public:
  void send(http::Response) override {}
  void start_stream(http::StreamStart start) override { is_socket = start.is_socket; }
  void write(std::string_view event) override {
    const std::lock_guard lock(mutex_);
    text_ += event;
    text_ += '|';
  }
  void finish() override { finish_because({}); }
  void finish_because(const http::StreamEnd& why) override {
    const std::lock_guard lock(mutex_);
    code_ = why.code;
  }
  bool is_open() const override { return !has_left; }
  std::size_t pending_bytes() const override { return pending; }
  std::stop_token stop() const override { return {}; }

  std::string text() const {
    const std::lock_guard lock(mutex_);
    return text_;
  }
  int code() const {  // 0: it goes on
    const std::lock_guard lock(mutex_);
    return code_;
  }

  std::atomic<bool> has_left = false, is_socket = false;
  std::atomic<std::size_t> pending = 0;

 private:
  mutable std::mutex mutex_;
  std::string text_;
  int code_ = 0;
};

struct Bench {
  std::shared_ptr<Ear> listen(EventHub::Wish wish, std::vector<Json> standing = {}) {
    auto ear = std::make_shared<Ear>();
    hub.listen(request, ear, std::move(wish), [&] { return standing; });
    return ear;
  }
  std::atomic<bool> is_stopping = false;
  http::Request request;
  EventHub hub{[] { return Json::object({{"event", "system"}}); },
               [this] { return is_stopping.load(); }};
};

Json model(const char* name) { return Json::object({{"event", "model"}, {"name", name}}); }

bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 4000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

}  // namespace

TEST_CASE("the same event in each form") {
  Bench bench;
  const auto sse = bench.listen({.topics = {Topic::models}, .form = EventForm::sse});
  const auto lines = bench.listen({.topics = {Topic::models}, .form = EventForm::lines});
  const auto socket =
      bench.listen({.topics = {Topic::models}, .form = EventForm::socket}, {model("a")});
  bench.hub.tell(Topic::models, model("b"));
  CHECK(sse->text() == "event: model\ndata: {\"event\":\"model\",\"name\":\"b\"}\n\n|");
  CHECK(lines->text() == "{\"event\":\"model\",\"name\":\"b\"}\n|");
  CHECK(socket->text() ==
        "{\"event\":\"model\",\"name\":\"a\"}|{\"event\":\"model\",\"name\":\"b\"}|");
  CHECK(socket->is_socket);
  CHECK(!lines->is_socket);
}

TEST_CASE("who hears what") {
  Bench bench;
  const auto downloads = bench.listen({.topics = {Topic::downloads}, .form = EventForm::socket});
  const auto one = bench.listen({.topics = {Topic::models, Topic::downloads}, .model = "a"});
  bench.hub.tell(Topic::models, model("a"));
  bench.hub.tell(Topic::models, model("b"));
  bench.hub.tell(Topic::models, Json::object({{"event", "library"}}));  // about none
  bench.hub.tell(Topic::downloads, Json::object({{"reference", "a"}, {"name", "x"}}));
  CHECK(downloads->text() == "{\"reference\":\"a\",\"name\":\"x\"}|");
  CHECK(one->text().find("\"b\"") == std::string::npos);
  CHECK(std::ranges::count(one->text(), '|') == 3);
}

TEST_CASE("a slow stream misses events, a slow WebSocket is closed, and neither stops the others") {
  Bench bench;
  const auto stream = bench.listen({.topics = {Topic::models}});
  const auto socket = bench.listen({.topics = {Topic::models}, .form = EventForm::socket});
  const auto healthy = bench.listen({.topics = {Topic::models}, .form = EventForm::socket});
  stream->pending = socket->pending = 1 << 20;
  bench.hub.tell(Topic::models, model("a"));
  stream->pending = 0;
  bench.hub.tell(Topic::models, model("b"));
  CHECK(stream->text().find("\"a\"") == std::string::npos);
  CHECK(stream->text().find("\"b\"") != std::string::npos);
  CHECK(socket->code() == 1013);
  CHECK(socket->text().empty());
  CHECK(std::ranges::count(healthy->text(), '|') == 2);
  CHECK(healthy->code() == 0);
}

TEST_CASE("those who may not stay, and those who are there when the server stops") {
  Bench bench;
  std::atomic<bool> may_stay = true;
  const auto guest =
      bench.listen({.topics = {Topic::system}, .form = EventForm::socket, .may_stay = [&] {
                      return may_stay.load();
                    }});
  const auto other = bench.listen({.topics = {Topic::system}, .form = EventForm::socket});
  CHECK(eventually([&] { return !guest->text().empty(); }));
  may_stay = false;
  CHECK(eventually([&] { return guest->code() == 1008; }));
  CHECK(other->code() == 0);
  bench.is_stopping = true;
  CHECK(eventually([&] { return other->code() == 1001; }));
}

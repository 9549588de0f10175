#include <doctest/doctest.h>
#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "base/files.h"
#include "base/json.h"
#include "base/thread_pool.h"
#include "base/utf8.h"

using namespace hearth;

TEST_CASE("JSON: what is written is read again, and bad text is refused by name") {
  const std::string text = R"({"a":[1,2.5,"x\n",null,true],"b":{"c":-7}})";
  const auto value = parse_json(text);
  REQUIRE(value);
  CHECK(write_json(*value) == text);
  CHECK(write_json(Json(0.1f)) == "0.1");
  CHECK(parse_json("-1.9496994659997382")->as_number() == -1.9496994659997382);
  CHECK(write_json(Json(1.0)) == "1.0");
  const struct {
    std::string text, says;
  } rows[] = {
      {"", "incomplete"},
      {"{\"a\":1,\"a\":2}", "twice"},
      {"[1] x", "follows"},
      {"\"\\ud800\"", "byte"},
      {"1e400", "range"},
      {"\"\xff\"", "byte"},
      {std::string(100, '[') + std::string(100, ']'), "deeper"},
      {"[1,]", "byte"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    const auto got = parse_json(row.text);
    REQUIRE(!got);
    CAPTURE(got.error().message());
    CHECK(got.error().message().find(row.says) != std::string::npos);
  }
}

TEST_CASE("a byte reader never reads past the end") {
  const std::string bytes = std::string("\x03\0\0\0\0\0\0\0abc", 11);
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    ByteReader in(bytes_of(std::string_view(bytes).substr(0, cut)));
    CHECK(!in.text(100));
  }
  ByteReader in(bytes_of(bytes));
  CHECK(*in.text(3) == "abc");
  CHECK(!in.value<char>());
  CHECK(!checked_mul(1ull << 32, 1ull << 32));
}

TEST_CASE("UTF-8: an unfinished character at the end is held back") {
  CHECK(incomplete_tail("a") == 0);
  CHECK(incomplete_tail("\xC3") == 1);
  CHECK(incomplete_tail("\xF0\x9F\x98") == 3);
  CHECK(incomplete_tail("\xF0\x9F\x98\x80") == 0);
  CHECK(incomplete_tail("\xE0\x80") == 0);  // never valid: nothing to wait for
  CHECK(repair_utf8("a\xFFz") == "a\xEF\xBF\xBDz");
}

TEST_CASE("UTF-8: what a message quotes cannot steer a terminal") {
  CHECK(printable("a\r\n\x1b[2J\x7f") == "a\\x0d\\x0a\\x1b[2J\\x7f");
  CHECK(printable("\xFF\xC3\xA9") == "\\xff\xC3\xA9");
  CHECK(printable("\xE2\x80\xAE"
                  "x") == "\\u{202e}x");
  CHECK(printable("abcdef", 3) == "abc...");
  CHECK(printable("abc", 3) == "abc");
}

TEST_CASE("a draft has its name only once it is whole") {
  char folder_name[] = "/tmp/hearth_base_XXXXXX";
  REQUIRE(::mkdtemp(folder_name));
  const std::string folder = folder_name, path = folder + "/sub/file";
  REQUIRE(replace_file(path, bytes_of("old")));
  {
    auto draft = DraftFile::create(path);
    REQUIRE(draft);
    REQUIRE(draft->write(bytes_of("half")));
    CHECK(*read_file(path, 100) == "old");
  }
  CHECK(list_folder(folder + "/sub")->size() == 1);
  auto draft = DraftFile::create(path);
  REQUIRE(draft);
  REQUIRE(draft->write(bytes_of("ne")));
  REQUIRE(draft->write(bytes_of("w")));
  REQUIRE(draft->commit());
  CHECK(*read_file(path, 100) == "new");
  CHECK(list_folder(folder + "/sub")->size() == 1);
  std::remove(path.c_str());
  ::rmdir((folder + "/sub").c_str());
  ::rmdir(folder_name);
}

TEST_CASE("a pool covers every index once") {
  ThreadPool pool(3);
  for (std::size_t n : {0, 1, 7, 1000}) {
    std::vector<std::atomic<int>> hits(n);
    pool.parallel_for(n, 3, [&](std::size_t begin, std::size_t end, int) {
      for (std::size_t i = begin; i < end; ++i) ++hits[i];
    });
    for (auto& hit : hits) CHECK(hit == 1);
  }
}

TEST_CASE("a pool may be limited and widened while it works") {
  ThreadPool pool(4);
  CHECK(pool.limit() == 4);
  std::atomic<bool> is_done = false;
  std::jthread other([&] {
    for (int i = 0; !is_done; ++i) pool.limit(1 + i % 4);
  });
  for (int loop = 0; loop < 3000; ++loop) {
    std::atomic<std::size_t> sum = 0;
    pool.parallel_for(50, 3, [&](std::size_t begin, std::size_t end, int worker) {
      if (worker >= 4) std::abort();
      for (std::size_t i = begin; i < end; ++i) sum += i;
    });
    REQUIRE(sum == 1225);
  }
  is_done = true;
  other.join();

  pool.limit(2);
  std::atomic<int> highest = 0;
  for (int loop = 0; loop < 200; ++loop)
    pool.parallel_for(64, 1, [&](std::size_t, std::size_t, int worker) {
      for (int seen = highest; worker > seen && !highest.compare_exchange_weak(seen, worker);) {
      }
    });
  CHECK(highest <= 1);
  pool.limit(0);
  CHECK(pool.limit() == 1);
  pool.limit(99);
  CHECK(pool.limit() == 4);
}

TEST_CASE("several callers share one pool: every loop is whole") {
  ThreadPool pool(2);
  std::vector<std::jthread> callers;
  std::array<std::atomic<std::size_t>, 3> sums{};
  for (std::size_t caller = 0; caller < sums.size(); ++caller)
    callers.emplace_back([&, caller] {
      for (int loop = 0; loop < 300; ++loop)
        pool.parallel_for(100, 7, [&](std::size_t begin, std::size_t end, int) {
          for (std::size_t i = begin; i < end; ++i) sums[caller] += i;
        });
    });
  callers.clear();
  for (const auto& sum : sums) CHECK(sum == 300 * 4950);
}

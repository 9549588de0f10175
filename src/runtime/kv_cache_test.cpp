#include "runtime/kv_cache.h"

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cstring>
#include <memory>

#include "runtime/pages_testing.h"
#include "runtime/random.h"

using namespace hearth;
using hearth::testing::compute, hearth::testing::tokens_from;

namespace {

void check_holds(const SequencePages& pages, std::span<const Token> tokens) {
  for (std::size_t i = 0; i < pages.computed(); ++i) {
    Token held = -1;
    std::memcpy(&held, pages.data()[i / 32] + i % 32 * sizeof(Token), sizeof(Token));
    REQUIRE(held == tokens[i]);
  }
}

constexpr std::size_t page_bytes = 32 * sizeof(Token);

}  // namespace

TEST_CASE("a second identical sequence finds all but its last token") {
  for (const std::size_t n : {1, 2, 31, 32, 33, 63, 64, 65, 100, 320}) {
    CAPTURE(n);
    KvCache cache(page_bytes, 40);
    const PrefixNode root = cache.root("", false);
    const auto tokens = tokens_from(5, n);
    SequencePages first(cache, root);
    compute(first, tokens);
    first.give_back(tokens);
    CHECK(cache.used() == 0);
    SequencePages second(cache, root);
    CHECK(second.adopt(tokens) == n - 1);
    check_holds(second, tokens);
    compute(second, tokens);
    check_holds(second, tokens);
    second.give_back(tokens);
    CHECK(cache.used() == 0);
  }
}

TEST_CASE("whoever goes on from a part of a page does not disturb what was there") {
  KvCache cache(page_bytes, 20);
  const PrefixNode root = cache.root("", false);
  auto a = tokens_from(0, 90), b = a;
  b[70] = 1000;
  SequencePages first(cache, root);
  compute(first, a);
  first.give_back(a);
  SequencePages second(cache, root);
  CHECK(second.adopt(b) == 70);
  compute(second, b);
  check_holds(second, b);
  SequencePages third(cache, root);
  CHECK(third.adopt(a) == 89);
  check_holds(third, a);
}

TEST_CASE("salts and modes share nothing") {
  KvCache cache(page_bytes, 20);
  const auto tokens = tokens_from(0, 64);
  SequencePages first(cache, cache.root("alice", false));
  compute(first, tokens);
  CHECK(cache.root("alice", false) == cache.root("alice", false));
  CHECK(SequencePages(cache, cache.root("bob", false)).adopt(tokens) == 0);
  CHECK(SequencePages(cache, cache.root("alice", true)).adopt(tokens) == 0);
  CHECK(SequencePages(cache, cache.root("alice", false)).adopt(tokens) == 63);
}

TEST_CASE("many salts do not pile up") {
  KvCache cache(page_bytes, 8);
  const auto tokens = tokens_from(0, 40);
  for (int i = 0; i < 5000; ++i) {
    SequencePages pages(cache, cache.root(fmt::format("salt {}", i), false));
    CHECK(pages.adopt(tokens) == 0);
    compute(pages, tokens);
    pages.give_back(tokens);
  }
  CHECK(cache.used() == 0);
}

TEST_CASE("a fork shares pages until one of the two writes") {
  KvCache cache(page_bytes, 10);
  auto a = tokens_from(0, 40);
  SequencePages first(cache, cache.root("", false));
  compute(first, a);
  CHECK(cache.used() == 2);
  SequencePages second = first.fork();
  CHECK(cache.used() == 2);
  auto b = a;
  a.push_back(100);
  b.push_back(200);
  compute(first, a);
  compute(second, b);
  CHECK(cache.used() == 3);
  check_holds(first, a);
  check_holds(second, b);
  first.give_back(a);
  check_holds(second, b);
  second.give_back(b);
  CHECK(cache.used() == 0);
}

TEST_CASE("two that compute the same at once end up with one copy") {
  KvCache cache(page_bytes, 10);
  const auto tokens = tokens_from(0, 64);
  SequencePages first(cache, cache.root("", false)), second(cache, cache.root("", false));
  CHECK(first.reserve(64) == 64);
  compute(second, tokens);
  compute(first, tokens);
  CHECK(cache.used() == 2);
  CHECK(first.data()[0] == second.data()[0]);
}

TEST_CASE("the pages unused for longest give way, the end of a prefix before its beginning") {
  KvCache cache(page_bytes, 6);
  const PrefixNode root = cache.root("", false);
  const auto a = tokens_from(0, 96), b = tokens_from(1000, 64), c = tokens_from(2000, 96);
  for (const auto& tokens : {a, b}) {
    SequencePages pages(cache, root);
    compute(pages, tokens);
    pages.give_back(tokens);
  }
  SequencePages third(cache, root);
  compute(third, c);  // 5 idle and 1 unmade page: two of a's have to go
  CHECK(SequencePages(cache, root).adopt(a) == 32);
  CHECK(SequencePages(cache, root).adopt(b) == 63);
  SequencePages rest(cache, root);
  CHECK(rest.reserve(1000) == 96);  // all that is left
  CHECK(SequencePages(cache, root).adopt(a) == 0);
  CHECK(!cache.take());
}

TEST_CASE("why not more of a prompt is found is told") {
  KvCache cache(page_bytes, 6);
  const PrefixNode root = cache.root("", false);
  const auto end_of = [&](const std::vector<Token>& tokens) {
    SequencePages pages(cache, root);
    pages.adopt(tokens);
    return pages.prefix_end();
  };
  const auto a = tokens_from(0, 80);
  CHECK(end_of(a) == PrefixEnd::is_new);
  SequencePages first(cache, root);
  compute(first, a);
  first.give_back(a);
  CHECK(end_of(a) == PrefixEnd::whole);
  CHECK(end_of(tokens_from(0, 81)) == PrefixEnd::whole);
  CHECK(end_of(tokens_from(0, 200)) == PrefixEnd::is_new);  // a, and what was said after it
  for (const std::size_t place : {0, 20, 40, 64, 70}) {
    auto other = a;
    other[place] = 5000;
    CHECK(end_of(other) == PrefixEnd::differs);
  }
  SequencePages large(cache, root);
  compute(large, tokens_from(1000, 192));
  CHECK(end_of(a) == PrefixEnd::evicted);
}

TEST_CASE("after any mix of sequences the accounts are right and all that is found is true") {
  KvCache cache(page_bytes, 24);
  struct Live {
    SequencePages pages;
    std::vector<Token> tokens;
  };
  std::vector<std::unique_ptr<Live>> live;
  std::uint64_t index = 0;
  const auto roll = [&](std::size_t below) {
    return static_cast<std::size_t>(uniform({.seed = 42, .stream = 0, .index = index++}) *
                                    static_cast<double>(below));
  };
  for (int step = 0; step < 20000; ++step) {
    const std::size_t what = roll(10);
    if (what < 3 && live.size() < 6) {
      std::vector<Token> tokens(1 + roll(200));
      for (std::size_t i = 0; i < tokens.size(); ++i)  // few branches: prefixes meet again
        tokens[i] = static_cast<Token>(i % 48 == 0 ? roll(3) : i);
      live.push_back(std::make_unique<Live>(SequencePages(cache, cache.root("", roll(2) == 0)),
                                            std::move(tokens)));
      live.back()->pages.adopt(live.back()->tokens);
    } else if (what == 3 && !live.empty()) {
      const std::size_t i = roll(live.size());
      live.push_back(std::make_unique<Live>(live[i]->pages.fork(), live[i]->tokens));
      live.back()->tokens.resize(live.back()->pages.computed() + 1, 7);
      live.back()->tokens.push_back(static_cast<Token>(roll(3)));
    } else if (what < 6 && !live.empty()) {
      const std::size_t i = roll(live.size());
      check_holds(live[i]->pages, live[i]->tokens);
      live[i]->pages.give_back(live[i]->tokens);
      CHECK(live[i]->pages.computed() == 0);
      live.erase(live.begin() + static_cast<std::ptrdiff_t>(i));
    } else if (!live.empty()) {
      Live& one = *live[roll(live.size())];
      if (one.pages.computed() == one.tokens.size()) continue;
      const std::size_t end =
          one.pages.computed() + 1 + roll(one.tokens.size() - one.pages.computed());
      if (one.pages.reserve(end) == end) compute(one.pages, std::span(one.tokens).first(end));
      check_holds(one.pages, one.tokens);
    }
    REQUIRE(cache.used() + cache.idle() <= cache.total());
  }
  for (const auto& one : live) one->pages.give_back(one->tokens);
  CHECK(cache.used() == 0);
}

// store_bench [FOLDER] [ROWS] [DIM] [INDEX]: durable writes, recovery, filters and their recall,
// and how long readers take beside a writer.
#include <fmt/core.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <thread>

#include "vectors/store/local.h"

namespace {

using namespace hearth;
using namespace hearth::vectors;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point began) {
  return std::chrono::duration<double>(Clock::now() - began).count();
}

Document document(std::size_t n, std::size_t dim) {
  std::minstd_rand random(static_cast<unsigned>(n + 1));
  Document made;
  made.id = fmt::format("document-{}", n);
  made.text = "a text of some forty bytes, as chunks go";
  for (std::size_t i = 0; i < dim; ++i)
    made.vector.push_back(static_cast<float>(random() % 2001) / 1000 - 1);
  made.metadata =
      Json::object({{"n", n}, {"tenth", n % 10}, {"word", fmt::format("w{}", n % 1000)}});
  return made;
}

void need(bool is_done, const std::string& what) {
  if (is_done) return;
  fmt::print(stderr, "{}\n", what);
  std::exit(1);
}

void write_some(Collection& collection, std::size_t dim, int writers, std::size_t batch_size,
                double seconds) {
  std::atomic<std::size_t> written{0};
  const auto began = Clock::now();
  {
    std::vector<std::jthread> threads;
    for (int writer = 0; writer < writers; ++writer)
      threads.emplace_back([&, writer] {
        for (std::size_t n = 0; seconds_since(began) < seconds; ++n) {
          std::vector<Document> batch;
          for (std::size_t i = 0; i < batch_size; ++i)
            batch.push_back(
                document((n * batch_size + i) * 100 + static_cast<std::size_t>(writer), dim));
          need(upsert(collection, std::move(batch)).ok(), "a write failed");
          written += batch_size;
        }
      });
  }
  fmt::print("durable upserts, {} writers, {} to a write: {:.0f}/s\n", writers, batch_size,
             static_cast<double>(written) / seconds_since(began));
}

void measure_filters(const Collection& collection, std::size_t rows, std::size_t dim) {
  const auto time = [&](const std::string& text, bool has_search) {
    const auto filter = parse_filter(text);
    need(filter.ok(), text);
    Query query;
    query.vector = document(rows + 1, dim).vector;
    query.filter = *filter;
    std::vector<double> all;
    for (int i = 0; i < 15; ++i) {
      // Another text each time: what was selected before is remembered.
      auto again = parse_filter(fmt::format("{} or n = -{}", text, i + 1));
      query.filter = *again;
      const auto began = Clock::now();
      need(has_search ? collection.search(query).ok() : collection.count(&*again).ok(), text);
      all.push_back(seconds_since(began));
    }
    std::sort(all.begin(), all.end());
    return all[all.size() / 2] * 1e3;
  };
  const auto recall = [&](const std::string& text) {
    std::size_t found = 0, wanted = 0;
    for (std::size_t i = 0; i < 20; ++i) {
      Query query;
      query.vector = document(rows + i, dim).vector;
      query.filter = *parse_filter(text);
      const auto got = collection.search(query);
      query.is_exact = true;
      const auto exact = collection.search(query);
      need(got.ok() && exact.ok(), text);
      wanted += exact->size();
      for (const Match& match : *got)
        found += std::any_of(exact->begin(), exact->end(), [&](const Match& one) {
          return one.document.id == match.document.id;
        });
    }
    return wanted == 0 ? 1 : static_cast<double>(found) / static_cast<double>(wanted);
  };
  for (const double share : {1.0, 0.5, 0.1, 0.01, 0.001, 0.0001}) {
    const std::string text =
        fmt::format("n < {}", static_cast<std::size_t>(share * static_cast<double>(rows)));
    const double select = time(text, false);
    fmt::print(
        "filter {:>7.2f} %: selected in {:.3f} ms, searched in {:.3f} ms, recall@10 {:.4f}\n",
        share * 100, select, time(text, true), recall(text));
  }
  fmt::print("filter word = 'w7' (0.1 %): {:.3f} ms; tenth in (1, 2) (20 %): {:.3f} ms\n",
             time("word = 'w7'", false), time("tenth in (1, 2)", false));
}

// Median, 99th percentile and longest of searches, in milliseconds.
void measure_readers(Collection& collection, std::size_t rows, std::size_t dim, bool has_writer) {
  std::vector<double> all;
  std::atomic<bool> is_over = false;
  std::size_t written = 0;
  {
    std::jthread writer([&] {
      for (std::size_t n = 0; has_writer && !is_over; ++n) {
        std::vector<Document> batch;
        for (std::size_t i = 0; i < 100; ++i) batch.push_back(document((n * 100 + i) % rows, dim));
        need(upsert(collection, std::move(batch)).ok(), "a write failed");
        written += 100;
      }
    });
    const auto began = Clock::now();
    for (std::size_t i = 0; seconds_since(began) < 5; ++i) {
      Query query;
      query.vector = document(rows + i, dim).vector;
      const auto asked = Clock::now();
      need(collection.search(query).ok(), "a search failed");
      all.push_back(seconds_since(asked) * 1e3);
    }
    is_over = true;
  }
  std::sort(all.begin(), all.end());
  fmt::print(
      "searches {}: median {:.3f} ms, 99 % {:.3f} ms, longest {:.3f} ms; {} documents written\n",
      has_writer ? "beside a writer" : "alone", all[all.size() / 2], all[all.size() * 99 / 100],
      all.back(), written);
}

}  // namespace

int main(int count, char** words) {
  const std::string folder = count > 1 ? words[1] : "/tmp/hearth-store-bench";
  const std::size_t rows = count > 2 ? static_cast<std::size_t>(std::atoll(words[2])) : 100'000;
  const std::size_t dim = count > 3 ? static_cast<std::size_t>(std::atoll(words[3])) : 384;
  std::filesystem::remove_all(folder);
  Schema schema;
  schema.dim = dim;
  schema.metric = Metric::l2;
  schema.index.kind = "flat";
  {
    auto collection = create_collection(folder + "/writes", schema, {});
    need(collection.ok(), "cannot be made");
    for (const auto& [writers, batch] :
         {std::pair(1, 1), std::pair(8, 1), std::pair(1, 100), std::pair(1, 1000)})
      write_some(**collection, dim, writers, static_cast<std::size_t>(batch), 2);
    const auto began = Clock::now();
    collection->reset();
    fmt::print("closed in {:.2f} s\n", seconds_since(began));
  }
  schema.index.kind = count > 4 ? words[4] : "auto";
  StoreOptions options;
  auto collection = create_collection(folder + "/rows", schema, options);
  need(collection.ok(), "cannot be made");
  auto began = Clock::now();
  for (std::size_t n = 0; n < rows;) {
    std::vector<Document> batch;
    for (; batch.size() < 2000 && n < rows; ++n) batch.push_back(document(n, dim));
    need(upsert(**collection, std::move(batch)).ok(), "a write failed");
  }
  fmt::print("{} rows of {} in {:.1f} s\n", rows, dim, seconds_since(began));
  // What a reader finds now is what a killed writer leaves: segments and a log.
  const auto recover = [&](const char* when) {
    const auto opening = Clock::now();
    const auto reader = open_collection(folder + "/rows", Access::read, options);
    need(reader.ok(), "cannot be opened");
    const double opened = seconds_since(opening);
    Query query;
    query.vector = document(rows, dim).vector;
    need((*reader)->search(query).ok(), "a search failed");
    fmt::print("recovered {} in {:.2f} s, first answer {:.2f} s later, {} documents unindexed\n",
               when, opened, seconds_since(opening) - opened, (*reader)->info()->unindexed);
  };
  recover("from a kill before the index was saved");
  began = Clock::now();
  need((*collection)->maintain({}).ok(), "maintenance failed");
  fmt::print("index made and saved in {:.1f} s: {}\n", seconds_since(began),
             (*collection)->info()->index.explanation);
  recover("from a kill after it");
  collection->reset();
  began = Clock::now();
  collection = open_collection(folder + "/rows", Access::write, options);
  need(collection.ok(), "cannot be opened");
  fmt::print("opened in {:.2f} s\n", seconds_since(began));
  for (const bool has_writer : {false, true}) measure_readers(**collection, rows, dim, has_writer);
  began = Clock::now();
  const auto first = parse_filter("n < 0 and word = 'x' and tenth = 3");
  need((*collection)->count(&*first).ok(), "a filter failed");
  fmt::print("first filter on three fields in {:.2f} s\n", seconds_since(began));
  measure_filters(**collection, rows, dim);
  collection->reset();
  std::filesystem::remove_all(folder);
  return 0;
}

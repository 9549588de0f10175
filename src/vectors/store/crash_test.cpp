// A real child process writes and is killed at random moments, over and over: nothing that it was
// told is written may be lost, doubled or half there.  HEARTH_CRASH_KILLS sets how often (50).
#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>

#include "vectors/store/test_index.h"

namespace hearth::vectors {
namespace {

constexpr std::size_t dim = 8;
constexpr int writers = 3;
constexpr int ids_per_writer = 200;

// What the child says it has begun and finished, in memory that outlives it.
struct Progress {
  std::atomic<std::uint64_t> begun[writers], done[writers];
};

using Model = std::map<std::string, std::uint64_t>;  // id -> the write that made it

Document document(const std::string& id, std::uint64_t write) {
  Document made;
  made.id = id;
  made.text = std::string(write % 300, static_cast<char>('a' + write % 26));
  for (std::size_t i = 0; i < dim; ++i)
    made.vector.push_back(static_cast<float>((write * 31 + i * 7) % 997));
  made.metadata = Json::object({{"write", write}});
  return made;
}

// The n-th write of a writer: some documents written, some removed, as one.
Batch batch(int writer, std::uint64_t n) {
  std::minstd_rand random(static_cast<unsigned>(n * 3 + static_cast<unsigned>(writer)));
  const auto some_id = [&] { return fmt::format("{}-{}", writer, random() % ids_per_writer); };
  Batch made;
  const std::size_t upserts = 1 + random() % 9, removals = random() % 3;
  for (std::size_t i = 0; i < upserts; ++i) made.upserts.push_back(document(some_id(), n));
  for (std::size_t i = 0; i < removals; ++i) made.removals.push_back(some_id());
  return made;
}

void follow(Model& model, const Batch& done, std::uint64_t n) {
  for (const std::string& id : done.removals) model.erase(id);
  for (const Document& one : done.upserts) model[one.id] = n;
}

StoreOptions crash_options() {
  StoreOptions options;
  options.indexes = plain_indexes();
  options.flush_bytes = 20'000;  // so that the kills meet flushes and merges too
  options.max_segments = 3;
  options.segment_bytes = 60'000;  // and segments that become cold
  options.warm_bytes = 100'000;
  return options;
}

[[noreturn]] void write_forever(const std::string& folder, Progress& progress) {
  auto collection = open_collection(folder, Access::write, crash_options());
  if (!collection.ok()) {
    fmt::print(stderr, "{}\n", collection.error().message());
    _exit(3);
  }
  std::vector<std::jthread> threads;
  for (int writer = 0; writer < writers; ++writer)
    threads.emplace_back([&, writer] {
      for (std::uint64_t n = progress.done[writer];; ++n) {
        progress.begun[writer] = n + 1;
        if (!(*collection)->write(batch(writer, n)).ok()) _exit(4);
        progress.done[writer] = n + 1;
      }
    });
  for (;;) ::pause();
}

// Until the child has begun to write, so that no kill is wasted on its start.
void wait_for_writes(const Progress& progress) {
  const auto begun = [&] {
    std::uint64_t all = 0;
    for (const auto& one : progress.begun) all += one;
    return all;
  };
  const std::uint64_t before = begun();
  for (int i = 0; i < 10'000 && begun() <= before + 1; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

Model contents(const Collection& collection, int writer) {
  Model found;
  const std::string own = fmt::format("{}-", writer);
  std::string from;
  do {
    const auto page = collection.scroll(from, 1000, nullptr, {.vector = true});
    REQUIRE(page.ok());
    for (const Document& one : page->documents) {
      if (!one.id.starts_with(own)) continue;
      const auto write = static_cast<std::uint64_t>(one.metadata.find("write")->as_integer());
      REQUIRE(!found.contains(one.id));
      REQUIRE(one.text == document(one.id, write).text);
      REQUIRE(one.vector == document(one.id, write).vector);
      found[one.id] = write;
    }
    from = page->next;
  } while (!from.empty());
  return found;
}

TEST_CASE("killed at random moments, a collection keeps every write whole") {
  const char* wish = std::getenv("HEARTH_CRASH_KILLS");
  const int kills = wish ? std::atoi(wish) : 50;
  std::string scratch = std::filesystem::temp_directory_path() / "hearth-crash-XXXXXX";
  REQUIRE(::mkdtemp(scratch.data()) != nullptr);
  const std::string folder = scratch + "/things";
  Schema schema;
  schema.dim = dim;
  {
    auto made = create_collection(folder, schema, crash_options());
    REQUIRE(made.ok());
  }
  void* shared =
      ::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(shared != MAP_FAILED);
  auto& progress = *new (shared) Progress{};
  Model models[writers];
  std::uint64_t checked[writers] = {}, unfinished_kept = 0;
  std::mt19937 random(5);
  for (int kill = 0; kill < kills; ++kill) {
    CAPTURE(kill);
    const pid_t child = ::fork();
    if (child == 0) write_forever(folder, progress);
    wait_for_writes(progress);
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 25'000));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    REQUIRE(WIFSIGNALED(status));

    auto collection = open_collection(folder, Access::read, crash_options());
    REQUIRE(collection.ok());
    std::size_t total = 0;
    for (int writer = 0; writer < writers; ++writer) {
      CAPTURE(writer);
      const std::uint64_t done = progress.done[writer], begun = progress.begun[writer];
      for (; checked[writer] < done; ++checked[writer])
        follow(models[writer], batch(writer, checked[writer]), checked[writer]);
      const Model found = contents(**collection, writer);
      if (found != models[writer] && begun > done) {
        // The write that was under way may be there as well, if all of it is.
        follow(models[writer], batch(writer, done), done);
        checked[writer] = done + 1;
        progress.done[writer] = done + 1;
        ++unfinished_kept;
      }
      REQUIRE(found == models[writer]);
      total += found.size();
    }
    CHECK((*collection)->count(nullptr).value_or(0) == total);
  }
  MESSAGE(kills << " kills, " << progress.done[0] + progress.done[1] + progress.done[2]
                << " writes, " << unfinished_kept << " of them unfinished and whole");
  ::munmap(shared, sizeof(Progress));
  std::filesystem::remove_all(scratch);
}

}  // namespace
}  // namespace hearth::vectors

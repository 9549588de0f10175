#include "library/model_pool.h"

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "library/library.h"
#include "runtime/fake_model.h"

using namespace hearth;

namespace {

constexpr std::uint64_t gigabyte = 1'000'000'000;

class IdleRunner final : public Runner {
 public:
  Status submit(GenerateRequest, OnEvent) override { return Done{}; }
  Result<std::vector<std::vector<float>>> embed(std::span<const std::vector<Token>>,
                                                std::stop_token) override {
    return std::vector<std::vector<float>>();
  }
  const Model& model() const override { return model_; }
  std::uint32_t context_tokens() const override { return 100; }
  RunnerStats stats() const override { return {}; }
  void drain() override {}

 private:
  FakeModel model_;
};

// A machine of so much memory, where every model "name:N" takes N gigabytes.
class World {
 public:
  explicit World(std::uint64_t gigabytes, PoolOptions options = {})
      : memory_(gigabytes * gigabyte) {
    options.min_free_bytes = 0;
    options.look_every = Milliseconds(10);
    pool.emplace(source(), options, [this](const std::string& id, ModelEvent event, double) {
      const std::lock_guard lock(mutex);
      if (event == ModelEvent::evict) evicted.push_back(id);
      if (event == ModelEvent::work || event == ModelEvent::rest)
        in_use[id] += event == ModelEvent::work ? 1 : -1;
    });
  }
  ~World() { pool.reset(); }

  std::vector<std::string> in_memory() const {
    std::vector<std::string> ids;
    for (const PoolModel& model : pool->models())
      if (model.state == PoolModel::State::ready) ids.push_back(model.id);
    std::ranges::sort(ids);
    return ids;
  }

  std::atomic<std::uint64_t> used = 0;
  std::atomic<int> loads = 0;
  std::atomic<double> pressure = 0;
  // What goes wrong in the next loadings, in turn.
  std::deque<ErrorKind> faults;
  bool may_repair = false;
  int repairs = 0;
  std::vector<std::uint64_t> kv_budgets;  // of all loadings
  std::atomic<bool> is_slow = false;      // loading waits until this is false, or it is stopped
  std::mutex mutex;
  std::vector<std::string> evicted;
  std::map<std::string, int> in_use;
  std::optional<ModelPool> pool;

 private:
  static std::uint64_t bytes_of(const LocalModel& model) {
    return static_cast<std::uint64_t>(std::stoi(model.name.substr(model.name.find(':') + 1))) *
           gigabyte;
  }

  ModelSource source() {
    ModelSource source;
    source.find = [](const std::string& reference) -> Result<LocalModel> {
      if (!reference.contains(':')) return Error(ErrorKind::not_found, "no " + reference);
      LocalModel model;
      model.name = reference.starts_with("alias-") ? reference.substr(6) : reference;
      model.path = "/models/" + model.name;
      return model;
    };
    source.id = [](const LocalModel& model) { return model.name; };
    source.needs = [](const LocalModel& model) -> Result<ModelNeeds> {
      return ModelNeeds{.weights = bytes_of(model), .kv = 0, .scratch = 0};
    };
    source.load = [this](const LocalModel& model, const LoadOrder& order) -> Result<Lease> {
      ++loads;
      while (is_slow && !order.stop.stop_requested())
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      if (order.stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
      {
        const std::lock_guard lock(mutex);
        kv_budgets.push_back(order.kv_budget_bytes);
        if (!faults.empty()) {
          const ErrorKind kind = faults.front();
          faults.pop_front();
          return Error(kind, "a fault");
        }
      }
      if (model.name.starts_with("broken")) return Error(ErrorKind::corrupt, "broken weights");
      if (order.progress) order.progress(0.5);
      auto loaded = std::make_unique<LoadedModel>();
      loaded->id = order.id;
      loaded->reference = model.name;
      loaded->path = model.path;
      loaded->weight_bytes = bytes_of(model);
      loaded->runner = std::make_unique<IdleRunner>();
      const std::uint64_t bytes = loaded->weight_bytes;
      used += bytes;
      return Lease(loaded.release(), [this, bytes](LoadedModel* gone) {
        delete gone;
        used -= bytes;
      });
    };
    source.free_bytes = [this] { return memory_ - std::min<std::uint64_t>(memory_, used); };
    source.memory_pressure = [this] { return pressure.load(); };
    source.repair = [this](const LocalModel&, std::stop_token) -> Status {
      if (!may_repair) return Error(ErrorKind::unavailable, "offline");
      ++repairs;
      return Done{};
    };
    return source;
  }

  const std::uint64_t memory_;
};

bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 2000 && !condition(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return condition();
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a model is loaded once, and stays under all its names") {
  World world(10);
  const Lease first = *world.pool->acquire("a:1");
  const Lease second = *world.pool->acquire("alias-a:1");
  CHECK(first.get() == second.get());
  CHECK(world.loads == 1);
  CHECK(world.pool->peek("a:1"));
  CHECK(world.pool->peek("alias-a:1"));
  CHECK_FALSE(world.pool->peek("b:1"));
  const PoolModel model = world.pool->models().front();
  CHECK(model.users == 2);
  CHECK(model.bytes == gigabyte);
  CHECK_FALSE(model.expires_in);  // in use
  CHECK(world.pool->acquire("nothing").error().kind() == ErrorKind::not_found);
}

TEST_CASE("64 clients that ask at once share one loading") {
  World world(10);
  world.is_slow = true;
  std::vector<std::jthread> clients;
  std::atomic<int> served = 0, cancelled = 0;
  std::vector<std::stop_source> stops(64);
  const auto add_client = [&](std::size_t i) {
    clients.emplace_back([&, i] {
      AcquireOptions options;
      options.stop = stops[i].get_token();
      auto lease = world.pool->acquire("a:1", options);
      if (lease)
        ++served;
      else if (lease.error().kind() == ErrorKind::cancelled)
        ++cancelled;
    });
  };
  add_client(0);
  CHECK(eventually([&] { return world.loads == 1; }));
  for (std::size_t i = 1; i < stops.size(); ++i) add_client(i);
  for (std::size_t i = 1; i <= 10; ++i) stops[i].request_stop();
  CHECK(eventually([&] { return cancelled == 10; }));
  world.is_slow = false;
  clients.clear();
  CHECK(world.loads == 1);
  CHECK(served == 54);
}

TEST_CASE("when nobody waits any more, loading stops; who comes then has it loaded anew") {
  World world(10);
  world.is_slow = true;
  std::stop_source stop;
  std::optional<Result<Lease>> result;
  std::jthread client([&] {
    AcquireOptions options;
    options.stop = stop.get_token();
    result = world.pool->acquire("a:1", options);
  });
  CHECK(eventually([&] { return world.loads == 1; }));
  stop.request_stop();
  client.join();
  REQUIRE(result);
  REQUIRE_FALSE(result->ok());
  CHECK(result->error().kind() == ErrorKind::cancelled);
  world.is_slow = false;
  CHECK(world.pool->acquire("a:1").ok());
}

TEST_CASE("a loading that fails leaves others serving") {
  World world(10);
  const Lease good = *world.pool->acquire("a:1");
  for (int i = 0; i < 3; ++i) {
    const auto bad = world.pool->acquire("broken:1");
    REQUIRE_FALSE(bad);
    CHECK(bad.error().kind() == ErrorKind::corrupt);
    CHECK(bad.error().message() == "broken weights");
  }
  CHECK(world.in_memory() == Names{"a:1"});
  CHECK(world.pool->acquire("b:1").ok());
}

TEST_CASE("memory that runs out in loading: idle models leave, keys and values get less") {
  World world(20);
  CHECK(world.pool->acquire("idle:1").ok());
  const Lease used = *world.pool->acquire("used:1");
  world.faults = {ErrorKind::exhausted, ErrorKind::exhausted};
  CHECK(world.pool->acquire("a:1").ok());
  CHECK(world.in_memory() == Names{"a:1", "used:1"});
  const std::vector<std::uint64_t>& budgets = world.kv_budgets;
  CHECK(budgets[3] * 2 <= budgets[2] + 1);
  CHECK(budgets[4] * 2 <= budgets[3] + 1);
  world.faults = {ErrorKind::exhausted, ErrorKind::exhausted, ErrorKind::exhausted};
  const auto bad = world.pool->acquire("b:1");
  REQUIRE_FALSE(bad);
  CHECK(bad.error().message() == "a fault");
}

TEST_CASE("a damaged model is repaired once, where that is possible") {
  World world(10);
  world.faults = {ErrorKind::corrupt};
  CHECK_FALSE(world.pool->acquire("a:1").ok());
  world.may_repair = true;
  world.faults = {ErrorKind::corrupt};
  CHECK(world.pool->acquire("a:1").ok());
  world.faults = {ErrorKind::corrupt, ErrorKind::corrupt};
  CHECK_FALSE(world.pool->acquire("b:1").ok());
  CHECK(world.repairs == 2);
}

TEST_CASE("of faults in loading at least nine of ten are recovered from, the rest explained") {
  constexpr struct {
    ErrorKind kind;
    std::string_view what;
  } kinds[] = {{ErrorKind::exhausted, "memory"},
               {ErrorKind::corrupt, "validation"},
               {ErrorKind::io, "reading"}};
  World world(100);
  world.may_repair = true;
  std::mt19937 random(5);
  int injected = 0, recovered = 0, of_kind[std::size(kinds)] = {}, lost[std::size(kinds)] = {};
  for (int i = 0; i < 300; ++i) {
    const std::size_t n = 1 + random() % 2;
    std::size_t kind = 0;
    for (std::size_t k = 0; k < n; ++k) {
      kind = random() % std::size(kinds);
      world.faults.push_back(kinds[kind].kind);
    }
    ++injected;
    ++of_kind[kind];
    const auto loaded = world.pool->acquire("m:1");
    if (loaded) ++recovered;
    if (!loaded) ++lost[kind];
    if (!loaded) CHECK(loaded.error().message() == "a fault");
    world.faults.clear();
    (void)world.pool->unload("m:1").ok();
  }
  std::string line = fmt::format("faults in loading: {} of {} recovered ({:.1f} %)", recovered,
                                 injected, 100.0 * recovered / injected);
  for (std::size_t k = 0; k < std::size(kinds); ++k)
    line += fmt::format("; last of {}: {} of {}", kinds[k].what, of_kind[k] - lost[k], of_kind[k]);
  fmt::print("{}\n", line);
  CHECK(recovered * 10 >= injected * 9);
}

TEST_CASE("memory: idle models make room, the one idle for longest first") {
  World world(10);
  for (const char* name : {"a:4", "b:4"}) CHECK(world.pool->acquire(name).ok());
  CHECK(world.in_memory() == Names{"a:4", "b:4"});
  CHECK(world.pool->acquire("a:4").ok());  // used again: b is the older one
  CHECK(world.pool->acquire("c:4").ok());
  CHECK(world.in_memory() == Names{"a:4", "c:4"});
  CHECK(world.evicted == Names{"b:4"});
}

TEST_CASE("memory: what is in use or pinned stays; nothing is thrown out in vain") {
  PoolOptions options;
  options.patience = Milliseconds(30);
  World world(10, options);
  const Lease used = *world.pool->acquire("a:4");
  AcquireOptions pinned;
  pinned.is_pinned = true;
  CHECK(world.pool->acquire("p:2", pinned).ok());
  CHECK(world.pool->acquire("c:2").ok());
  // More than the machine has: c stays.
  const auto huge = world.pool->acquire("h:11");
  REQUIRE_FALSE(huge);
  CHECK(huge.error().kind() == ErrorKind::exhausted);
  CHECK(huge.error().message().contains("needs 11.00 GB"));
  CHECK(world.in_memory() == Names{"a:4", "c:2", "p:2"});
  // It would fit without a, which is in use: waited for, then told.
  const auto large = world.pool->acquire("l:6");
  REQUIRE_FALSE(large);
  CHECK(large.error().message().contains("in use all the time"));
  CHECK(world.pool->peek("a:4"));
  CHECK(world.pool->peek("p:2"));
}

TEST_CASE("memory: who waits for it gets it when the user is done") {
  World world(10);
  Lease used = *world.pool->acquire("a:8");
  std::optional<Result<Lease>> result;
  std::jthread waiting([&] { result = world.pool->acquire("b:8"); });
  CHECK(eventually([&] { return world.pool->models().size() == 2; }));
  CHECK(world.pool->acquire("a:8").ok());  // still served meanwhile
  used.reset();
  waiting.join();
  REQUIRE(result);
  CHECK(result->ok());
  result.reset();
  CHECK(world.in_memory() == Names{"b:8"});
}

TEST_CASE("models at most: the number counts too") {
  PoolOptions options;
  options.max_models = 2;
  World world(100, options);
  for (const char* name : {"a:1", "b:1", "c:1"}) CHECK(world.pool->acquire(name).ok());
  CHECK(world.in_memory() == Names{"b:1", "c:1"});
}

TEST_CASE("keep-alive: of the pool, of a request, none and forever") {
  PoolOptions options;
  options.keep_alive = Milliseconds(20);
  World world(100, options);
  const auto ask = [&](const char* name, std::optional<Milliseconds> keep_alive) {
    AcquireOptions asked;
    asked.keep_alive = keep_alive;
    return world.pool->acquire(name, asked);
  };
  CHECK(ask("standard:1", {}).ok());
  CHECK(ask("none:1", Milliseconds(0)).ok());
  CHECK(ask("always:1", forever).ok());
  CHECK(ask("long:1", Milliseconds(60'000)).ok());
  CHECK(eventually([&] { return world.in_memory() == Names{"always:1", "long:1"}; }));
  for (const PoolModel& model : world.pool->models())
    CHECK(model.expires_in.has_value() == (model.id == "long:1"));
  {
    const Lease held = *ask("held:1", Milliseconds(0));
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    CHECK(world.pool->peek("held:1"));  // in use, whatever its time
  }
  CHECK(eventually([&] { return !world.pool->peek("held:1"); }));
  world.pool->set_keep_alive("long:1", Milliseconds(0));
  CHECK(eventually([&] { return world.in_memory() == Names{"always:1"}; }));
  // Looking is no use: it does not keep a model.
  CHECK(ask("looked-at:1", {}).ok());
  CHECK(eventually([&] {
    world.pool->loaded();
    return world.in_memory() == Names{"always:1"};
  }));
}

TEST_CASE("limits change while models are in memory") {
  World world(100);
  for (const char* name : {"a:10", "b:20", "c:5"}) REQUIRE(world.pool->acquire(name));
  PoolLimits limits{.min_free_bytes = 0};
  limits.memory_bytes = 20 * gigabyte;  // b has to go, or a and c
  const auto used = world.pool->acquire("c:5");
  REQUIRE(used);
  world.pool->set_limits(limits);
  CHECK(world.used <= 20 * gigabyte);
  CHECK(std::ranges::count(world.in_memory(), "c:5") == 1);  // in use

  // One that fits takes the place of others; one that never will is refused, with the figures.
  REQUIRE(world.pool->acquire("d:15"));
  CHECK(world.in_memory() == std::vector<std::string>{"c:5", "d:15"});
  const auto large = world.pool->acquire("e:21");
  REQUIRE(!large);
  CHECK(large.error().kind() == ErrorKind::exhausted);
  CHECK(large.error().message().contains("models.memory_mb allows 20.00 GB"));

  limits.memory_bytes = 0;
  limits.max_models = 1;
  world.pool->set_limits(limits);
  CHECK(world.in_memory() == std::vector<std::string>{"c:5"});

  // Those that nobody asked another time for follow the standard one.
  limits.max_models = 0;
  world.pool->set_limits(limits);
  AcquireOptions own;
  own.keep_alive = Milliseconds(3'600'000);
  REQUIRE(world.pool->acquire("f:1", own));
  REQUIRE(world.pool->acquire("g:1"));
  limits.keep_alive = Milliseconds(0);
  world.pool->set_limits(limits);
  for (int wait = 0; wait < 1000 && world.in_memory().size() > 2; ++wait)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  CHECK(world.in_memory() == std::vector<std::string>{"c:5", "f:1"});
}

TEST_CASE("unload: at once when idle, after the last use otherwise") {
  World world(100);
  CHECK(world.pool->unload("a:1").error().kind() == ErrorKind::not_found);
  Lease held = *world.pool->acquire("a:1");
  CHECK(world.pool->unload("a:1").ok());
  CHECK(world.used == gigabyte);  // still works for its user
  const Lease again = *world.pool->acquire("a:1");
  CHECK(again.get() != held.get());
  CHECK(again->id == "a:1");
  held.reset();
  CHECK(eventually([&] { return world.used == gigabyte; }));
  CHECK(world.loads == 2);
}

TEST_CASE("memory pressure unloads idle models, not those in use") {
  World world(100);
  const Lease used = *world.pool->acquire("a:1");
  CHECK(world.pool->acquire("b:1").ok());
  CHECK(world.pool->acquire("c:1").ok());
  world.pressure = 50;
  CHECK(eventually([&] { return world.in_memory() == Names{"a:1"}; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  CHECK(world.in_memory() == Names{"a:1"});
  world.pressure = 0;
  world.pool->relieve(0);
  CHECK(world.pool->acquire("b:1").ok());
}

TEST_CASE("a lease outlives the pool") {
  std::optional<World> world(std::in_place, 10);
  Lease held = *world->pool->acquire("a:1");
  world->pool.reset();
  CHECK(held->id == "a:1");
  held.reset();
  CHECK(world->used == 0);
}

TEST_CASE("an adopted model is served and stays") {
  World world(10);
  auto model = std::make_shared<LoadedModel>();
  model->id = model->reference = "own";
  model->runner = std::make_unique<IdleRunner>();
  world.pool->adopt(model);
  CHECK(world.pool->acquire("own")->get() == model.get());
  world.pressure = 50;
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  CHECK(world.pool->peek("own"));
}

TEST_CASE("eviction score: idle for longer, cheaper to have back, larger") {
  CHECK(eviction_score(10, 1, gigabyte) > eviction_score(5, 1, gigabyte));
  CHECK(eviction_score(10, 1, gigabyte) > eviction_score(10, 5, gigabyte));
  CHECK(eviction_score(10, 1, 2 * gigabyte) > eviction_score(10, 1, gigabyte));
}

TEST_CASE("a storm of use, unloading and pressure leaves nothing behind") {
  PoolOptions options;
  options.keep_alive = Milliseconds(1);
  World world(4, options);
  std::vector<std::jthread> clients;
  std::atomic<int> served = 0, refused = 0;
  for (unsigned i = 0; i < 8; ++i)
    clients.emplace_back([&, i] {
      std::mt19937 random(i);
      for (int n = 0; n < 100; ++n) {
        const std::string name = fmt::format("m{}:{}", random() % 5, 1 + random() % 2);
        switch (random() % 8) {
          case 0:
            (void)world.pool->unload(name).ok();
            break;
          case 1:
            world.pressure = random() % 2 == 0 ? 50 : 0;
            break;
          case 2:
            world.pool->models();
            break;
          default: {
            const auto lease = world.pool->acquire(name);
            ++(lease ? served : refused);
            if (lease) std::this_thread::yield();
          }
        }
      }
    });
  clients.clear();
  CHECK(served > 400);
  CHECK(refused == 0);
  world.pressure = 0;
  CHECK(eventually([&] { return world.used == 0; }));
  for (const auto& [name, uses] : world.in_use) CHECK(uses == 0);
}

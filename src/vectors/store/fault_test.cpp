// Every call fails once and for good, disks fill up, power is lost: what was acknowledged is there,
// and of the rest a whole write or nothing.
#include <doctest/doctest.h>

#include <map>

#include "vectors/store/fake_files.h"
#include "vectors/store/test_index.h"

namespace hearth::vectors {
namespace {

constexpr std::size_t dim = 4;
const std::string folder = "store/things";
using Model = std::map<std::string, std::string>;  // id -> text

StoreOptions options_for(std::shared_ptr<FakeFiles> files) {
  StoreOptions options;
  options.files = std::move(files);
  options.indexes = plain_indexes();
  options.has_background = false;
  options.flush_bytes = 2000;
  options.max_segments = 2;
  // So that segments go from one tier to another as well.
  options.segment_bytes = 2000;
  options.hot_bytes = 3000;
  options.warm_bytes = 4000;
  return options;
}

Document document(const std::string& id, const std::string& text) {
  Document made;
  made.id = id;
  made.text = text;
  for (std::size_t i = 0; i < dim; ++i)
    made.vector.push_back(static_cast<float>((id[0] * 7 + text.size() * (i + 1)) % 31));
  made.metadata = Json::object({{"size", text.size()}});
  return made;
}

Model contents(const Collection& collection) {
  Model found;
  const auto page = collection.scroll("", 1000, nullptr, {.vector = true});
  REQUIRE(page.ok());
  for (const Document& one : page->documents) {
    CHECK(!found.contains(one.id));
    CHECK(one.vector == document(one.id, one.text).vector);
    CHECK(*one.metadata.find("size") == Json(one.text.size()));
    found[one.id] = one.text;
  }
  CHECK(collection.count(nullptr).value_or(0) == found.size());
  return found;
}

void follow(Model& model, const Batch& batch) {
  for (const std::string& id : batch.removals) model.erase(id);
  for (const Document& one : batch.upserts) model[one.id] = one.text;
}

// The n-th of a series of writes that cross several segments.
Batch batch(int n) {
  Batch made;
  for (int i = 0; i < 1 + n % 4; ++i)
    made.upserts.push_back(document(std::string(1, static_cast<char>('a' + (n * 3 + i * 5) % 11)),
                                    std::string(static_cast<std::size_t>(40 + n * 7 + i), 'x')));
  if (n % 3 == 1) made.removals = {std::string(1, static_cast<char>('a' + n % 11)), "nobody"};
  return made;
}
constexpr int writes = 16;

struct Outcome {
  Model acknowledged;
  std::vector<Model> possible;  // with one of the writes that failed since
  bool is_created = false, is_clean = true;
};

// Runs the series; failures are written down and work goes on, as a server's would.
Outcome run(const std::shared_ptr<FakeFiles>& files) {
  Outcome outcome;
  Schema schema;
  schema.dim = dim;
  auto collection = create_collection(folder, schema, options_for(files));
  outcome.is_clean = collection.ok();
  outcome.is_created = collection.ok();
  if (!collection.ok()) return outcome;
  for (int n = 0; n < writes; ++n) {
    Status written = (*collection)->write(batch(n));
    if (written.ok()) {
      follow(outcome.acknowledged, batch(n));
      outcome.possible.clear();
    } else {
      outcome.is_clean = false;
      outcome.possible.push_back(outcome.acknowledged);
      follow(outcome.possible.back(), batch(n));
    }
    if (n % 2 == 1 && !(*collection)->maintain({}).ok()) outcome.is_clean = false;
  }
  CHECK(contents(**collection) == outcome.acknowledged);
  return outcome;
}

void check_left(const std::shared_ptr<FakeFiles>& left, const Outcome& outcome) {
  auto reopened = open_collection(folder, Access::write, options_for(left));
  if (!reopened.ok()) {
    INFO(reopened.error().message());
    CHECK(!outcome.is_created);
    CHECK(reopened.error().kind() == ErrorKind::not_found);
    return;
  }
  const Model found = contents(**reopened);
  bool is_right = found == outcome.acknowledged;
  for (const Model& model : outcome.possible) is_right = is_right || found == model;
  CHECK(is_right);
  // And it goes on.
  REQUIRE(upsert(**reopened, {document("z", "after")}).ok());
  CHECK(contents(**reopened).at("z") == "after");
}

TEST_CASE("whichever call fails, what was acknowledged is there after power is lost") {
  for (const ErrorKind kind : {ErrorKind::io, ErrorKind::exhausted})
    for (const bool is_sticky : {false, true}) {
      bool is_done = false;
      for (std::size_t failing = 0; !is_done; ++failing) {
        CAPTURE(failing);
        CAPTURE(is_sticky);
        auto files = std::make_shared<FakeFiles>();
        files->failing_call = failing;
        files->is_sticky = is_sticky;
        files->failure = kind;
        const Outcome outcome = run(files);
        is_done = files->calls <= failing;
        if (is_done) CHECK(outcome.is_clean);
        check_left(files->after_kill(), outcome);
        for (unsigned seed = 0; seed < 3; ++seed) {
          CAPTURE(seed);
          check_left(files->after_power_loss(seed + static_cast<unsigned>(failing) * 3), outcome);
        }
      }
    }
}

TEST_CASE("power is lost at any call") {
  std::size_t total = 0;
  {
    auto files = std::make_shared<FakeFiles>();
    run(files);
    total = files->calls;
  }
  for (std::size_t last = 0; last < total; ++last)
    for (unsigned seed = 0; seed < 4; ++seed) {
      CAPTURE(last);
      CAPTURE(seed);
      auto files = std::make_shared<FakeFiles>();
      files->failing_call = last;
      files->is_sticky = true;
      const Outcome outcome = run(files);
      auto left = files->after_power_loss(seed * 1000 + static_cast<unsigned>(last));
      // Recovery is cut short as well, at any of its calls.
      left->failing_call = last % 23;
      left->is_sticky = true;
      (void)open_collection(folder, Access::write, options_for(left)).ok();
      check_left(left->after_power_loss(seed), outcome);
    }
}

TEST_CASE("a full disk refuses writes and takes them again when there is room") {
  auto files = std::make_shared<FakeFiles>();
  Schema schema;
  schema.dim = dim;
  auto collection = create_collection(folder, schema, options_for(files));
  REQUIRE(collection.ok());
  Model model;
  constexpr std::size_t reserved = 64 << 10;
  files->capacity = reserved + 6000;
  int refused = 0;
  for (int n = 0; n < 60; ++n) {
    if (n == 40) files->capacity = ~std::size_t{0};
    Status written = (*collection)->write(batch(n % writes));
    if (written.ok())
      follow(model, batch(n % writes));
    else
      CHECK(written.error().kind() == ErrorKind::exhausted);
    refused += !written.ok();
    if (n == 39) {  // what makes room is taken on a full disk
      const std::string id = model.begin()->first;
      REQUIRE(!upsert(**collection, {document("y", std::string(6000, 'y'))}).ok());
      REQUIRE(remove(**collection, {id}).ok());
      model.erase(id);
    }
    if (n >= 40) CHECK(written.ok());
    (void)(*collection)->maintain({}).ok();
    CHECK(contents(**collection) == model);
  }
  CHECK(refused > 0);
  check_left(files->after_power_loss(1), {model, {}, true, true});
}

TEST_CASE("a relaxed collection loses a tail of whole writes at most") {
  for (unsigned seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    auto files = std::make_shared<FakeFiles>();
    StoreOptions options = options_for(files);
    options.is_synced = false;
    Schema schema;
    schema.dim = dim;
    auto collection = create_collection(folder, schema, options);
    REQUIRE(collection.ok());
    std::vector<Model> states(1);
    for (int n = 0; n < 9; ++n) {
      REQUIRE((*collection)->write(batch(n)).ok());
      states.push_back(states.back());
      follow(states.back(), batch(n));
      if (n == 4) REQUIRE((*collection)->maintain({}).ok());
    }
    auto left = files->after_power_loss(seed);
    auto reopened = open_collection(folder, Access::write, options_for(left));
    REQUIRE(reopened.ok());
    const Model found = contents(**reopened);
    CHECK(std::find(states.begin(), states.end(), found) != states.end());
  }
}

}  // namespace
}  // namespace hearth::vectors

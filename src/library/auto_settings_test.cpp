// What machines are given, held to tests/golden/library/machines.txt.  With HEARTH_UPDATE=1 in the
// environment the file is rewritten; the difference is reviewed like code.
#include "library/auto_settings.h"

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cstdlib>

#include "base/bytes.h"
#include "base/files.h"
#include "hardware/fake_machine.h"

using namespace hearth;

namespace {

constexpr std::uint64_t gibibyte = 1ull << 30;
constexpr std::string_view workloads[] = {"balanced", "throughput", "latency", "efficient"};

struct Row {
  std::string name;
  hardware::MachineShape shape;
  double measured = 0;  // bytes per second; 0: nothing was
};

std::vector<Row> machines() {
  using Shape = hardware::MachineShape;
  return {
      {"Raspberry Pi 4, 2 GB", Shape{.cores = 4, .memory_bytes = 2 * gibibyte}},
      {"Raspberry Pi 5, 8 GB", Shape{.cores = 4, .memory_bytes = 8 * gibibyte}, 9e9},
      {"laptop, 4 GB", Shape{.cores = 2, .threads_per_core = 2, .memory_bytes = 4 * gibibyte}},
      {"laptop, 8 GB", Shape{.cores = 4, .threads_per_core = 2, .memory_bytes = 8 * gibibyte}},
      {"laptop, 16 GB, two kinds of cores", Shape{.cores = 4,
                                                  .threads_per_core = 2,
                                                  .efficiency_cores = 8,
                                                  .memory_bytes = 16 * gibibyte}},
      {"laptop, 32 GB, measured",
       Shape{.cores = 8, .threads_per_core = 2, .memory_bytes = 32 * gibibyte}, 60e9},
      {"workstation, 64 GB",
       Shape{.cores = 16, .threads_per_core = 2, .memory_bytes = 64 * gibibyte}},
      {"workstation, 128 GB, measured",
       Shape{.cores = 32, .threads_per_core = 2, .memory_bytes = 128 * gibibyte}, 160e9},
      {"server, two sockets, 512 GB",
       Shape{.sockets = 2, .cores = 32, .threads_per_core = 2, .memory_bytes = 512 * gibibyte}},
      {"container, 6 GB and 3 cores of a server", Shape{.sockets = 2,
                                                        .cores = 32,
                                                        .memory_bytes = 512 * gibibyte,
                                                        .limit_bytes = 6 * gibibyte,
                                                        .quota_cores = 3}},
  };
}

Machine machine_of(const Row& row) {
  const hardware::FakeMachine files;
  hardware::put_machine(files, row.shape);
  Machine machine = read_machine({}, files.root());
  if (row.measured > 0) {
    MachineSpeeds speeds;
    const int cores = row.shape.cores;
    speeds.memory = {
        {1, row.measured / 3}, {cores / 2, 0.95 * row.measured}, {cores, row.measured}};
    machine.speeds = speeds;
  }
  return machine;
}

Json value_of(const std::vector<AutoChoice>& choices, std::string_view key) {
  for (const AutoChoice& choice : choices)
    if (choice.key == key) return choice.value;
  return {};
}

}  // namespace

TEST_CASE("a table of machines against what is chosen for them") {
  const auto catalog = load_catalog({});
  REQUIRE(catalog);
  std::string page;
  for (const Row& row : machines()) {
    const Machine machine = machine_of(row);
    page += fmt::format("== {} ==\n", row.name);
    for (const AutoChoice& choice : choose_settings(machine, *catalog, Workload::balanced))
      page += fmt::format("{} = {}\n    {}\n", choice.key, write_json(choice.value), choice.reason);
    for (const std::string_view name : workloads) {
      if (name == "balanced") continue;
      page += fmt::format("-- {} --\n", name);
      for (const AutoChoice& choice : choose_settings(machine, *catalog, *workload_named(name)))
        page += fmt::format("{} = {}\n", choice.key, write_json(choice.value));
    }
  }
  const std::string path = "tests/golden/library/machines.txt";
  if (std::getenv("HEARTH_UPDATE")) REQUIRE(replace_file(path, bytes_of(page)).ok());
  const auto golden = read_file(path, 1u << 20);
  REQUIRE(golden);
  CHECK(page == *golden);
}

TEST_CASE("what is chosen stays within the machine, and grows with it") {
  const auto catalog = load_catalog({});
  REQUIRE(catalog);
  for (const std::string_view name : workloads) {
    std::int64_t smaller = 0;
    for (const std::uint64_t gigabytes : {1, 4, 16, 1024}) {
      CAPTURE(gigabytes);
      for (const int cores : {1, 3, 12}) {
        const Machine machine =
            machine_of({"", {.cores = cores, .memory_bytes = gigabytes * gibibyte}});
        const auto choices = choose_settings(machine, *catalog, *workload_named(name));
        const auto threads = value_of(choices, "runtime.threads").as_integer();
        CHECK(threads >= 1);
        CHECK(threads <= cores);
        const auto memory = value_of(choices, "models.memory_mb").as_integer();
        CHECK(static_cast<std::uint64_t>(memory) < gigabytes * 1024);
        CHECK(memory >= smaller);
        smaller = memory;
        CHECK(value_of(choices, "runtime.step_tokens").as_integer() >= 16);
        for (const AutoChoice& choice : choices) CHECK(!choice.reason.empty());
      }
    }
  }
}

TEST_CASE("a machine that tells nothing is given something") {
  const auto choices = choose_settings({}, {}, Workload::balanced);
  CHECK(value_of(choices, "runtime.threads") == Json(1));
  CHECK(value_of(choices, "models.preferred") == Json(""));
  CHECK(!workload_named("fast"));
}

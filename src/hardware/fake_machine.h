// For tests: a machine made of files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hearth::hardware {

// A folder with proc/ and sys/, gone at the end of the test.
class FakeMachine {
 public:
  FakeMachine();
  ~FakeMachine();
  FakeMachine(const FakeMachine&) = delete;
  FakeMachine& operator=(const FakeMachine&) = delete;
  void put(const std::string& path, std::string_view text) const;
  const std::string& root() const { return root_; }

 private:
  std::string root_;
};

// Cores, memory and groups of a whole machine.
struct MachineShape {
  std::string brand = "Some CPU";
  int sockets = 1;
  int cores = 4;  // physical, of each socket
  int threads_per_core = 1;
  int efficiency_cores = 0;  // beside them, of the one socket
  std::uint64_t memory_bytes = 16ull << 30;
  std::uint64_t limit_bytes = 0;  // of the control group
  double quota_cores = 0;
};
void put_machine(const FakeMachine& machine, const MachineShape& shape);

}  // namespace hearth::hardware

// The processor: what it is and how much of it this process may use.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hearth::hardware {

struct Cache {
  int level = 0;
  std::string type;  // "Data", "Instruction", "Unified"
  std::uint64_t bytes = 0;
};

struct Cpu {
  std::string brand;       // "Intel(R) Xeon(R) Processor @ 2.50GHz"
  int logical_cores = 0;   // of the machine
  int physical_cores = 0;  // of the machine
  int usable_cores = 0;    // physical ones this process may run on, within its affinity and quota
  int performance_cores = 0, efficiency_cores = 0;  // physical; 0: all cores are of one kind
  int sockets = 1, numa_nodes = 1;
  std::vector<Cache> caches;          // of the first core
  std::vector<std::string> features;  // instruction sets that matter to the kernels: "avx2", ...
};

// `root`: the folder that holds proc/ and sys/; "/" is this machine, tests make others.
// Only "/" asks the system about affinity.  What cannot be read keeps its default.
Cpu read_cpu(const std::string& root = "/");

// Threads worth computing with: usable_cores, at least 1.
int usable_cores();

}  // namespace hearth::hardware

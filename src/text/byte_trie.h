// ByteTrie: byte strings to numbers, walked byte by byte.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace hearth {

class ByteTrie {
 public:
  using Node = std::uint32_t;
  static constexpr Node none = 0, root = 1;
  static constexpr std::size_t max_nodes = 1u << 24;

  ByteTrie();
  // The first value of equal keys stays.  False when there would be too many nodes.
  bool insert(std::string_view key, std::int32_t value);

  Node child(Node node, unsigned char byte) const {
    if (node == root) return first_[byte];
    const std::uint32_t key = node << 8 | byte;
    const Edge* const edges = edges_.data();
    for (std::size_t i = slot_of(key);; i = (i + 1) & mask_) {
      if (edges[i].key == key) return edges[i].child;
      if (edges[i].key == 0) return none;
    }
  }
  std::int32_t value(Node node) const { return values_.data()[node]; }  // -1: no key ends here

 private:
  struct Edge {
    std::uint32_t key;  // node << 8 | byte; 0: free
    Node child;
  };
  std::size_t slot_of(std::uint32_t key) const { return (key * 0x9E3779B97F4A7C15u >> 32) & mask_; }
  void grow();

  Node first_[256] = {};     // children of the root
  std::vector<Edge> edges_;  // of the others, open addressing
  std::vector<std::int32_t> values_;
  std::size_t mask_ = 0, used_ = 0;
};

}  // namespace hearth

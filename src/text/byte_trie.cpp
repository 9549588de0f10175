#include "text/byte_trie.h"

namespace hearth {

ByteTrie::ByteTrie() : edges_(64, {0, none}), values_(2, -1), mask_(63) {}

void ByteTrie::grow() {
  std::vector<Edge> old(edges_.size() * 2, {0, none});
  old.swap(edges_);
  mask_ = edges_.size() - 1;
  for (const Edge& edge : old) {
    if (edge.key == 0) continue;
    std::size_t i = slot_of(edge.key);
    while (edges_[i].key != 0) i = (i + 1) & mask_;
    edges_[i] = edge;
  }
}

bool ByteTrie::insert(std::string_view key, std::int32_t value) {
  Node node = root;
  for (const char c : key) {
    const auto byte = static_cast<unsigned char>(c);
    Node next = child(node, byte);
    if (next == none) {
      if (values_.size() == max_nodes) return false;
      next = static_cast<Node>(values_.size());
      values_.push_back(-1);
      if (node == root) {
        first_[byte] = next;
      } else {
        if (++used_ * 2 > edges_.size()) grow();
        std::size_t i = slot_of(node << 8 | byte);
        while (edges_[i].key != 0) i = (i + 1) & mask_;
        edges_[i] = {node << 8 | byte, next};
      }
    }
    node = next;
  }
  if (values_[node] < 0) values_[node] = value;
  return true;
}

}  // namespace hearth

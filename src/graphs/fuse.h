// Fusion: several nodes become one that computes the same while its operands are in the cache.
#pragma once

#include <span>

#include "graphs/graph.h"

namespace hearth::graphs {

// Convolutions and products with what follows them, attention, layer normalisation, x * sigmoid(x).
// constants: by value id, nothing where a value is not known.
void fuse(Graph& graph, std::span<const Value> constants);

// Transpositions meet their inverse behind what treats all elements alike.
void move_transposes(Graph& graph, std::span<const Value> constants);
// Products of quantised numbers in whole numbers.  Weights still stand behind their
// DequantizeLinear.
void fuse_quantised(Graph& graph, std::span<const Value> constants);

// How often each value is read; those that the graph gives out count twice as read more than once.
std::vector<std::size_t> uses_of(const Graph& graph);
void drop_unread(Graph& graph);

}  // namespace hearth::graphs

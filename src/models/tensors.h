// Tensors: which stored tensor serves a row of an architecture, and whether its shape is right.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "models/arch_spec.h"

namespace hearth::models {

// Where the trunk of a model may hang in a Hugging Face file, the usual place first.
std::span<const std::string_view> known_prefixes();

// Looks tensors up under the names of one package.  Points into all three.
class TensorFinder {
 public:
  TensorFinder(const Package& package, const ArchSpec& spec, const Hyper& hyper);
  // For a package that is still to be filled.
  TensorFinder(const Package& package, const ArchSpec& spec, const Hyper& hyper,
               std::string prefix);

  struct Place {
    std::size_t layer = 0, expert = 0;
  };
  enum class Part { weight, bias, blocks, scales };

  // The row's name under this naming is empty: it is stored otherwise, or not at all.
  std::string_view pattern(const TensorRow& row) const;
  // One tensor for each matrix of a stack: as this naming usually has it, and as the file does.
  bool by_expert(const TensorRow& row) const;
  bool held_by_expert(const TensorRow& row, std::size_t layer) const;
  std::size_t stack(const TensorRow& row) const;  // how many matrices a role of several has

  std::string name(const TensorRow& row, Place place, Part part) const;
  const TensorEntry* find(const TensorRow& row, Place place, Part part) const;

  // Whether a layer has this part at all: dense layers have no experts.
  bool needed(const TensorRow& row, std::size_t layer) const;
  std::uint64_t extent(Extent extent, std::size_t layer) const;
  // The shape of the weight, outermost first; 0 stands for any size.  With `stacked` the matrices
  // of a stack come first.
  std::vector<std::uint64_t> shape(const TensorRow& row, std::size_t layer, bool stacked) const;

  const Package& package() const { return package_; }
  const ArchSpec& spec() const { return spec_; }
  const Hyper& hyper() const { return hyper_; }

 private:
  std::vector<std::string> names(const TensorRow& row, Place place, Part part) const;

  const Package& package_;
  const ArchSpec& spec_;
  const Hyper& hyper_;
  std::string prefix_;  // of Hugging Face names
};

std::string text_of_shape(std::span<const std::uint64_t> shape);  // "[4, 32]"

// Errors: corrupt (the name, the shape held and the shape needed).  Elements: in any shape.
Status check_elements(const TensorEntry& entry, std::span<const std::uint64_t> needed);
Status check_shape(const TensorEntry& entry, std::span<const std::uint64_t> needed);

}  // namespace hearth::models

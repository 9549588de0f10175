// What the parts of a translation share.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "adapt/translate.h"
#include "models/architectures.h"
#include "models/tensors.h"

namespace hearth::adapt {

// The model that is translated.  Tensors of the translation hold on to it.
struct Origin {
  Package package;
  const models::ArchSpec& spec;
  models::Hyper hyper;
  models::TensorFinder finder;

  Origin(const Package& from, const models::ArchSpec& architecture, models::Hyper numbers)
      : package(from),
        spec(architecture),
        hyper(std::move(numbers)),
        finder(package, spec, hyper) {}
  Origin(const Origin&) = delete;

  bool is_gguf() const { return package.naming == Naming::gguf; }
};
using SharedOrigin = std::shared_ptr<const Origin>;

// One that is computed when it is written.
inline TensorEntry made_tensor(std::string name, Dtype dtype, std::vector<std::uint64_t> shape,
                               std::function<Result<std::vector<std::byte>>()> make) {
  return {.name = std::move(name),
          .dtype = dtype,
          .shape = std::move(shape),
          .data = {},
          .make = std::move(make)};
}

// The tensors under the names of `to`.  `used`: those of the origin that went into them.
// Errors: corrupt (a tensor is missing), unsupported.
Result<std::vector<TensorEntry>> translate_tensors(const SharedOrigin& origin,
                                                   const models::TensorFinder& to,
                                                   std::set<std::string>& used,
                                                   std::vector<std::string>& losses);

// Fills in metadata, or config.json and the files beside it; the tensors are there already.
Status write_metadata(const Origin& origin, Package& out, std::vector<std::string>& losses);
Status write_config(const Origin& origin, Package& out, std::vector<std::string>& losses);
// The tokenizer and the chat template.
Status write_gguf_tokenizer(const Package& from, Package& out, std::uint64_t vocabulary,
                            std::vector<std::string>& losses);
Status write_folder_tokenizer(const Package& from, Package& out, std::vector<std::string>& losses);

// How JSON files are written: as the programs that these formats come from do.
constexpr JsonStyle pretty{.indent = 2, .key_separator = ": "};

// The vision tower of a folder as a GGUF file of its own, which the package keeps.  language_dim:
// of the model that reads its rows.  nullptr: it has none, or, with a loss, none that can be
// written.
std::shared_ptr<const Package> translate_tower(const Package& package, std::uint32_t language_dim,
                                               std::set<std::string>& used,
                                               std::vector<std::string>& losses);

// The other way: the tower of the GGUF model that is translated becomes part of the folder, whose
// language model is there already.  One that cannot is a loss.
bool takes_tower(const Origin& origin);
void add_tower_folder(const Origin& origin, Package& made, std::vector<std::string>& losses);

// T5, whose parts are no rows of an architecture.
Result<Translated> translate_t5(const Package& package, Naming naming);

// general.file_type of GGUF: that of most weights.
std::uint32_t file_type(const Package& package);
// Adds a loss for the tensors of the package that went into nothing.
void tell_unused(const Package& package, const std::set<std::string>& used,
                 std::vector<std::string>& losses);

// A text file that the package keeps.
void add_file(Package& package, std::string name, std::string bytes);

// What differs between the numbers of two models that ought to be one.
std::vector<std::string> differences(const models::Hyper& before, const models::Hyper& after);

}  // namespace hearth::adapt

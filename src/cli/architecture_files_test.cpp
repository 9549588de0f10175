#include "cli/architecture_files.h"

#include <doctest/doctest.h>

#include "config/temp_folder.h"
#include "models/user_spec.h"

using namespace hearth;

TEST_CASE("files of a folder become architectures; those that are wrong are named") {
  const TempFolder folder;
  folder.put("acme.toml", "name = 'acme'\nbase = 'llama'\n[tensors.q]\nhf = 'layers.{}.wq'\n");
  folder.put("two.json", R"({"name": "two", "base": "qwen3", "defaults": {"tied": true}})");
  folder.put("notes.txt", "name = 'nothing'");
  folder.put("wrong.toml", "name = 'wrong'\nbase = 'llama'\nnorm = 'batch'\n");
  folder.put("broken.toml", "name = ");
  const auto errors = cli::read_architectures(folder.path());
  forget_added_architectures();
  REQUIRE(errors.size() == 2);
  CHECK(errors[0].message().find("broken.toml") != std::string::npos);
  CHECK(errors[1].message().find("wrong.toml") != std::string::npos);
  CHECK(errors[1].message().find("one of rms, layer") != std::string::npos);
  CHECK(cli::read_architectures(join_path(folder.path(), "absent")).empty());
}

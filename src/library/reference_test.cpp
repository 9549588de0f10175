#include "library/reference.h"

#include <doctest/doctest.h>

#include "library/hub.h"
#include "library/local_models.h"
#include "library/retry.h"
#include "library/store.h"

namespace hearth {
namespace {

using Kind = Reference::Kind;

TEST_CASE("references of every kind are told apart and written back in one way") {
  const struct {
    const char* text;
    Kind kind;
    const char* written;
  } rows[] = {
      {"builtin", Kind::builtin, "builtin"},
      {"builtin-embed", Kind::builtin, "builtin-embed"},
      {"/models/a.gguf", Kind::path, "/models/a.gguf"},
      {"./a", Kind::path, "./a"},
      {"a.gguf", Kind::path, "a.gguf"},
      {"file:///models/a.gguf", Kind::path, "/models/a.gguf"},
      {"qwen3", Kind::name, "qwen3"},
      {"qwen3:0.6b", Kind::name, "qwen3:0.6b"},
      {"lmstudio/community/model", Kind::name, "lmstudio/community/model"},
      {"hf:Qwen/Qwen3-0.6B-GGUF", Kind::hub, "hf:Qwen/Qwen3-0.6B-GGUF"},
      {"hf:Qwen/Qwen3-0.6B-GGUF:Q8_0", Kind::hub, "hf:Qwen/Qwen3-0.6B-GGUF:Q8_0"},
      {"hf:o/r@v1.0:sub/m.gguf", Kind::hub, "hf:o/r@v1.0:sub/m.gguf"},
      {"hf:o/r@main", Kind::hub, "hf:o/r"},
      {"hf.co/o/r:Q4_0", Kind::hub, "hf:o/r:Q4_0"},
      {"https://huggingface.co/o/r", Kind::hub, "hf:o/r"},
      {"https://huggingface.co/o/r/tree/main", Kind::hub, "hf:o/r"},
      {"https://huggingface.co/o/r/resolve/main/m.gguf?download=true", Kind::hub, "hf:o/r:m.gguf"},
      {"https://huggingface.co/o/r/blob/v2/a/m.gguf", Kind::hub, "hf:o/r@v2:a/m.gguf"},
      {"ollama:qwen3", Kind::ollama, "ollama:qwen3:latest"},
      {"ollama:library/qwen3:4b", Kind::ollama, "ollama:qwen3:4b"},
      {"ollama:someone/model:v1", Kind::ollama, "ollama:someone/model:v1"},
      {"https://ollama.com/library/qwen3:4b", Kind::ollama, "ollama:qwen3:4b"},
      {"https://host.example/a/m.gguf", Kind::url, "https://host.example/a/m.gguf"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    const auto reference = parse_reference(row.text);
    REQUIRE(reference);
    CHECK(reference->kind == row.kind);
    CHECK(reference->text() == row.written);
    if (row.kind == Kind::path) continue;
    const auto again = parse_reference(reference->text());
    REQUIRE(again);
    CHECK(again->text() == row.written);
  }
}

TEST_CASE("a reference that makes no sense is refused, and the message says what would") {
  const struct {
    const char *text, *says;
  } rows[] = {
      {"", "empty"},
      {"hf:model", "needs hf:org/repo"},
      {"hf:a/b/c", "needs hf:org/repo"},
      {"hf:../b", "needs hf:org/repo"},
      {"hf:a/..", "needs hf:org/repo"},
      {"hf:a/b:", "after the colon"},
      {"hf:a/b:../../etc/passwd", "after the colon"},
      {"hf:a/b@", "after the @"},
      {"ollama:", "needs ollama:name"},
      {"ollama:a:b/c", "needs ollama:name"},
      {"hg:Qwen/Qwen3", "did you mean hf:Qwen/Qwen3?"},
      {"olama:someone/x", "did you mean ollama:someone/x?"},
      {"ftp://host/a.gguf", "only http"},
      {"https://", "no host"},
      {"https://name:word@host/a.gguf", "passwords"},
      {"https://host/a b.gguf", "white space"},
      {"https://host\\@evil/a.gguf", "white space"},
      {"https://huggingface.co/o/r/wrong/x", "address of a model"},
      {"name with spaces", "not a model's name"},
      {"-rf", "not a model's name"},
      {"a:b:c", "not a model's name"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    const auto reference = parse_reference(row.text);
    REQUIRE(!reference);
    CHECK(reference.error().kind() == ErrorKind::invalid);
    CHECK(reference.error().message().find(row.says) != std::string::npos);
  }
}

TEST_CASE("quantisations and parts are read from file names") {
  const struct {
    const char *file, *label, *stem;
    int part, parts;
  } rows[] = {
      {"Qwen3-8B-Q4_K_M.gguf", "Q4_K_M", "Qwen3-8B-Q4_K_M", 1, 1},
      {"qwen2.5-7b-instruct-q4_k_m-00002-of-00003.gguf", "Q4_K_M", "qwen2.5-7b-instruct-q4_k_m", 2,
       3},
      {"nomic-embed-text-v1.5.Q8_0.gguf", "Q8_0", "nomic-embed-text-v1.5.Q8_0", 1, 1},
      {"gpt-oss-20b-mxfp4.gguf", "MXFP4", "gpt-oss-20b-mxfp4", 1, 1},
      {"model-UD-Q4_K_XL.gguf", "UD-Q4_K_XL", "model-UD-Q4_K_XL", 1, 1},
      {"sub/model-IQ2_XXS.gguf", "IQ2_XXS", "model-IQ2_XXS", 1, 1},
      {"tinyllama_Q5_1.gguf", "Q5_1", "tinyllama_Q5_1", 1, 1},
      {"Phi-3-mini-4k-instruct-q4.gguf", "Q4", "Phi-3-mini-4k-instruct-q4", 1, 1},
      {"model-f16.gguf", "F16", "model-f16", 1, 1},
      {"Qwen3-8B.gguf", "", "Qwen3-8B", 1, 1},
      {"model.gguf", "", "model", 1, 1},
  };
  for (const auto& row : rows) {
    CAPTURE(row.file);
    CHECK(quantisation_label(row.file) == row.label);
    CHECK(model_stem(row.file) == row.stem);
    CHECK(split_place(row.file).part == row.part);
    CHECK(split_place(row.file).parts == row.parts);
  }
  CHECK(quantisation_rank("Q4_K_M") < quantisation_rank("Q8_0"));
  CHECK(quantisation_rank("F32") < quantisation_rank("Q2_K"));
}

TEST_CASE("names of folders and files cannot leave the store") {
  CHECK(store_name("hf:org/repo:Q8_0") == "hf--org--repo--Q8_0");
  CHECK(store_name("https://host:8080/a/../b.gguf?x=1") == "url--host--8080--a--..--b.gguf_x_1");
  for (const char* safe : {"a", "a/b.gguf", "1_Pooling/config.json"}) CHECK(is_safe_path(safe));
  for (const char* unsafe :
       {"", "/a", "a//b", "../a", "a/..", "a/../b", ".state/x", "a\\b", "a\nb"})
    CHECK(!is_safe_path(unsafe));
}

TEST_CASE("Retry-After: seconds, dates, nonsense") {
  constexpr std::int64_t now = 784111777;  // Sun, 06 Nov 1994 08:49:37 GMT
  CHECK(retry_after_seconds("3", now) == 3);
  CHECK(retry_after_seconds("Sun, 06 Nov 1994 08:49:47 GMT", now) == 10);
  CHECK(retry_after_seconds("Sun, 06 Nov 1994 08:00:00 GMT", now) == 0);
  for (const char* nonsense : {"", "-5", "soon", "nan", "1e999"})
    CHECK(retry_after_seconds(nonsense, now) == 0);
}

}  // namespace
}  // namespace hearth

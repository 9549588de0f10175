// How fast texts become ids, one thread: tokenizer_bench [TEXT-FILE [NAME]].  Columns: vocabulary,
// MB per second of processor time in the best of five runs, ids, milliseconds to load.
#include <time.h>

#include <algorithm>
#include <cstdio>

#include "text/test_data.h"

using namespace hearth;

namespace {

// Of this thread alone: other work on the machine does not count.
double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

std::string only;  // the one vocabulary to measure; "": all

template <typename Make>
void measure(const char* name, const std::string& text, const Make& make) {
  if (!only.empty() && only != name) return;
  const double begin = processor_seconds();
  const Result<std::unique_ptr<Tokenizer>> tokenizer = make();
  const double load = processor_seconds() - begin;
  if (!tokenizer) {
    std::printf("%-16s %s\n", name, tokenizer.error().message().c_str());
    return;
  }
  double best = 1e9;
  std::size_t ids = 0;
  for (int run = 0; run < 5; ++run) {
    const double start = processor_seconds();
    const auto encoded = (*tokenizer)->encode(text, {});
    best = std::min(best, processor_seconds() - start);
    ids = encoded ? encoded->size() : 0;
  }
  std::printf("%-16s %8.1f MB/s %9zu ids %8.1f ms\n", name,
              static_cast<double>(text.size()) / 1e6 / best, ids, load * 1e3);
  std::fflush(stdout);
}

void measure_gguf(const char* name, const std::string& text) {
  const std::string path =
      test::data_file("conformance/tokenizer/gguf/ggml-vocab-" + std::string(name) + ".gguf");
  test::GgufFile file;
  if (path.empty() || !test::read_gguf(path, file)) return;
  measure(name, text, [&] { return make_tokenizer(file.vocabulary); });
}

}  // namespace

int main(int count, char** arguments) {
  const std::string path = count > 1 ? std::string(arguments[1])
                                     : test::data_file("conformance/corpora/war-and-peace.txt");
  if (count > 2) only = arguments[2];
  const std::string text = test::read_all(path);
  if (text.empty()) return 0;
  const auto read = [](const std::string& name) {
    const std::string found = test::data_file("conformance/tokenizer/" + name);
    return found.empty() ? std::string() : test::read_all(found);
  };
  const std::string vocab = read("qwen2/vocab.json"), merges = read("qwen2/merges.txt");
  measure("qwen2", text, [&] {
    return make_tokenizer(
        TokenizerFiles{.vocab_json = vocab,
                       .merges_txt = merges,
                       .tokenizer_config = Json::object({{"tokenizer_class", "Qwen2Tokenizer"}})});
  });
  const std::string ranks = read("gpt-4o/o200k_base.tiktoken");
  measure("o200k", text, [&] { return make_tokenizer(TokenizerFiles{.tiktoken = ranks}); });
  for (const char* const name :
       {"gpt-2", "starcoder", "deepseek-coder", "falcon", "llama-spm", "phi-3", "bert-bge"})
    measure_gguf(name, text);
  for (const char* const name : {"test_model", "test_ja_model"}) {
    const std::string model = read("sentencepiece/" + std::string(name) + ".model");
    measure(name, text,
            [&] { return make_tokenizer(TokenizerFiles{.sentencepiece_model = model}); });
  }
  return 0;
}

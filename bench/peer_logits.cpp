// peer_logits MODEL TOKENS OUT: what src/models/logits_bench.cpp writes, by llama.cpp or a fork of
// it. Not part of the build.  With a peer built in PEER/build with static libraries:
//   g++ -O1 -fopenmp -I PEER/include -I PEER/ggml/include bench/peer_logits.cpp
//   PEER/build/src/libllama.a
//       PEER/build/ggml/src/libggml.a PEER/build/ggml/src/libggml-cpu.a
//       PEER/build/ggml/src/libggml-base.a -ldl -lpthread -o peer_logits
#include <cstdio>
#include <vector>

#include "llama.h"

int main(int argc, char** argv) {
  if (argc != 4) return 1;
  std::vector<llama_token> tokens;
  std::FILE* in = std::fopen(argv[2], "rb");
  for (llama_token token; in && std::fread(&token, sizeof token, 1, in) == 1;)
    tokens.push_back(token);
  llama_backend_init();
  llama_model* model = llama_model_load_from_file(argv[1], llama_model_default_params());
  if (!model || tokens.empty()) return 1;
  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<unsigned>(tokens.size()) + 64;
  params.n_threads = params.n_threads_batch = 1;
#ifdef PEER_UNFUSED  // ik_llama.cpp: its fused product stops at an assertion on odd widths
  params.fused_up_gate = false;
#endif
  llama_context* context = llama_init_from_model(model, params);
  const int vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model));
  std::FILE* out = std::fopen(argv[3], "wb");
  constexpr std::size_t chunk = 128;
  llama_batch batch = llama_batch_init(chunk, 0, 1);
  for (std::size_t first = 0; first < tokens.size(); first += chunk) {
    batch.n_tokens = 0;
    for (std::size_t i = first; i < tokens.size() && i < first + chunk; ++i) {
      const int row = batch.n_tokens++;
      batch.token[row] = tokens[i];
      batch.pos[row] = static_cast<int>(i);
      batch.n_seq_id[row] = 1;
      batch.seq_id[row][0] = 0;
      batch.logits[row] = 1;
    }
    if (llama_decode(context, batch) != 0) return 1;
    for (int row = 0; row < batch.n_tokens; ++row)
      std::fwrite(llama_get_logits_ith(context, row), sizeof(float),
                  static_cast<std::size_t>(vocabulary), out);
  }
  std::fclose(out);
  return 0;
}

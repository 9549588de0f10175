/* A stand-in for libllama.so, for the test of its adapter alone: the functions of llama.cpp's
 * public header that the adapter calls, in front of a "model" whose next token is a sum over what
 * it has read.  It is no part of llama.cpp. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef int32_t llama_token;
struct llama_model_params {
  void* devices;
  int32_t n_gpu_layers;
  char more[60];
};
struct llama_context_params {
  uint32_t n_ctx, n_batch;
  char more[112];
};
typedef struct llama_batch {
  int32_t n_tokens;
  llama_token* token;
  float* embd;
  int32_t* pos;
  int32_t* n_seq_id;
  int32_t** seq_id;
  int8_t* logits;
} llama_batch;

enum { vocabulary = 512 };
struct llama_model {
  int loaded;
};
struct llama_context {
  uint32_t room, most;
  uint32_t count;
  llama_token* tokens;
  float logits[vocabulary];
};

void llama_backend_init(void) {}
void llama_log_set(void (*log)(int, const char*, void*), void* data) {
  (void)log;
  (void)data;
}
struct llama_model_params llama_model_default_params(void) {
  struct llama_model_params params;
  memset(&params, 0, sizeof params);
  params.n_gpu_layers = 77;
  return params;
}
struct llama_context_params llama_context_default_params(void) {
  struct llama_context_params params;
  memset(&params, 0, sizeof params);
  params.n_ctx = 1;
  memset(params.more, 9, sizeof params.more);
  return params;
}
struct llama_model* llama_model_load_from_file(const char* path, struct llama_model_params params) {
  if (path == NULL || params.n_gpu_layers != 77) return NULL; /* it must come back as it was made */
  struct llama_model* model = malloc(sizeof *model);
  model->loaded = 1;
  return model;
}
struct llama_context* llama_init_from_model(struct llama_model* model,
                                            struct llama_context_params params) {
  if (model == NULL || params.more[111] != 9) return NULL;
  struct llama_context* context = calloc(1, sizeof *context);
  context->room = params.n_ctx;
  context->most = params.n_batch;
  context->tokens = calloc(params.n_ctx, sizeof *context->tokens);
  return context;
}
void llama_model_free(struct llama_model* model) { free(model); }
void llama_free(struct llama_context* context) {
  free(context->tokens);
  free(context);
}
const void* llama_model_get_vocab(const struct llama_model* model) { return model; }
int32_t llama_vocab_n_tokens(const void* vocab) { return vocab == NULL ? 0 : vocabulary; }
int32_t llama_model_n_ctx_train(const struct llama_model* model) { return model == NULL ? 0 : 128; }
llama_batch llama_batch_get_one(llama_token* tokens, int32_t count) {
  llama_batch batch;
  memset(&batch, 0, sizeof batch);
  batch.n_tokens = count;
  batch.token = tokens;
  return batch;
}
int32_t llama_decode(struct llama_context* context, llama_batch batch) {
  if ((uint32_t)batch.n_tokens > context->most) return -1;
  if (context->count + (uint32_t)batch.n_tokens > context->room) return 1;
  for (int32_t i = 0; i < batch.n_tokens; ++i) context->tokens[context->count++] = batch.token[i];
  uint32_t sum = 0;
  for (uint32_t i = 0; i < context->count; ++i) sum = sum * 31 + (uint32_t)context->tokens[i] + 7;
  for (uint32_t i = 0; i < vocabulary; ++i)
    context->logits[i] = i == sum % vocabulary ? 10.0f : 0.0f;
  return 0;
}
float* llama_get_logits_ith(struct llama_context* context, int32_t i) {
  return i == -1 ? context->logits : NULL;
}
void* llama_get_memory(const struct llama_context* context) { return (void*)context; }
bool llama_memory_seq_rm(void* memory, int32_t sequence, int32_t first, int32_t end) {
  struct llama_context* context = memory;
  if (sequence != 0 || end != -1) return false;
  context->count = (uint32_t)first;
  return true;
}
void llama_memory_clear(void* memory, bool data) {
  (void)data;
  ((struct llama_context*)memory)->count = 0;
}
void llama_set_n_threads(struct llama_context* context, int32_t one, int32_t many) {
  (void)context;
  (void)one;
  (void)many;
}

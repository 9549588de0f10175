/* Hearth: run local models from C.  The promise to strangers: everything here keeps working.
 *
 * Every function that can fail returns a hearth_status and fills `error` when it is not NULL.
 * Option structs carry their own size, so that later versions can add fields at the end:
 * initialise them with their ..._INIT macro.  Handles may be used from several threads at once;
 * closing one must be the last use of it.  Text is UTF-8.
 */
#ifndef HEARTH_HEARTH_H
#define HEARTH_HEARTH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define HEARTH_API __attribute__((visibility("default")))
#else
#define HEARTH_API
#endif

typedef enum hearth_status {
  HEARTH_OK = 0,
  HEARTH_INVALID = 1,      /* an argument makes no sense */
  HEARTH_NOT_FOUND = 2,    /* no such model or file */
  HEARTH_UNSUPPORTED = 3,  /* well formed, but not something Hearth does */
  HEARTH_CORRUPT = 4,      /* a file breaks its own format */
  HEARTH_TOO_LONG = 5,     /* the prompt does not fit the context */
  HEARTH_EXHAUSTED = 6,    /* memory or another limit */
  HEARTH_UNAVAILABLE = 7,  /* not now */
  HEARTH_IO = 8,           /* the operating system said no */
  HEARTH_CANCELLED = 9,    /* the callback asked to stop */
  HEARTH_SMALL_BUFFER = 10 /* the result does not fit; the size it needs is reported */
} hearth_status;

typedef struct hearth_error {
  hearth_status status;
  char message[512]; /* ends with 0 */
} hearth_error;

typedef struct hearth_runtime hearth_runtime; /* the compute threads and the models in memory */
typedef struct hearth_model hearth_model;     /* a model in use */

typedef struct hearth_runtime_options {
  size_t size;
  int32_t threads;         /* 0: one per physical core */
  const char* kernels;     /* NULL: the best that runs here */
  uint32_t context_tokens; /* 0: the model's own, as far as memory allows */
} hearth_runtime_options;
#define HEARTH_RUNTIME_OPTIONS_INIT {sizeof(hearth_runtime_options), 0, NULL, 0}

typedef struct hearth_generate_options {
  size_t size;
  int64_t max_tokens;      /* -1: until the model ends or the context is full */
  float temperature;       /* negative: the model's own recommendation; 0: greedy */
  float top_p;             /* negative: the model's own; 1: off */
  int32_t top_k;           /* negative: the model's own; 0: off */
  float min_p;             /* negative: the model's own; 0: off */
  uint64_t seed;           /* the same request and seed give the same text */
  const char* const* stop; /* strings that end the text; NULL: none */
  size_t stop_count;
  int32_t deterministic; /* not 0: bit for bit, whatever else runs */
  /* What the answer must be; NULL: anything.  At most one of these. */
  const char* json_schema; /* JSON that satisfies this schema; "true": any JSON */
  const char* grammar;     /* a text of this grammar, in GBNF */
  const char* pattern;     /* a match of this regular expression, from end to end */
} hearth_generate_options;
#define HEARTH_GENERATE_OPTIONS_INIT \
  {sizeof(hearth_generate_options), -1, -1.0f, -1.0f, -1, -1.0f, 0, NULL, 0, 0, NULL, NULL, NULL}

typedef struct hearth_usage {
  int64_t prompt_tokens, cached_tokens, completion_tokens;
  double prefill_seconds, decode_seconds;
} hearth_usage;

/* Receives whole UTF-8 characters as they come, on a thread of Hearth's.  Not 0: stop. */
typedef int (*hearth_on_text)(const char* text, size_t size, void* user);

HEARTH_API const char* hearth_version(void);

HEARTH_API hearth_status hearth_open(const hearth_runtime_options* options,
                                     hearth_runtime** runtime, hearth_error* error);
HEARTH_API void hearth_close(hearth_runtime* runtime); /* after its models are released */

/* `reference`: a GGUF or safetensors file, a Hugging Face folder, "builtin" or "builtin-embed". */
HEARTH_API hearth_status hearth_load(hearth_runtime* runtime, const char* reference,
                                     hearth_model** model, hearth_error* error);
HEARTH_API void hearth_release(hearth_model* model);

/* Continues `prompt` as it stands.  `options` and `usage` may be NULL. */
HEARTH_API hearth_status hearth_generate(hearth_model* model, const char* prompt,
                                         const hearth_generate_options* options,
                                         hearth_on_text on_text, void* user, hearth_usage* usage,
                                         hearth_error* error);
/* Answers a conversation.  `messages`: a JSON list of {"role": ..., "content": ...}; to a model
   that sees, contents may be lists of {"type": "text", ...} and {"type": "image_url", "image_url":
   {"url": "data:image/png;base64,..."}}. */
HEARTH_API hearth_status hearth_chat(hearth_model* model, const char* messages,
                                     const hearth_generate_options* options, hearth_on_text on_text,
                                     void* user, hearth_usage* usage, hearth_error* error);

/* Length of the vectors of hearth_embed. */
HEARTH_API size_t hearth_embedding_dim(const hearth_model* model);
/* vectors: [count, hearth_embedding_dim] f32, row after row. */
HEARTH_API hearth_status hearth_embed(hearth_model* model, const char* const* texts, size_t count,
                                      float* vectors, hearth_error* error);

/* Writes at most `capacity` ids; *count is how many there are (also with HEARTH_SMALL_BUFFER).
 * special != 0: the model's own special tokens are added, and read in the text. */
HEARTH_API hearth_status hearth_tokenize(const hearth_model* model, const char* text, size_t size,
                                         int32_t special, int32_t* tokens, size_t capacity,
                                         size_t* count, hearth_error* error);
/* Writes at most `capacity` bytes without a closing 0; *size is how many there are. */
HEARTH_API hearth_status hearth_detokenize(const hearth_model* model, const int32_t* tokens,
                                           size_t count, char* text, size_t capacity, size_t* size,
                                           hearth_error* error);

/* ---- Collections: documents with vectors, in a folder of their own ---- */

typedef struct hearth_collection hearth_collection;

typedef struct hearth_collection_options {
  size_t size;
  /* JSON, to make the collection where there is none: {"dim": 128, "metric": "cosine", "index":
   * {"kind": "auto"}, "fields": {"year": "number"}}.  NULL: it must be there. */
  const char* schema;
  /* Makes the vectors of texts that come without; it gives `dim` too.  May be NULL.  It may be
   * released before the collection is closed. */
  hearth_model* model;
  int32_t read_only; /* not 0: as it is now, beside a process that writes it */
} hearth_collection_options;
#define HEARTH_COLLECTION_OPTIONS_INIT {sizeof(hearth_collection_options), NULL, NULL, 0}

/* One process at a time may write a collection: HEARTH_UNAVAILABLE names the other one. */
HEARTH_API hearth_status hearth_collection_open(const char* folder,
                                                const hearth_collection_options* options,
                                                hearth_collection** collection,
                                                hearth_error* error);
HEARTH_API void hearth_collection_close(hearth_collection* collection);

/* documents: a JSON list of {"id", "vector", "text", "metadata"}; those of the same id are
 * replaced.  All or none; what has returned HEARTH_OK survives crashes and losses of power. */
HEARTH_API hearth_status hearth_collection_upsert(hearth_collection* collection,
                                                  const char* documents, hearth_error* error);
/* vectors: [count, dim] f32, row after row. */
HEARTH_API hearth_status hearth_collection_upsert_vectors(hearth_collection* collection,
                                                          const char* const* ids,
                                                          const float* vectors, size_t count,
                                                          hearth_error* error);
HEARTH_API hearth_status hearth_collection_remove(hearth_collection* collection,
                                                  const char* const* ids, size_t count,
                                                  hearth_error* error);
/* query: JSON: {"query": "a text", "vector": [...], "k": 10, "filter": "year >= 2020", ...}; a
 * text is found by its words and, with a model, by its meaning.  on_answer is called once, with a
 * JSON list of the matches, best first.  A list of queries is answered by a list of such lists. */
HEARTH_API hearth_status hearth_collection_search(hearth_collection* collection, const char* query,
                                                  hearth_on_text on_answer, void* user,
                                                  hearth_error* error);
HEARTH_API hearth_status hearth_collection_count(hearth_collection* collection, uint64_t* count,
                                                 hearth_error* error);

/* What docs/reference/http.md says of the routes of these names, without a server: requests and
 * answers are the same JSON.  on_answer is called once. */
/* {"ids": ["a"], "include": ["vector", "text", "metadata"]}: {"documents": [...]}. */
HEARTH_API hearth_status hearth_collection_get(hearth_collection* collection, const char* request,
                                               hearth_on_text on_answer, void* user,
                                               hearth_error* error);
/* {"from": "", "limit": 100, "filter": ..., "include": ...}: {"documents": [...], "next": ...}. */
HEARTH_API hearth_status hearth_collection_scroll(hearth_collection* collection,
                                                  const char* request, hearth_on_text on_answer,
                                                  void* user, hearth_error* error);
/* filter: as text ("year < 2000") or JSON.  removed may be NULL. */
HEARTH_API hearth_status hearth_collection_remove_where(hearth_collection* collection,
                                                        const char* filter, uint64_t* removed,
                                                        hearth_error* error);
HEARTH_API hearth_status hearth_collection_info(hearth_collection* collection,
                                                hearth_on_text on_answer, void* user,
                                                hearth_error* error);
/* {"kind": "hnsw", "m": 24}.  Reads and writes of other threads go on meanwhile. */
HEARTH_API hearth_status hearth_collection_reindex(hearth_collection* collection, const char* index,
                                                   hearth_error* error);
/* {"recall": 0.95, "queries": 100} or NULL. */
HEARTH_API hearth_status hearth_collection_tune(hearth_collection* collection, const char* options,
                                                hearth_on_text on_answer, void* user,
                                                hearth_error* error);
/* {"vector": [...] or "query": "a text", "relevant": ["a"], "irrelevant": ["b"]}; NULL: forget all
 * that was said. */
HEARTH_API hearth_status hearth_collection_feedback(hearth_collection* collection,
                                                    const char* feedback, hearth_error* error);
/* A copy as it is now, as a collection of its own. */
HEARTH_API hearth_status hearth_collection_snapshot(hearth_collection* collection,
                                                    const char* folder, hearth_error* error);

/* ---- Operator graphs: ONNX, TFLite, Core ML and ExecuTorch ---- */

typedef struct hearth_graph hearth_graph;
typedef struct hearth_tensors hearth_tensors; /* what a run gave */

typedef enum hearth_dtype {
  HEARTH_OTHER = 0, /* complex numbers, sequences, maps: no data, but hearth_tensors_json has it */
  HEARTH_F32 = 1,
  HEARTH_F64 = 2,
  HEARTH_F16 = 3,
  HEARTH_BF16 = 4,
  HEARTH_I8 = 5,
  HEARTH_I16 = 6,
  HEARTH_I32 = 7,
  HEARTH_I64 = 8,
  HEARTH_U8 = 9,
  HEARTH_U16 = 10,
  HEARTH_U32 = 11,
  HEARTH_U64 = 12,
  HEARTH_BOOL = 13, /* one byte, 0 or 1 */
  HEARTH_TEXT = 14  /* `data` points to as many const char* to UTF-8 without zero bytes */
} hearth_dtype;

/* Dense, row after row.  Of what a graph says of itself an extent that is open is -1, a rank that
 * is not known -1, and `data` NULL. */
typedef struct hearth_tensor {
  const char* name;
  hearth_dtype dtype;
  int32_t rank;
  const int64_t* shape;
  const void* data;
  size_t bytes;
} hearth_tensor;

typedef struct hearth_graph_options {
  size_t size;
  int32_t threads;     /* 0: one per core */
  const char* kernels; /* NULL: the best that runs here */
  const char* method;  /* of a file of several graphs; NULL: its own choice */
} hearth_graph_options;
#define HEARTH_GRAPH_OPTIONS_INIT {sizeof(hearth_graph_options), 0, NULL, NULL}

/* `options` may be NULL. */
HEARTH_API hearth_status hearth_graph_open(const char* path, const hearth_graph_options* options,
                                           hearth_graph** graph, hearth_error* error);
HEARTH_API void hearth_graph_close(hearth_graph* graph);

HEARTH_API size_t hearth_graph_inputs(const hearth_graph* graph);
HEARTH_API size_t hearth_graph_outputs(const hearth_graph* graph);
/* Names and shapes live as long as the graph. */
HEARTH_API hearth_status hearth_graph_input(const hearth_graph* graph, size_t index,
                                            hearth_tensor* tensor);
HEARTH_API hearth_status hearth_graph_output(const hearth_graph* graph, size_t index,
                                             hearth_tensor* tensor);

/* Inputs are copied; the name of a graph's only one may be NULL.  Outputs come in the graph's order
 * and are freed by hearth_tensors_free, before the graph is closed.  Runs take turns. */
HEARTH_API hearth_status hearth_graph_run(hearth_graph* graph, const hearth_tensor* inputs,
                                          size_t count, hearth_tensors** outputs,
                                          hearth_error* error);
HEARTH_API size_t hearth_tensors_count(const hearth_tensors* tensors);
HEARTH_API const hearth_tensor* hearth_tensors_at(const hearth_tensors* tensors, size_t index);
/* Any value as JSON: {"dtype", "shape", "data"}, {"keys", "values"} of a map, a list of a sequence.
 * NULL where there is none.  Lives as long as `tensors`; one thread at a time. */
HEARTH_API const char* hearth_tensors_json(hearth_tensors* tensors, size_t index);
HEARTH_API void hearth_tensors_free(hearth_tensors* tensors);

/* ---- Speech to text: Whisper models ---- */

typedef struct hearth_speech hearth_speech;

typedef struct hearth_speech_options {
  size_t size;
  int32_t threads;     /* 0: one per core */
  const char* kernels; /* NULL: the best that runs here */
} hearth_speech_options;
#define HEARTH_SPEECH_OPTIONS_INIT {sizeof(hearth_speech_options), 0, NULL}

typedef struct hearth_transcribe_options {
  size_t size;
  const char* language; /* "de" or "german"; NULL: it is heard */
  const char* prompt;   /* what it is about, words as they are spelt; NULL: nothing */
  const char* format;   /* "text", "srt", "vtt", "json" or "verbose_json"; NULL: text */
  int32_t translate;    /* not 0: into English */
  int32_t words;        /* not 0: times of words (verbose_json) */
} hearth_transcribe_options;
#define HEARTH_TRANSCRIBE_OPTIONS_INIT {sizeof(hearth_transcribe_options), NULL, NULL, NULL, 0, 0}

/* `reference`: a model that is installed, a Hugging Face folder, or a file of whisper.cpp.
 * `options` may be NULL. */
HEARTH_API hearth_status hearth_speech_open(const char* reference,
                                            const hearth_speech_options* options,
                                            hearth_speech** speech, hearth_error* error);
HEARTH_API void hearth_speech_close(hearth_speech* speech);
/* Of a sound file: WAV, FLAC, Ogg or MP3.  Text and subtitles come as they are understood, JSON as
 * a whole.  `options` may be NULL. */
HEARTH_API hearth_status hearth_transcribe(hearth_speech* speech, const char* path,
                                           const hearth_transcribe_options* options,
                                           hearth_on_text on_text, void* user, hearth_error* error);
/* The same of samples: one channel, 16,000 a second, -1 to 1. */
HEARTH_API hearth_status hearth_transcribe_samples(hearth_speech* speech, const float* samples,
                                                   size_t count,
                                                   const hearth_transcribe_options* options,
                                                   hearth_on_text on_text, void* user,
                                                   hearth_error* error);

#ifdef __cplusplus
}
#endif
#endif /* HEARTH_HEARTH_H */

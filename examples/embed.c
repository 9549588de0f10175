/* Prints how alike two texts are: embed TEXT TEXT */
#include <hearth/hearth.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(const hearth_error* error) {
  fprintf(stderr, "%s\n", error->message);
  return 1;
}

int main(int count, char** words) {
  const char* texts[2] = {count > 1 ? words[1] : "a cat sleeps on the sofa",
                          count > 2 ? words[2] : "a kitten naps on the couch"};
  hearth_error error;
  hearth_runtime* runtime = NULL;
  hearth_model* model = NULL;
  if (hearth_open(NULL, &runtime, &error) != HEARTH_OK) return fail(&error);
  if (hearth_load(runtime, "builtin-embed", &model, &error) != HEARTH_OK) return fail(&error);

  const size_t dim = hearth_embedding_dim(model);
  float* vectors = malloc(2 * dim * sizeof *vectors);
  if (!vectors) return 1;
  if (hearth_embed(model, texts, 2, vectors, &error) != HEARTH_OK) return fail(&error);
  float similarity = 0; /* the vectors have length 1 */
  for (size_t i = 0; i < dim; ++i) similarity += vectors[i] * vectors[dim + i];
  printf("%.3f\n", similarity);

  free(vectors);
  hearth_release(model);
  hearth_close(runtime);
  return 0;
}

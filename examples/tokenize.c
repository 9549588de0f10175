/* Prints the token ids of a text: tokenize [MODEL [TEXT]] */
#include <hearth/hearth.h>
#include <stdio.h>
#include <string.h>

int main(int count, char** words) {
  const char* reference = count > 1 ? words[1] : "builtin";
  const char* text = count > 2 ? words[2] : "Hello, world";
  hearth_error error;
  hearth_runtime* runtime = NULL;
  hearth_model* model = NULL;
  int32_t tokens[256];
  size_t found = 0;
  if (hearth_open(NULL, &runtime, &error) != HEARTH_OK ||
      hearth_load(runtime, reference, &model, &error) != HEARTH_OK ||
      hearth_tokenize(model, text, strlen(text), 0, tokens, 256, &found, &error) != HEARTH_OK) {
    fprintf(stderr, "%s\n", error.message);
    return 1;
  }
  for (size_t i = 0; i < found; ++i) printf("%d ", (int)tokens[i]);
  printf("\n");
  hearth_release(model);
  hearth_close(runtime);
  return 0;
}

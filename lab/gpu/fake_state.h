/*
 * State of the lab's GPU: plain `key=value` lines in the folder of the library, read again at every call.
 *
 *   gpu.state   written by the lab (lab/gpu/fakeGpu.ts): what the card is and how it misbehaves
 *   gpu.set     written by the fake NVML: limits that were set
 *   cuda.<pid>  written by the fake CUDA: checkpoint state of one process
 *
 * Every exported function passes `gate`: `hang=<function>` sleeps until the line is gone, `delay_ms.<function>=N`
 * sleeps, `fail.<function>=code` returns the code; `all` stands for every function.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define TEXT_MAX 65536
#define PATH_MAX_HERE 1024

static char text[TEXT_MAX];

static void path_of(char *out, const char *name) {
  Dl_info info;
  const char *self = dladdr((void *)path_of, &info) ? info.dli_fname : "./x";
  const char *slash = strrchr(self, '/');
  int folder = slash ? (int)(slash - self) : 1;
  snprintf(out, PATH_MAX_HERE, "%.*s/%s", folder, slash ? self : ".", name);
}

static void load(const char *name) {
  char path[PATH_MAX_HERE];
  path_of(path, name);
  text[0] = 0;
  FILE *file = fopen(path, "r");
  if (!file) return;
  size_t size = fread(text, 1, TEXT_MAX - 1, file);
  text[size] = 0;
  fclose(file);
}

/* Value of the nth line with this key in the loaded text; the value ends at the line's end. */
static const char *nth(const char *key, int n) {
  size_t length = strlen(key);
  for (const char *line = text; line && *line;) {
    if (strncmp(line, key, length) == 0 && line[length] == '=' && n-- == 0) return line + length + 1;
    line = strchr(line, '\n');
    if (line) line++;
  }
  return NULL;
}

static int64_t number(const char *key, int64_t otherwise) {
  const char *value = nth(key, 0);
  return value ? strtoll(value, NULL, 10) : otherwise;
}

static void string(const char *key, const char *otherwise, char *out, unsigned size) {
  const char *value = nth(key, 0);
  if (!value) value = otherwise;
  size_t length = strcspn(value, "\n");
  if (size == 0) return;
  if (length >= size) length = size - 1;
  memcpy(out, value, length);
  out[length] = 0;
}

static void nap(int64_t ms) {
  struct timespec rest = {ms / 1000, (ms % 1000) * 1000000};
  while (nanosleep(&rest, &rest) != 0 && errno == EINTR) {
  }
}

static int hangs(const char *function) {
  const char *value;
  for (int n = 0; (value = nth("hang", n)); n++) {
    size_t length = strcspn(value, "\n");
    if (strncmp(value, "all", length) == 0 && length == 3) return 1;
    if (strlen(function) == length && strncmp(value, function, length) == 0) return 1;
  }
  return 0;
}

/* Loads gpu.state and misbehaves as it says; 0, or the code that the function must return. */
static int gate(const char *function) {
  char key[128];
  load("gpu.state");
  while (hangs(function)) {
    nap(20);
    load("gpu.state");
  }
  snprintf(key, sizeof key, "delay_ms.%s", function);
  int64_t delay = number(key, number("delay_ms.all", 0));
  if (delay > 0) {
    nap(delay);
    load("gpu.state");
  }
  snprintf(key, sizeof key, "fail.%s", function);
  return (int)number(key, number("fail.all", 0));
}

/* Replaces a file of the folder whole. */
static void store(const char *name, const char *content) {
  char path[PATH_MAX_HERE], fresh[PATH_MAX_HERE + 16];
  path_of(path, name);
  snprintf(fresh, sizeof fresh, "%s.%d", path, (int)getpid());
  FILE *file = fopen(fresh, "w");
  if (!file) return;
  fputs(content, file);
  fclose(file);
  rename(fresh, path);
}

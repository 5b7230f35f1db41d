/* The lab's libcuda.so.1: version and checkpoint functions, with the 64-byte argument structs of cuda.h 12.8. */
#include "fake_state.h"

typedef struct {
  unsigned int timeout_ms, reserved0;
  uint64_t reserved1[7];
} lock_args;

enum { INVALID_VALUE = 1, NOT_INITIALIZED = 3, ILLEGAL_STATE = 401, NOT_READY = 600 };
enum { RUNNING, LOCKED, CHECKPOINTED, FAILED };

static int initialized;

static int state_of(int pid) {
  char name[64];
  snprintf(name, sizeof name, "cuda.%d", pid);
  load(name);
  return (int)number("state", RUNNING);
}

static void become(int pid, int state) {
  char name[64], content[64];
  snprintf(name, sizeof name, "cuda.%d", pid);
  snprintf(content, sizeof content, "state=%d\n", state);
  store(name, content);
}

/* `cuda_missing=1` in gpu.state: no process is a CUDA process. */
static int enter(const char *function, int pid) {
  int code = gate(function);
  if (code != 0) return code;
  return pid <= 0 || number("cuda_missing", 0) ? INVALID_VALUE : 0;
}

#define ENTER                         \
  do {                                \
    int code_ = enter(__func__, pid); \
    if (code_ != 0) return code_;     \
  } while (0)

static int zeroed(const void *args, size_t from) {
  const unsigned char *bytes = args;
  for (size_t at = from; args && at < 64; at++)
    if (bytes[at] != 0) return 0;
  return 1;
}

EXPORT int cuDriverGetVersion(int *out) {
  int code = gate(__func__);
  if (code != 0) return code;
  *out = (int)number("cuda_version", 12090);
  return 0;
}

EXPORT int cuInit(unsigned int flags) {
  int code = gate(__func__);
  if (code == 0) initialized = 1;
  return flags == 0 ? code : INVALID_VALUE;
}

EXPORT int cuCheckpointProcessGetState(int pid, int *out) {
  ENTER;
  *out = state_of(pid);
  return 0;
}

EXPORT int cuCheckpointProcessGetRestoreThreadId(int pid, int *out) {
  ENTER;
  *out = pid;
  return 0;
}

/* `cuda_busy=1`: a process that never comes to rest; the lock waits for its timeout and leaves it running. */
EXPORT int cuCheckpointProcessLock(int pid, lock_args *args) {
  ENTER;
  if (!zeroed(args, 4)) return INVALID_VALUE;
  int busy = (int)number("cuda_busy", 0);
  if (state_of(pid) != RUNNING) return ILLEGAL_STATE;
  if (busy) {
    nap(args && args->timeout_ms ? args->timeout_ms : 3600000);
    return NOT_READY;
  }
  become(pid, LOCKED);
  return 0;
}

/* `cuda_breaks=1`: a checkpoint that fails and leaves the process in the failed state. */
EXPORT int cuCheckpointProcessCheckpoint(int pid, void *args) {
  ENTER;
  if (!zeroed(args, 0)) return INVALID_VALUE;
  int breaks = (int)number("cuda_breaks", 0);
  if (state_of(pid) != LOCKED) return ILLEGAL_STATE;
  become(pid, breaks ? FAILED : CHECKPOINTED);
  return breaks ? 999 : 0;
}

EXPORT int cuCheckpointProcessRestore(int pid, void *args) {
  ENTER;
  if (!initialized) return NOT_INITIALIZED;
  if (!zeroed(args, 0)) return INVALID_VALUE;
  if (state_of(pid) != CHECKPOINTED) return ILLEGAL_STATE;
  become(pid, LOCKED);
  return 0;
}

EXPORT int cuCheckpointProcessUnlock(int pid, void *args) {
  ENTER;
  if (!zeroed(args, 0)) return INVALID_VALUE;
  if (state_of(pid) != LOCKED) return ILLEGAL_STATE;
  become(pid, RUNNING);
  return 0;
}

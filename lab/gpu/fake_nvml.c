/* The lab's libnvidia-ml.so.1: the functions that the Keeper calls, with the layouts of nvml.h. See fake_state.h. */
#include "fake_state.h"

typedef struct {
  unsigned int version;
  unsigned long long total, reserved, free, used;
} memory_v2;
typedef struct {
  unsigned long long total, free, used;
} memory_v1;
typedef struct {
  unsigned int pid;
  unsigned long long used;
  unsigned int gpu_instance, compute_instance;
} process_info;

enum { UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, GPU_IS_LOST = 15 };
enum { CHECKPOINTED = 2 };

#define MIB 1048576ULL
#define NOT_AVAILABLE 0xffffffffffffffffULL

static int initialized;
static int64_t generation;
static int device;

/* A gate that also fails before init, and after the driver was loaded anew under a process that had it open. */
static int enter(const char *function) {
  int code = gate(function);
  if (code != 0) return code;
  if (!initialized) return UNINITIALIZED;
  return number("generation", 1) == generation ? 0 : GPU_IS_LOST;
}

#define ENTER                       \
  do {                              \
    int code_ = enter(__func__);    \
    if (code_ != 0) return code_;   \
  } while (0)

EXPORT int nvmlInit_v2(void) {
  int code = gate(__func__);
  if (code != 0) return code;
  generation = number("generation", 1);
  initialized = 1;
  return 0;
}

EXPORT int nvmlShutdown(void) {
  initialized = 0;
  return 0;
}

EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **out) {
  ENTER;
  if (index != (unsigned int)number("index", 0)) return INVALID_ARGUMENT;
  *out = &device;
  return 0;
}

EXPORT int nvmlDeviceGetHandleByUUID(const char *uuid, void **out) {
  char own[96];
  ENTER;
  string("uuid", "GPU-fake", own, sizeof own);
  if (strcmp(uuid, own) != 0) return NOT_FOUND;
  *out = &device;
  return 0;
}

EXPORT int nvmlSystemGetDriverVersion(char *out, unsigned int size) {
  ENTER;
  string("driver_version", "575.57.08", out, size);
  return 0;
}

EXPORT int nvmlDeviceGetName(void *card, char *out, unsigned int size) {
  ENTER;
  if (card != &device) return INVALID_ARGUMENT;
  string("name", "Fake GPU", out, size);
  return 0;
}

EXPORT int nvmlDeviceGetUUID(void *card, char *out, unsigned int size) {
  (void)card;
  ENTER;
  string("uuid", "GPU-fake", out, size);
  return 0;
}

static int checkpointed(int pid) {
  static char kept[TEXT_MAX];
  char name[64];
  memcpy(kept, text, sizeof kept);
  snprintf(name, sizeof name, "cuda.%d", pid);
  load(name);
  int is = number("state", 0) == CHECKPOINTED;
  memcpy(text, kept, sizeof kept);
  return is;
}

/*
 * `process=<pid>:<MiB>[:g][:l]`: g is a graphics process, l one that leaves the card when it dies; -1 MiB is "not
 * available". A process whose memory was checkpointed is not on the card.
 */
static int process_at(int n, int *pid, int64_t *mib, int *graphics) {
  const char *line = nth("process", n);
  if (!line) return 0;
  char flags[32] = "", *end;
  *pid = (int)strtol(line, &end, 10);
  *mib = *end == ':' ? strtoll(end + 1, &end, 10) : 0;
  snprintf(flags, sizeof flags, "%.*s", (int)strcspn(end, "\n"), end);
  *graphics = strchr(flags, 'g') != NULL;
  int dead = strchr(flags, 'l') && kill(*pid, 0) != 0 && errno == ESRCH;
  if (dead || checkpointed(*pid)) *pid = 0;
  return 1;
}

static unsigned long long used_bytes(void) {
  int pid, graphics;
  int64_t mib, sum = number("vram_used_mib", 400);
  for (int n = 0; process_at(n, &pid, &mib, &graphics); n++) sum += pid && mib > 0 ? mib : 0;
  int64_t total = number("vram_total_mib", 24576);
  return (unsigned long long)(sum > total ? total : sum) * MIB;
}

EXPORT int nvmlDeviceGetMemoryInfo(void *card, memory_v1 *out) {
  (void)card;
  ENTER;
  out->total = (unsigned long long)number("vram_total_mib", 24576) * MIB;
  out->used = used_bytes();
  out->free = out->total - out->used;
  return 0;
}

EXPORT int nvmlDeviceGetMemoryInfo_v2(void *card, memory_v2 *out) {
  (void)card;
  ENTER;
  if (out->version != (sizeof *out | 2U << 24)) return 25;
  out->total = (unsigned long long)number("vram_total_mib", 24576) * MIB;
  out->reserved = 300 * MIB;
  out->used = used_bytes();
  out->free = out->total - out->used;
  return 0;
}

static int list(unsigned int *count, process_info *infos, int want_graphics) {
  unsigned int room = *count, found = 0;
  int pid, graphics;
  int64_t mib;
  for (int n = 0; process_at(n, &pid, &mib, &graphics); n++) {
    if (!pid || graphics != want_graphics) continue;
    if (found < room) {
      process_info info = {(unsigned int)pid, mib < 0 ? NOT_AVAILABLE : (unsigned long long)mib * MIB, ~0U, ~0U};
      infos[found] = info;
    }
    found++;
  }
  *count = found;
  return found > room ? INSUFFICIENT_SIZE : 0;
}

EXPORT int nvmlDeviceGetComputeRunningProcesses_v3(void *card, unsigned int *count, process_info *infos) {
  (void)card;
  ENTER;
  return list(count, infos, 0);
}

EXPORT int nvmlDeviceGetGraphicsRunningProcesses_v3(void *card, unsigned int *count, process_info *infos) {
  (void)card;
  ENTER;
  return list(count, infos, 1);
}

/* A limit that was set since the driver was loaded, or what the card starts with. */
static unsigned int set_or(const char *key, int64_t otherwise) {
  int64_t now = number("generation", 1);
  load("gpu.set");
  int64_t value = number("generation", 0) == now ? number(key, otherwise) : otherwise;
  load("gpu.state");
  return (unsigned int)value;
}

static void set(unsigned int power_mw, unsigned int max_mhz) {
  char content[160];
  snprintf(content, sizeof content, "generation=%lld\npower_limit_mw=%u\nlocked_max_mhz=%u\n", (long long)generation,
           power_mw, max_mhz);
  store("gpu.set", content);
}

#define READ_U32(function, value)                       \
  EXPORT int function(void *card, unsigned int *out) {  \
    (void)card;                                         \
    ENTER;                                              \
    *out = (unsigned int)(value);                       \
    return 0;                                           \
  }

static unsigned int default_mw(void) { return (unsigned int)number("power_default_mw", 350000); }
static unsigned int limit_mw(void) { return set_or("power_limit_mw", number("power_start_mw", default_mw())); }

READ_U32(nvmlDeviceGetPowerUsage, number("power_mw", 30000))
READ_U32(nvmlDeviceGetPowerManagementLimit, limit_mw())
READ_U32(nvmlDeviceGetEnforcedPowerLimit, limit_mw())
READ_U32(nvmlDeviceGetPowerManagementDefaultLimit, default_mw())

EXPORT int nvmlDeviceGetPowerManagementLimitConstraints(void *card, unsigned int *min, unsigned int *max) {
  (void)card;
  ENTER;
  *min = (unsigned int)number("power_min_mw", 100000);
  *max = (unsigned int)number("power_max_mw", 350000);
  return 0;
}

EXPORT int nvmlDeviceSetPowerManagementLimit(void *card, unsigned int mw) {
  (void)card;
  ENTER;
  if (mw < number("power_min_mw", 100000) || mw > number("power_max_mw", 350000)) return INVALID_ARGUMENT;
  /* `power_ignores_set=1`: a card that says yes and does nothing. */
  if (number("power_ignores_set", 0)) return 0;
  set(mw, set_or("locked_max_mhz", 0));
  return 0;
}

EXPORT int nvmlDeviceSetGpuLockedClocks(void *card, unsigned int min, unsigned int max) {
  (void)card;
  ENTER;
  if (min > max) return INVALID_ARGUMENT;
  set(limit_mw(), max);
  return 0;
}

EXPORT int nvmlDeviceResetGpuLockedClocks(void *card) {
  (void)card;
  ENTER;
  set(limit_mw(), 0);
  return 0;
}

EXPORT int nvmlDeviceGetTemperature(void *card, int sensor, unsigned int *out) {
  (void)card;
  (void)sensor;
  ENTER;
  *out = (unsigned int)number("temperature_c", 40);
  return 0;
}

EXPORT int nvmlDeviceGetClockInfo(void *card, int type, unsigned int *out) {
  (void)card;
  ENTER;
  unsigned int clock = (unsigned int)number(type == 2 ? "memory_mhz" : "graphics_mhz", type == 2 ? 9751 : 1800);
  unsigned int locked = type == 0 ? set_or("locked_max_mhz", 0) : 0;
  *out = locked && clock > locked ? locked : clock;
  return 0;
}

EXPORT int nvmlDeviceGetMaxClockInfo(void *card, int type, unsigned int *out) {
  (void)card;
  ENTER;
  *out = (unsigned int)number(type == 2 ? "memory_max_mhz" : "graphics_max_mhz", type == 2 ? 9751 : 2100);
  return 0;
}

EXPORT int nvmlDeviceGetUtilizationRates(void *card, unsigned int *out) {
  (void)card;
  ENTER;
  out[0] = (unsigned int)number("utilization_percent", 0);
  out[1] = 0;
  return 0;
}

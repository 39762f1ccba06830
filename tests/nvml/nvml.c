/* A library that answers like libnvidia-ml.so.1, from a text file of `key=value` lines that $NVML_DESCRIPTION names.
 * Keys: driver, cuda, count, init, and for each card N.name, N.total, N.reserved, N.used (MiB), N.major, N.minor, N.mig, N.ecc, N.pid,
 * N.handle (a return code instead of a handle), N.memory (a return code instead of the memory). OLD_DRIVER leaves out what came later.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB 1048576ULL
typedef struct { unsigned long long total, free, used; } memory_v1;
typedef struct { unsigned int version; unsigned long long total, reserved, free, used; } memory_v2;
typedef struct { unsigned int pid; unsigned long long used; unsigned int gpu, compute; } process;

static int look_up(const char *key, char *value, size_t size) {
    const char *path = getenv("NVML_DESCRIPTION");
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[512];
    size_t length = strlen(key);
    if (!file) return 0;
    while (fgets(line, sizeof line, file)) {
        if (!strncmp(line, key, length) && line[length] == '=') {
            line[strcspn(line, "\n")] = 0;
            snprintf(value, size, "%s", line + length + 1);
            fclose(file);
            return 1;
        }
    }
    fclose(file);
    return 0;
}

static unsigned long long number(const char *key, unsigned long long otherwise) {
    char value[64];
    return look_up(key, value, sizeof value) ? strtoull(value, NULL, 10) : otherwise;
}

static unsigned long long of_card(void *card, const char *name, unsigned long long otherwise) {
    char key[64];
    snprintf(key, sizeof key, "%d.%s", (int)(size_t)card - 1, name);
    return number(key, otherwise);
}

static int text(const char *key, char *out, unsigned int size) {
    char value[256];
    if (!look_up(key, value, sizeof value)) return 3;
    snprintf(out, size, "%s", value);
    return 0;
}

int nvmlInit_v2(void) { return (int)number("init", 0); }
int nvmlInitWithFlags(unsigned int flags) { (void)flags; return nvmlInit_v2(); }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { return code == 28 ? "GPU not found" : "an error"; }
int nvmlSystemGetDriverVersion(char *out, unsigned int size) { return text("driver", out, size); }
int nvmlSystemGetCudaDriverVersion_v2(int *out) { *out = (int)number("cuda", 12040); return 0; }
int nvmlDeviceGetCount_v2(unsigned int *out) { *out = (unsigned int)number("count", 0); return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **out) {
    *out = (void *)(size_t)(index + 1);
    return (int)of_card(*out, "handle", 0);
}
int nvmlDeviceGetName(void *card, char *out, unsigned int size) {
    char key[64];
    snprintf(key, sizeof key, "%d.name", (int)(size_t)card - 1);
    return text(key, out, size);
}
int nvmlDeviceGetMemoryInfo(void *card, memory_v1 *out) {
    int failed = (int)of_card(card, "memory", 0);
    unsigned long long reserved = of_card(card, "reserved", 0);
    out->total = of_card(card, "total", 0) * MIB;
    out->used = (of_card(card, "used", 0) + reserved) * MIB;
    out->free = out->total - out->used;
    return failed;
}
int nvmlDeviceGetCudaComputeCapability(void *card, int *major, int *minor) {
    *major = (int)of_card(card, "major", 8);
    *minor = (int)of_card(card, "minor", 9);
    return 0;
}
int nvmlDeviceGetMigMode(void *card, unsigned int *now, unsigned int *pending) {
    *now = *pending = (unsigned int)of_card(card, "mig", 0);
    return of_card(card, "mig", 9) == 9 ? 3 : 0;
}
int nvmlDeviceGetTotalEccErrors(void *card, int kind, int counter, unsigned long long *out) {
    (void)kind, (void)counter;
    *out = of_card(card, "ecc", 0);
    return of_card(card, "ecc", 999999) == 999999 ? 3 : 0;
}
#ifndef OLD_DRIVER
int nvmlDeviceGetMemoryInfo_v2(void *card, memory_v2 *out) {
    memory_v1 old;
    int failed = nvmlDeviceGetMemoryInfo(card, &old);
    out->total = old.total;
    out->reserved = of_card(card, "reserved", 0) * MIB;
    out->used = old.used - out->reserved;
    out->free = old.free;
    return failed;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *card, unsigned int *count, process *out) {
    unsigned int pid = (unsigned int)of_card(card, "pid", 0);
    if (!pid) { *count = 0; return 0; }
    if (*count < 1 || !out) { *count = 1; return 7; }
    *count = 1;
    out[0].pid = pid;
    out[0].used = of_card(card, "used", 0) * MIB;
    out[0].gpu = out[0].compute = 0xffffffffu;
    return 0;
}
#endif

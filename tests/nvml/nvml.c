/* A library that answers like libnvidia-ml.so.1, from the JSON file that $NVML_DESCRIPTION names:
 *
 *   {"driver": "550.54.14", "cuda": 12040, "fail": {"nvmlInit": 18},
 *    "cards": [{"name": "…", "uuid": "GPU-…", "total": 24564, "reserved": 347, "used": 0, "capability": [8, 9],      sizes in MiB
 *               "processes": [{"pid": 7, "used": 512}], "ecc": 2, "remapped": [pending, failed], "retired_pending": 1, "clocks": 64,
 *               "mig": 1, "instances": [{"name": "…", "uuid": "MIG-…", "total": 9728, "number": 1, …}],
 *               "fail": {"nvmlDeviceGetHandleByIndex": 15, "*": 15}}],
 *    "links": [{"between": [0, 1], "nvlink": 1, "p2p": 0, "level": 40}]}
 *
 * What a card does not say it does not support (3). "fail" names calls without their version, "*" is all of them; a code is returned
 * instead of an answer. A handle is the card's or the instance's own node. Built with OLD_DRIVER it lacks what came after driver 470.
 * Layouts and codes are those of NVIDIA's nvml.h.
 */
#include "json.h"

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, VERSION_MISMATCH = 25 };
#define MIB 1048576ULL
#define NONE 0xffffffffu

typedef struct { unsigned long long total, free, used; } memory_v1;
typedef struct { unsigned int version; unsigned long long total, reserved, free, used; } memory_v2;
typedef struct { unsigned int pid; unsigned long long used; unsigned int instance, compute; } process;

/* Read again when another file is named: one process is shown many machines. */
static node *machine(void) {
    static node *read;
    static char path[4096];
    const char *named = getenv("NVML_DESCRIPTION");
    if (!read || strcmp(path, named)) {
        read = read_file(named);
        snprintf(path, sizeof path, "%s", named);
    }
    return read;
}

static node *cards(void) { return get(machine(), "cards"); }

/* The code with which a call fails on the machine or on a device, 0 if it does not. */
static int failure(const void *device, const char *call) {
    node *of_machine = get(machine(), "fail"), *of_device = get(device, "fail");
    int code = (int)number(of_machine, call, 0);
    if (!code) code = (int)number(of_device, call, 0);
    return code ? code : (int)number(of_device, "*", 0);
}

#define CHECK(device, call) do { int code = failure(device, call); if (code) return code; } while (0)

static int put(const char *found, char *out, unsigned int size) {
    if (!found) return NOT_SUPPORTED;
    if (strlen(found) >= size) return TOO_SMALL;
    strcpy(out, found);
    return SUCCESS;
}

static unsigned long long bytes(const void *object, const char *key) { return (unsigned long long)(number(object, key, 0) * MIB); }

/* ---- the library and the machine ---- */

int nvmlInit_v2(void) { CHECK(NULL, "nvmlInit"); return SUCCESS; }
int nvmlInitWithFlags(unsigned int flags) { (void)flags; return nvmlInit_v2(); }
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int code) { return code == 28 ? "GPU not found" : "an error"; }
int nvmlSystemGetDriverVersion(char *out, unsigned int size) { return put(text(machine(), "driver", "550.54.14"), out, size); }
int nvmlSystemGetCudaDriverVersion_v2(int *out) {
    CHECK(NULL, "nvmlSystemGetCudaDriverVersion");
    *out = (int)number(machine(), "cuda", 12040);
    return SUCCESS;
}
int nvmlDeviceGetCount_v2(unsigned int *out) {
    CHECK(NULL, "nvmlDeviceGetCount");
    *out = length(cards());
    return SUCCESS;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **out) {
    *out = child(cards(), index);
    if (!*out) return INVALID_ARGUMENT;
    CHECK(*out, "nvmlDeviceGetHandleByIndex");
    return SUCCESS;
}

/* ---- a card or an instance ---- */

int nvmlDeviceGetName(void *device, char *out, unsigned int size) {
    CHECK(device, "nvmlDeviceGetName");
    return put(text(device, "name", NULL), out, size);
}
int nvmlDeviceGetUUID(void *device, char *out, unsigned int size) {
    CHECK(device, "nvmlDeviceGetUUID");
    return put(text(device, "uuid", NULL), out, size);
}
int nvmlDeviceGetMemoryInfo(void *device, memory_v1 *out) {
    CHECK(device, "nvmlDeviceGetMemoryInfo");
    out->total = bytes(device, "total");
    out->used = bytes(device, "used") + bytes(device, "reserved"); /* the first version counts what the driver reserves as used */
    out->free = out->total - out->used;
    return SUCCESS;
}
int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor) {
    node *said = get(device, "capability");
    CHECK(device, "nvmlDeviceGetCudaComputeCapability");
    if (!said) return NOT_SUPPORTED;
    *major = (int)child(said, 0)->number;
    *minor = (int)child(said, 1)->number;
    return SUCCESS;
}
int nvmlDeviceGetTotalEccErrors(void *device, int kind, int counter, unsigned long long *out) {
    CHECK(device, "nvmlDeviceGetTotalEccErrors");
    if (!get(device, "ecc")) return NOT_SUPPORTED;
    *out = kind == 1 && counter == 0 ? (unsigned long long)number(device, "ecc", 0) : 0; /* uncorrected, since the driver was loaded */
    return SUCCESS;
}
int nvmlDeviceGetRetiredPagesPendingStatus(void *device, int *out) {
    CHECK(device, "nvmlDeviceGetRetiredPagesPendingStatus");
    if (!get(device, "retired_pending")) return NOT_SUPPORTED;
    *out = (int)number(device, "retired_pending", 0);
    return SUCCESS;
}
int nvmlDeviceGetCurrentClocksThrottleReasons(void *device, unsigned long long *out) {
    CHECK(device, "nvmlDeviceGetCurrentClocksThrottleReasons");
    if (!get(device, "clocks")) return NOT_SUPPORTED;
    *out = (unsigned long long)number(device, "clocks", 0);
    return SUCCESS;
}
int nvmlDeviceGetPersistenceMode(void *device, unsigned int *out) {
    CHECK(device, "nvmlDeviceGetPersistenceMode");
    if (!get(device, "persistence")) return NOT_SUPPORTED;
    *out = (unsigned int)number(device, "persistence", 0);
    return SUCCESS;
}

static int processes(void *device, unsigned int *count, process *out) {
    node *held = get(device, "processes");
    unsigned int there = length(held), room = *count;
    CHECK(device, "nvmlDeviceGetComputeRunningProcesses");
    *count = there;
    if (!there) return SUCCESS;
    if (!out || room < there) return TOO_SMALL;
    for (node *each = held->children; each; each = each->next, out++) {
        out->pid = (unsigned int)number(each, "pid", 0);
        out->used = get(each, "used") ? bytes(each, "used") : ~0ULL; /* the driver does not always say it */
        out->instance = out->compute = NONE;
    }
    return SUCCESS;
}
int nvmlDeviceGetComputeRunningProcesses_v2(void *device, unsigned int *count, process *out) { return processes(device, count, out); }

/* ---- instances ---- */

int nvmlDeviceGetMigMode(void *device, unsigned int *now, unsigned int *pending) {
    CHECK(device, "nvmlDeviceGetMigMode");
    if (!get(device, "mig")) return NOT_SUPPORTED;
    *now = *pending = (unsigned int)number(device, "mig", 0);
    return SUCCESS;
}
int nvmlDeviceGetMaxMigDeviceCount(void *device, unsigned int *out) {
    CHECK(device, "nvmlDeviceGetMaxMigDeviceCount");
    *out = number(device, "mig", 0) ? 7 : 0;
    return SUCCESS;
}
int nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned int index, void **out) {
    node *all = get(device, "instances");
    CHECK(device, "nvmlDeviceGetMigDeviceHandleByIndex");
    for (unsigned int i = 0; i < length(all); i++) {
        *out = child(all, i);
        if (number(*out, "number", i) == index) return SUCCESS;
    }
    return NOT_FOUND;
}

/* ---- between two cards ---- */

static const node *link_between(const void *one, const void *other) {
    node *links = get(machine(), "links");
    for (node *each = links ? links->children : NULL; each; each = each->next) {
        node *ends = get(each, "between");
        const node *first = child(cards(), (unsigned int)child(ends, 0)->number), *second = child(cards(), (unsigned int)child(ends, 1)->number);
        if ((first == one && second == other) || (first == other && second == one)) return each;
    }
    return NULL;
}
int nvmlDeviceGetP2PStatus(void *one, void *other, int capability, int *out) {
    const node *link = link_between(one, other);
    CHECK(one, "nvmlDeviceGetP2PStatus");
    if (!link) return NOT_SUPPORTED;
    *out = capability == 2 ? (number(link, "nvlink", 0) ? 0 : 5) : (int)number(link, "p2p", 0);
    return SUCCESS;
}
int nvmlDeviceGetTopologyCommonAncestor(void *one, void *other, int *out) {
    const node *link = link_between(one, other);
    CHECK(one, "nvmlDeviceGetTopologyCommonAncestor");
    if (!link || !get(link, "level")) return NOT_SUPPORTED;
    *out = (int)number(link, "level", 0);
    return SUCCESS;
}

#ifndef OLD_DRIVER
int nvmlDeviceGetMemoryInfo_v2(void *device, memory_v2 *out) {
    CHECK(device, "nvmlDeviceGetMemoryInfo");
    if (out->version != (sizeof *out | 2u << 24)) return VERSION_MISMATCH;
    out->total = bytes(device, "total");
    out->reserved = bytes(device, "reserved");
    out->used = bytes(device, "used");
    out->free = out->total - out->used - out->reserved;
    return SUCCESS;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned int *count, process *out) { return processes(device, count, out); }
int nvmlDeviceGetRemappedRows(void *device, unsigned int *corrected, unsigned int *uncorrected, unsigned int *pending, unsigned int *failed) {
    node *said = get(device, "remapped");
    CHECK(device, "nvmlDeviceGetRemappedRows");
    if (!said) return NOT_SUPPORTED;
    *corrected = 0;
    *pending = (unsigned int)child(said, 0)->number;
    *failed = (unsigned int)child(said, 1)->number;
    *uncorrected = *pending + *failed;
    return SUCCESS;
}
int nvmlDeviceGetCurrentClocksEventReasons(void *device, unsigned long long *out) { return nvmlDeviceGetCurrentClocksThrottleReasons(device, out); }
#endif

/* machine: time, processors, memory and caches, as the kernel and this process's cgroup (v1 or v2) grant them. */
#include "base/base.h"

#include <limits.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#ifdef __x86_64__
#include <cpuid.h>
#endif

DEIT_INTERNAL double base_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

DEIT_INTERNAL double base_cpu_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Reads a small kernel file into `text`, NUL-terminated; false if there is none. */
static bool machine_slurp(const char *path, char *text, size_t size) {
    FILE *file = fopen(path, "re");
    if (!file) return false;
    size_t n = fread(text, 1, size - 1, file);
    fclose(file);
    text[n] = 0;
    return n > 0;
}

/* The number that follows `key` at the start of a line of `path`; false if absent. */
static bool machine_line(const char *path, const char *key, uint64_t *value) {
    char line[512];
    bool found = false;
    FILE *file = fopen(path, "re");
    if (!file) return false;
    while (!found && fgets(line, sizeof line, file)) {
        size_t n = strlen(key);
        if (strncmp(line, key, n)) continue;
        *value = strtoull(line + n + strspn(line + n, ": \t"), NULL, 10);
        found = true;
    }
    fclose(file);
    return found;
}

/* ---- Processors and caches --------------------------------------------------------------------------------------- */

static void machine_processors(base_machine *machine, int *first) {
    machine->online = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (machine->online < 1) machine->online = 1;
    machine->cores = machine->online;
    *first = 0;
    for (int most = 1024; most <= 1 << 20; most *= 4) { // the mask must be as large as the kernel's
        cpu_set_t *set = CPU_ALLOC((size_t)most);
        size_t size = CPU_ALLOC_SIZE((size_t)most);
        if (!set) return;
        bool known = sched_getaffinity(0, size, set) == 0;
        if (known) {
            machine->cores = CPU_COUNT_S(size, set);
            while (*first < most && !CPU_ISSET_S((size_t)*first, size, set)) ++*first;
        }
        CPU_FREE(set);
        if (known) return;
    }
}

/* x86 says "model name"; ARM kernels only give numbers of maker and part, boards a device tree. */
static void machine_name(base_machine *machine) {
    char line[512], maker[32] = "", part[32] = "";
    struct utsname system;
    FILE *file = fopen("/proc/cpuinfo", "re");
    while (file && !machine->cpu[0] && fgets(line, sizeof line, file)) {
        char *value = strchr(line, ':');
        if (!value) continue;
        value += 1 + strspn(value + 1, " \t");
        value[strcspn(value, "\n")] = 0;
        if (!strncmp(line, "model name", 10)) snprintf(machine->cpu, sizeof machine->cpu, "%.120s", value);
        if (!strncmp(line, "CPU implementer", 15)) snprintf(maker, sizeof maker, "%.30s", value);
        if (!strncmp(line, "CPU part", 8)) snprintf(part, sizeof part, "%.30s", value);
    }
    if (file) fclose(file);
    if (machine->cpu[0]) return;
    const char *kind = uname(&system) ? "unknown processor" : system.machine;
    if (machine_slurp("/proc/device-tree/model", line, sizeof line))
        snprintf(machine->cpu, sizeof machine->cpu, "%.60s (%.40s)", line, kind);
    else if (part[0])
        snprintf(machine->cpu, sizeof machine->cpu, "%.40s implementer %s part %s", kind, maker, part);
    else
        snprintf(machine->cpu, sizeof machine->cpu, "%.60s", kind);
}

/* Generations of a processor may share a name: "AMD EPYC". */
static unsigned machine_signature(void) {
    unsigned signature = 0;
#ifdef __x86_64__
    unsigned b, c, d;
    if (!__get_cpuid(1, &signature, &b, &c, &d)) return 0;
#endif
    return signature;
}

static size_t machine_cache_size(const char *text) {
    char *end;
    size_t size = strtoull(text, &end, 10);
    return *end == 'K' ? size << 10 : *end == 'M' ? size << 20 : size;
}

static void machine_caches(base_machine *machine, int processor) {
    for (int i = 0; i < 8; i++) {
        char path[128], level[16], type[32], size[32];
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cache/index%d/level", processor, i);
        if (!machine_slurp(path, level, sizeof level)) break;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cache/index%d/type", processor, i);
        if (!machine_slurp(path, type, sizeof type) || !strncmp(type, "Instruction", 11)) continue;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cache/index%d/size", processor, i);
        if (!machine_slurp(path, size, sizeof size)) continue;
        if (level[0] == '1') machine->l1d = machine_cache_size(size);
        if (level[0] == '2') machine->l2 = machine_cache_size(size);
        if (level[0] == '3') machine->l3 = machine_cache_size(size);
    }
    long l1d = sysconf(_SC_LEVEL1_DCACHE_SIZE), l2 = sysconf(_SC_LEVEL2_CACHE_SIZE),
         l3 = sysconf(_SC_LEVEL3_CACHE_SIZE);
    if (!machine->l1d && l1d > 0) machine->l1d = (size_t)l1d;
    if (!machine->l2 && l2 > 0) machine->l2 = (size_t)l2;
    if (!machine->l3 && l3 > 0) machine->l3 = (size_t)l3;
}

/* ---- The cgroup: every folder from this process's own up to the mount may set a limit; the tightest holds -------- */

static bool machine_number(const char *folder, const char *name, double *value) {
    char path[PATH_MAX], text[128];
    snprintf(path, sizeof path, "%.3900s/%s", folder, name);
    if (!machine_slurp(path, text, sizeof text)) return false;
    char *end;
    *value = strtod(text, &end); // "max" and an unreadable number: no limit
    return end != text;
}

static void machine_quota_of(base_machine *machine, const char *folder) {
    char path[PATH_MAX], text[128];
    double quota = 0, period = 100000;
    snprintf(path, sizeof path, "%.3900s/cpu.max", folder);
    if (machine_slurp(path, text, sizeof text)) {
        if (sscanf(text, "%lf %lf", &quota, &period) != 2) return;
    } else if (!machine_number(folder, "cpu.cfs_quota_us", &quota) ||
               !machine_number(folder, "cpu.cfs_period_us", &period)) {
        return;
    }
    if (quota <= 0 || period <= 0) return; // v1 says -1 for none
    quota /= period;
    if (machine->quota == 0 || quota < machine->quota) machine->quota = quota;
}

static void machine_memory_of(base_machine *machine, const char *folder) {
    char path[PATH_MAX];
    double limit, used = 0;
    bool v2 = machine_number(folder, "memory.max", &limit);
    if (!v2 && !machine_number(folder, "memory.limit_in_bytes", &limit)) return;
    if (limit <= 0 || limit >= 0x1p60) return; // v1 says about 2^63 for none
    if (machine->memory_limit == 0 || (uint64_t)limit < machine->memory_limit) machine->memory_limit = (uint64_t)limit;
    machine_number(folder, v2 ? "memory.current" : "memory.usage_in_bytes", &used);
    uint64_t cached = 0; // page cache that the kernel gives up when asked
    snprintf(path, sizeof path, "%.3900s/memory.stat", folder);
    if (!machine_line(path, v2 ? "inactive_file " : "total_inactive_file ", &cached)) cached = 0;
    double left = limit - used + (double)cached;
    if (left < 0) left = 0;
    if (left < (double)machine->memory_free) machine->memory_free = (uint64_t)left;
}

/* Visits mount + path, its parents, and the mount itself. In a container the path may not exist below the mount: those
 * are skipped. */
static void machine_walk(base_machine *machine, const char *mount, const char *path,
                         void (*visit)(base_machine *, const char *)) {
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%.100s%.3900s", mount, path);
    size_t least = strlen(mount);
    while (strlen(folder) > least) {
        visit(machine, folder);
        *strrchr(folder, '/') = 0;
    }
    visit(machine, mount);
}

static bool machine_has_controller(const char *list, const char *name) {
    size_t n = strlen(name);
    for (const char *at = list; (at = strstr(at, name)); at += n)
        if ((at == list || at[-1] == ',') && (at[n] == ',' || at[n] == 0)) return true;
    return false;
}

/* A line of /proc/self/cgroup is "id:controllers:path"; v2's is "0::path". */
static void machine_cgroup(base_machine *machine) {
    char line[PATH_MAX];
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path) continue;
        *controllers++ = 0, *path++ = 0;
        if (!strcmp(path, "/")) path = "";
        if (!controllers[0]) {
            const char *mount = access("/sys/fs/cgroup/unified", F_OK) ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified";
            machine_walk(machine, mount, path, machine_quota_of);
            machine_walk(machine, mount, path, machine_memory_of);
        }
        if (machine_has_controller(controllers, "cpu"))
            machine_walk(machine, "/sys/fs/cgroup/cpu", path, machine_quota_of);
        if (machine_has_controller(controllers, "memory"))
            machine_walk(machine, "/sys/fs/cgroup/memory", path, machine_memory_of);
    }
    if (file) fclose(file);
}

DEIT_INTERNAL void base_machine_read(base_machine *machine) {
    int first;
    uint64_t kib = 0;
    *machine = (base_machine){0};
    machine_processors(machine, &first);
    machine_name(machine);
    machine->signature = machine_signature();
    machine_caches(machine, first);
    struct sysinfo system;
    if (!sysinfo(&system)) { /* without /proc; what files hold in memory counts as taken then */
        machine->memory_total = (uint64_t)system.totalram * system.mem_unit;
        machine->memory_free = (uint64_t)(system.freeram + system.bufferram) * system.mem_unit;
    }
    if (machine_line("/proc/meminfo", "MemTotal", &kib)) machine->memory_total = kib << 10;
    if (machine_line("/proc/meminfo", "MemAvailable", &kib)) machine->memory_free = kib << 10;
    machine_cgroup(machine);
    machine->memory_free -= machine->memory_free / 16; /* the kernel's figure is a guess, and others need some */
    if (machine->quota > 0 && ceil(machine->quota) < machine->cores) machine->cores = (int)ceil(machine->quota);
    if (machine->cores < 1) machine->cores = 1;
}

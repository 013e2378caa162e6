/* deit doctor: what this machine has and what deit finds on it. */
#include "cli/internal.h"
#include "repro/repro.h"

#include <archive.h>
#include <jansson.h>
#include <jpeglib.h>
#include <nettle/version.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define DOCTOR_TEXT(x) DOCTOR_TEXT2(x)
#define DOCTOR_TEXT2(x) #x

/* "25.3 GB", "512 KiB": memory in powers of ten as it is sold, caches (binary) in powers of two. */
static void doctor_bytes(double bytes, bool binary, char text[32]) {
    double k = binary ? 1024 : 1000;
    const char *i = binary ? "i" : "";
    if (bytes >= k * k * k)
        snprintf(text, 32, "%.1f G%sB", bytes / (k * k * k), i);
    else if (bytes >= k * k)
        snprintf(text, 32, "%.4g M%sB", bytes / (k * k), i);
    else if (bytes > 0)
        snprintf(text, 32, "%.0f K%sB", bytes / k, i);
    else
        snprintf(text, 32, "unknown");
}

static void doctor_machine(void) {
    base_machine m;
    base_machine_read(&m);
    char a[32], b[32], c[32];
    printf("CPU          %s\n", m.cpu);
    printf("oneDNN       %s, uses %s; bf16 %s\n", nn_onednn_version(), nn_isa_name(),
           nn_has_bf16() ? "in hardware" : "not in hardware");
    printf("cores        %d of %d\n", m.cores, m.online);
    doctor_bytes((double)m.l1d, true, a), doctor_bytes((double)m.l2, true, b), doctor_bytes((double)m.l3, true, c);
    printf("caches       L1d %s, L2 %s, L3 %s\n", a, b, c);
    doctor_bytes((double)m.memory_total, false, a), doctor_bytes((double)m.memory_free, false, b);
    printf("memory       %s, %s free\n", a, b);
    doctor_bytes((double)m.memory_limit, false, c);
    char quota[32] = "no limit";
    if (m.quota > 0) snprintf(quota, sizeof quota, "%.2f cores", m.quota);
    printf("cgroup       processors: %s; memory: %s\n", quota, m.memory_limit ? c : "no limit");
}

static void doctor_libraries(void) {
    printf("libraries    libjpeg-turbo " DOCTOR_TEXT(
               LIBJPEG_TURBO_VERSION) ", libpng %s, Jansson %s, zlib %s, nettle %d.%d,\n             %s\n",
           png_get_libpng_ver(NULL), jansson_version_str(), zlibVersion(), nettle_version_major(),
           nettle_version_minor(), archive_version_details());
}

/* Data sets in their folder, as deit repro finds them. */
static void doctor_data(void) {
    char *folder = cli_data_folder();
    base_arena arena = {0};
    repro_places places;
    bool there = folder && base_path_exists(folder);
    printf("data         %s%s\n", folder ? folder : "?", there ? "" : ": not there (DEIT_DATA names another)");
    if (repro_locate(&places, there ? folder : NULL, &arena)) {
        printf("             %s\n", base_message());
    } else {
        const char *const names[] = {"ImageNet", "labels", "ReaL", "ImageNetV2", "Fashion"};
        const char *const paths[] = {places.imagenet, places.labels, places.real, places.imagenetv2, places.fashion};
        for (int i = 0; i < 5; i++)
            if (paths[i] || i != 1) printf("             %-10s %s\n", names[i], paths[i] ? paths[i] : "not there");
    }
    base_arena_free(&arena);
    base_free(folder);
}

/* folder NULL: base_message says why there is none. */
static void doctor_weights(const char *folder) {
    const repro_weights *row;
    int found = 0, all = 0;
    if (!folder) {
        printf("weights      ?: %s\n", base_message());
        return;
    }
    printf("weights      %s%s", folder, base_path_exists(folder) ? "" : ": not there");
    for (; (row = repro_weights_at(all)); all++) {
        char *path = base_path_join(folder, row->file);
        if (path && base_path_exists(path)) printf("%s%s", found++ ? ", " : ": ", row->name);
        base_free(path);
    }
    printf("\n             %d of the manifest's %d files; 'deit weights list' shows them\n", found, all);
}

static base_status doctor_run(int n, char **arguments) {
    (void)n, (void)arguments;
    doctor_machine();
    doctor_libraries();
    doctor_data();
    char *folder = cli_weights_folder();
    doctor_weights(folder);
    base_free(folder);
    return BASE_OK;
}

DEIT_INTERNAL const cli_command *cli_doctor(void) {
    static const cli_command command = {.name = "doctor",
                                        .summary = "the processor, memory, libraries, data and weights that deit finds",
                                        .arguments = "",
                                        .run = doctor_run};
    return &command;
}
#undef DOCTOR_TEXT
#undef DOCTOR_TEXT2

/* deit doctor: what this machine has and what deit finds on it. */
#include "cli/internal.h"
#include "repro/manifest.h"

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

static void doctor_bytes(double bytes, char text[32]) {
    if (bytes >= 1e9)
        snprintf(text, 32, "%.1f GB", bytes * 1e-9);
    else if (bytes >= 1e6)
        snprintf(text, 32, "%.1f MB", bytes * 1e-6);
    else if (bytes > 0)
        snprintf(text, 32, "%.0f KB", bytes * 1e-3);
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
    printf("cores        %d of %d", m.cores, m.online);
    if (m.quota > 0) printf("; the cgroup allows %.2f", m.quota);
    doctor_bytes((double)m.l1d, a), doctor_bytes((double)m.l2, b), doctor_bytes((double)m.l3, c);
    printf("\ncaches       L1d %s, L2 %s, L3 %s\n", a, b, c);
    doctor_bytes((double)m.memory_total, a), doctor_bytes((double)m.memory_free, b),
        doctor_bytes((double)m.memory_limit, c);
    printf("memory       %s, %s free", a, b);
    if (m.memory_limit) printf("; the cgroup allows %s", c);
    printf("\n");
}

static void doctor_libraries(void) {
    printf("libraries    libjpeg-turbo " DOCTOR_TEXT(
               LIBJPEG_TURBO_VERSION) ", libpng %s, Jansson %s, zlib %s, nettle %d.%d,\n             %s\n",
           png_get_libpng_ver(NULL), jansson_version_str(), zlibVersion(), nettle_version_major(),
           nettle_version_minor(), archive_version_details());
}

/* Data sets in DEIT_DATA, by the names they come under. */
static void doctor_data(void) {
    static const char *const names[] = {"val",
                                        "train",
                                        "ILSVRC2012_img_val.tar",
                                        "ILSVRC2012_img_train.tar",
                                        "real.json",
                                        "imagenetv2-matched-frequency.tar.gz",
                                        "imagenetv2-matched-frequency-format-val"};
    const char *folder = getenv("DEIT_DATA");
    if (!folder || !*folder) {
        printf("data         DEIT_DATA is not set\n");
        return;
    }
    printf("data         %s%s", folder, base_path_exists(folder) ? "" : ": not there");
    int found = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = base_path_join(folder, names[i]);
        if (path && base_path_exists(path)) printf("%s%s", found++ ? ", " : ": ", names[i]);
        base_free(path);
    }
    printf("\n");
}

static void doctor_weights(const char *folder) {
    const repro_weights *row;
    int found = 0, all = 0;
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
    char *folder = cli_weights_folder();
    if (!folder) return BASE_ERROR;
    doctor_machine();
    doctor_libraries();
    doctor_data();
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

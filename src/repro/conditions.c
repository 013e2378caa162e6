/* conditions: what must stand beside a measurement for it to mean something. */
#include "repro/internal.h"
#include "version.h"

#include <math.h>
#include <string.h>
#include <time.h>

DEIT_INTERNAL json_t *repro_conditions(const char *precision, int threads) {
    base_machine machine;
    base_machine_read(&machine);
    time_t now = time(NULL);
    struct tm utc;
    char date[32] = "";
    if (gmtime_r(&now, &utc)) strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc);
    json_t *c =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:I, s:i, s:s, s:s}", "deit", DEIT_COMMIT, "date", date,
                  "onednn", nn_onednn_version(), "cpu", machine.cpu, "isa", nn_isa_name(), "cores", machine.cores,
                  "cores_online", machine.online, "memory_bytes", (json_int_t)machine.memory_total, "threads",
                  threads > 0 ? threads : machine.cores, "precision", precision, "pinning", "none");
    if (c && machine.quota > 0) json_object_set_new(c, "cpu_quota", json_real(machine.quota));
    return c;
}

DEIT_INTERNAL void repro_conditions_say(const json_t *conditions, char machine[REPRO_MADE], char build[REPRO_MADE]) {
    const char *names[] = {"cpu", "isa", "deit"}, *said[3];
    for (int i = 0; i < 3; i++) {
        said[i] = json_string_value(json_object_get(conditions, names[i]));
        if (!said[i]) said[i] = "?";
    }
    const char *changed = strchr(said[2], '-');
    snprintf(machine, REPRO_MADE, "%.60s (%.30s)", said[0], said[1]);
    snprintf(build, REPRO_MADE, "%.7s%.20s", said[2], changed ? changed : "");
}

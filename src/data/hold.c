/* Files of a compressed archive in memory, so that they can be read in any order. */
#include "data/internal.h"
#include <string.h>

/* The tar beside it is found under the archive's own name. */
static base_status hold_too_large(const data_set *set, uint64_t room) {
    const char *name = base_path_name(set->path), *end = strstr(name, ".tar.");
    if (!end) end = strstr(name, ".tgz");
    if (!end) end = name + strlen(name);
    return base_fail("%s: its files do not fit the %.1f GB of memory that are free, and a compressed archive can only "
                     "be read from first to last; make it one that is not: deit data pack '%s' '%.*s.tar'",
                     set->path, (double)room * 1e-9, set->path, (int)(end - set->path), set->path);
}

static base_status hold_file(data_item *item, const uint8_t *data, size_t size) {
    uint8_t *copy = base_malloc(size + 1);
    if (!copy) return BASE_ERROR;
    memcpy(copy, data, size);
    item->held = copy, item->size = size;
    return BASE_OK;
}

/* The set's items are in the archive's order. */
static base_status hold_all(data_set *set, store_stream *stream, uint64_t room, const base_context *context) {
    const char *name;
    const uint8_t *data;
    size_t size;
    uint64_t used = 0, done, total;
    int64_t item = 0;
    for (int64_t rank = 0; item < set->count; rank++) {
        BASE_TRY(store_stream_next(stream, &name));
        if (!name)
            return base_fail("%s: ended before %s, which was there when it was listed", set->path,
                             set->items[item].name);
        if (rank < set->items[item].rank) continue;
        BASE_TRY(store_stream_data(stream, &data, &size));
        if ((used += size) > room) return hold_too_large(set, room);
        BASE_TRY(hold_file(&set->items[item++], data, size));
        store_stream_position(stream, &done, &total);
        if (item % 64 == 0) base_progress(context, "read", (double)done, (double)total, "bytes", NULL);
        if (base_cancelled(context)) return base_fail_as(BASE_CANCELLED, "stopped while reading %s", set->path);
    }
    return BASE_OK;
}

DEIT_INTERNAL base_status data_hold(data_set *set, const base_context *context) {
    store_stream *stream;
    base_machine machine;
    if (set->kind != DATA_STREAM) return BASE_OK;
    base_machine_read(&machine);
    BASE_TRY(store_stream_open(&stream, set->path));
    base_log(context, BASE_LOG_INFO, "%s: holding the files of a compressed archive in memory", set->path);
    base_status status = hold_all(set, stream, machine.memory_free / 4 * 3, context);
    store_stream_close(stream);
    if (status) {
        data_release(set);
        return status;
    }
    set->kind = DATA_HELD;
    data_sort(set);
    return BASE_OK;
}

DEIT_INTERNAL void data_release(data_set *set) {
    for (int64_t i = 0; i < set->count; i++) {
        base_free((void *)set->items[i].held);
        set->items[i].held = NULL;
    }
}

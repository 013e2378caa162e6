/* The loader: threads take the set's items in order and prepare them into a ring of batches; the caller empties batches
 * in order. A batch that holds bad files is closed up when it is taken, so order and content never depend on which
 * thread was faster. */
#include "data/internal.h"
#include <pthread.h>
#include <string.h>
#include <time.h>

enum { LOADER_SLOTS = 3 }; /* one with the caller, one ready, one being filled */

typedef struct {
    float *images; /* [batch, 3, S, S] */
    int *labels;
    int64_t *items;
    char **bad;      /* [batch]: what was wrong, NULL if nothing */
    int64_t pending; /* items not yet prepared */
} loader_slot;

struct data_loader {
    const data_set *set;
    data_loader_options options;
    const base_context *context;
    size_t pixels; /* floats an image */
    int64_t batches;
    loader_slot slot[LOADER_SLOTS];
    pthread_t *thread;
    int started;
    pthread_mutex_t lock;
    pthread_cond_t free_slot, full_slot;
    int64_t next;  /* item to be taken next */
    int64_t taken; /* batches the caller has had */
    bool stop;
    base_status failed; /* of a stream, or memory: ends everything */
    char *message;
    int64_t bad;
    double seconds;
    store_stream *stream; /* DATA_STREAM: read under the lock `reading` */
    pthread_mutex_t reading;
    int64_t rank;
};

/* ---- In the threads ---------------------------------------------------------------------------------------------- */

typedef struct {
    data_bytes bytes;
    image_worker *image;
} loader_work;

static double loader_cpu(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int64_t loader_item(const data_loader *l, int64_t place) {
    return l->options.order ? l->options.order[place] : place;
}

/* Waits until the batch of the next place has a slot, and takes the place; -1: nothing left. */
static int64_t loader_take(data_loader *l) {
    pthread_mutex_lock(&l->lock);
    while (!l->stop && l->next < l->options.count && l->next / l->options.batch >= l->taken + LOADER_SLOTS - 1)
        pthread_cond_wait(&l->free_slot, &l->lock);
    int64_t place = l->stop || l->next >= l->options.count ? -1 : l->next++;
    pthread_mutex_unlock(&l->lock);
    return place;
}

static void loader_end(data_loader *l, base_status status) {
    pthread_mutex_lock(&l->lock);
    if (!l->failed) l->failed = status, l->message = base_strdup(base_message());
    l->stop = true;
    pthread_cond_broadcast(&l->free_slot);
    pthread_cond_broadcast(&l->full_slot);
    pthread_mutex_unlock(&l->lock);
}

/* The stream's file for an item; items of a stream are in its order. */
static base_status loader_read_stream(data_loader *l, int64_t item, loader_work *work) {
    const char *name;
    const uint8_t *data;
    size_t size;
    do {
        BASE_TRY(store_stream_next(l->stream, &name));
        if (!name)
            return base_fail("%s: ended before %s, which was there when it was listed", l->set->path,
                             l->set->items[item].name);
    } while (l->rank++ < l->set->items[item].rank);
    BASE_TRY(store_stream_data(l->stream, &data, &size));
    BASE_TRY(data_room(&work->bytes, size));
    memcpy(work->bytes.data, data, size);
    return BASE_OK;
}

/* place: of the item in the order of this loader. */
static void loader_prepare(data_loader *l, int64_t place, loader_work *work) {
    loader_slot *slot = &l->slot[place / l->options.batch % LOADER_SLOTS];
    int64_t at = place % l->options.batch, item = loader_item(l, place);
    base_status status = l->stream ? BASE_OK : data_read(l->set, item, &work->bytes);
    if (!status)
        status = image_eval(work->image, &l->options.transform, work->bytes.data, work->bytes.size,
                            l->set->items[item].name, slot->images + (size_t)at * l->pixels);
    char *bad = status ? base_strdup(base_message()) : NULL;
    pthread_mutex_lock(&l->lock);
    slot->labels[at] = l->set->items[item].label, slot->items[at] = item, slot->bad[at] = bad;
    if (status && !bad) l->failed = BASE_ERROR; /* no memory even for the message */
    if (--slot->pending == 0) pthread_cond_broadcast(&l->full_slot);
    pthread_mutex_unlock(&l->lock);
}

static void *loader_thread(void *argument) {
    data_loader *l = argument;
    loader_work work = {0};
    double start = loader_cpu();
    if (image_worker_new(&work.image)) loader_end(l, BASE_ERROR);
    while (work.image) {
        base_status status = BASE_OK;
        if (l->stream) pthread_mutex_lock(&l->reading); /* taking and reading together keep the stream's order */
        int64_t place = loader_take(l);
        if (place >= 0 && l->stream) status = loader_read_stream(l, place, &work);
        if (l->stream) pthread_mutex_unlock(&l->reading);
        if (status) loader_end(l, status);
        if (place < 0 || status) break;
        loader_prepare(l, place, &work);
        double now = loader_cpu();
        pthread_mutex_lock(&l->lock);
        l->seconds += now - start;
        pthread_mutex_unlock(&l->lock);
        start = now;
    }
    image_worker_free(work.image);
    base_free(work.bytes.data);
    return NULL;
}

/* ---- For the caller ---------------------------------------------------------------------------------------------- */

static base_status loader_make_slots(data_loader *l) {
    for (int i = 0; i < LOADER_SLOTS; i++) {
        loader_slot *slot = &l->slot[i];
        size_t batch = (size_t)l->options.batch;
        slot->images = base_malloc(batch * l->pixels * sizeof *slot->images);
        slot->labels = base_malloc(batch * sizeof *slot->labels);
        slot->items = base_malloc(batch * sizeof *slot->items);
        slot->bad = base_calloc(batch, sizeof *slot->bad);
        if (!slot->images || !slot->labels || !slot->items || !slot->bad) return BASE_ERROR;
    }
    return BASE_OK;
}

/* Refuses before the slots are allocated. */
static base_status loader_check_memory(const data_loader *l, const base_machine *machine) {
    double bytes = LOADER_SLOTS * (double)l->options.batch * (double)l->pixels * sizeof(float);
    if (bytes <= (double)machine->memory_free) return BASE_OK;
    return base_fail("%s: %d batches of %lld images of %d x %d take %.1f GB, and %.1f GB of memory are free: use a "
                     "smaller --batch",
                     l->set->path, LOADER_SLOTS, (long long)l->options.batch, l->options.transform.size,
                     l->options.transform.size, bytes * 1e-9, (double)machine->memory_free * 1e-9);
}

/* Items in batch b. */
static int64_t loader_size(const data_loader *l, int64_t b) {
    int64_t left = l->options.count - b * l->options.batch;
    return left < l->options.batch ? left : l->options.batch;
}

DEIT_INTERNAL base_status data_loader_open(data_loader **out, const data_set *set, const data_loader_options *options,
                                           const base_context *context) {
    *out = NULL;
    data_loader *l = base_calloc(1, sizeof *l);
    if (!l) return BASE_ERROR;
    l->set = set, l->options = *options, l->context = context;
    if (!l->options.order) l->options.count = set->count;
    if (l->options.batch > l->options.count) l->options.batch = l->options.count;
    l->pixels = (size_t)3 * (size_t)options->transform.size * (size_t)options->transform.size;
    l->batches = l->options.batch > 0 ? (l->options.count + l->options.batch - 1) / l->options.batch : 0;
    pthread_mutex_init(&l->lock, NULL);
    pthread_mutex_init(&l->reading, NULL);
    pthread_cond_init(&l->free_slot, NULL);
    pthread_cond_init(&l->full_slot, NULL);
    base_machine machine;
    base_machine_read(&machine);
    if (l->options.threads < 1) l->options.threads = machine.cores < 16 ? machine.cores : 16;
    base_status status = BASE_OK;
    if (l->options.batch < 1) status = base_fail_as(BASE_USAGE, "%s: batches of less than one image", set->path);
    if (!status && options->order && set->kind == DATA_STREAM)
        status = base_fail("%s: a compressed archive is read from first to last, not in another order; unpack it, or "
                           "use a .tar or .zip",
                           set->path);
    if (!status) status = loader_check_memory(l, &machine);
    if (!status) status = loader_make_slots(l);
    for (int64_t b = 0; b < LOADER_SLOTS && b < l->batches; b++) l->slot[b].pending = loader_size(l, b);
    if (!status && set->kind == DATA_STREAM) status = store_stream_open(&l->stream, set->path);
    if (!status && !(l->thread = base_calloc((size_t)l->options.threads, sizeof *l->thread))) status = BASE_ERROR;
    for (int i = 0; i < l->options.threads && !status; i++) {
        if (pthread_create(&l->thread[i], NULL, loader_thread, l))
            status = base_fail("could not start loader thread %d", i);
        else
            l->started++;
    }
    if (status)
        data_loader_close(l);
    else
        *out = l;
    return status;
}

/* Closes a full batch up over its bad files, and reports them. */
static base_status loader_close_up(data_loader *l, loader_slot *slot, int64_t size, int64_t *n) {
    *n = 0;
    char *first = NULL;
    for (int64_t i = 0; i < size; i++) {
        if (slot->bad[i]) {
            l->bad++;
            base_log(l->context, BASE_LOG_WARNING, "bad file: %s", slot->bad[i]);
            if (!first)
                first = slot->bad[i];
            else
                base_free(slot->bad[i]);
            slot->bad[i] = NULL;
            continue;
        }
        if (*n < i) {
            memcpy(slot->images + (size_t)*n * l->pixels, slot->images + (size_t)i * l->pixels,
                   l->pixels * sizeof *slot->images);
            slot->labels[*n] = slot->labels[i], slot->items[*n] = slot->items[i];
        }
        ++*n;
    }
    base_status status = BASE_OK;
    if (l->bad > l->options.max_bad && first)
        status = base_fail("%s: %lld bad file%s, %lld allowed (--max-bad); the last: %s", l->set->path,
                           (long long)l->bad, l->bad > 1 ? "s" : "", (long long)l->options.max_bad, first);
    base_free(first);
    return status;
}

DEIT_INTERNAL base_status data_loader_next(data_loader *l, data_batch *batch) {
    *batch = (data_batch){0};
    for (;;) {
        pthread_mutex_lock(&l->lock);
        if (l->taken > 0) { /* the batch the caller had is free again: LOADER_SLOTS - 1 behind it may be in work */
            int64_t again = l->taken - 1 + LOADER_SLOTS;
            if (again < l->batches) l->slot[again % LOADER_SLOTS].pending = loader_size(l, again);
        }
        int64_t b = l->taken;
        if (b >= l->batches) {
            pthread_mutex_unlock(&l->lock);
            return BASE_OK;
        }
        loader_slot *slot = &l->slot[b % LOADER_SLOTS];
        while (slot->pending && !l->failed) {
            struct timespec until; /* wakes up now and then to see whether it is to stop */
            clock_gettime(CLOCK_REALTIME, &until);
            until.tv_nsec += 100000000;
            if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
            pthread_cond_timedwait(&l->full_slot, &l->lock, &until);
            if (base_cancelled(l->context)) {
                pthread_mutex_unlock(&l->lock);
                return base_fail_as(BASE_CANCELLED, "stopped");
            }
        }
        base_status failed = l->failed;
        if (!failed) {
            l->taken++;
            pthread_cond_broadcast(&l->free_slot);
        }
        pthread_mutex_unlock(&l->lock);
        if (failed) return base_fail_as(failed, "%s", l->message ? l->message : "out of memory");
        int64_t n;
        BASE_TRY(loader_close_up(l, slot, loader_size(l, b), &n));
        if (!n) continue; /* nothing but bad files */
        *batch = (data_batch){.n = n, .images = slot->images, .labels = slot->labels, .items = slot->items};
        return BASE_OK;
    }
}

DEIT_INTERNAL int64_t data_loader_bad(const data_loader *l) {
    return l->bad;
}
DEIT_INTERNAL double data_loader_seconds(const data_loader *l) {
    return l->seconds;
}

DEIT_INTERNAL void data_loader_close(data_loader *l) {
    if (!l) return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_broadcast(&l->free_slot);
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < l->started; i++) pthread_join(l->thread[i], NULL);
    for (int i = 0; i < LOADER_SLOTS; i++) {
        for (int64_t j = 0; l->slot[i].bad && j < l->options.batch; j++) base_free(l->slot[i].bad[j]);
        base_free(l->slot[i].images), base_free(l->slot[i].labels), base_free(l->slot[i].items),
            base_free(l->slot[i].bad);
    }
    store_stream_close(l->stream);
    pthread_mutex_destroy(&l->lock);
    pthread_mutex_destroy(&l->reading);
    pthread_cond_destroy(&l->free_slot);
    pthread_cond_destroy(&l->full_slot);
    base_free(l->thread);
    base_free(l->message);
    base_free(l);
}

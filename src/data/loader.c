/* The loader: threads take the set's items in order and prepare them into a ring of batches; the caller empties batches
 * in order. In evaluation a batch that holds bad files is closed up when it is taken; in training other pictures stand
 * in for them. Order and content never depend on which thread was faster. */
#include "data/internal.h"
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

enum { LOADER_SLOTS = 3 }; /* one with the caller, one ready, one being filled */

/* A file that could not be read, and why. */
typedef struct loader_bad {
    struct loader_bad *next;
    int64_t item;
    char message[];
} loader_bad;

typedef struct {
    float *images; /* [batch, 3, S, S] */
    int *labels;
    int64_t *items;
    loader_bad **bad; /* [batch]: what went wrong on the way to each picture, the first first */
    bool *lost;       /* [batch]: no picture came of it */
    int64_t pending;  /* items not yet prepared */
    /* training */
    float *targets; /* [batch, classes] */
    bool *ready;    /* [batch]: prepared, perhaps not yet mixed */
    data_mix *mix;  /* [batch] */
    int64_t epoch, step;
} loader_slot;

/* What a thread prepares next. */
typedef struct {
    int64_t place;  /* since the loader was opened; -1: nothing is left */
    int64_t item;   /* of the set */
    int64_t epoch;  /* training: which, */
    int64_t sample; /* and the place in it */
} loader_task;

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
    int64_t next;  /* place to be taken next */
    int64_t taken; /* batches the caller has had */
    bool stop;
    base_status failed; /* of a stream, or memory: ends everything */
    char *message;
    int64_t bad;
    double seconds;
    store_stream *stream; /* DATA_STREAM: read under the lock `reading` */
    pthread_mutex_t reading;
    int64_t rank;
    /* training */
    bool trains;
    data_training training;
    data_augmenter augmenter;
    int64_t steps;       /* batches an epoch */
    int64_t *order;      /* [steps, batch] of the epoch order_epoch */
    int64_t order_epoch; /* -1: none yet */
    bool *known_bad;     /* [count]: counted already */
};

/* ---- In the threads ---------------------------------------------------------------------------------------------- */

typedef struct {
    data_bytes bytes;
    image_worker *image;
    image_u8 spare;
} loader_work;

static double loader_cpu(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void loader_end_locked(data_loader *l, base_status status) {
    if (!l->failed) l->failed = status, l->message = base_strdup(base_message());
    l->stop = true;
    pthread_cond_broadcast(&l->free_slot);
    pthread_cond_broadcast(&l->full_slot);
}

static void loader_end(data_loader *l, base_status status) {
    pthread_mutex_lock(&l->lock);
    loader_end_locked(l, status);
    pthread_mutex_unlock(&l->lock);
}

/* Which item a place of training is; prepares its batch's slot, where it is the first. Under the lock. */
static base_status loader_place_training(data_loader *l, loader_task *task) {
    const data_training *t = &l->training;
    loader_slot *slot = &l->slot[task->place / l->options.batch % LOADER_SLOTS];
    int64_t at = task->place % l->options.batch;
    int64_t step = t->epoch * l->steps + t->step + task->place / l->options.batch;
    if (at == 0) {
        base_random random =
            base_random_stream(t->seed, (uint64_t)(step / l->steps), (uint64_t)(step % l->steps), DATA_RANDOM_MIX);
        slot->epoch = step / l->steps, slot->step = step % l->steps;
        memset(slot->ready, 0, (size_t)l->options.batch * sizeof *slot->ready);
        data_mix_draw(&t->augment, &random, l->options.batch, l->options.transform.size, slot->mix);
    }
    if (slot->epoch != l->order_epoch)
        BASE_TRY(data_epoch_order(l->order, l->set->count, l->options.batch, t, slot->epoch));
    l->order_epoch = slot->epoch;
    task->epoch = slot->epoch;
    task->sample = slot->step * l->options.batch + at;
    task->item = l->order[task->sample];
    return BASE_OK;
}

/* Waits until the batch of the next place has a slot, and takes the place. */
static loader_task loader_take(data_loader *l) {
    loader_task task = {.place = -1};
    pthread_mutex_lock(&l->lock);
    while (!l->stop && l->next < l->options.count && l->next / l->options.batch >= l->taken + LOADER_SLOTS - 1)
        pthread_cond_wait(&l->free_slot, &l->lock);
    if (!l->stop && l->next < l->options.count) {
        task.place = l->next++;
        task.item = l->options.order ? l->options.order[task.place] : task.place;
        base_status status = l->trains ? loader_place_training(l, &task) : BASE_OK;
        if (status) loader_end_locked(l, status), task.place = -1;
    }
    pthread_mutex_unlock(&l->lock);
    return task;
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

/* out: [3, S, S] */
static base_status loader_picture(data_loader *l, const loader_task *task, int64_t item, loader_work *work,
                                  float *out) {
    image_source source = {.bytes = work->bytes.data, .size = work->bytes.size, .name = l->set->items[item].name};
    image_u8 *picture;
    if (!l->stream) BASE_TRY(data_read_source(l->set, item, &work->bytes, &source));
    if (l->trains)
        return data_augmenter_run(&l->augmenter, work->image, &work->spare, &source, l->training.seed, task->epoch,
                                  task->sample, out);
    const image_transform *t = &l->options.transform;
    BASE_TRY(image_eval_source(work->image, t, &source, &picture));
    image_normalise(picture, t->mean, t->std, out);
    return BASE_OK;
}

/* Keeps this thread's message at the end of a list. */
static base_status loader_note(loader_bad **list, int64_t item) {
    size_t size = strlen(base_message()) + 1;
    loader_bad *bad = base_malloc(sizeof *bad + size);
    if (!bad) return BASE_ERROR;
    *bad = (loader_bad){.item = item};
    memcpy(bad->message, base_message(), size);
    while (*list) list = &(*list)->next;
    *list = bad;
    return BASE_OK;
}

/* Mixes a pair of partners once both are there; their targets too. */
static void loader_mix(data_loader *l, loader_slot *slot, int64_t at) {
    int64_t partner = l->options.batch - 1 - at, pair[2] = {at, partner};
    int classes = l->training.classes;
    data_mix_images(slot->images + (size_t)at * l->pixels, slot->images + (size_t)partner * l->pixels,
                    l->options.transform.size, &slot->mix[at], &slot->mix[partner]);
    for (int i = 0; i < 2; i++)
        data_mix_target(slot->targets + pair[i] * classes, classes, l->training.augment.smoothing,
                        slot->labels[pair[i]], slot->labels[pair[1 - i]], &slot->mix[pair[i]]);
}

/* In training the partner that is ready last mixes both. */
static void loader_finish(data_loader *l, loader_slot *slot, int64_t at) {
    bool mixes = l->trains && data_mixes(&l->training.augment), now = false;
    if (l->trains && !mixes)
        data_mix_target(slot->targets + at * l->training.classes, l->training.classes, l->training.augment.smoothing,
                        slot->labels[at], slot->labels[at], &(data_mix){.keep = 1});
    pthread_mutex_lock(&l->lock);
    if (mixes) slot->ready[at] = true, now = slot->ready[l->options.batch - 1 - at];
    if (now) {
        pthread_mutex_unlock(&l->lock);
        loader_mix(l, slot, at);
        pthread_mutex_lock(&l->lock);
    }
    if (--slot->pending == 0) pthread_cond_broadcast(&l->full_slot);
    pthread_mutex_unlock(&l->lock);
}

/* In training the next pictures of the set stand in for a bad one; so many bad ones in a row are too many anyway. */
static void loader_prepare(data_loader *l, const loader_task *task, loader_work *work) {
    loader_slot *slot = &l->slot[task->place / l->options.batch % LOADER_SLOTS];
    int64_t at = task->place % l->options.batch, item = task->item;
    int64_t tries = l->trains && l->options.max_bad < l->set->count ? l->options.max_bad + 1 : 1;
    base_status status = BASE_ERROR, noted = BASE_OK;
    for (int64_t i = 0; i < tries && status; i++) {
        item = (task->item + i) % l->set->count;
        status = loader_picture(l, task, item, work, slot->images + (size_t)at * l->pixels);
        if (status && !noted) noted = loader_note(&slot->bad[at], item);
    }
    if (noted) loader_end(l, BASE_ERROR); /* no memory even for the message */
    slot->labels[at] = l->set->items[item].label, slot->items[at] = item, slot->lost[at] = status != BASE_OK;
    loader_finish(l, slot, at);
}

static void *loader_thread(void *argument) {
    data_loader *l = argument;
    loader_work work = {0};
    double start = loader_cpu();
    if (image_worker_new(&work.image)) loader_end(l, BASE_ERROR);
    while (work.image) {
        base_status status = BASE_OK;
        if (l->stream) pthread_mutex_lock(&l->reading); /* taking and reading together keep the stream's order */
        loader_task task = loader_take(l);
        if (task.place >= 0 && l->stream) status = loader_read_stream(l, task.item, &work);
        if (l->stream) pthread_mutex_unlock(&l->reading);
        if (status) loader_end(l, status);
        if (task.place < 0 || status) break;
        loader_prepare(l, &task, &work);
        double now = loader_cpu();
        pthread_mutex_lock(&l->lock);
        l->seconds += now - start;
        pthread_mutex_unlock(&l->lock);
        start = now;
    }
    image_worker_free(work.image);
    image_free(&work.spare);
    base_free(work.bytes.data);
    return NULL;
}

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

static base_status loader_make_slots(data_loader *l) {
    size_t batch = (size_t)l->options.batch;
    for (int i = 0; i < LOADER_SLOTS; i++) {
        loader_slot *slot = &l->slot[i];
        slot->images = base_malloc(batch * l->pixels * sizeof *slot->images);
        slot->labels = base_malloc(batch * sizeof *slot->labels);
        slot->items = base_malloc(batch * sizeof *slot->items);
        slot->bad = base_calloc(batch, sizeof *slot->bad);
        slot->lost = base_calloc(batch, sizeof *slot->lost);
        if (!slot->images || !slot->labels || !slot->items || !slot->bad || !slot->lost) return BASE_ERROR;
        if (!l->trains) continue;
        slot->targets = base_malloc(batch * (size_t)l->training.classes * sizeof *slot->targets);
        slot->ready = base_calloc(batch, sizeof *slot->ready);
        slot->mix = base_calloc(batch, sizeof *slot->mix);
        if (!slot->targets || !slot->ready || !slot->mix) return BASE_ERROR;
    }
    return BASE_OK;
}

DEIT_INTERNAL double data_loader_bytes(int64_t batch, int size) {
    return LOADER_SLOTS * (double)batch * 3 * size * size * sizeof(float);
}

/* Refuses before the slots are allocated. */
static base_status loader_check_memory(const data_loader *l, const base_machine *machine) {
    double bytes = data_loader_bytes(l->options.batch, l->options.transform.size);
    if (bytes <= (double)machine->memory_free) return BASE_OK;
    return base_fail("%s: %d batches of %lld images of %d x %d take %.1f GB, and %.1f GB of memory are free: use a "
                     "smaller %s",
                     l->set->path, LOADER_SLOTS, (long long)l->options.batch, l->options.transform.size,
                     l->options.transform.size, bytes * 1e-9, (double)machine->memory_free * 1e-9,
                     l->trains ? "--batch-size" : "--batch");
}

/* Items in batch b. */
static int64_t loader_size(const data_loader *l, int64_t b) {
    int64_t left = l->options.count - b * l->options.batch;
    return left < l->options.batch ? left : l->options.batch;
}

static base_status loader_set_evaluation(data_loader *l) {
    if (!l->options.order) l->options.count = l->set->count;
    if (l->options.batch > l->options.count) l->options.batch = l->options.count;
    if (l->options.batch < 1) return base_fail_as(BASE_USAGE, "%s: batches of less than one image", l->set->path);
    l->batches = (l->options.count + l->options.batch - 1) / l->options.batch;
    if (l->options.order && l->set->kind == DATA_STREAM)
        return base_fail("%s: a compressed archive is read from first to last, not in another order; unpack it, or "
                         "use a .tar or .zip",
                         l->set->path);
    return BASE_OK;
}

static base_status loader_set_training(data_loader *l, const data_training *training) {
    const data_set *set = l->set;
    int64_t batch = l->options.batch;
    l->trains = true, l->training = *training, l->order_epoch = -1;
    l->options.count = INT64_MAX, l->options.order = NULL, l->batches = INT64_MAX;
    if (batch < 1) return base_fail_as(BASE_USAGE, "--batch-size: %lld; at least 1 is needed", (long long)batch);
    if (set->kind == DATA_STREAM)
        return base_fail("%s: a compressed archive is read from first to last, not in training's order", set->path);
    BASE_TRY(data_augment_check(&training->augment, batch));
    BASE_TRY(data_check_classes(set, training->classes, "the network"));
    BASE_TRY(data_augmenter_make(&l->augmenter, &training->augment, &l->options.transform));
    l->training.augment.aa = NULL; /* borrowed until here */
    l->steps = data_epoch_batches(set->count, batch, training);
    if (l->steps < 1)
        return base_fail("%s: its %lld images an epoch make no step of %lld batches of %lld: use smaller batches",
                         set->path, (long long)set->count, (long long)(training->passes > 0 ? training->passes : 1),
                         (long long)batch);
    l->order = base_malloc((size_t)(l->steps * batch) * sizeof *l->order);
    l->known_bad = base_calloc((size_t)set->count, sizeof *l->known_bad);
    return l->order && l->known_bad ? BASE_OK : BASE_ERROR;
}

static base_status loader_start(data_loader *l) {
    if (!(l->thread = base_calloc((size_t)l->options.threads, sizeof *l->thread))) return BASE_ERROR;
    for (int i = 0; i < l->options.threads; i++) {
        if (pthread_create(&l->thread[i], NULL, loader_thread, l))
            return base_fail("could not start loader thread %d", i);
        l->started++;
    }
    return BASE_OK;
}

DEIT_INTERNAL base_status data_loader_open(data_loader **out, const data_set *set, const data_loader_options *options,
                                           const base_context *context) {
    *out = NULL;
    data_loader *l = base_calloc(1, sizeof *l);
    if (!l) return BASE_ERROR;
    l->set = set, l->options = *options, l->context = context;
    l->pixels = (size_t)3 * (size_t)options->transform.size * (size_t)options->transform.size;
    pthread_mutex_init(&l->lock, NULL);
    pthread_mutex_init(&l->reading, NULL);
    pthread_cond_init(&l->free_slot, NULL);
    pthread_cond_init(&l->full_slot, NULL);
    base_machine machine;
    base_machine_read(&machine);
    if (l->options.threads < 1) l->options.threads = machine.cores < 16 ? machine.cores : 16;
    base_status status = options->training ? loader_set_training(l, options->training) : loader_set_evaluation(l);
    if (!status) status = loader_check_memory(l, &machine);
    if (!status) status = loader_make_slots(l);
    for (int64_t b = 0; !status && b < LOADER_SLOTS && b < l->batches; b++) l->slot[b].pending = loader_size(l, b);
    if (!status && set->kind == DATA_STREAM) status = store_stream_open(&l->stream, set->path);
    if (!status) status = loader_start(l);
    if (status)
        data_loader_close(l);
    else
        *out = l;
    return status;
}

/* ---- For the caller ---------------------------------------------------------------------------------------------- */

/* Counts and logs what went wrong, each file once, and forgets it; too much of it is an error. */
static base_status loader_report(data_loader *l, loader_slot *slot, int64_t size) {
    base_status status = BASE_OK;
    for (int64_t i = 0; i < size; i++) {
        for (loader_bad *bad = slot->bad[i], *next; bad; bad = next) {
            next = bad->next;
            bool fresh = !l->known_bad || !l->known_bad[bad->item];
            if (l->known_bad) l->known_bad[bad->item] = true;
            if (fresh) {
                l->bad++;
                base_log(l->context, BASE_LOG_WARNING, "bad file: %s", bad->message);
                if (!status && l->bad > l->options.max_bad)
                    status = base_fail("%s: %lld bad file%s, %lld allowed (--max-bad); the last: %s", l->set->path,
                                       (long long)l->bad, l->bad > 1 ? "s" : "", (long long)l->options.max_bad,
                                       bad->message);
            }
            base_free(bad);
        }
        slot->bad[i] = NULL;
        if (!status && l->trains && slot->lost[i])
            status = base_fail("%s: none of its files could be read", l->set->path);
    }
    return status;
}

/* Closes an evaluation's batch up over its bad files; returns how many pictures are left. */
static int64_t loader_close_up(data_loader *l, loader_slot *slot, int64_t size) {
    int64_t n = 0;
    for (int64_t i = 0; i < size; i++) {
        if (slot->lost[i]) continue;
        if (n < i) {
            memcpy(slot->images + (size_t)n * l->pixels, slot->images + (size_t)i * l->pixels,
                   l->pixels * sizeof *slot->images);
            slot->labels[n] = slot->labels[i], slot->items[n] = slot->items[i];
        }
        n++;
    }
    return n;
}

/* Waits for the next batch, b, and takes it; its slot NULL: there is none. */
static base_status loader_await(data_loader *l, int64_t *b, loader_slot **slot) {
    base_status status = BASE_OK;
    *slot = NULL;
    pthread_mutex_lock(&l->lock);
    if (l->taken > 0) { /* the batch the caller had is free again: LOADER_SLOTS - 1 behind it may be in work */
        int64_t again = l->taken - 1 + LOADER_SLOTS;
        if (again < l->batches) l->slot[again % LOADER_SLOTS].pending = loader_size(l, again);
    }
    *b = l->taken;
    if (*b < l->batches) *slot = &l->slot[*b % LOADER_SLOTS];
    while (*slot && (*slot)->pending && !l->failed && !status) {
        struct timespec until; /* wakes up now and then to see whether it is to stop */
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 100000000;
        if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
        pthread_cond_timedwait(&l->full_slot, &l->lock, &until);
        if (base_cancelled(l->context)) status = base_fail_as(BASE_CANCELLED, "stopped");
    }
    if (!status && *slot && l->failed)
        status = base_fail_as(l->failed, "%s", l->message ? l->message : "out of memory");
    if (!status && *slot) {
        l->taken++;
        pthread_cond_broadcast(&l->free_slot);
    }
    pthread_mutex_unlock(&l->lock);
    return status;
}

DEIT_INTERNAL base_status data_loader_next(data_loader *l, data_batch *batch) {
    *batch = (data_batch){0};
    for (;;) {
        int64_t b, n;
        loader_slot *slot;
        BASE_TRY(loader_await(l, &b, &slot));
        if (!slot) return BASE_OK;
        n = loader_size(l, b);
        BASE_TRY(loader_report(l, slot, n));
        if (!l->trains) n = loader_close_up(l, slot, n);
        if (!n) continue; /* nothing but bad files */
        *batch = (data_batch){.n = n,
                              .images = slot->images,
                              .labels = slot->labels,
                              .items = slot->items,
                              .targets = slot->targets,
                              .epoch = slot->epoch,
                              .step = slot->step};
        return BASE_OK;
    }
}

DEIT_INTERNAL int64_t data_loader_bad(const data_loader *l) {
    return l->bad;
}
DEIT_INTERNAL double data_loader_seconds(data_loader *l) {
    pthread_mutex_lock(&l->lock);
    double seconds = l->seconds;
    pthread_mutex_unlock(&l->lock);
    return seconds;
}

static void loader_free_slot(loader_slot *slot, int64_t batch) {
    for (int64_t i = 0; slot->bad && i < batch; i++)
        for (loader_bad *bad = slot->bad[i], *next; bad; bad = next) {
            next = bad->next;
            base_free(bad);
        }
    void *all[] = {slot->images, slot->labels,  slot->items, slot->bad,
                   slot->lost,   slot->targets, slot->ready, slot->mix};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) base_free(all[i]);
}

DEIT_INTERNAL void data_loader_close(data_loader *l) {
    if (!l) return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_broadcast(&l->free_slot);
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < l->started; i++) pthread_join(l->thread[i], NULL);
    for (int i = 0; i < LOADER_SLOTS; i++) loader_free_slot(&l->slot[i], l->options.batch);
    store_stream_close(l->stream);
    pthread_mutex_destroy(&l->lock);
    pthread_mutex_destroy(&l->reading);
    pthread_cond_destroy(&l->free_slot);
    pthread_cond_destroy(&l->full_slot);
    base_free(l->thread);
    base_free(l->message);
    base_free(l->order);
    base_free(l->known_bad);
    base_free(l);
}

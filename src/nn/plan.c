/* Plans: a graph made runnable. nn_plan_new runs the passes, sets the operators up and allocates; nn_plan_refresh packs
 * weights; nn_run runs. */
#include "nn/internal.h"
#include <math.h>
#include <pthread.h>
#include <string.h>

DEIT_INTERNAL size_t nn_type_size(nn_dtype type) {
    return type == NN_BF16 ? 2 : 4;
}

/* ---- What operators ask for while they are set up, and read while they run --------------------------------------- */

DEIT_INTERNAL void *nn_setup_alloc(nn_plan *plan, int node, size_t bytes) {
    return plan->setup[node] = base_arena_alloc(&plan->arena, bytes);
}
DEIT_INTERNAL void nn_want_small(nn_plan *plan, int param) {
    if (plan->small_offset[param] >= 0) return;
    plan->small_offset[param] = plan->small_size;
    plan->small_size += (nn_param_of(plan->graph, param)->count + 15) / 16 * 16;
}
DEIT_INTERNAL void nn_want_scratch(nn_plan *plan, size_t bytes) {
    bytes = (bytes + 63) / 64 * 64;
    if (plan->scratch_bytes < bytes) plan->scratch_bytes = bytes;
}
DEIT_INTERNAL void nn_want_whole(nn_plan *plan, size_t bytes) {
    bytes = (bytes + 63) / 64 * 64;
    if (plan->whole_bytes < bytes) plan->whole_bytes = bytes;
}
DEIT_INTERNAL void *nn_value_at(const nn_worker *worker, int node) {
    return worker->value[node];
}
DEIT_INTERNAL float *nn_saved_at(const nn_worker *worker, int node) {
    return (float *)(worker->arena + worker->plan->graph->nodes[node].saved_offset);
}
DEIT_INTERNAL const float *nn_small_at(const nn_worker *worker, int param) {
    return worker->plan->small + worker->plan->small_offset[param];
}
DEIT_INTERNAL float *nn_gradient_at(const nn_worker *worker, int param) {
    const nn_params *params = worker->plan->options.params;
    return params->gradients + params->params[param].offset;
}
DEIT_INTERNAL int nn_threads(const nn_worker *worker) {
    return worker->plan->options.threads;
}
DEIT_INTERNAL void nn_share(nn_worker *worker, int i, int64_t count, int64_t unit, nn_loop loop) {
    int64_t units = (count + unit - 1) / unit;
    int threads = nn_threads(worker);
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int t = 0; t < threads; t++) {
        int64_t begin = units * t / threads * unit, end = units * (t + 1) / threads * unit;
        loop(worker, i, begin, end < count ? end : count);
    }
}
DEIT_INTERNAL void nn_add_shares(nn_worker *worker, int param, int64_t at) {
    float *out = nn_gradient_at(worker, param);
    for (int64_t j = 0; j < worker->plan->graph->params[param].count; j++) {
        double sum = 0;
        for (int t = 0; t < nn_threads(worker); t++) sum += ((const double *)nn_scratch_at(worker, t))[at + j];
        out[j] += (float)sum;
    }
}
static size_t plan_thread_bytes(const nn_plan *plan) {
    return plan->scratch_bytes + plan->kernel_scratch;
}
DEIT_INTERNAL void *nn_scratch_at(const nn_worker *worker, int thread) {
    return worker->arena + worker->plan->value_bytes + (size_t)thread * plan_thread_bytes(worker->plan);
}

DEIT_INTERNAL void *nn_whole_at(const nn_worker *worker) {
    return nn_scratch_at(worker, nn_threads(worker)); /* behind the last thread's */
}

DEIT_INTERNAL void nn_kernel_run(const nn_kernel *kernel, nn_worker *worker, int thread, void *const *pointers) {
    int context = worker->index * worker->plan->options.threads + thread;
    dnnl_exec_arg_t *exec = kernel->exec + context * kernel->n_args;
    for (int i = 0; i < kernel->n_args; i++) {
        const nn_arg *arg = &kernel->args[i];
        uint8_t *p = NULL;
        switch (arg->place) {
        case NN_AT_VALUE: p = nn_value_at(worker, arg->index); break;
        case NN_AT_SMALL: p = (uint8_t *)(uintptr_t)nn_small_at(worker, arg->index); break;
        case NN_AT_PACK: p = arg->pack->data; break;
        case NN_AT_GRADIENT: p = (uint8_t *)nn_gradient_at(worker, arg->index); break;
        case NN_AT_SCRATCH:
            p = kernel->per_thread ? (uint8_t *)nn_scratch_at(worker, thread) + worker->plan->scratch_bytes
                                   : (uint8_t *)nn_whole_at(worker) + worker->plan->whole_bytes;
            break;
        case NN_AT_CALLER: p = pointers[arg->index]; break;
        }
        dnnl_memory_set_data_handle(exec[i].memory, p + arg->offset);
    }
    dnnl_status_t status = dnnl_primitive_execute(kernel->primitive, worker->stream[thread], kernel->n_args, exec);
    if (status) __atomic_store_n(&worker->failed, (int)status, __ATOMIC_RELAXED);
    if (kernel->rest) nn_kernel_run(kernel->rest, worker, thread, pointers);
}

/* ---- Workers: plain threads that wait for a run ------------------------------------------------------------------ */

typedef struct nn_team {
    pthread_mutex_t lock;
    pthread_cond_t go, done;
    pthread_t *thread;
    int started, running;
    unsigned round; /* of the current run */
    bool stop;
    /* the current run */
    int64_t images, next; /* next image to take: workers add to it atomically */
    const float *const *inputs;
    float *const *outputs;
} nn_team;

static int64_t plan_item(const nn_graph *graph, int node) {
    return nn_node_count(&graph->nodes[node]) / graph->nodes[node].dim[0];
}

static bool plan_cancelled(const nn_plan *plan) {
    return plan->options.cancel && *plan->options.cancel;
}

/* One graph batch: images begin .. begin + n - 1 of the run. */
static void plan_run_batch(nn_worker *worker, const nn_team *run, int64_t begin, int64_t n) {
    nn_graph *graph = worker->plan->graph;
    for (int k = 0; k < graph->n_inputs; k++) {
        int node = graph->inputs[k];
        int64_t item = plan_item(graph, node);
        const float *from = run->inputs[k] + begin * item;
        if (n == graph->batch) {
            worker->value[node] = (void *)(uintptr_t)from;
        } else { /* a batch that is not full: zeros behind it */
            float *to = (float *)(worker->arena + graph->nodes[node].offset);
            memcpy(to, from, (size_t)(n * item) * sizeof(float));
            memset(to + n * item, 0, (size_t)((graph->batch - n) * item) * sizeof(float));
            worker->value[node] = to;
        }
    }
    for (int i = 0; i < graph->n_nodes; i++) {
        if (!graph->nodes[i].op->run) continue;
        if (plan_cancelled(worker->plan)) return;
        double start = worker->seconds ? base_now() : 0;
        graph->nodes[i].op->run(worker, i);
        if (worker->seconds) worker->seconds[i] += base_now() - start;
        if (worker->plan->watched) nn_watch(worker, i);
    }
    for (int k = 0; k < graph->n_outputs; k++) {
        int node = graph->outputs[k];
        bool whole =
            graph->nodes[node].dim[0] != graph->batch || graph->nodes[node].ndim == 1; /* a loss: one for the batch */
        int64_t item = whole ? nn_node_count(&graph->nodes[node]) : plan_item(graph, node);
        memcpy(run->outputs[k] + (whole ? 0 : begin * item), worker->value[node],
               (size_t)((whole ? 1 : n) * item) * sizeof(float));
    }
}

/* Takes batches until none is left. Which worker takes which changes nothing: images do not act on each other. */
static void plan_work(nn_worker *worker, nn_team *team) {
    int64_t batch = worker->plan->graph->batch;
    for (;;) {
        int64_t begin = __atomic_fetch_add(&team->next, batch, __ATOMIC_RELAXED);
        if (begin >= team->images || plan_cancelled(worker->plan)) return;
        plan_run_batch(worker, team, begin, team->images - begin < batch ? team->images - begin : batch);
    }
}

static void *plan_thread(void *argument) {
    nn_worker *worker = argument;
    nn_team *team = worker->plan->team;
    nn_openmp_begin(worker->plan->options.threads);
    unsigned seen = 0;
    pthread_mutex_lock(&team->lock);
    for (;;) {
        while (team->round == seen && !team->stop) pthread_cond_wait(&team->go, &team->lock);
        if (team->stop) break;
        seen = team->round;
        pthread_mutex_unlock(&team->lock);
        plan_work(worker, team);
        pthread_mutex_lock(&team->lock);
        if (--team->running == 0) pthread_cond_signal(&team->done);
    }
    pthread_mutex_unlock(&team->lock);
    return NULL;
}

static base_status plan_check_threads(const nn_plan *plan, const char *what) {
    int threads = plan->options.workers * plan->options.threads;
    if (threads > 1 && nn_forked())
        return base_fail("%s: %d threads cannot be had in a process that was forked after threads had begun: fork "
                         "before the first network is opened, or open this one with one thread",
                         what, threads);
    return nn_openmp_check(plan->options.threads, what);
}

/* Workers 1 .. G - 1 are threads; worker 0 is the caller. */
static base_status plan_start_team(nn_plan *plan) {
    nn_team *team = plan->team = base_arena_alloc(&plan->arena, sizeof *team);
    if (!team) return BASE_ERROR;
    pthread_mutex_init(&team->lock, NULL);
    pthread_cond_init(&team->go, NULL);
    pthread_cond_init(&team->done, NULL);
    team->thread = base_arena_alloc(&plan->arena, (size_t)plan->options.workers * sizeof *team->thread);
    if (!team->thread) return BASE_ERROR;
    if (plan->options.workers > 1) nn_threads_begin();
    for (int i = 1; i < plan->options.workers; i++, team->started++)
        if (pthread_create(&team->thread[i], NULL, plan_thread, &plan->workers[i]))
            return base_fail("could not start worker thread %d of %d", i, plan->options.workers);
    return BASE_OK;
}

static void plan_stop_team(nn_team *team) {
    if (!team || !team->thread || nn_forked()) return;
    pthread_mutex_lock(&team->lock);
    team->stop = true;
    pthread_cond_broadcast(&team->go);
    pthread_mutex_unlock(&team->lock);
    for (int i = 1; i <= team->started; i++) pthread_join(team->thread[i], NULL);
    pthread_mutex_destroy(&team->lock);
    pthread_cond_destroy(&team->go);
    pthread_cond_destroy(&team->done);
}

/* The workers' arenas and the values in them: a plan that came later may have moved the room. */
static base_status plan_enter(nn_plan *plan) {
    const nn_room *room = plan->room;
    if (room->workers < plan->options.workers) return base_fail("the memory for its values is gone");
    for (int w = 0; w < plan->options.workers; w++) {
        nn_worker *worker = &plan->workers[w];
        if (worker->arena == room->pages[w]) continue;
        worker->arena = room->pages[w];
        for (int i = 0; i < plan->graph->n_nodes; i++) worker->value[i] = worker->arena + plan->graph->nodes[i].offset;
    }
    return BASE_OK;
}

DEIT_INTERNAL base_status nn_run(nn_plan *plan, int64_t n, const float *const *inputs, float *const *outputs) {
    nn_team *team = plan->team;
    if ((plan->graph->has_backward || plan->graph->training) && n != plan->graph->batch)
        return base_fail("a training plan made for a batch of %lld was given %lld images",
                         (long long)plan->graph->batch, (long long)n);
    BASE_TRY(plan_check_threads(plan, "run"));
    BASE_TRY(plan_enter(plan));
    for (int w = 0; w < plan->options.workers; w++) plan->workers[w].failed = 0;
    if (plan->graph->has_backward && !plan->accumulate)
        memset(plan->options.params->gradients, 0, (size_t)plan->options.params->size * sizeof(float));
    nn_openmp before = nn_openmp_begin(plan->options.threads);
    pthread_mutex_lock(&team->lock);
    team->images = n, team->next = 0, team->inputs = inputs, team->outputs = outputs;
    team->running = team->started;
    team->round++;
    pthread_cond_broadcast(&team->go);
    pthread_mutex_unlock(&team->lock);
    plan_work(&plan->workers[0], team);
    pthread_mutex_lock(&team->lock);
    while (team->running) pthread_cond_wait(&team->done, &team->lock);
    pthread_mutex_unlock(&team->lock);
    nn_openmp_end(before);
    for (int w = 0; w < plan->options.workers; w++)
        if (plan->workers[w].failed) return nn_onednn_fail((dnnl_status_t)plan->workers[w].failed, "run");
    return plan_cancelled(plan) ? base_fail_as(BASE_CANCELLED, "stopped") : BASE_OK;
}

DEIT_INTERNAL void nn_plan_step(nn_plan *plan, uint64_t seed, uint64_t step) {
    plan->seed = seed, plan->step = step;
}
DEIT_INTERNAL void nn_plan_accumulate(nn_plan *plan, bool accumulate) {
    plan->accumulate = accumulate;
}

/* ---- Making ------------------------------------------------------------------------------------------------------ */

static base_status plan_passes(nn_plan *plan) {
    nn_graph *graph = plan->graph;
    BASE_TRY(nn_graph_status(graph));
    if ((graph->has_backward || graph->training) && !plan->options.params)
        return base_fail("a training plan needs a parameter store with gradients");
    if ((graph->has_backward || graph->training) && plan->options.workers != 1)
        return base_fail("a training plan runs with one worker");
    graph->flops = nn_graph_flops(graph);
    nn_pass_dead(graph);
    if (!graph->has_backward) BASE_TRY(nn_pass_narrow(graph));
    nn_pass_fuse(graph);
    if (plan->options.precision == NN_BF16) nn_pass_keep_hats(graph);
    if (graph->has_backward && plan->options.recompute) BASE_TRY(nn_pass_recompute(graph));
    BASE_TRY(nn_pass_precision(graph, plan->options.precision));
    return nn_pass_arena(graph, &plan->value_bytes);
}

/* Parameters with the folded ones. */
static int plan_params(const nn_graph *graph) {
    return graph->n_params + 2 * graph->n_folds;
}

static base_status plan_setup(nn_plan *plan) {
    nn_graph *graph = plan->graph;
    plan->setup = base_arena_alloc(&plan->arena, (size_t)graph->n_nodes * sizeof *plan->setup);
    plan->small_offset = base_arena_alloc(&plan->arena, ((size_t)plan_params(graph) + 1) * sizeof *plan->small_offset);
    if (!plan->setup || !plan->small_offset) return BASE_ERROR;
    for (int i = 0; i < plan_params(graph); i++) plan->small_offset[i] = -1;
    if (plan->options.share)
        plan->packs = plan->options.share->packs;
    else
        plan->packs = base_calloc(1, sizeof *plan->packs);
    if (!plan->packs) return BASE_ERROR;
    plan->packs->references++;
    for (int i = 0; i < graph->n_nodes; i++)
        if (graph->nodes[i].op->setup) {
            plan->setting_up = i;
            BASE_TRY(base_fail_in(graph->nodes[i].op->setup(plan, i), "node %d, %s", i, graph->nodes[i].op->name));
        }
    for (nn_kernel *kernel = plan->kernels; kernel; kernel = kernel->next) {
        size_t *most = kernel->per_thread ? &plan->kernel_scratch : &plan->whole_kernel;
        if (*most < kernel->scratch) *most = (kernel->scratch + 63) / 64 * 64;
    }
    plan->arena_bytes = plan->value_bytes + plan_thread_bytes(plan) * (size_t)plan->options.threads +
                        plan->whole_bytes + plan->whole_kernel;
    return BASE_OK;
}

static size_t plan_new_packs(const nn_plan *plan) {
    size_t bytes = 0;
    for (nn_pack *pack = plan->packs->first; pack; pack = pack->next)
        if (!pack->data) bytes += pack->bytes;
    return bytes;
}

/* ---- The room for values ----------------------------------------------------------------------------------------- */

DEIT_INTERNAL nn_room *nn_room_new(void) {
    return base_calloc(1, sizeof(nn_room));
}

static void room_clear(nn_room *room) {
    for (int w = 0; w < room->workers; w++)
        if (room->pages[w]) base_unmap_pages(room->pages[w], room->bytes);
    base_free(room->pages);
    *room = (nn_room){0};
}

DEIT_INTERNAL void nn_room_free(nn_room *room) {
    if (room) room_clear(room);
    base_free(room);
}

/* What it will be for so many workers of so many bytes, and how much more that is. */
static nn_room room_wanted(const nn_room *room, int workers, size_t bytes) {
    return (nn_room){.workers = workers > room->workers ? workers : room->workers,
                     .bytes = bytes + 64 > room->bytes ? bytes + 64 : room->bytes};
}
static size_t room_growth(const nn_room *room, int workers, size_t bytes) {
    nn_room wanted = room_wanted(room, workers, bytes);
    return (size_t)wanted.workers * wanted.bytes - (size_t)room->workers * room->bytes;
}

static base_status room_grow(nn_room *room, int workers, size_t bytes) {
    nn_room wanted = room_wanted(room, workers, bytes);
    if (wanted.workers == room->workers && wanted.bytes == room->bytes) return BASE_OK;
    room_clear(room);
    wanted.pages = base_calloc((size_t)wanted.workers, sizeof *wanted.pages);
    if (!wanted.pages) return BASE_ERROR;
    *room = wanted;
    bool got = true;
    for (int w = 0; w < room->workers && got; w++) got = (room->pages[w] = base_map_pages(room->bytes)) != NULL;
    if (!got) room_clear(room);
    return got ? BASE_OK : BASE_ERROR;
}

/* Refuses before anything large is allocated: oneDNN and libgomp cannot be trusted when memory ends. */
static base_status plan_check_memory(const nn_plan *plan) {
    base_machine machine;
    base_machine_read(&machine);
    int64_t largest = 0; // parameter: read as a whole before it is packed
    for (int i = 0; i < plan->graph->n_params; i++)
        largest = plan->graph->params[i].count > largest ? plan->graph->params[i].count : largest;
    size_t needed = plan_new_packs(plan) + room_growth(plan->room, plan->options.workers, plan->arena_bytes) +
                    (size_t)(plan->small_size + largest) * sizeof(float) + plan->options.beside;
    if (needed <= machine.memory_free) return BASE_OK;
    int workers = plan->options.workers;
    if (plan->options.beside > needed / 2)
        return base_fail("the images of a batch and their logits need %.1f GB of memory, the network %.1f GB; %.1f GB "
                         "are free: use a smaller batch",
                         (double)plan->options.beside * 1e-9, (double)(needed - plan->options.beside) * 1e-9,
                         (double)machine.memory_free * 1e-9);
    return base_fail("a batch of %lld image%s in %d worker%s needs %.1f GB of memory, %.1f GB are free; use %s",
                     (long long)plan->graph->batch, plan->graph->batch == 1 ? "" : "s", workers,
                     workers == 1 ? "" : "s", (double)needed * 1e-9, (double)machine.memory_free * 1e-9,
                     plan->graph->batch > 1 ? "a smaller batch"
                     : workers > 1          ? "fewer threads or smaller images"
                                            : "smaller images");
}

static base_status plan_allocate(nn_plan *plan) {
    int workers = plan->options.workers, threads = plan->options.threads;
    plan->small = base_calloc((size_t)plan->small_size + 16, sizeof(float));
    plan->workers = base_arena_alloc(&plan->arena, (size_t)workers * sizeof *plan->workers);
    if (!plan->small || !plan->workers) return BASE_ERROR;
    BASE_TRY(room_grow(plan->room, workers, plan->arena_bytes));
    for (nn_pack *pack = plan->packs->first; pack; pack = pack->next)
        if (!pack->data && !(pack->data = base_map_pages(pack->bytes))) return BASE_ERROR;
    for (int w = 0; w < workers; w++) {
        nn_worker *worker = &plan->workers[w];
        worker->plan = plan, worker->index = w;
        worker->value = base_arena_alloc(&plan->arena, (size_t)plan->graph->n_nodes * sizeof *worker->value);
        worker->stream = base_arena_alloc(&plan->arena, (size_t)threads * sizeof(dnnl_stream_t));
        if (!worker->value || !worker->stream) return BASE_ERROR;
        for (int t = 0; t < threads; t++) {
            dnnl_status_t status = dnnl_stream_create(&worker->stream[t], nn_engine(), dnnl_stream_default_flags);
            if (status) return nn_onednn_fail(status, "stream");
        }
    }
    return BASE_OK;
}

static base_status plan_make(nn_plan *plan) {
    if (!nn_engine()) return base_fail("oneDNN could not make a CPU engine");
    if (plan->options.precision == NN_BF16 && !nn_has_bf16())
        return base_fail("bf16 is not in this CPU's instruction set (oneDNN uses %s; avx512_core_bf16 or avx2_vnni_2 "
                         "is needed): use f32",
                         nn_isa_name());
    plan->room = plan->options.room ? plan->options.room : nn_room_new();
    if (!plan->room) return BASE_ERROR;
    BASE_TRY(plan_passes(plan));
    BASE_TRY(plan_setup(plan));
    BASE_TRY(plan_check_memory(plan));
    BASE_TRY(plan_allocate(plan));
    return plan_start_team(plan);
}

DEIT_INTERNAL base_status nn_plan_new(nn_plan **out, nn_graph *graph, const nn_plan_options *options) {
    *out = NULL;
    nn_plan *plan = base_calloc(1, sizeof *plan);
    if (!plan) {
        nn_graph_free(graph);
        return BASE_ERROR;
    }
    plan->graph = graph, plan->options = *options;
    if (plan->options.workers < 1) plan->options.workers = 1;
    if (plan->options.threads < 1) plan->options.threads = 1;
    nn_openmp before = nn_openmp_begin(plan->options.threads);
    base_status status = plan_check_threads(plan, "plan");
    if (!status) status = plan_make(plan);
    nn_openmp_end(before);
    if (status)
        nn_plan_free(plan);
    else
        *out = plan;
    return status;
}

static void plan_free_packs(nn_pack_set *set) {
    if (!set || --set->references) return;
    for (nn_pack *pack = set->first; pack; pack = pack->next) {
        if (pack->data) base_unmap_pages(pack->data, pack->bytes);
        if (pack->plain) dnnl_memory_desc_destroy(pack->plain);
        if (pack->packed) dnnl_memory_desc_destroy(pack->packed);
    }
    base_arena_free(&set->arena);
    base_free(set);
}

DEIT_INTERNAL void nn_plan_free(nn_plan *plan) {
    if (!plan) return;
    plan_stop_team(plan->team);
    for (int w = 0; plan->workers && w < plan->options.workers; w++) {
        nn_worker *worker = &plan->workers[w];
        for (int t = 0; worker->stream && t < plan->options.threads; t++)
            if (worker->stream[t]) dnnl_stream_destroy(worker->stream[t]);
    }
    for (nn_kernel *kernel = plan->kernels, *next; kernel; kernel = next) {
        next = kernel->next;
        nn_kernel_free(kernel);
    }
    plan_free_packs(plan->packs);
    if (!plan->options.room) nn_room_free(plan->room);
    base_free(plan->small);
    base_arena_free(&plan->arena);
    nn_graph_free(plan->graph);
    base_free(plan);
}

DEIT_INTERNAL const nn_graph *nn_plan_graph(const nn_plan *plan) {
    return plan->graph;
}

DEIT_INTERNAL void nn_plan_memory(const nn_plan *plan, size_t *weights, size_t *activations) {
    *weights = (size_t)plan->small_size * sizeof(float);
    for (nn_pack *pack = plan->options.share ? NULL : plan->packs->first; pack; pack = pack->next)
        *weights += pack->bytes;
    *activations = plan->arena_bytes * (size_t)plan->options.workers;
}

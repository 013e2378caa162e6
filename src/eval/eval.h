/* eval: what is measured on networks: accuracy on a data set, and throughput. */
#ifndef DEIT_EVAL_H
#define DEIT_EVAL_H

#include "data/data.h"
#include "model/model.h"

/* ---- Accuracy ---------------------------------------------------------------------------------------------------- */

typedef struct {
    int64_t images;    /* counted (in top-1) */
    int64_t bad;       /* files that could not be read */
    double top1, top5; /* percent */
    double
        loss; /* cross entropy as the authors' script reports it: the unweighted mean over batches of `batch` images */
    double real; /* percent, ReaL; negative where no labels were given */
    int64_t real_images;
    double images_per_s, loader_seconds; /* loader_seconds: CPU time of the loader's threads */
} eval_result;

enum { EVAL_BATCH = 96 }; /* the authors' evaluation: 1.5 times their 64 */
typedef struct {
    int64_t batch;      /* images a batch of the loader; the reported loss depends on it. 0: EVAL_BATCH */
    int loader_threads; /* 0: chosen */
    int64_t max_bad;
    image_fit fit;    /* of pictures that are not resized: networks of 32 pixels and less */
    const char *real; /* path of real.json, or NULL */
} eval_options;

/* What a network expects to be done to an image before it sees it. */
DEIT_INTERNAL image_transform eval_transform(const model_config *config);
/* Runs the network over the set. Fails if more than max_bad files are bad, or the classes do not fit. */
DEIT_INTERNAL base_status eval_accuracy(eval_result *result, model_net *net, data_set *set, const eval_options *options,
                                        const base_context *context);

/* The k best classes of logits [classes], best first, with softmax probabilities. */
typedef struct {
    int index;
    float probability;
} eval_class;
DEIT_INTERNAL void eval_top(const float *logits, int classes, int k, eval_class *best);

/* ---- Disagreement (Table 4) -------------------------------------------------------------------------------------- */

enum { EVAL_MOST_NETS = 8, EVAL_MOST_CLASSIFIERS = 1 + 3 * EVAL_MOST_NETS };
/* The truth (net -1), or a network's answer by one of its heads. */
typedef struct {
    int net;
    model_head head;
} eval_classifier;
typedef struct {
    int64_t images, bad;
    int n; /* the truth, then each network; of a distilled one its class head, its distillation head, both */
    eval_classifier classifiers[EVAL_MOST_CLASSIFIERS];
    int64_t differ[EVAL_MOST_CLASSIFIERS][EVAL_MOST_CLASSIFIERS]; /* images that the two answer differently */
} eval_disagreement;
/* Runs all networks over the set at once. Those that are distilled must have been made for MODEL_HEAD_EACH. Of the
 * options `real` is not used. */
DEIT_INTERNAL base_status eval_disagree(eval_disagreement *result, model_net *const *nets, int n, data_set *set,
                                        const eval_options *options, const base_context *context);

/* ---- Tokens ------------------------------------------------------------------------------------------------------ */

enum { EVAL_MOST_LAYERS = 32 };
/* The cosine of the class and the distillation token. */
typedef struct {
    int64_t images, bad;
    double learned;                  /* of the two as learned: they are parameters */
    int layers;                      /* depth + 2 */
    double cosine[EVAL_MOST_LAYERS]; /* the mean over images: with positions, after each block, after the last norm */
} eval_tokens;
/* net: of model_token_net_new, with these weights. images: so many of the set, spread evenly over it; 0: all. */
DEIT_INTERNAL base_status eval_token_similarity(eval_tokens *result, model_net *net, model_weights *weights,
                                                data_set *set, int64_t images, const eval_options *options,
                                                const base_context *context);

/* The mean l2 norm of the vectors of a position grid from x from, and of what becomes of it at to x to. */
typedef struct {
    int from, to;
    double before, bicubic, bilinear;
} eval_positions;
DEIT_INTERNAL base_status eval_position_norms(eval_positions *result, const model_weights *weights, int to, int dim);

/* ---- Throughput -------------------------------------------------------------------------------------------------- */

enum { EVAL_SPEED_SAMPLES = 200 }; /* the most a case gets */
typedef struct {
    const model_config *config;
    nn_dtype precision;
    model_schedule schedule;
    int64_t batch;       /* images a pass */
    int64_t micro_batch; /* images a worker takes at a time; 0: chosen by the cost model */
    int threads;         /* 0: every core */
    bool alone;          /* also the milliseconds of one image alone, with all threads on it */
} eval_speed_case;

typedef struct {
    base_spread images_per_s;
    base_spread ms_alone;   /* of one image in the latency schedule; n is 0 where that was not measured */
    double gflop_per_image; /* of the network as defined, 2 a multiply-add */
    base_spread
        percent_of_peak; /* pairs: a pass's FLOP/s over that of the 2048^3 product run just before and after it */
    double peak_gflops;  /* median */
    bool steady; /* the 95% intervals of the medians are narrower than 3% of them; never of fewer than 6 samples */
    int workers, threads; /* G x T */
    int64_t batch, micro_batch;
    size_t memory; /* bytes at the peak: packed weights, activations and scratch of all workers, and what one image
                      alone takes beside them, images and logits */
    /* Each sample in the order taken, images_per_s.n of them: images/s, percent of peak, the GFLOP/s of the product
     * beside it; milliseconds, ms_alone.n of them. */
    double sample[EVAL_SPEED_SAMPLES], sample_percent[EVAL_SPEED_SAMPLES], sample_peak[EVAL_SPEED_SAMPLES];
    double sample_alone[EVAL_SPEED_SAMPLES];
} eval_speed;

/* Fills the spreads, medians and `steady` from the samples and their numbers. */
DEIT_INTERNAL void eval_speed_summarise(eval_speed *result);

/* Measures the cases of one thread count in turn, round by round, each pass paired with the peak product of its
 * precision, so that drift hits all alike; in groups that fit in memory. Each case gets at least `samples` passes after
 * a warm-up, and more until all of its group are steady, while they fit `seconds` in all. Weights are noise. results:
 * [n]; where it fails or is stopped, with what was measured before. */
DEIT_INTERNAL base_status eval_speed_measure(const eval_speed_case *cases, int n, int samples, double seconds,
                                             eval_speed *results, const base_context *context);

/* The micro-batch with which the case runs fastest here: found by trying, and remembered in the cache folder for this
 * processor, instruction set, number of threads, version, network, image size and precision. Fills case's micro_batch.
 */
DEIT_INTERNAL base_status eval_tune(eval_speed_case *wanted, const base_context *context);

/* ---- Where the time goes ----------------------------------------------------------------------------------------- */

typedef struct {
    nn_step *steps; /* [n]; seconds: of one graph batch (micro_batch images) on one worker, the median of the passes */
    int n;
    double seconds;     /* of all steps together */
    double peak_gflops; /* of one worker's share of the GEMM peak, the median of products between the passes */
    double images_per_s;
} eval_profile;

/* Runs `passes` passes of the network's batch on random images, after one to warm up. The net must outlive the profile.
 */
DEIT_INTERNAL base_status eval_profile_measure(eval_profile *profile, model_net *net, int passes,
                                               const base_context *context);
DEIT_INTERNAL void eval_profile_free(eval_profile *profile);

#endif

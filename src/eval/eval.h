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

typedef struct {
    int64_t batch; /* images a batch of the loader; the reported loss depends on it. 0: 96, the authors' 1.5 x 64 */
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

/* ---- Throughput -------------------------------------------------------------------------------------------------- */

enum { EVAL_SPEED_SAMPLES = 200 }; /* the most a case gets */
typedef struct {
    const model_config *config;
    nn_dtype precision;
    model_schedule schedule;
    int64_t batch; /* images a pass */
    int threads;   /* 0: every core */
} eval_speed_case;

typedef struct {
    base_spread images_per_s;
    double gflop_per_image; /* of the network as defined, 2 a multiply-add */
    base_spread
        percent_of_peak;  /* pairs: a pass's FLOP/s over that of the 2048^3 product run just before and after it */
    double peak_gflops;   /* median */
    int workers, threads; /* G x T */
    int64_t batch, micro_batch;
    double ms_per_image;
    size_t memory; /* bytes of weights and activations */
    /* Each sample in the order taken, images_per_s.n of them: images/s, percent of peak, the GFLOP/s of the product
     * beside it. */
    double sample[EVAL_SPEED_SAMPLES], sample_percent[EVAL_SPEED_SAMPLES], sample_peak[EVAL_SPEED_SAMPLES];
} eval_speed;

/* Fills the spreads and medians from the samples and images_per_s.n. */
DEIT_INTERNAL void eval_speed_summarise(eval_speed *result);

/* Measures the cases of one precision and thread count in turn, round by round, each pass paired with the peak product,
 * so that drift hits all alike. Each case gets at least `samples` passes (after one to warm up) and as many more as fit
 * `seconds` in all (0: no more). Weights are noise. results: [n]. */
DEIT_INTERNAL base_status eval_speed_measure(const eval_speed_case *cases, int n, int samples, double seconds,
                                             eval_speed *results, const base_context *context);

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

/* cost: the work of a job, by what its command says of network, data and epochs. */
#include "repro/internal.h"
#include "repro/manifest.h"
#include "train/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What a command says: eval's flags of the same meaning as train's are among the options. */
typedef struct {
    train_options options;
    const char *split; /* eval's; NULL: all of the test set */
} cost_words;

static base_status cost_flag(cost_words *said, const char *name, const char *value, bool *takes) {
    train_options *o = &said->options;
    const train_option *option = train_option_find(strcmp(name, "image") ? name : "input-size");
    *takes = true;
    if (!strcmp(name, "recipe")) return train_recipe(o, value);
    if (!strcmp(name, "split")) said->split = value;
    if (option && option->kind != TRAIN_SWITCH) return train_options_set(o, option, value);
    *takes = false;
    if (option) return train_options_set(o, option, "yes");
    if (!strncmp(name, "no-", 3) && (option = train_option_find(name + 3))) return train_options_set(o, option, "no");
    return BASE_OK;
}

/* words: "deit", "eval" or "train", flags. Flags that neither knows of are passed over. */
static base_status cost_read(cost_words *said, const char *const *words) {
    BASE_TRY(train_options_init(&said->options));
    for (int i = 2; words[i]; i++) {
        bool takes;
        if (strncmp(words[i], "--", 2)) continue;
        BASE_TRY(cost_flag(said, words[i] + 2, words[i + 1] ? words[i + 1] : "", &takes));
        i += takes && words[i + 1];
    }
    return BASE_OK;
}

/* ---- Pictures ---------------------------------------------------------------------------------------------------- */

/* The line of the set that lies at a path, or would lie there ("~/.cache/deit/data/inat2018"); NULL: another. */
static const repro_data_file *cost_set(const repro_places *at, const char *path) {
    const repro_data_file *row;
    const char *name = at->train && !strcmp(at->train, path) ? "imagenet" : NULL;
    for (int i = 0; (row = repro_data_file_at(i)); i++) {
        const char *place = repro_place(at, row->name);
        if (name ? !strcmp(row->name, name) : place && !strcmp(place, path)) return row;
    }
    const char *last = base_path_name(path);
    if (!strcmp(last, "val")) last = "imagenet";
    for (int i = 0; (row = repro_data_file_at(i)); i++)
        if (!strcmp(row->folder, last) || !strcmp(row->file, last)) return row;
    return NULL;
}

/* What the peak would do, in GFLOP, while a picture is unpacked and resized, or augmented too: 4 and 10 ms of
 * ImageNet's on a Zen 3 with 65 GFLOP/s a core, hardly anything of the small sets'. */
static double cost_picture(const repro_data_file *set, bool trains) {
    bool small = !strncmp(set->name, "cifar", 5) || !strcmp(set->name, "fashion-mnist");
    return small ? 0 : trains ? 0.65 : 0.25;
}

/* Of `all` pictures, what a split such as "train:0-4[:5000]" keeps. */
static double cost_part(double all, int classes, const char *split) {
    int low, high;
    const char *part = split ? strchr(split, ':') : NULL, *cut = split ? strstr(split, "[:") : NULL;
    if (cut) return fmin(all, atof(cut + 2));
    if (part && sscanf(part, ":%d-%d", &low, &high) == 2 && classes > 0) return all * (high - low + 1) / classes;
    return all;
}

/* ---- The job ----------------------------------------------------------------------------------------------------- */

/* Shares of the peak of large products, about. Measured on Zen 4 in f32: forward by bench/RESULTS.md and Table 5 in
 * README.md (DeiT 92 to 101%, DeiT-Ti in small batches 76; ResNets and RegNetYs 88 to 125%, EfficientNets 56 to 76%); a
 * step of training by RESULTS (DeiT-B 90%) and `deit bench --training` (DeiT-Ti 81, ResNet-50 84, RegNetY-4GF 74,
 * EfficientNet-B0 36%). Small pictures are far below (a vit of dim 64 at 28 pixels 32%), and augmenting them takes time
 * too. */
DEIT_INTERNAL double repro_share(const model_config *config, bool trains) {
    static const struct {
        const char *family;
        double forward, training;
    } shares[] = {{"vit", 0.95, 0.85}, {"resnet", 1, 0.8}, {"regnet", 0.95, 0.75}, {"efficientnet", 0.65, 0.35}};
    enum { SMALL = 32 };
    for (size_t i = 0; i < sizeof shares / sizeof *shares && config->image > SMALL; i++)
        if (!strcmp(config->family->name, shares[i].family)) return trains ? shares[i].training : shares[i].forward;
    return trains ? 0.3 : 0.6;
}

/* A network's work for an image, in GFLOP: a forward; what the peak would do in the time of a forward, and in that of
 * a forward and a backward, which is twice as much. */
typedef struct {
    double gflop, forward, training;
} cost_pass;

static base_status cost_size(const model_config *config, cost_pass *pass) {
    int64_t parameters;
    BASE_TRY(model_size(config, &parameters, &pass->gflop));
    pass->forward = pass->gflop / repro_share(config, false);
    pass->training = 3 * pass->gflop / repro_share(config, true);
    return BASE_OK;
}

static base_status cost_network(const cost_words *said, bool teacher, int classes, cost_pass *pass) {
    const train_options *o = &said->options;
    model_config config;
    *pass = (cost_pass){0};
    if (!teacher) {
        BASE_TRY(train_network(o, classes, &config));
    } else {
        if (!o->distillation_type) return BASE_OK;
        // Of a vit only its file says what it is: taken to be like its student.
        BASE_TRY(strcmp(o->teacher_model, "vit") ? model_find(o->teacher_model, &config)
                                                 : train_network(o, classes, &config));
        if (o->teacher_resolution || o->input_size)
            config.image = (int)(o->teacher_resolution ? o->teacher_resolution : o->input_size);
    }
    return cost_size(&config, pass);
}

/* Of the networks that disagree compares, together: where trainings make them, theirs; else those it names. */
static base_status cost_compared(const repro_state *state, const repro_job *job, const char *const *words, int classes,
                                 cost_pass *all) {
    *all = (cost_pass){0};
    for (int i = 0; i < job->n_needs; i++) {
        const char *training[REPRO_MAX_WORDS];
        repro_lacks lacks;
        cost_pass one = {0};
        cost_words said = {0};
        BASE_TRY(repro_job_words(state, job->needs[i], REPRO_FILL_SHOW, training, &lacks));
        base_status status = cost_read(&said, training);
        if (!status) status = cost_network(&said, false, classes, &one);
        train_options_free(&said.options);
        if (status) return status;
        all->forward += one.forward;
    }
    for (int i = 2; words[i] && strncmp(words[i], "--", 2) && !job->n_needs; i++) { // [NAME=]MODEL[:WEIGHTS]
        const char *equals = strchr(words[i], '='), *name = equals ? equals + 1 : words[i];
        char model[64];
        model_config config;
        cost_pass one = {0};
        snprintf(model, sizeof model, "%.*s", (int)strcspn(name, ":"), name);
        BASE_TRY(model_find(model, &config));
        BASE_TRY(cost_size(&config, &one));
        all->forward += one.forward;
    }
    return BASE_OK;
}

DEIT_INTERNAL double repro_job_seconds(const repro_state *state, const repro_job *job) {
    const char *words[REPRO_MAX_WORDS];
    repro_lacks lacks;
    if (repro_job_words(state, job, REPRO_FILL_SHOW, words, &lacks) || !words[1]) return NAN;
    if (!strcmp(words[1], "positions") || !strcmp(words[1], "data")) return 1; // nothing is computed
    for (int i = 2; words[i]; i++) {
        if (!strcmp(words[i], "--print-options")) return 1;
        if (!strcmp(words[i], "--seconds") && words[i + 1]) return atof(words[i + 1]) + 1; // and what goes before
    }
    return NAN;
}

DEIT_INTERNAL double repro_job_work(const repro_state *state, const repro_job *job) {
    const char *words[REPRO_MAX_WORDS];
    repro_lacks lacks;
    cost_words said = {0};
    cost_pass student = {0}, teacher = {0};
    double work = NAN;
    if (repro_job_words(state, job, REPRO_FILL_SHOW, words, &lacks) || !words[1]) return NAN;
    bool trains = !strcmp(words[1], "train"), compares = !strcmp(words[1], "disagree");
    if (!trains && !compares && strcmp(words[1], "eval") != 0 && strcmp(words[1], "tokens") != 0) return NAN;
    base_status status = cost_read(&said, words);
    const train_options *o = &said.options;
    const repro_data_file *set = status ? NULL : cost_set(&state->places, o->data_path);
    int classes = set ? atoi(set->classes) : 1000;
    if (!status)
        status = compares ? cost_compared(state, job, words, classes, &student)
                          : cost_network(&said, false, classes, &student);
    if (!status && trains) status = cost_network(&said, true, classes, &teacher);
    if (!status && set) {
        double test = (student.forward + cost_picture(set, false)) *
                      cost_part(atof(set->test), classes, trains ? o->test_split : said.split);
        double pass = trains ? student.training + teacher.forward + cost_picture(set, true) : 0;
        pass *= cost_part(atof(set->train), classes, o->train_split);
        double tests = trains ? ceil((double)o->epochs / (double)o->val_interval) : 1;
        work = 1e9 * ((double)(trains ? o->epochs : 0) * pass + tests * test);
    }
    train_options_free(&said.options);
    return work;
}

DEIT_INTERNAL repro_run_state repro_job_run(const repro_state *state, const repro_job *job) {
    const char *words[REPRO_MAX_WORDS];
    repro_lacks lacks;
    cost_words said = {0};
    repro_run_state run = REPRO_RUN_OTHER;
    if (!job->folder || repro_job_words(state, job, REPRO_FILL_RUN, words, &lacks) || lacks.needs) return run;
    if (words[1] && !strcmp(words[1], "train") && !cost_read(&said, words))
        run = train_finished(&said.options, job->folder) ? REPRO_RUN_FINISHED : REPRO_RUN_OPEN;
    train_options_free(&said.options);
    return run;
}

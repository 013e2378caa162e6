/* Google's ViT files (npz, flax names): where each of timm's parameters lies there and how it is turned round.
 *   kernel of a dense layer   [in, out]             -> weight [out, in]
 *   query, key, value         [D, heads, size] each -> the rows of qkv [3 D, D];  biases [heads, size]
 *   out                       [heads, size, D]      -> proj [D, D]
 *   embedding/kernel          [p, p, 3, D]          -> patch_embed.proj.weight [D, 3, p, p] */
#include "model/internal.h"
#include <stdio.h>
#include <string.h>

typedef enum { FLAX_COPY, FLAX_TRANSPOSE, FLAX_QKV, FLAX_PATCH } flax_turn;
typedef struct {
    char key[128]; /* with %s for query, key, value in FLAX_QKV */
    flax_turn turn;
} flax_place;

static const char flax_attention[] = "MultiHeadDotProductAttention_1";

static bool flax_block_place(int block, const char *rest, flax_place *place) {
    static const struct {
        const char *timm, *flax;
        flax_turn turn;
    } rules[] = {
        {"norm1.weight", "LayerNorm_0/scale", FLAX_COPY},
        {"norm1.bias", "LayerNorm_0/bias", FLAX_COPY},
        {"norm2.weight", "LayerNorm_2/scale", FLAX_COPY},
        {"norm2.bias", "LayerNorm_2/bias", FLAX_COPY},
        {"attn.proj.weight", "MultiHeadDotProductAttention_1/out/kernel", FLAX_TRANSPOSE},
        {"attn.proj.bias", "MultiHeadDotProductAttention_1/out/bias", FLAX_COPY},
        {"mlp.fc1.weight", "MlpBlock_3/Dense_0/kernel", FLAX_TRANSPOSE},
        {"mlp.fc1.bias", "MlpBlock_3/Dense_0/bias", FLAX_COPY},
        {"mlp.fc2.weight", "MlpBlock_3/Dense_1/kernel", FLAX_TRANSPOSE},
        {"mlp.fc2.bias", "MlpBlock_3/Dense_1/bias", FLAX_COPY},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (strcmp(rest, rules[i].timm)) continue;
        place->turn = rules[i].turn;
        snprintf(place->key, sizeof place->key, "Transformer/encoderblock_%d/%s", block, rules[i].flax);
        return true;
    }
    bool weight = !strcmp(rest, "attn.qkv.weight");
    if (!weight && strcmp(rest, "attn.qkv.bias")) return false;
    place->turn = FLAX_QKV;
    snprintf(place->key, sizeof place->key, "Transformer/encoderblock_%d/%s/%%s/%s", block, flax_attention,
             weight ? "kernel" : "bias");
    return true;
}

static bool flax_find(const char *param, flax_place *place) {
    static const struct {
        const char *timm, *flax;
        flax_turn turn;
    } rules[] = {
        {"cls_token", "cls", FLAX_COPY},
        {"pos_embed", "Transformer/posembed_input/pos_embedding", FLAX_COPY},
        {"patch_embed.proj.weight", "embedding/kernel", FLAX_PATCH},
        {"patch_embed.proj.bias", "embedding/bias", FLAX_COPY},
        {"norm.weight", "Transformer/encoder_norm/scale", FLAX_COPY},
        {"norm.bias", "Transformer/encoder_norm/bias", FLAX_COPY},
        {"head.weight", "head/kernel", FLAX_TRANSPOSE},
        {"head.bias", "head/bias", FLAX_COPY},
    };
    int block, used = 0;
    if (sscanf(param, "blocks.%d.%n", &block, &used) == 1 && used) return flax_block_place(block, param + used, place);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (strcmp(param, rules[i].timm)) continue;
        place->turn = rules[i].turn;
        snprintf(place->key, sizeof place->key, "%s", rules[i].flax);
        return true;
    }
    return false;
}

/* The key itself, or that of part 0, 1, 2 (query, key, value). */
static const char *flax_key(const flax_place *place, int part, char key[160]) {
    static const char *const parts[3] = {"query", "key", "value"};
    const char *gap = strstr(place->key, "%s");
    if (gap)
        snprintf(key, 160, "%.*s%s%s", (int)(gap - place->key), place->key, parts[part], gap + 2);
    else
        snprintf(key, 160, "%s", place->key);
    return key;
}

static const store_tensor *flax_tensor(const store *s, const flax_place *place, int part) {
    char key[160];
    return store_find(s, flax_key(place, part, key));
}

DEIT_INTERNAL bool model_is_flax(const store *s) {
    static const char *const only[] = {"embedding/kernel", "Transformer/encoder_norm/scale"};
    for (int i = 0; i < 2; i++)
        if (store_find(s, only[i]) || store_unreadable(s, only[i])) return true;
    return false;
}

DEIT_INTERNAL const char *model_flax_unreadable(const store *s, const char *param) {
    flax_place place;
    const char *why = NULL;
    char key[160];
    for (int part = 0; flax_find(param, &place) && part < 3 && !why; part++)
        why = store_unreadable(s, flax_key(&place, part, key));
    return why;
}

DEIT_INTERNAL int model_flax_heads(const store *s) {
    flax_place place = {.turn = FLAX_QKV};
    flax_block_place(0, "attn.qkv.weight", &place);
    const store_tensor *query = flax_tensor(s, &place, 0);
    return query && query->ndim == 3 ? (int)query->dim[1] : 0;
}

static int64_t flax_product(const store_tensor *t, int begin, int end) {
    int64_t product = 1;
    for (int i = begin; i < end; i++) product *= t->dim[i];
    return product;
}

DEIT_INTERNAL int model_flax_shape(const store *s, const char *param, int64_t dim[4]) {
    flax_place place;
    if (!flax_find(param, &place)) return 0;
    const store_tensor *t = flax_tensor(s, &place, 0);
    if (!t || t->ndim < 1 || t->ndim > 4) return 0;
    bool weight = strstr(param, ".weight") != NULL;
    switch (place.turn) {
    case FLAX_COPY:
        for (int i = 0; i < t->ndim; i++) dim[i] = t->dim[i];
        return t->ndim;
    case FLAX_TRANSPOSE: /* the last axis is the output; all before it are the input */
        dim[0] = t->dim[t->ndim - 1], dim[1] = flax_product(t, 0, t->ndim - 1);
        return 2;
    case FLAX_QKV:
        for (int part = 1; part < 3; part++) {
            const store_tensor *other = flax_tensor(s, &place, part);
            if (!other || other->count != t->count) return 0;
        }
        dim[0] = 3 * flax_product(t, weight ? 1 : 0, t->ndim), dim[1] = t->dim[0];
        return weight ? 2 : 1;
    case FLAX_PATCH:
        if (t->ndim != 4) return 0;
        dim[0] = t->dim[3], dim[1] = t->dim[2], dim[2] = t->dim[0], dim[3] = t->dim[1];
        return 4;
    }
    return 0;
}

/* in: [rows, cols] -> out: [cols, rows] */
static void flax_transpose(const float *in, int64_t rows, int64_t cols, float *out) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) out[c * rows + r] = in[r * cols + c];
}

DEIT_INTERNAL base_status model_flax_read(const store *s, const char *param, float *out, int64_t count) {
    flax_place place;
    if (!flax_find(param, &place)) return base_fail("%s: no place for %s", store_file(s), param);
    int parts = place.turn == FLAX_QKV ? 3 : 1;
    for (int part = 0; part < parts; part++, out += count / parts) {
        const store_tensor *t = flax_tensor(s, &place, part);
        if (!t || (int64_t)t->count != count / parts)
            return base_fail("%s: tensor for %s has another size than expected", store_file(s), param);
        if (place.turn == FLAX_COPY || (parts == 3 && !strstr(param, ".weight"))) {
            BASE_TRY(store_read_f32(t, out));
            continue;
        }
        float *in = base_malloc(t->count * sizeof *in);
        if (!in) return BASE_ERROR;
        base_status status = store_read_f32(t, in);
        store_forget(s, t);
        int64_t first = t->dim[0], last = t->dim[t->ndim - 1];
        if (place.turn == FLAX_PATCH)
            flax_transpose(in, flax_product(t, 0, 2), flax_product(t, 2, 4), out); /* [p p, 3 D] -> [3 D, p p] */
        if (place.turn == FLAX_QKV) flax_transpose(in, first, count / parts / first, out);
        if (place.turn == FLAX_TRANSPOSE) flax_transpose(in, count / last, last, out);
        if (place.turn == FLAX_PATCH) { /* [3, D, p p] -> [D, 3, p p] */
            int64_t area = flax_product(t, 0, 2), channels = t->dim[2], dim = t->dim[3];
            memcpy(in, out, (size_t)count * sizeof *in);
            for (int64_t c = 0; c < channels; c++)
                for (int64_t d = 0; d < dim; d++)
                    memcpy(out + (d * channels + c) * area, in + (c * dim + d) * area, (size_t)area * sizeof *out);
        }
        base_free(in);
        if (status) return status;
    }
    return BASE_OK;
}

DEIT_INTERNAL bool model_flax_knows(const char *key, const nn_param *params, int count) {
    for (int i = 0; i < count; i++) {
        flax_place place;
        if (!flax_find(params[i].name, &place)) continue;
        const char *gap = strstr(place.key, "%s");
        if (!gap && !strcmp(key, place.key)) return true;
        size_t before = gap ? (size_t)(gap - place.key) : 0;
        if (gap && !strncmp(key, place.key, before)) {
            const char *rest = strchr(key + before, '/');
            if (rest && !strcmp(rest, gap + 2)) return true;
        }
    }
    return false;
}

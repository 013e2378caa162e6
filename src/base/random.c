/* random: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011), keyed by what the numbers
 * are for. */
#include "base/base.h"

#include <math.h>

DEIT_INTERNAL uint64_t base_splitmix64(uint64_t h, uint64_t i) {
    uint64_t z = h + i * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* One block: 128 bits of counter in, 128 random bits out. */
static void random_philox(uint64_t key, const uint64_t counter[2], uint64_t out[2]) {
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    uint32_t c0 = (uint32_t)counter[0], c1 = (uint32_t)(counter[0] >> 32);
    uint32_t c2 = (uint32_t)counter[1], c3 = (uint32_t)(counter[1] >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c0 = n0, c1 = (uint32_t)p1, c2 = n2, c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    out[0] = c0 | (uint64_t)c1 << 32;
    out[1] = c2 | (uint64_t)c3 << 32;
}

/* Seed and purpose make Philox's key; epoch and sample the upper half of its counter; the lower half counts blocks. */
DEIT_INTERNAL base_random base_random_stream(uint64_t seed, uint64_t epoch, uint64_t sample, uint32_t purpose) {
    base_random random = {.counter = 0};
    random.key[0] = base_splitmix64(base_splitmix64(seed, 1), (uint64_t)purpose + 1);
    random.key[1] = base_splitmix64(base_splitmix64(epoch, 2), sample + 1);
    return random;
}

/* `counter` counts 64-bit numbers, two a block. */
DEIT_INTERNAL uint64_t base_random_u64(base_random *random) {
    uint64_t out[2];
    random_philox(random->key[0], (uint64_t[2]){random->counter >> 1, random->key[1]}, out);
    return out[random->counter++ & 1];
}

DEIT_INTERNAL double base_random_uniform(base_random *random) {
    return (double)(base_random_u64(random) >> 11) * 0x1p-53;
}

/* Box-Muller on one whole block: distance and angle. */
static void random_polar(base_random *random, double *distance, double *angle) {
    uint64_t out[2], block = (random->counter + 1) >> 1;
    random_philox(random->key[0], (uint64_t[2]){block, random->key[1]}, out);
    random->counter = (block + 1) << 1;
    double u = (double)((out[0] >> 11) + 1) * 0x1p-53; // (0, 1]
    double v = (double)(out[1] >> 11) * 0x1p-53;
    *distance = sqrt(-2 * log(u)), *angle = 6.283185307179586 * v;
}

DEIT_INTERNAL double base_random_normal(base_random *random) {
    double distance, angle;
    random_polar(random, &distance, &angle);
    return distance * cos(angle);
}

DEIT_INTERNAL void base_random_normals(base_random *random, float *out, size_t n) {
    for (size_t i = 0; i < n; i += 2) {
        double distance, angle;
        random_polar(random, &distance, &angle);
        out[i] = (float)(distance * cos(angle));
        if (i + 1 < n) out[i + 1] = (float)(distance * sin(angle));
    }
}

/* Lemire's method: the high half of a product, thrown away where it would be biased. */
DEIT_INTERNAL uint64_t base_random_below(base_random *random, uint64_t n) {
    if (n < 2) return 0;
    uint64_t threshold = (0 - n) % n;
    for (;;) {
        unsigned __int128 product = (unsigned __int128)base_random_u64(random) * n;
        if ((uint64_t)product >= threshold) return (uint64_t)(product >> 64);
    }
}

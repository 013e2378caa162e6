/* memory: counted and aligned allocation that can be made to fail, large pages, arenas, growing texts. */
#include "base/base.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MEMORY_ALIGN = 64, MEMORY_HUGE = 2 << 20, MEMORY_BLOCK = 16 << 10 };

/* Stands in the 64 bytes before every allocation. */
typedef struct {
    size_t bytes;
} memory_head;

static atomic_size_t memory_held;
static atomic_long memory_fault; // 0: off; n > 1: n - 1 allocations still succeed; 1: fail from now on

static bool memory_faulted(void) {
    long left = atomic_load_explicit(&memory_fault, memory_order_relaxed);
    while (left > 1)
        if (atomic_compare_exchange_weak(&memory_fault, &left, left - 1)) return false;
    return left == 1;
}

static void *memory_none(size_t bytes) {
    base_fail("out of memory: %zu bytes wanted (%zu held); use a smaller batch or image, or give the process more",
              bytes, atomic_load(&memory_held));
    return NULL;
}

static memory_head *memory_head_of(void *memory) {
    return (memory_head *)((char *)memory - MEMORY_ALIGN);
}

DEIT_INTERNAL void *base_malloc(size_t bytes) {
    void *block = NULL;
    if (memory_faulted() || bytes > SIZE_MAX / 2 || posix_memalign(&block, MEMORY_ALIGN, bytes + MEMORY_ALIGN))
        return memory_none(bytes);
    ((memory_head *)block)->bytes = bytes;
    atomic_fetch_add_explicit(&memory_held, bytes, memory_order_relaxed);
    return (char *)block + MEMORY_ALIGN;
}

DEIT_INTERNAL void *base_calloc(size_t count, size_t bytes) {
    if (bytes && count > SIZE_MAX / 2 / bytes) return memory_none(SIZE_MAX / 2);
    void *memory = base_malloc(count * bytes);
    if (memory) memset(memory, 0, count * bytes);
    return memory;
}

DEIT_INTERNAL void *base_realloc(void *old, size_t bytes) {
    if (!old) return base_malloc(bytes);
    size_t had = memory_head_of(old)->bytes;
    void *memory = base_malloc(bytes);
    if (!memory) return NULL;
    memcpy(memory, old, had < bytes ? had : bytes);
    base_free(old);
    return memory;
}

DEIT_INTERNAL char *base_strdup(const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = base_malloc(size);
    return copy ? memcpy(copy, text, size) : NULL;
}

DEIT_INTERNAL void base_free(void *memory) {
    if (!memory) return;
    memory_head *head = memory_head_of(memory);
    atomic_fetch_sub_explicit(&memory_held, head->bytes, memory_order_relaxed);
    free(head);
}

/* Huge pages want 2 MiB alignment: map one more and give the ends back. */
DEIT_INTERNAL void *base_map_pages(size_t bytes) {
    size_t extra = bytes >= MEMORY_HUGE ? MEMORY_HUGE : 0, page = (size_t)sysconf(_SC_PAGESIZE);
    if (memory_faulted() || bytes == 0 || bytes > SIZE_MAX / 2) return memory_none(bytes);
    size_t whole = (bytes + page - 1) & ~(page - 1);
    char *mapped = mmap(NULL, whole + extra, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) return memory_none(bytes);
    char *memory = mapped;
    if (extra) {
        memory = (char *)(((uintptr_t)mapped + MEMORY_HUGE - 1) & ~(uintptr_t)(MEMORY_HUGE - 1));
        size_t before = (size_t)(memory - mapped);
        if (before) munmap(mapped, before);
        if (extra - before) munmap(memory + whole, extra - before);
        madvise(memory, whole, MADV_HUGEPAGE);
    }
    atomic_fetch_add_explicit(&memory_held, bytes, memory_order_relaxed);
    return memory;
}

DEIT_INTERNAL void base_unmap_pages(void *memory, size_t bytes) {
    if (!memory) return;
    munmap(memory, bytes);
    atomic_fetch_sub_explicit(&memory_held, bytes, memory_order_relaxed);
}

DEIT_INTERNAL void base_fault_after(long n) {
    atomic_store(&memory_fault, n);
}

DEIT_INTERNAL size_t base_memory_held(void) {
    return atomic_load(&memory_held);
}

/* ---- Arena ------------------------------------------------------------------------------------------------------- */

struct base_arena_block {
    struct base_arena_block *next;
    size_t size, used; // of data
    _Alignas(16) char data[];
};

DEIT_INTERNAL void *base_arena_alloc(base_arena *arena, size_t bytes) {
    if (bytes > SIZE_MAX / 4) return memory_none(bytes);
    size_t need = (bytes + 15) & ~(size_t)15;
    struct base_arena_block *block = arena->block;
    if (!block || block->size - block->used < need) {
        size_t size = need > MEMORY_BLOCK / 4 ? need : MEMORY_BLOCK;
        struct base_arena_block *fresh = base_malloc(sizeof *fresh + size);
        if (!fresh) return NULL;
        fresh->size = size, fresh->used = 0;
        if (block && size == need) { // a block of its own: keep filling the one at the front
            fresh->next = block->next, block->next = fresh;
        } else {
            fresh->next = block, arena->block = fresh;
        }
        block = fresh;
    }
    void *memory = block->data + block->used;
    block->used += need;
    return memset(memory, 0, need);
}

DEIT_INTERNAL char *base_arena_printf(base_arena *arena, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = length < 0 ? NULL : base_arena_alloc(arena, (size_t)length + 1);
    if (!text) return NULL;
    va_start(arguments, format);
    vsnprintf(text, (size_t)length + 1, format, arguments);
    va_end(arguments);
    return text;
}

DEIT_INTERNAL void base_arena_free(base_arena *arena) {
    for (struct base_arena_block *block = arena->block, *next; block; block = next) {
        next = block->next;
        base_free(block);
    }
    arena->block = NULL;
}

/* ---- Text -------------------------------------------------------------------------------------------------------- */

static bool memory_text_reserve(base_text *text, size_t more) {
    if (text->failed || more > SIZE_MAX / 4) return !(text->failed = true);
    if (text->size + more < text->capacity) return true;
    size_t capacity = (text->size + more + 1) * 2;
    char *data = base_realloc(text->data, capacity < 64 ? 64 : capacity);
    if (!data) return !(text->failed = true);
    text->data = data, text->capacity = capacity < 64 ? 64 : capacity;
    return true;
}

DEIT_INTERNAL void base_text_add(base_text *text, const char *data, size_t size) {
    if (!memory_text_reserve(text, size)) return;
    if (size) memcpy(text->data + text->size, data, size);
    text->size += size;
    text->data[text->size] = 0;
}

DEIT_INTERNAL void base_text_vprintf(base_text *text, const char *format, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    if (length < 0 || !memory_text_reserve(text, (size_t)length)) {
        text->failed = true;
    } else {
        vsnprintf(text->data + text->size, (size_t)length + 1, format, again);
        text->size += (size_t)length;
    }
    va_end(again);
}

DEIT_INTERNAL void base_text_printf(base_text *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    base_text_vprintf(text, format, arguments);
    va_end(arguments);
}

DEIT_INTERNAL void base_text_html(base_text *text, const char *raw, size_t size) {
    for (size_t i = 0; i < size && raw[i]; i++) {
        const char *name = raw[i] == '<'   ? "&lt;"
                           : raw[i] == '>' ? "&gt;"
                           : raw[i] == '&' ? "&amp;"
                           : raw[i] == '"' ? "&quot;"
                                           : NULL;
        if (name)
            base_text_printf(text, "%s", name);
        else
            base_text_add(text, raw + i, 1);
    }
}

DEIT_INTERNAL int base_text_width(const char *text) {
    int n = 0;
    for (; *text; text++) n += (*text & 0xC0) != 0x80;
    return n;
}

DEIT_INTERNAL void base_text_shell(base_text *text, const char *word) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=,+@%";
    if (*word && !word[strspn(word, plain)]) {
        base_text_printf(text, "%s", word);
        return;
    }
    base_text_printf(text, "'");
    for (const char *at = word; *at; at++) {
        if (*at == '\'')
            base_text_printf(text, "'\\''");
        else
            base_text_add(text, at, 1);
    }
    base_text_printf(text, "'");
}

DEIT_INTERNAL void base_text_free(base_text *text) {
    base_free(text->data);
    *text = (base_text){0};
}

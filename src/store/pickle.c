/* pickle: a closed unpickler. It builds values and never calls anything: a global is a name, calling it gives an inert
 * value that carries the name. Opcodes of protocols 2 to 5 (Python's pickletools); each makes a bounded number of small
 * values, so memory stays within a multiple of the file's size, and nothing recurses. */
#include "store/internal.h"

#include <string.h>

typedef struct {
    base_arena *arena;
    const uint8_t *data; // the whole pickle
    size_t size, at;
    const char *file;
    store_value **stack; // [depth]
    size_t depth, depth_capacity;
    size_t *marks; // [mark_count] depths of the stack
    size_t mark_count, mark_capacity;
    store_value **memo; // [memo_size], NULL where unset
    size_t memo_size, memo_next;
    store_value *none;        // shared by all that is of no interest
    size_t copied;            // cells copied from one container to another
    store_storage **storages; // all seen
} pickle_machine;

DEIT_INTERNAL bool store_text_is(store_text text, const char *word) {
    return text.size == strlen(word) && !memcmp(text.data, word, text.size);
}

DEIT_INTERNAL bool store_global_is(const store_value *value, const char *module, const char *name) {
    return value->kind == STORE_VALUE_GLOBAL && store_text_is(value->u.global.module, module) &&
           store_text_is(value->u.global.name, name);
}

DEIT_INTERNAL store_value *store_value_new(base_arena *arena, store_value_kind kind) {
    store_value *value = base_arena_alloc(arena, sizeof *value);
    if (value) value->kind = kind;
    return value;
}

static base_status pickle_damaged(const pickle_machine *m, const char *what) {
    return base_fail("%s: the pickle is damaged: %s at its byte %zu; download it again", m->file, what, m->at);
}

/* Doubles an array of elements of `size` bytes until it holds `want`. */
static bool pickle_grow(void **array, size_t *capacity, size_t want, size_t size) {
    if (want <= *capacity) return true;
    size_t fresh = *capacity * 2 > want ? *capacity * 2 : want + 64;
    void *larger = base_realloc(*array, fresh * size);
    if (!larger) return false;
    *array = larger, *capacity = fresh;
    return true;
}

static base_status pickle_push(pickle_machine *m, store_value *value) {
    if (!value) return BASE_ERROR;
    if (!pickle_grow((void **)&m->stack, &m->depth_capacity, m->depth + 1, sizeof *m->stack)) return BASE_ERROR;
    m->stack[m->depth++] = value;
    return BASE_OK;
}

static base_status pickle_push_none(pickle_machine *m) {
    return pickle_push(m, m->none);
}

static base_status pickle_push_int(pickle_machine *m, int64_t integer) {
    store_value *value = store_value_new(m->arena, STORE_VALUE_INT);
    if (value) value->u.integer = integer;
    return pickle_push(m, value);
}

/* Nothing below the last mark may be taken. */
static size_t pickle_floor(const pickle_machine *m) {
    return m->mark_count ? m->marks[m->mark_count - 1] : 0;
}

static base_status pickle_pop(pickle_machine *m, store_value **value) {
    if (m->depth <= pickle_floor(m)) return pickle_damaged(m, "nothing left on the stack");
    *value = m->stack[--m->depth];
    return BASE_OK;
}

static base_status pickle_top(pickle_machine *m, store_value **value) {
    if (m->depth <= pickle_floor(m)) return pickle_damaged(m, "nothing left on the stack");
    *value = m->stack[m->depth - 1];
    return BASE_OK;
}

static base_status pickle_mark(pickle_machine *m) {
    if (!pickle_grow((void **)&m->marks, &m->mark_capacity, m->mark_count + 1, sizeof *m->marks)) return BASE_ERROR;
    m->marks[m->mark_count++] = m->depth;
    return BASE_OK;
}

/* Takes all above the last mark, and the mark: items[0 .. n), valid until the next push. */
static base_status pickle_pop_mark(pickle_machine *m, store_value ***items, size_t *n) {
    if (!m->mark_count) return pickle_damaged(m, "no mark on the stack");
    size_t from = m->marks[--m->mark_count];
    *items = m->stack + from, *n = m->depth - from;
    m->depth = from;
    return BASE_OK;
}

/* Takes `n` bytes of argument. */
static base_status pickle_take(pickle_machine *m, uint64_t n, const uint8_t **bytes) {
    if (n > m->size - m->at)
        return base_fail("%s: the pickle ends in the middle: the file is cut short; download it again", m->file);
    *bytes = m->data + m->at;
    m->at += n;
    return BASE_OK;
}

/* Takes a little-endian number of `width` bytes. */
static base_status pickle_number(pickle_machine *m, int width, uint64_t *number) {
    const uint8_t *bytes;
    BASE_TRY(pickle_take(m, (uint64_t)width, &bytes));
    *number = store_little(bytes, width);
    return BASE_OK;
}

/* Takes a length of `width` bytes and as many bytes of text. */
static base_status pickle_text(pickle_machine *m, int width) {
    uint64_t length;
    const uint8_t *bytes;
    BASE_TRY(pickle_number(m, width, &length));
    BASE_TRY(pickle_take(m, length, &bytes));
    store_value *value = store_value_new(m->arena, STORE_VALUE_TEXT);
    if (value) value->u.text = (store_text){(const char *)bytes, length};
    return pickle_push(m, value);
}

/* Takes a line: text up to a newline. */
static base_status pickle_line(pickle_machine *m, store_text *line) {
    const uint8_t *from = m->data + m->at, *end = memchr(from, '\n', m->size - m->at), *bytes;
    BASE_TRY(pickle_take(m, end ? (uint64_t)(end - from) + 1 : UINT64_MAX, &bytes));
    *line = (store_text){(const char *)bytes, (size_t)(end - from)};
    return BASE_OK;
}

/* Integers beyond 64 bits are of no interest. */
static base_status pickle_long(pickle_machine *m, int width) {
    uint64_t length, bits = 0;
    const uint8_t *bytes;
    BASE_TRY(pickle_number(m, width, &length));
    BASE_TRY(pickle_take(m, length, &bytes));
    if (length > 8) return pickle_push_none(m);
    if (length) {
        bits = store_little(bytes, (int)length);
        int shift = 64 - 8 * (int)length; // sign-extend
        bits = (uint64_t)((int64_t)(bits << shift) >> shift);
    }
    return pickle_push_int(m, (int64_t)bits);
}

/* ---- Memo -------------------------------------------------------------------------------------------------------- */

static base_status pickle_put(pickle_machine *m, uint64_t index) {
    store_value *top;
    BASE_TRY(pickle_top(m, &top));
    if (index >= m->size) return pickle_damaged(m, "a memo number larger than the pickle");
    size_t had = m->memo_size;
    if (!pickle_grow((void **)&m->memo, &m->memo_size, index + 1, sizeof *m->memo)) return BASE_ERROR;
    memset(m->memo + had, 0, (m->memo_size - had) * sizeof *m->memo);
    m->memo[index] = top;
    return BASE_OK;
}

static base_status pickle_get(pickle_machine *m, uint64_t index) {
    if (index >= m->memo_size || !m->memo[index]) return pickle_damaged(m, "an unknown memo number");
    return pickle_push(m, m->memo[index]);
}

/* ---- Containers -------------------------------------------------------------------------------------------------- */

static base_status pickle_add(pickle_machine *m, store_value *to, store_value *key, store_value *value) {
    store_cell *cell = base_arena_alloc(m->arena, sizeof *cell);
    if (!cell) return BASE_ERROR;
    cell->key = key, cell->value = value;
    if (to->u.items.last)
        to->u.items.last->next = cell;
    else
        to->u.items.first = cell;
    to->u.items.last = cell;
    to->u.items.count++;
    return BASE_OK;
}

static base_status pickle_add_all(pickle_machine *m, store_value *to, store_value **items, size_t n) {
    for (size_t i = 0; i < n; i++) BASE_TRY(pickle_add(m, to, NULL, items[i]));
    return BASE_OK;
}

/* Pushes a list, tuple or dict of items taken from the stack (still readable above it until the push). */
static base_status pickle_push_items(pickle_machine *m, store_value_kind kind, store_value **items, size_t n) {
    store_value *value = store_value_new(m->arena, kind);
    if (!value) return BASE_ERROR;
    if (kind == STORE_VALUE_DICT) {
        for (size_t i = 0; i + 1 < n; i += 2) BASE_TRY(pickle_add(m, value, items[i], items[i + 1]));
    } else {
        BASE_TRY(pickle_add_all(m, value, items, n));
    }
    return pickle_push(m, value);
}

static base_status pickle_push_marked(pickle_machine *m, store_value_kind kind) {
    store_value **items;
    size_t n;
    BASE_TRY(pickle_pop_mark(m, &items, &n));
    return pickle_push_items(m, kind, items, n);
}

static base_status pickle_push_tuple(pickle_machine *m, size_t n) {
    if (m->depth - pickle_floor(m) < n) return pickle_damaged(m, "nothing left on the stack");
    m->depth -= n;
    return pickle_push_items(m, STORE_VALUE_TUPLE, m->stack + m->depth, n);
}

/* What is added to an inert value is dropped: its class would have said what that means. */
static base_status pickle_append(pickle_machine *m, store_value **items, size_t n) {
    store_value *to;
    BASE_TRY(pickle_top(m, &to));
    if (to->kind == STORE_VALUE_LIST) return pickle_add_all(m, to, items, n);
    return to->kind == STORE_VALUE_INERT ? BASE_OK : pickle_damaged(m, "an item added to what is no list");
}

static base_status pickle_set(pickle_machine *m, store_value **items, size_t n) {
    store_value *to;
    BASE_TRY(pickle_top(m, &to));
    if (to->kind == STORE_VALUE_INERT) return BASE_OK;
    if (to->kind != STORE_VALUE_DICT) return pickle_damaged(m, "an item set in what is no dict");
    for (size_t i = 0; i + 1 < n; i += 2) BASE_TRY(pickle_add(m, to, items[i], items[i + 1]));
    return BASE_OK;
}

/* ---- Globals: named, never called -------------------------------------------------------------------------------- */

static base_status pickle_push_global(pickle_machine *m, store_text module, store_text name) {
    store_value *value = store_value_new(m->arena, STORE_VALUE_GLOBAL);
    if (value) value->u.global.module = module, value->u.global.name = name;
    return pickle_push(m, value);
}

static base_status pickle_global_lines(pickle_machine *m) {
    store_text module, name;
    BASE_TRY(pickle_line(m, &module));
    BASE_TRY(pickle_line(m, &name));
    return pickle_push_global(m, module, name);
}

static base_status pickle_stack_global(pickle_machine *m) {
    store_value *module, *name;
    BASE_TRY(pickle_pop(m, &name));
    BASE_TRY(pickle_pop(m, &module));
    if (module->kind != STORE_VALUE_TEXT || name->kind != STORE_VALUE_TEXT)
        return pickle_damaged(m, "a global whose name is no text");
    return pickle_push_global(m, module->u.text, name->u.text);
}

static bool pickle_is_builtin(const store_value *function, const char *name) {
    return store_global_is(function, "builtins", name) || store_global_is(function, "__builtin__", name);
}

/* Python's plain containers, made by calling their types with nothing or one list: they are safe to know. -1: none of
 * them. */
static int pickle_container(const store_value *function) {
    if (store_global_is(function, "collections", "OrderedDict") || pickle_is_builtin(function, "dict"))
        return STORE_VALUE_DICT;
    if (pickle_is_builtin(function, "list") || pickle_is_builtin(function, "set") ||
        pickle_is_builtin(function, "frozenset"))
        return STORE_VALUE_LIST;
    if (store_global_is(function, "torch", "Size") || pickle_is_builtin(function, "tuple")) return STORE_VALUE_TUPLE;
    return -1;
}

/* An OrderedDict of old was pickled as its call with a list of pairs. Each pair took a byte at least, and is copied
 * once: a list in the memo that is copied again and again would multiply. */
static base_status pickle_fill(pickle_machine *m, store_value *to, const store_value *from) {
    bool items = from->kind == STORE_VALUE_LIST || from->kind == STORE_VALUE_TUPLE || from->kind == STORE_VALUE_DICT;
    if (items && (m->copied += from->u.items.count) > m->size) return pickle_damaged(m, "one list copied many times");
    for (store_cell *cell = items ? from->u.items.first : NULL; cell; cell = cell->next) {
        const store_value *pair = cell->value;
        if (to->kind != STORE_VALUE_DICT)
            BASE_TRY(pickle_add(m, to, NULL, cell->value));
        else if (from->kind == STORE_VALUE_DICT)
            BASE_TRY(pickle_add(m, to, cell->key, cell->value));
        else if ((pair->kind == STORE_VALUE_LIST || pair->kind == STORE_VALUE_TUPLE) && pair->u.items.count == 2)
            BASE_TRY(pickle_add(m, to, pair->u.items.first->value, pair->u.items.last->value));
    }
    return BASE_OK;
}

/* REDUCE, NEWOBJ: a call that is not made. Pushes what is known of its outcome. */
static base_status pickle_call(pickle_machine *m, store_value *function, store_value *arguments) {
    int container = pickle_container(function);
    if (container >= 0 && arguments->kind == STORE_VALUE_TUPLE && arguments->u.items.count <= 1) {
        store_value *value = store_value_new(m->arena, (store_value_kind)container);
        if (!value) return BASE_ERROR;
        if (arguments->u.items.count) BASE_TRY(pickle_fill(m, value, arguments->u.items.first->value));
        return pickle_push(m, value);
    }
    return pickle_push(m, store_torch_call(m->arena, function, arguments));
}

static base_status pickle_reduce(pickle_machine *m) {
    store_value *function, *arguments;
    BASE_TRY(pickle_pop(m, &arguments));
    BASE_TRY(pickle_pop(m, &function));
    return pickle_call(m, function, arguments);
}

static base_status pickle_newobj_ex(pickle_machine *m) {
    store_value *keywords;
    BASE_TRY(pickle_pop(m, &keywords));
    return pickle_reduce(m);
}

/* OBJ: the class is the first of the marked items. INST: it is named in two lines. */
static base_status pickle_obj(pickle_machine *m) {
    store_value **items, *function;
    size_t n;
    BASE_TRY(pickle_pop_mark(m, &items, &n));
    if (n == 0) return pickle_damaged(m, "an object without a class");
    function = items[0];
    return pickle_push(m, store_torch_call(m->arena, function, m->none));
}

static base_status pickle_inst(pickle_machine *m) {
    store_value **items, *function;
    size_t n;
    BASE_TRY(pickle_pop_mark(m, &items, &n));
    BASE_TRY(pickle_global_lines(m));
    BASE_TRY(pickle_pop(m, &function));
    return pickle_push(m, store_torch_call(m->arena, function, m->none));
}

/* BUILD sets an object's attributes: nothing of ours has any. */
static base_status pickle_build(pickle_machine *m) {
    store_value *state, *top;
    BASE_TRY(pickle_pop(m, &state));
    return pickle_top(m, &top);
}

static base_status pickle_persistent(pickle_machine *m) {
    store_value *id;
    BASE_TRY(pickle_pop(m, &id));
    return pickle_push(m, store_torch_persistent(m->arena, id, m->storages));
}

/* ---- The opcodes ------------------------------------------------------------------------------------------------- */

static base_status pickle_pop_one(pickle_machine *m) {
    store_value *value;
    if (m->mark_count && m->depth == pickle_floor(m)) { // POP also takes a mark
        m->mark_count--;
        return BASE_OK;
    }
    return pickle_pop(m, &value);
}

static base_status pickle_items(pickle_machine *m, base_status (*add)(pickle_machine *, store_value **, size_t)) {
    store_value **items;
    size_t n;
    BASE_TRY(pickle_pop_mark(m, &items, &n));
    return add(m, items, n);
}

static base_status pickle_setitem(pickle_machine *m) {
    store_value *pair[2];
    BASE_TRY(pickle_pop(m, &pair[1]));
    BASE_TRY(pickle_pop(m, &pair[0]));
    return pickle_set(m, pair, 2);
}

static base_status pickle_append_one(pickle_machine *m) {
    store_value *item;
    BASE_TRY(pickle_pop(m, &item));
    return pickle_append(m, &item, 1);
}

static base_status pickle_dup(pickle_machine *m) {
    store_value *top;
    BASE_TRY(pickle_top(m, &top));
    return pickle_push(m, top);
}

/* Opcodes with a number of `width` bytes before them. */
static base_status pickle_step_number(pickle_machine *m, uint8_t opcode) {
    uint64_t number;
    int width = strchr("jJr", opcode) ? 4 : opcode == 'M' ? 2 : opcode == 'G' || opcode == 0x95 ? 8 : 1;
    BASE_TRY(pickle_number(m, width, &number));
    switch (opcode) {
    case 'J': return pickle_push_int(m, (int32_t)(uint32_t)number);
    case 'K':
    case 'M': return pickle_push_int(m, (int64_t)number);
    case 'G': return pickle_push_none(m); // a float
    case 'h':
    case 'j': return pickle_get(m, number);
    case 'q':
    case 'r': return pickle_put(m, number);
    default: return BASE_OK; // 0x80 protocol, 0x95 frame
    }
}

static base_status pickle_step(pickle_machine *m, uint8_t opcode) {
    store_value **items;
    size_t n;
    switch (opcode) {
    case '(': return pickle_mark(m);
    case '0': return pickle_pop_one(m);
    case '1': return pickle_pop_mark(m, &items, &n);
    case '2': return pickle_dup(m);
    case 'N': return pickle_push_none(m);
    case 0x88: return pickle_push_int(m, 1);
    case 0x89: return pickle_push_int(m, 0);
    case 0x8a: return pickle_long(m, 1);
    case 0x8b: return pickle_long(m, 4);
    case 'U':
    case 'C':
    case 0x8c: return pickle_text(m, 1);
    case 'T':
    case 'X':
    case 'B': return pickle_text(m, 4);
    case 0x8d:
    case 0x8e:
    case 0x96: return pickle_text(m, 8);
    case ')': return pickle_push_tuple(m, 0);
    case 0x85:
    case 0x86:
    case 0x87: return pickle_push_tuple(m, opcode - 0x84u);
    case 't': return pickle_push_marked(m, STORE_VALUE_TUPLE);
    case ']':
    case 0x8f: return pickle_push_items(m, STORE_VALUE_LIST, NULL, 0);
    case 'l':
    case 0x91: return pickle_push_marked(m, STORE_VALUE_LIST);
    case '}': return pickle_push_items(m, STORE_VALUE_DICT, NULL, 0);
    case 'd': return pickle_push_marked(m, STORE_VALUE_DICT);
    case 'a': return pickle_append_one(m);
    case 'e':
    case 0x90: return pickle_items(m, pickle_append);
    case 's': return pickle_setitem(m);
    case 'u': return pickle_items(m, pickle_set);
    case 'c': return pickle_global_lines(m);
    case 0x93: return pickle_stack_global(m);
    case 'R':
    case 0x81: return pickle_reduce(m);
    case 0x92: return pickle_newobj_ex(m);
    case 'o': return pickle_obj(m);
    case 'i': return pickle_inst(m);
    case 'b': return pickle_build(m);
    case 'Q': return pickle_persistent(m);
    case 0x94: return pickle_put(m, m->memo_next++);
    case 'J':
    case 'K':
    case 'M':
    case 'G':
    case 'h':
    case 'j':
    case 'q':
    case 'r':
    case 0x80:
    case 0x95: return pickle_step_number(m, opcode);
    default: break;
    }
    if (strchr("FILSVPgp", opcode) && opcode)
        return base_fail("%s: a pickle of protocol 0 or 1; save it again with torch.save's default protocol", m->file);
    return pickle_damaged(m, "an unknown opcode");
}

static base_status pickle_run(pickle_machine *m, store_value **root) {
    for (;;) {
        const uint8_t *opcode;
        BASE_TRY(pickle_take(m, 1, &opcode));
        if (*opcode == '.') return pickle_pop(m, root);
        BASE_TRY(pickle_step(m, *opcode));
    }
}

DEIT_INTERNAL base_status store_unpickle(base_arena *arena, const uint8_t *data, size_t size, const char *file,
                                         store_value **root, size_t *used, store_storage **storages) {
    store_value *none = store_value_new(arena, STORE_VALUE_NONE);
    if (!none) return BASE_ERROR;
    pickle_machine m = {.arena = arena, .data = data, .size = size, .file = file, .none = none, .storages = storages};
    // A stack from the start, so that nothing need ask whether there is one.
    bool room = pickle_grow((void **)&m.stack, &m.depth_capacity, 1, sizeof *m.stack);
    base_status status = room ? pickle_run(&m, root) : BASE_ERROR;
    base_free(m.stack);
    base_free(m.marks);
    base_free(m.memo);
    *used = m.at;
    return status;
}

/* What the files of store share: the container under construction, zip's directory, the unpickler's values. */
#ifndef DEIT_STORE_INTERNAL_H
#define DEIT_STORE_INTERNAL_H

#include "store/store.h"

enum { STORE_LONGEST_NAME = 1024, STORE_HEADER_LIMIT = 100 * 1000 * 1000, STORE_WRAPPERS = 16 };

/* ---- The container ----------------------------------------------------------------------------------------------- */

/* A name whose value could not be read, and why. */
typedef struct store_blocked {
    const char *name, *reason;
    struct store_blocked *next;
} store_blocked;

typedef struct store_pair {
    const char *key, *value;
    struct store_pair *next;
} store_pair;

struct store {
    base_arena arena; // names, blocked, metadata
    base_mapping mapping;
    const uint8_t *data; // the whole file
    size_t size;
    const char *file, *format, *part;
    store_tensor *tensors; // [count]
    size_t count, capacity;
    store_tensor **sorted; // [count] by name, made when all are there
    store_blocked *blocked, *blocked_last;
    store_pair *metadata, *metadata_last;
    const char *wrapper[STORE_WRAPPERS]; // keys of a torch file's dicts, where the outermost was taken
    size_t wrappers;
};

/* Sets count, bytes and contiguous from dtype and dim, and stride to C order if `strided` is not set. Refuses what
 * overflows. */
DEIT_INTERNAL base_status store_tensor_measure(store_tensor *tensor, bool strided);
/* Appends a measured tensor; the name is copied. */
DEIT_INTERNAL base_status store_add(store *s, const store_tensor *tensor, const char *name);
DEIT_INTERNAL base_status store_add_blocked(store *s, const char *name, const char *reason);

/* The formats. Each fills `s` from s->data; `part` as in store_open_part. */
DEIT_INTERNAL base_status store_read_safetensors(store *s);
DEIT_INTERNAL base_status store_read_npy(store *s);
DEIT_INTERNAL base_status store_read_npz(store *s);
DEIT_INTERNAL base_status store_read_torch_zip(store *s, const char *part);
DEIT_INTERNAL base_status store_read_torch_stream(store *s, const char *part);
DEIT_INTERNAL bool store_is_torch_stream(const uint8_t *data, size_t size);

/* ---- Zip --------------------------------------------------------------------------------------------------------- */

/* Reads a little-endian number of 1 to 8 bytes. */
DEIT_INTERNAL uint64_t store_little(const uint8_t *at, int bytes);

typedef struct {
    const char *name; // in the arena
    uint64_t header;  // of the local header, from the file's start
    uint64_t packed, size;
    uint32_t crc;
    uint16_t method; // 0 stored, 8 deflated
    bool encrypted;
} store_zip_entry;

enum { STORE_ZIP_LOCAL = 30 };

/* Reads the directory at the end of a zip that lies whole at data. *entries is base_malloc'd, names are in the arena.
 */
DEIT_INTERNAL base_status store_zip_directory(const uint8_t *data, size_t size, const char *file, base_arena *arena,
                                              store_zip_entry **entries, size_t *count);
/* From the 30 bytes of an entry's local header: where its data begins. */
DEIT_INTERNAL base_status store_zip_begin(const uint8_t local[STORE_ZIP_LOCAL], size_t size, const char *file,
                                          const store_zip_entry *entry, uint64_t *begin);
/* The packed bytes of an entry, in place; an entry that claims to unfold to more than deflate can make of them is
 * refused. */
DEIT_INTERNAL base_status store_zip_data(const uint8_t *data, size_t size, const char *file,
                                         const store_zip_entry *entry, const uint8_t **packed);
/* Inflates exactly `size` bytes (raw deflate), after throwing `skip` away. */
DEIT_INTERNAL base_status store_inflate(const uint8_t *packed, size_t packed_size, size_t skip, void *out, size_t size,
                                        const char *file, const char *entry);

/* ---- Pickle ------------------------------------------------------------------------------------------------------ */

/* Text in the file: not NUL-terminated. */
typedef struct {
    const char *data;
    size_t size;
} store_text;

typedef enum {
    STORE_VALUE_NONE, // also what is of no interest: floats, long integers
    STORE_VALUE_INT,  // and bool
    STORE_VALUE_TEXT, // and bytes
    STORE_VALUE_LIST, // list, set
    STORE_VALUE_TUPLE,
    STORE_VALUE_DICT,
    STORE_VALUE_GLOBAL, // a name that could be called, and is not
    STORE_VALUE_INERT,  // what calling it would have given
    STORE_VALUE_STORAGE,
    STORE_VALUE_TENSOR,
} store_value_kind;

typedef struct store_value store_value;

typedef struct store_cell {
    store_value *key, *value; // key: dicts only
    struct store_cell *next;
} store_cell;

/* A run of elements somewhere in a torch file. */
typedef struct store_storage {
    store_text key;
    int dtype;              // store_dtype; negative: bytes without a type
    size_t width;           // bytes an element
    uint64_t bytes, offset; // offset: where a view begins in the storage of that key (the older stream only), bytes
    const uint8_t *data;    // once found
    struct store_storage *next;
} store_storage;

struct store_value {
    store_value_kind kind;
    bool visited; // a dict already flattened: breaks cycles
    union {
        int64_t integer;
        store_text text;
        struct {
            store_cell *first, *last;
            size_t count;
        } items;
        struct {
            store_text module, name;
            bool misused; // one we know, with arguments it does not take
            bool element; // an element type that is not read
        } global;         // GLOBAL, INERT
        store_storage *storage;
        struct {
            store_storage *storage;
            store_tensor *view; // all but its data
            uint64_t offset;    // bytes, into the storage
        } tensor;
    } u;
};

/* Reads one pickle from the start of data; *used: its length. Values live in the arena and point into data. Storages
 * met are put before *storages. */
DEIT_INTERNAL base_status store_unpickle(base_arena *arena, const uint8_t *data, size_t size, const char *file,
                                         store_value **root, size_t *used, store_storage **storages);
DEIT_INTERNAL bool store_text_is(store_text text, const char *word);
DEIT_INTERNAL bool store_global_is(const store_value *value, const char *module, const char *name);
DEIT_INTERNAL store_value *store_value_new(base_arena *arena, store_value_kind kind);
/* What torch's own functions and persistent ids stand for; value->kind == INERT where it is none of them. NULL: no
 * memory. */
DEIT_INTERNAL store_value *store_torch_call(base_arena *arena, const store_value *function,
                                            const store_value *arguments);
DEIT_INTERNAL store_value *store_torch_persistent(base_arena *arena, const store_value *id, store_storage **storages);

#endif

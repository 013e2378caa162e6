/* store: files that hold tensors (safetensors, torch .pth in both its formats, npy, npz) and files that hold files
 * (tar, zip); MATLAB's lists of labels.
 *
 * What is read may come from anywhere: every length, offset and name is checked before it is used; nothing in a file is
 * ever executed; memory stays within a multiple of the file's size. */
#ifndef DEIT_STORE_H
#define DEIT_STORE_H

#include "base/base.h"

/* ---- Tensors ----------------------------------------------------------------------------------------------------- */

typedef enum {
    STORE_F32,
    STORE_F16,
    STORE_BF16,
    STORE_F64,
    STORE_I64,
    STORE_I32,
    STORE_I16,
    STORE_I8,
    STORE_U8,
    STORE_BOOL,
    STORE_DTYPES
} store_dtype;

enum { STORE_MAX_DIMS = 8 };

/* A tensor as it lies in its container. Belongs to its store and lives as long. */
typedef struct {
    const char *name; /* as in the file, without "module." before it */
    store_dtype dtype;
    int ndim; /* 0: a scalar, one element */
    int64_t dim[STORE_MAX_DIMS];
    int64_t stride[STORE_MAX_DIMS]; /* in elements, as torch's; Fortran order and transposed views have others than C
                                       order */
    bool contiguous;                /* the strides are C order's */
    size_t count;                   /* elements: the product of dim */
    size_t bytes;                   /* count times the size of an element; fits memory */
    const void *data; /* the first element, perhaps not aligned; NULL where `packed`, and where count is 0 */
    const uint8_t
        *packed; /* deflated in an npz: `packed_size` bytes that unfold to `skip` bytes of header and the data */
    size_t packed_size, skip;
    const char *file; /* for messages */
} store_tensor;

/* An open container. It maps the file, so opening costs little however large the file; it does not change after
 * opening: any number of threads may use it together. */
typedef struct store store;

/* Whether a file begins as one of these formats does. */
DEIT_INTERNAL bool store_begins(const void *data, size_t size);
/* Opens by content, not by the name's ending. Of a torch file it takes the dict under "model", else "state_dict", else
 * "model_ema", else the outermost, and in that again; one that holds nothing does not count. Dicts in dicts become
 * names joined by '.'. */
DEIT_INTERNAL base_status store_open(store **out, const char *path);
/* The same, of a torch file taking the dict under the key `part`; an error that lists the keys if it has none. NULL: as
 * store_open. */
DEIT_INTERNAL base_status store_open_part(store **out, const char *path, const char *part);
/* The same, with a part or NULL, from memory, which must stay until store_close; `name` stands for the file in
 * messages.
 */
DEIT_INTERNAL base_status store_open_memory(store **out, const void *data, size_t size, const char *name,
                                            const char *part);
DEIT_INTERNAL void store_close(store *s); /* NULL allowed */
/* Holds the members of a zip (npz, torch zip) against their checksums, which opening does not: it takes reading all.
 * Other formats have none. */
DEIT_INTERNAL base_status store_check_sums(const char *path);

DEIT_INTERNAL const char *store_format(const store *s); /* "safetensors", "torch zip", "torch stream", "npz", "npy" */
DEIT_INTERNAL const char *store_file(const store *s);   /* the path or name it was opened by */
/* Of a torch file: the key under which the tensors stood ("model"), "" for the outermost dict; NULL for other formats.
 */
DEIT_INTERNAL const char *store_part(const store *s);
/* Keys of dicts in the outermost, where that was taken: parts that may be asked for. The first few; NULL past them. */
DEIT_INTERNAL const char *store_wrapper_at(const store *s, size_t i);
DEIT_INTERNAL size_t store_count(const store *s);
DEIT_INTERNAL const store_tensor *store_at(const store *s, size_t i);           /* in the file's order */
DEIT_INTERNAL const store_tensor *store_find(const store *s, const char *name); /* NULL if absent or unreadable */
/* Why a tensor that the file names cannot be read; NULL if it can, or is absent. */
DEIT_INTERNAL const char *store_unreadable(const store *s, const char *name);
/* As store_find, but says why not: absent; or made by calling something, which is never done. */
DEIT_INTERNAL base_status store_want(const store *s, const char *name, const store_tensor **tensor);
/* A string of safetensors' __metadata__; NULL if absent. store_metadata_at: the i-th pair, false past the end. */
DEIT_INTERNAL const char *store_metadata(const store *s, const char *key);
DEIT_INTERNAL bool store_metadata_at(const store *s, size_t i, const char **key, const char **value);
/* The i-th name whose tensor cannot be read, and why; false past the end. */
DEIT_INTERNAL bool store_blocked_at(const store *s, size_t i, const char **name, const char **reason);

/* Copies the elements in C order, as they are (tensor->bytes) or as f32 (4 * tensor->count; integers too, bool as 0 and
 * 1). Allocates only for deflated tensors. Threads may read at once. */
DEIT_INTERNAL base_status store_read_raw(const store_tensor *tensor, void *out);
DEIT_INTERNAL base_status store_read_f32(const store_tensor *tensor, float *out);
/* The elements where they lie, if they are aligned f32 in C order; else NULL: then store_read_f32 is needed. */
DEIT_INTERNAL const float *store_f32(const store_tensor *tensor);
/* Says that a tensor has been copied and will not be needed soon: its pages of the mapped file no longer count as this
 * process's memory. Reading it again works as before. */
DEIT_INTERNAL void store_forget(const store *s, const store_tensor *tensor);
/* "[3, 224, 224]" into text; returns text. */
DEIT_INTERNAL char *store_shape_text(const store_tensor *tensor, char text[192]);

DEIT_INTERNAL size_t store_dtype_size(store_dtype dtype);
DEIT_INTERNAL const char *store_dtype_name(store_dtype dtype); /* safetensors' names: "F32", "BF16" */

/* To the nearest, ties to even; NaN stays NaN, too large becomes infinity. */
DEIT_INTERNAL uint16_t store_f32_to_bf16(float value);
DEIT_INTERNAL uint16_t store_f32_to_f16(float value);
DEIT_INTERNAL float store_bf16_to_f32(uint16_t bits);
DEIT_INTERNAL float store_f16_to_f32(uint16_t bits);

/* ---- Writing tensors --------------------------------------------------------------------------------------------- */

/* Describes the caller's own C-order array, for writing. ndim 0 to 8. Nothing is copied. */
DEIT_INTERNAL store_tensor store_tensor_of(const char *name, store_dtype dtype, int ndim, const int64_t *dim,
                                           const void *data);
/* Writes a safetensors file (through base_output: whole or not at all), also from tensors of another store. as: the
 * types to write, NULL: as they are; anything can be written as F32, F16 or BF16, where finite numbers stay finite.
 * metadata: key, value, key, value, ..., NULL; or NULL. */
DEIT_INTERNAL base_status store_write_safetensors(const char *path, const store_tensor *tensors, const store_dtype *as,
                                                  size_t n, const char *const *metadata);
/* Writes an npy file of f32 in C order. */
DEIT_INTERNAL base_status store_write_npy(const char *path, const float *data, int ndim, const int64_t *dim);

/* ---- MATLAB ------------------------------------------------------------------------------------------------------ */

typedef enum { STORE_MAT_NUMBERS, STORE_MAT_TEXT, STORE_MAT_CELL, STORE_MAT_STRUCT, STORE_MAT_OTHER } store_mat_kind;

/* An array of a MATLAB file, elements in MATLAB's order: the first dimension runs fastest. Belongs to its file. */
typedef struct store_mat_array store_mat_array;
struct store_mat_array {
    const char *name; /* of a variable; "" inside of others */
    store_mat_kind kind;
    size_t count;          /* elements: the product of the dimensions */
    const double *numbers; /* [count]: NUMBERS, of any type */
    const char *text;      /* TEXT: UTF-8 */
    size_t fields;         /* STRUCT: of an element; CELL: 1 */
    const char **field_names;
    store_mat_array *items; /* [count, fields]: CELL, STRUCT */
    store_mat_array *next;  /* variable */
};

/* A MATLAB file of level 5, compressed or not, read whole; at most 64 MiB. */
typedef struct store_mat store_mat;
DEIT_INTERNAL base_status store_mat_open(store_mat **out, const char *path);
/* The same from memory, which is not needed afterwards. */
DEIT_INTERNAL base_status store_mat_open_memory(store_mat **out, const void *data, size_t size, const char *name);
DEIT_INTERNAL void store_mat_close(store_mat *mat);                                          /* NULL allowed */
DEIT_INTERNAL const store_mat_array *store_mat_find(const store_mat *mat, const char *name); /* a variable; NULL */
/* A field of element i of a struct array; NULL if it is none, or has no such field. */
DEIT_INTERNAL const store_mat_array *store_mat_field(const store_mat_array *array, size_t i, const char *name);

/* ---- Archives ---------------------------------------------------------------------------------------------------- */

typedef enum {
    STORE_ARCHIVE_NONE,   /* not an archive */
    STORE_ARCHIVE_RANDOM, /* tar or zip: store_archive_open */
    STORE_ARCHIVE_STREAM, /* compressed (gz, bz2, xz, zst), perhaps a tar: store_stream_open */
} store_archive_kind;
/* By the file's first bytes. */
DEIT_INTERNAL base_status store_archive_sniff(const char *path, store_archive_kind *kind);

/* A file inside an archive: regular files only; hard links stand for what they link to. */
typedef struct {
    const char *name; /* without "./" before it */
    uint64_t size;
    uint64_t offset;   /* tar: of its bytes in the file; zip: of its local header */
    uint64_t packed;   /* zip: bytes it takes in the file; tar: the same as size */
    uint32_t crc;      /* zip */
    uint16_t deflated; /* zip */
} store_entry;

typedef struct store_archive store_archive;
/* Indexes a tar (ustar, pax, GNU) or zip by its headers alone. After that it does not change: any number of threads may
 * read at once. context: progress ("index", bytes) and cancelling; may be NULL. */
DEIT_INTERNAL base_status store_archive_open(store_archive **out, const char *path, const base_context *context);
/* Indexes a tar that is itself an entry of a tar (ILSVRC2012_img_train.tar). The outer archive may be closed before. */
DEIT_INTERNAL base_status store_archive_open_inside(store_archive **out, const store_archive *outer,
                                                    const store_entry *entry);
DEIT_INTERNAL void store_archive_close(store_archive *archive); /* NULL allowed */
DEIT_INTERNAL size_t store_archive_count(const store_archive *archive);
DEIT_INTERNAL const store_entry *store_archive_at(const store_archive *archive, size_t i); /* in the archive's order */
DEIT_INTERNAL const store_entry *store_archive_find(const store_archive *archive, const char *name);
/* Folders that have an entry of their own, with '/' at the end. */
DEIT_INTERNAL const char *const *store_archive_folders(const store_archive *archive, size_t *count);
/* Reads a whole entry: entry->size bytes. A zip's checksum is checked. */
DEIT_INTERNAL base_status store_archive_read(const store_archive *archive, const store_entry *entry, void *buffer);

/* A tar, compressed or not, read in sequence. For one thread at a time. */
typedef struct store_stream store_stream;
DEIT_INTERNAL base_status store_stream_open(store_stream **out, const char *path);
/* Goes to the next regular file; *name = NULL at the end. The name is valid until the next call. */
DEIT_INTERNAL base_status store_stream_next(store_stream *stream, const char **name);
/* Reads the present file: once, or never, for each. *data belongs to the stream and is valid until the next call. At
 * most 1 GiB. */
DEIT_INTERNAL base_status store_stream_data(store_stream *stream, const uint8_t **data, size_t *size);
/* The folders passed so far, each with '/' at its end: *count of them, until the next call of store_stream_next. */
DEIT_INTERNAL const char *const *store_stream_folders(const store_stream *stream, size_t *count);
/* Bytes of the (compressed) file behind us, and in all. */
DEIT_INTERNAL void store_stream_position(const store_stream *stream, uint64_t *done, uint64_t *total);
DEIT_INTERNAL void store_stream_close(store_stream *stream); /* NULL allowed */

/* A single file, compressed by gzip or not, read whole; *data is base_malloc'd (NULL: empty). More than limit bytes are
 * an error. */
DEIT_INTERNAL base_status store_read_gzip(const char *path, size_t limit, uint8_t **data, size_t *size);

/* Writes the files of a compressed tar into one that is not compressed, whole or not at all. */
DEIT_INTERNAL base_status store_repack(const char *from, const char *to, const base_context *context);

#endif

/* zip: the directory at the end of a zip file (PKWARE's APPNOTE 4.3, 4.5.3), and its members' bytes. torch's .pth and
 * numpy's .npz are zips whose members are used in place, in the mapping, which libarchive does not offer. */
#include "store/internal.h"

#include <string.h>
#include <zlib.h>

enum { ZIP_END = 22, ZIP_END64 = 56, ZIP_LOCATOR = 20, ZIP_CENTRAL = 46, ZIP_MOST = 1032 /* deflate's best ratio */ };

DEIT_INTERNAL uint64_t store_little(const uint8_t *at, int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) value |= (uint64_t)at[i] << (8 * i);
    return value;
}

/* The "end of central directory" record: the last one whose comment fits the file. */
static base_status zip_find_end(const uint8_t *data, size_t size, const char *file, size_t *end) {
    size_t longest = 65535;
    for (size_t back = ZIP_END; back <= size && back <= ZIP_END + longest; back++) {
        const uint8_t *at = data + size - back;
        if (memcmp(at, "PK\5\6", 4) || ZIP_END + store_little(at + 20, 2) > back) continue;
        *end = size - back;
        return BASE_OK;
    }
    return base_fail("%s: the directory at the end of the zip is missing: the file is cut short; download it again",
                     file);
}

typedef struct {
    uint64_t offset, size, entries;
} zip_place;

static base_status zip_find_directory(const uint8_t *data, size_t size, const char *file, zip_place *place) {
    size_t end = 0;
    BASE_TRY(zip_find_end(data, size, file, &end));
    place->entries = store_little(data + end + 10, 2);
    place->size = store_little(data + end + 12, 4);
    place->offset = store_little(data + end + 16, 4);
    if (end >= ZIP_LOCATOR && !memcmp(data + end - ZIP_LOCATOR, "PK\6\7", 4)) { // zip64: larger numbers stand elsewhere
        uint64_t at = store_little(data + end - ZIP_LOCATOR + 8, 8);
        if (at > size || size - at < ZIP_END64 || memcmp(data + at, "PK\6\6", 4))
            return base_fail("%s: the zip's 64-bit directory record is not where it should be; the file is damaged",
                             file);
        place->entries = store_little(data + at + 32, 8);
        place->size = store_little(data + at + 40, 8);
        place->offset = store_little(data + at + 48, 8);
        end = at;
    }
    if (place->offset > end || place->size > end - place->offset || place->entries > place->size / ZIP_CENTRAL)
        return base_fail("%s: the zip's directory (%llu entries at byte %llu) does not fit the file; it is damaged",
                         file, (unsigned long long)place->entries, (unsigned long long)place->offset);
    return BASE_OK;
}

/* Numbers that do not fit 32 bits stand in extra field 1, only those, in this order. */
static bool zip_extra64(const uint8_t *extra, size_t size, store_zip_entry *entry) {
    uint64_t *wanted[] = {&entry->size, &entry->packed, &entry->header};
    while (size >= 4) {
        uint64_t id = store_little(extra, 2), length = store_little(extra + 2, 2);
        extra += 4, size -= 4;
        if (length > size) return false;
        for (int i = 0; i < 3 && id == 1; i++) {
            if (*wanted[i] != 0xffffffffu) continue;
            if (length < 8) return false;
            *wanted[i] = store_little(extra, 8);
            extra += 8, size -= 8, length -= 8;
        }
        extra += length, size -= length;
    }
    return true;
}

/* Reads the entry at `at`, of `left` bytes; *used: its length, 0 if damaged. */
static base_status zip_central(const uint8_t *at, size_t left, base_arena *arena, store_zip_entry *entry,
                               size_t *used) {
    *used = 0;
    if (left < ZIP_CENTRAL || memcmp(at, "PK\1\2", 4)) return BASE_OK;
    size_t name = store_little(at + 28, 2), extra = store_little(at + 30, 2), comment = store_little(at + 32, 2);
    if (ZIP_CENTRAL + name + extra + comment > left) return BASE_OK;
    *entry = (store_zip_entry){.header = store_little(at + 42, 4),
                               .packed = store_little(at + 20, 4),
                               .size = store_little(at + 24, 4),
                               .crc = (uint32_t)store_little(at + 16, 4),
                               .method = (uint16_t)store_little(at + 10, 2),
                               .encrypted = at[8] & 1};
    if (!zip_extra64(at + ZIP_CENTRAL + name, extra, entry)) return BASE_OK;
    char *copy = base_arena_alloc(arena, name + 1);
    if (!copy) return BASE_ERROR;
    memcpy(copy, at + ZIP_CENTRAL, name);
    entry->name = copy;
    *used = ZIP_CENTRAL + name + extra + comment;
    return BASE_OK;
}

DEIT_INTERNAL base_status store_zip_directory(const uint8_t *data, size_t size, const char *file, base_arena *arena,
                                              store_zip_entry **entries, size_t *count) {
    zip_place place;
    *entries = NULL, *count = 0;
    BASE_TRY(zip_find_directory(data, size, file, &place));
    store_zip_entry *list = base_malloc((place.entries + 1) * sizeof *list);
    if (!list) return BASE_ERROR;
    const uint8_t *at = data + place.offset;
    size_t left = place.size, used;
    for (size_t i = 0; i < place.entries; i++, at += used, left -= used) {
        base_status status = zip_central(at, left, arena, &list[i], &used);
        if (!status && !used)
            status = base_fail("%s: entry %zu of the zip's directory is damaged; download it again", file, i);
        if (!status && (list[i].packed > size || list[i].header > size - list[i].packed))
            status = base_fail("%s: %s lies outside of the file; it is damaged", file, list[i].name);
        if (!status && list[i].method == 0 && list[i].packed != list[i].size)
            status = base_fail("%s: %s has two different sizes; the file is damaged", file, list[i].name);
        if (status) {
            base_free(list);
            return status;
        }
    }
    *entries = list, *count = place.entries;
    return BASE_OK;
}

DEIT_INTERNAL base_status store_zip_begin(const uint8_t local[STORE_ZIP_LOCAL], size_t size, const char *file,
                                          const store_zip_entry *entry, uint64_t *begin) {
    if (memcmp(local, "PK\3\4", 4))
        return base_fail("%s: %s: no zip header before its data; the file is damaged", file, entry->name);
    *begin = entry->header + STORE_ZIP_LOCAL + store_little(local + 26, 2) + store_little(local + 28, 2);
    if (*begin > size || entry->packed > size - *begin)
        return base_fail("%s: %s lies outside of the file; it is damaged", file, entry->name);
    return BASE_OK;
}

DEIT_INTERNAL base_status store_zip_data(const uint8_t *data, size_t size, const char *file,
                                         const store_zip_entry *entry, const uint8_t **packed) {
    uint64_t begin;
    if (entry->encrypted) return base_fail("%s: %s is encrypted; unpack it first", file, entry->name);
    if (entry->header > size || size - entry->header < STORE_ZIP_LOCAL)
        return base_fail("%s: %s lies outside of the file; it is damaged", file, entry->name);
    if (entry->method == 8 && entry->size / ZIP_MOST > entry->packed)
        return base_fail("%s: %s: %llu bytes cannot unfold to %llu; the file is damaged", file, entry->name,
                         (unsigned long long)entry->packed, (unsigned long long)entry->size);
    BASE_TRY(store_zip_begin(data + entry->header, size, file, entry, &begin));
    *packed = data + begin;
    return BASE_OK;
}

/* zlib counts in 32 bits: feeds it pieces. Returns zlib's last word; *got: bytes written. */
static int zip_inflate_some(z_stream *z, const uint8_t **from, size_t *left, uint8_t *out, size_t size, size_t *got) {
    enum { PIECE = 1 << 30 };
    int word = Z_OK;
    for (*got = 0; word == Z_OK && *got < size;) {
        uInt in = (uInt)(*left < PIECE ? *left : PIECE), room = (uInt)(size - *got < PIECE ? size - *got : PIECE);
        z->next_in = (Bytef *)*from, z->avail_in = in;
        z->next_out = out + *got, z->avail_out = room;
        word = inflate(z, Z_NO_FLUSH);
        *from += in - z->avail_in, *left -= in - z->avail_in;
        *got += room - z->avail_out;
    }
    return word;
}

DEIT_INTERNAL base_status store_inflate(const uint8_t *packed, size_t packed_size, size_t skip, void *out, size_t size,
                                        const char *file, const char *entry) {
    uint8_t scrap[512];
    size_t got, done = 0;
    int word = Z_OK;
    z_stream z = {0};
    if (inflateInit2(&z, -15) != Z_OK) return base_fail("%s: %s: cannot inflate: out of memory", file, entry);
    while (word == Z_OK && done < skip) {
        word = zip_inflate_some(&z, &packed, &packed_size, scrap,
                                skip - done < sizeof scrap ? skip - done : sizeof scrap, &got);
        done += got;
    }
    bool good = done == skip;
    if (good && size) {
        got = 0;
        if (word == Z_OK) zip_inflate_some(&z, &packed, &packed_size, out, size, &got);
        good = got == size;
    }
    inflateEnd(&z);
    return good ? BASE_OK : base_fail("%s: %s: its compressed data is damaged; download it again", file, entry);
}

/* ---- Checksums --------------------------------------------------------------------------------------------------- */

static base_status zip_sum(const uint8_t *packed, const store_zip_entry *entry, const char *file) {
    uint8_t piece[1 << 15];
    uint64_t done = 0;
    size_t left = entry->packed, got;
    uLong crc = crc32(0, NULL, 0);
    z_stream z = {0};
    if (entry->method == 8 && inflateInit2(&z, -15) != Z_OK)
        return base_fail("%s: cannot inflate: out of memory", file);
    for (int word = Z_OK; word == Z_OK && done < entry->size; done += got) {
        size_t wanted = entry->size - done < sizeof piece ? (size_t)(entry->size - done) : sizeof piece;
        if (entry->method == 8)
            word = zip_inflate_some(&z, &packed, &left, piece, wanted, &got);
        else
            got = wanted;
        crc = crc32(crc, entry->method == 8 ? piece : packed + done, (uInt)got);
    }
    if (entry->method == 8) inflateEnd(&z);
    if (done == entry->size && crc == entry->crc) return BASE_OK;
    return base_fail("%s: %s: its checksum is wrong: the file is damaged, or was written without checksums (by torch, "
                     "where it was asked to); download it again",
                     file, entry->name);
}

static base_status zip_sums(const base_mapping *map, const char *file, base_arena *arena) {
    store_zip_entry *entries;
    size_t n;
    const uint8_t *packed;
    BASE_TRY(store_zip_directory(map->data, map->size, file, arena, &entries, &n));
    base_status status = BASE_OK;
    for (size_t i = 0; i < n && !status; i++) {
        status = store_zip_data(map->data, map->size, file, &entries[i], &packed);
        if (!status && (entries[i].method == 0 || entries[i].method == 8)) status = zip_sum(packed, &entries[i], file);
    }
    base_free(entries);
    return status;
}

DEIT_INTERNAL base_status store_check_sums(const char *path) {
    base_mapping map;
    base_arena arena = {0};
    BASE_TRY(base_map_file(&map, path));
    bool zip = map.size >= 4 && !memcmp(map.data, "PK\3\4", 4);
    base_status status = zip ? zip_sums(&map, path, &arena) : BASE_OK;
    base_arena_free(&arena);
    base_unmap_file(&map);
    return status;
}

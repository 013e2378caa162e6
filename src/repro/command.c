/* command: the commands of a table's file, their {names} filled in, as words to run and as a line to read. */
#include "repro/internal.h"

#include <stdlib.h>
#include <string.h>

static const repro_name *command_find(const repro_name *names, int n, const char *name, size_t size) {
    for (int i = 0; i < n; i++)
        if (strlen(names[i].name) == size && !memcmp(names[i].name, name, size)) return &names[i];
    return NULL;
}

/* {student.network} where there is no student is unknown as {student} is. */
static const repro_name *command_name(const repro_name *names, int n, const char *name, size_t size) {
    const repro_name *found = command_find(names, n, name, size);
    const char *dot = memchr(name, '.', size);
    if (found || !dot) return found;
    found = command_find(names, n, name, (size_t)(dot - name));
    return found && !found->value && !found->key ? found : NULL;
}

/* The next word of the text and its size; NULL at its end. open, close: a bracket stood before it, or ended the part it
 * is in. */
static const char *command_next(const char **at, size_t *length, bool inside, bool *open, bool *close) {
    *at += strspn(*at, " ");
    size_t size = strcspn(*at, " ");
    if (!size) return NULL;
    *open = **at == '[';
    *close = (inside || *open) && (*at)[size - 1] == ']';
    const char *word = *at + *open;
    *length = size - *open - *close;
    *at += size;
    return word;
}

typedef struct {
    const repro_name *names;
    int n;
    repro_fill fill;
    base_arena *arena;
    const char **words;
    int count;
    const repro_name *unknown; /* the first name without a value, of this part */
    const repro_name *absent;  /* the first with a key, but no value for a reason */
} command_filler;

static base_status command_add_word(command_filler *filler, const char *word, size_t size) {
    if (filler->count == REPRO_MAX_WORDS - 1) return base_fail("a command has more than %d words", filler->count);
    char *copy = base_arena_printf(filler->arena, "%.*s", (int)size, word);
    if (!copy) return BASE_ERROR;
    filler->words[filler->count++] = copy;
    return BASE_OK;
}

/* The value of the {name} at `brace`, "" where it is not known; *end: behind it. */
static base_status command_value(command_filler *filler, const char *brace, const char **end, const char **value) {
    *end = strchr(brace, '}') + 1;
    const repro_name *name = command_name(filler->names, filler->n, brace + 1, (size_t)(*end - brace - 2));
    if (!name) return base_fail("a command has the unknown name '%.*s'", (int)(*end - brace), brace);
    *value = filler->fill == REPRO_FILL_KEY ? name->key : name->value;
    if (filler->fill == REPRO_FILL_KEY && name->key && !name->value && name->why && !filler->absent)
        filler->absent = name;
    if (filler->fill == REPRO_FILL_RECORD && !name->key) *value = NULL;
    if (!*value && filler->fill == REPRO_FILL_SHOW) *value = name->example;
    if (!*value && !filler->unknown) filler->unknown = name;
    if (!*value) *value = "";
    return BASE_OK;
}

/* A value that is all of a word: it may be several. */
static base_status command_add_value(command_filler *filler, const char *value) {
    if (!strstr(value, " --") && strncmp(value, "--", 2) != 0)
        return command_add_word(filler, value, strlen(value)); /* a path may have spaces */
    for (size_t size; *value; value += size) {
        value += strspn(value, " ");
        size = strcspn(value, " ");
        if (size) BASE_TRY(command_add_word(filler, value, size));
    }
    return BASE_OK;
}

/* Adds a word with each {name} in it filled in. */
static base_status command_fill_word(command_filler *filler, const char *word) {
    const char *all = "", *at = word, *value;
    for (const char *brace; (brace = strchr(at, '{')) && strchr(brace, '}');) {
        const char *before = at;
        BASE_TRY(command_value(filler, brace, &at, &value));
        if (brace == word && !*at) return command_add_value(filler, value);
        all = base_arena_printf(filler->arena, "%s%.*s%s", all, (int)(brace - before), before, value);
        if (!all) return BASE_ERROR;
    }
    all = base_arena_printf(filler->arena, "%s%s", all, at);
    return all ? command_add_word(filler, all, strlen(all)) : BASE_ERROR;
}

DEIT_INTERNAL base_status repro_command_fill(const char *text, const repro_name *names, int n, repro_fill fill,
                                             base_arena *arena, const char *words[REPRO_MAX_WORDS],
                                             repro_lacks *lacks) {
    command_filler filler = {names, n, fill, arena, words, 0, NULL, NULL};
    int begin = 0;
    bool inside = false, open, close;
    size_t size;
    if (lacks) *lacks = (repro_lacks){0};
    for (const char *at = text, *next; (next = command_next(&at, &size, inside, &open, &close));) {
        if (open) inside = true, begin = filler.count;
        const char *word = base_arena_printf(arena, "%.*s", (int)size, next);
        if (!word) return BASE_ERROR;
        base_status status = command_fill_word(&filler, word);
        if (status) return base_fail_in(status, "'%s'", text);
        if (!inside && filler.unknown) {
            if (!lacks) return base_fail("there is no value for '%s' of: %s", word, text);
            if (!lacks->needs)
                lacks->needs = filler.unknown;
            else if (!lacks->too && lacks->needs->why && filler.unknown->why &&
                     strcmp(filler.unknown->why, lacks->needs->why) != 0)
                lacks->too = filler.unknown;
            filler.unknown = NULL;
        }
        if (!close) continue;
        if (filler.unknown) {
            filler.count = begin;
            if (lacks && (!lacks->left_out || filler.unknown->why)) lacks->left_out = filler.unknown;
        }
        inside = false, filler.unknown = NULL;
    }
    words[filler.count] = NULL;
    if (lacks) lacks->absent = filler.absent;
    return BASE_OK;
}

/* A word that a shell takes as it is. */
static bool command_plain(const char *word) {
    return *word && !word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=,+@%~")];
}

/* A word as a shell would read it: the home folder as ~, quoted where needed. */
static void command_add(base_text *text, const char *word) {
    const char *home = getenv("HOME");
    size_t size = home ? strlen(home) : 0;
    if (size > 1 && !strncmp(word, home, size) && word[size] == '/' && command_plain(word + size)) {
        base_text_printf(text, "~%s", word + size);
    } else if (command_plain(word)) {
        base_text_printf(text, "%s", word);
    } else {
        base_text_shell(text, word);
    }
}

static const char *command_keep(base_text *text, base_arena *arena) {
    const char *kept = text->failed ? NULL : base_arena_printf(arena, "%s", text->data ? text->data : "");
    base_text_free(text);
    return kept;
}

DEIT_INTERNAL const char *repro_command_word(const char *word, base_arena *arena) {
    base_text text = {0};
    command_add(&text, word);
    return command_keep(&text, arena);
}

DEIT_INTERNAL const char *repro_command_line(const char *const *words, const char *program, base_arena *arena) {
    base_text text = {0};
    command_add(&text, program ? program : "./deit");
    for (int i = 1; words[i]; i++) {
        base_text_add(&text, " ", 1);
        command_add(&text, words[i]);
    }
    return command_keep(&text, arena);
}

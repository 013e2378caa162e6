/* command: the commands of a table's file, their {names} filled in, as words to run and as a line to read. */
#include "repro/internal.h"

#include <stdlib.h>
#include <string.h>

static const repro_name *command_name(const repro_name *names, int n, const char *name, size_t size) {
    for (int i = 0; i < n; i++)
        if (strlen(names[i].name) == size && !memcmp(names[i].name, name, size)) return &names[i];
    return NULL;
}

/* The next word of the text; false at its end. open, close: a bracket stood before or after it. */
static bool command_next(const char **at, char word[128], bool *open, bool *close) {
    *at += strspn(*at, " ");
    size_t size = strcspn(*at, " ");
    if (!size) return false;
    *open = **at == '[';
    *close = (*at)[size - 1] == ']';
    snprintf(word, 128, "%.*s", (int)(size - *open - *close), *at + *open);
    *at += size;
    return true;
}

/* Fills {name}s of one word. *known is cleared where one has no value. NULL when memory ends or a name means nothing.
 */
static const char *command_word(const char *word, const repro_name *names, int n, base_arena *arena, bool *known) {
    const char *brace = strchr(word, '{'), *end = brace ? strchr(brace, '}') : NULL;
    if (!end) return base_arena_printf(arena, "%s", word);
    const repro_name *name = command_name(names, n, brace + 1, (size_t)(end - brace - 1));
    if (!name) {
        base_fail("a command has the unknown name '%.*s'", (int)(end - brace + 1), brace);
        return NULL;
    }
    if (!name->value) *known = false;
    return base_arena_printf(arena, "%.*s%s%s", (int)(brace - word), word, name->value ? name->value : "", end + 1);
}

DEIT_INTERNAL base_status repro_command_fill(const char *text, const repro_name *names, int n, base_arena *arena,
                                             const char *words[REPRO_MAX_WORDS]) {
    int count = 0, begin = 0;
    bool inside = false, known = true, open, close;
    char word[128];
    for (const char *at = text; command_next(&at, word, &open, &close);) {
        if (open) inside = true, known = true, begin = count;
        if (count == REPRO_MAX_WORDS - 1) return base_fail("a command has more than %d words: %s", count, text);
        words[count] = command_word(word, names, n, arena, &known);
        if (!words[count++]) return BASE_ERROR;
        if (!inside && !known) return base_fail("there is no value for '%s' of: %s", word, text);
        if (!close) continue;
        if (!known) count = begin;
        inside = false, known = true;
    }
    words[count] = NULL;
    return BASE_OK;
}

/* A word that a shell takes as it is. $ and ~ are left to act: commands name $DEIT_DATA and ~/.cache. */
static bool command_plain(const char *word) {
    return *word && !word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=,+@%~$")];
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
        base_text_printf(text, "'");
        for (; *word; word++) {
            if (*word == '\'')
                base_text_printf(text, "'\\''");
            else
                base_text_add(text, word, 1);
        }
        base_text_printf(text, "'");
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

DEIT_INTERNAL const char *repro_command_line(const char *const *words, base_arena *arena) {
    base_text text = {0};
    for (int i = 0; words[i]; i++) {
        base_text_printf(&text, "%s", i ? " " : "./");
        command_add(&text, words[i]);
    }
    return command_keep(&text, arena);
}

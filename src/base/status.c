/* status: each thread's last message. */
#include "base/base.h"

#include <string.h>

enum { STATUS_SIZE = 4096 };
static _Thread_local char status_text[STATUS_SIZE];

/* An overlong message ends in dots, so that a reader sees that something is missing. */
static void status_mark_cut(int length) {
    if (length >= STATUS_SIZE) memcpy(status_text + STATUS_SIZE - 4, "...", 4);
}

static void status_record(const char *format, va_list arguments) {
    // The arguments may point into the present message, so print beside it first.
    char fresh[STATUS_SIZE];
    int length = vsnprintf(fresh, sizeof fresh, format, arguments);
    if (length < 0) fresh[0] = 0;
    memcpy(status_text, fresh, strlen(fresh) + 1);
    status_mark_cut(length);
    for (char *at = status_text; *at; at++) // a file's name may hold what a terminal would obey
        if (((unsigned char)*at < ' ' && *at != '\n' && *at != '\t') || *at == 127) *at = '?';
}

DEIT_INTERNAL void base_fail_record(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    status_record(format, arguments);
    va_end(arguments);
}

DEIT_INTERNAL base_status base_fail_in(base_status status, const char *format, ...) {
    if (!status) return status;
    char before[STATUS_SIZE], after[STATUS_SIZE];
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(before, sizeof before, format, arguments) < 0) before[0] = 0;
    va_end(arguments);
    memcpy(after, status_text, sizeof after);
    size_t head = strlen(before), tail = strlen(after);
    if (head > STATUS_SIZE / 2) head = STATUS_SIZE / 2;
    bool cut = head + 2 + tail >= STATUS_SIZE;
    if (cut) tail = STATUS_SIZE - 3 - head;
    memcpy(status_text, before, head);
    memcpy(status_text + head, ": ", 2);
    memcpy(status_text + head + 2, after, tail);
    status_text[head + 2 + tail] = 0;
    if (cut) status_mark_cut(STATUS_SIZE);
    return status;
}

DEIT_INTERNAL const char *base_message(void) {
    return status_text;
}

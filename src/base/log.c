/* log: lines and progress to the caller's callbacks. */
#include "base/base.h"

DEIT_INTERNAL void base_log(const base_context *context, base_log_level level, const char *format, ...) {
    if (!context || !context->log) return;
    char line[4096];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (length >= 0) context->log(context->user, level, line);
}

DEIT_INTERNAL void base_progress(const base_context *context, const char *what, double done, double total,
                                 const char *unit, const char *note) {
    if (context && context->progress) context->progress(context->user, what, done, total, unit, note);
}

DEIT_INTERNAL bool base_cancelled(const base_context *context) {
    return context && context->cancel && *context->cancel;
}

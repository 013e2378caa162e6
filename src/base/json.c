/* json: text of any bytes, and any number, as JSON. */
#include "base/base.h"

#include <math.h>

DEIT_INTERNAL json_t *base_json_text(const char *text) {
    json_t *whole = text ? json_string(text) : NULL;
    if (whole || !text) return whole;
    base_text copy = {0};
    for (size_t i = 0, size; text[i]; i += size) {
        json_t *sign = NULL; /* one to four bytes are one */
        for (size = 1; size <= 4 && text[i + size - 1] && !(sign = json_stringn(text + i, size)); size++) {
        }
        if (!sign) size = 1;
        base_text_add(&copy, sign ? text + i : "\xef\xbf\xbd", sign ? size : 3);
        json_decref(sign);
    }
    if (!copy.failed) whole = json_stringn(copy.data, copy.size);
    base_text_free(&copy);
    return whole;
}

DEIT_INTERNAL json_t *base_json_real(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

DEIT_INTERNAL json_t *base_json_reals(const double *values, int n) {
    json_t *list = json_array();
    for (int i = 0; i < n; i++) json_array_append_new(list, base_json_real(values[i]));
    return list;
}

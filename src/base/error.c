/* error.c: the sentences of error.h behind the public skua_strerror. */
#include "base/error.h"
#include "skua/error.h"

#include <limits.h>
#include <string.h>

static const char *unlisted(int error)
{
    const char *words = NULL;
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 32) && defined(_GNU_SOURCE)
    /* Unlike strerror it has no buffer and no locale, so that it is safe from any thread. INT_MIN has no negative. */
    if (error != INT_MIN) words = strerrordesc_np(-error);
#endif
    return words ? words : "unknown error";
}

const char *skua_strerror(int error)
{
    if (error == 0) return "success";
    switch (-(long)error) {
#define SK_ERROR_CASE(code, sentence)                                                                                  \
    case code:                                                                                                         \
        return sentence;
        SK_ERRORS(SK_ERROR_CASE)
#undef SK_ERROR_CASE
    default:
        return unlisted(error);
    }
}

/* Every error that the library returns has a sentence of its own; everything else gets some answer. */
#include "base/base.h"
#include "base/error.h"
#include "skua/error.h"
#include "support/test.h"

#include <limits.h>
#include <string.h>

SK_TEST(error, each_has_its_sentence)
{
    static const struct {
        int code;
        const char *sentence;
    } errors[] = {
#define ROW(code, sentence) {code, sentence},
        SK_ERRORS(ROW)
#undef ROW
    };
    for (size_t i = 0; i < sk_array_len(errors); i++) {
        const char *words = skua_strerror(-errors[i].code);
        SK_EXPECT(strcmp(words, errors[i].sentence) == 0);
        for (size_t k = 0; k < i; k++) SK_EXPECT(strcmp(words, errors[k].sentence) != 0);
    }
    SK_EXPECT(strstr(skua_strerror(-ECHILD), "fork"));
    SK_EXPECT(strstr(skua_strerror(-ETIMEDOUT), "deadline"));
}

SK_TEST(error, success_and_strangers)
{
    SK_EXPECT(strcmp(skua_strerror(0), "success") == 0);
    SK_EXPECT(strcmp(skua_strerror(-99999), "unknown error") == 0);
    SK_EXPECT(strcmp(skua_strerror(INT_MIN), "unknown error") == 0);
    SK_EXPECT(strcmp(skua_strerror(INT_MAX), "unknown error") == 0);
    SK_EXPECT(strcmp(skua_strerror(EINVAL), "unknown error") == 0); /* a positive value is no error of ours */
    SK_EXPECT(skua_strerror(-ENOENT)[0] != 0);
    SK_EXPECT(skua_strerror(-ENOENT) != skua_strerror(-EPIPE));
}

/* src/base: every error that the library returns has a sentence of its own, and the last words of a process arrive. */
#include "base/base.h"
#include "base/error.h"
#include "skua/error.h"
#include "support/child.h"
#include "support/test.h"

#include <limits.h>
#include <signal.h>
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

static void panic(void *words)
{
    sk_panic("%s", (const char *)words);
}

SK_TEST(panic, says_one_line_and_aborts)
{
    char said[4096], endless[2000];
    SK_EXPECT(sk_died_of(sk_child(panic, "all is lost", said, sizeof said), SIGABRT));
    SK_EXPECT(strstr(said, "skua: panic: all is lost\n"));
    memset(endless, 'x', sizeof endless);
    endless[sizeof endless - 1] = '\0';
    SK_EXPECT(sk_died_of(sk_child(panic, endless, said, sizeof said), SIGABRT));
    const char *line = strstr(said, "skua: panic: xxx");
    SK_EXPECT(line != NULL && strchr(line, '\n') != NULL); /* cut, and still a whole line */
    SK_EXPECT(strchr(line, '\n') - line < 512);
}

SK_TEST(base, powers_of_two)
{
    SK_EXPECT(!sk_is_pow2(0) && sk_is_pow2(1) && sk_is_pow2(UINT64_C(1) << 63) && !sk_is_pow2(6));
    SK_EXPECT_EQ(sk_log2_ceil(1), 0);
    SK_EXPECT_EQ(sk_log2_ceil(2), 1);
    SK_EXPECT_EQ(sk_log2_ceil(3), 2);
    SK_EXPECT_EQ(sk_log2_ceil((UINT64_C(1) << 40) + 1), 41);
    SK_EXPECT_EQ(sk_log2_ceil(UINT64_MAX), 64);
}

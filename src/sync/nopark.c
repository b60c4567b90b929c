/* nopark.c: sections in which a task must not park; whoever parks looks at the count, see runtime/extra.h. */
#include "skua/nopark.h"

#include <errno.h>

#include "os/fork.h"
#include "runtime/extra.h"
#include "runtime/giveup.h"

#ifdef SK_DEBUG
int skua_nopark_begin_at(const char *file, int line)
{
    sk_extra *extra;
    int error = sk_extra_get(&extra);
    if (error) return error == -EPERM ? 0 : error;
    if (extra->nopark++ == 0) {
        extra->nopark_file = file ? file : "?";
        extra->nopark_line = line;
        sk_extra_guard();
    }
    return 0;
}

int skua_nopark_end(void)
{
    sk_task *t;
    int error = sk_own_task(&t);
    if (error) return error == -EPERM ? 0 : error;
    sk_extra *extra = sk_extra_look();
    if (!extra || !extra->nopark) return -EPERM;
    if (--extra->nopark == 0) sk_extra_guard();
    return 0;
}
#else
int skua_nopark_begin_at(const char *file, int line)
{
    (void)file, (void)line;
    return sk_forked() ? -ECHILD : 0;
}

int skua_nopark_end(void)
{
    return sk_forked() ? -ECHILD : 0;
}
#endif

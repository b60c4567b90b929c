#include <skua/skua.h>

static int nap(void *arg) { return skua_sleep(SKUA_MS(10)); }

int main(void)
{
    skua_pool *pool;
    if (skua_pool_create(&pool, &(skua_pool_options){ .limit = 10000 }) < 0) return 1;
    for (int i = 0; i < 1000000; i++) skua_pool_submit(pool, nap, NULL);
    skua_pool_wait(pool, SKUA_FOREVER);
    return skua_pool_release(pool);
}

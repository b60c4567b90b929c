/*
 * local.c: values of tasks under keys of the process; see skua/local.h.
 *
 * Keys.  A table of 128 places.  The life of a place is even while it is free, and
 * goes up by one at each create and each delete: so a stale key is noticed, in
 * the table and in the tasks, whose values carry the life of their key.
 *
 *   create   once the place is ours (`claimed`): destructor, then life even -> odd
 *   delete   life odd -> even; then the place is nobody's
 *   look     life, destructor, life once more: the same: then it is the destructor of that life
 *
 * Values.  A table of the task's own (sk_extra.locals), as long as its highest place
 * asked for, made at the first set, and longer when need be.  Only the task looks at it.
 */
#include "skua/local.h"

#include <errno.h>
#include <string.h>

#include "base/heap.h"
#include "os/fork.h"
#include "runtime/extra.h"

/* ---- keys ---- */

typedef void destructor(void *value);

typedef struct key_place {
    sk_atomic(uint32_t) life;
    sk_atomic(uint32_t) claimed;     /* 1: somebody is making a key here, or has, or is giving it up */
    sk_atomic(destructor *) destroy; /* who has claimed it writes while the life is even */
} key_place;

static key_place keys[SKUA_LOCAL_KEYS];

static bool is_live(uint32_t life)
{
    return life & 1;
}

int skua_local_create(skua_local_key *out, void (*destroy)(void *value))
{
    if (!out) return -EINVAL;
    if (sk_forked()) return -ECHILD;
    for (uint32_t i = 0; i < SKUA_LOCAL_KEYS; i++) {
        uint32_t none = 0;
        /* [LC-A2] acquire; pairs with [LC-R1]: the place as the one before has left it. */
        if (sk_load_rlx(&keys[i].claimed) || !sk_cas_acq(&keys[i].claimed, &none, 1u)) continue;
        /* [LC-R2] release; pairs with [LC-F1]: who finds it finds the lives before it gone. */
        sk_store_rel(&keys[i].destroy, destroy);
        out->place = i;
        out->life = sk_load_rlx(&keys[i].life) + 1;
        /* [LC-R3] release; pairs with [LC-A1]: who finds this life finds its destructor, or a later one. */
        sk_store_rel(&keys[i].life, out->life);
        return 0;
    }
    return -ENOSPC;
}

int skua_local_delete(skua_local_key key)
{
    if (sk_forked()) return -ECHILD;
    if (key.place >= SKUA_LOCAL_KEYS || !is_live(key.life)) return -EINVAL;
    key_place *place = &keys[key.place];
    uint32_t life = key.life;
    /* [LC-C1] acquire-release; before [LC-R1]. Of several who delete one succeeds. */
    if (!sk_cas_ar(&place->life, &life, life + 1)) return -EINVAL;
    sk_store_rel(&place->claimed, 0u); /* [LC-R1] release; pairs with [LC-A2]. */
    return 0;
}

static bool exists(skua_local_key key)
{
    return key.place < SKUA_LOCAL_KEYS && is_live(key.life) && sk_load_rlx(&keys[key.place].life) == key.life;
}

/* Of a key that exists; NULL: it has none, or does not exist any more. */
static destructor *destructor_of(skua_local_key key)
{
    key_place *place = &keys[key.place];
    /* [LC-A1] acquire; pairs with [LC-R3]. */
    if (sk_load_acq(&place->life) != key.life) return NULL;
    destructor *destroy = sk_load_rlx(&place->destroy);
    sk_fence_acq(); /* [LC-F1] acquire fence; pairs with [LC-R2]: a later destructor shows a later life. */
    return sk_load_rlx(&place->life) == key.life ? destroy : NULL;
}

/* ---- values ---- */

typedef struct local_value {
    void *value;
    uint32_t life; /* of its key; 0: none */
} local_value;

/* Of one task. */
typedef struct local_table {
    uint32_t n, next, round; /* next, round: at the end of the task, where it stands */
    local_value at[];
} local_table;

enum { FIRST = 4 }; /* places of the smallest table */

static bool next_local(sk_extra *extra, sk_local_due *due);

/* A table with room for this place; NULL: no memory, and all is as before. */
static local_table *make_room(sk_extra *extra, uint32_t place)
{
    local_table *old = (local_table *)extra->locals;
    if (old && place < old->n) return old;
    uint32_t n = sk_min(sk_max((uint32_t)FIRST, 2 * place), (uint32_t)SKUA_LOCAL_KEYS);
    if (n <= place) n = place + 1;
    local_table *table = (local_table *)sk_heap_zalloc(1, sizeof *table + n * sizeof(local_value));
    if (!table) return NULL;
    if (old) memcpy(table, old, sizeof *old + old->n * sizeof(local_value));
    table->n = n;
    sk_heap_free(old);
    extra->locals = table;
    extra->next_local = next_local;
    return table;
}

int skua_local_set(skua_local_key key, void *value)
{
    sk_extra *extra;
    if (sk_forked()) return -ECHILD;
    if (!exists(key)) return -EINVAL;
    int error = sk_extra_get(&extra);
    if (error) return error;
    local_table *table = make_room(extra, key.place);
    if (!table) return -ENOMEM;
    table->at[key.place].value = value;
    table->at[key.place].life = key.life;
    return 0;
}

void *skua_local_get(skua_local_key key)
{
    const sk_extra *extra = exists(key) ? sk_extra_look() : NULL;
    const local_table *table = extra ? (const local_table *)extra->locals : NULL;
    if (!table || key.place >= table->n || table->at[key.place].life != key.life) return NULL;
    return table->at[key.place].value;
}

/* ---- the end ---- */

/* The value of this place is taken out. True: it is to be destroyed. */
static bool take_out(local_table *table, uint32_t place, sk_local_due *due)
{
    local_value *v = &table->at[place];
    skua_local_key key = {place, v->life};
    due->value = v->value;
    due->destroy = v->value && exists(key) ? destructor_of(key) : NULL;
    v->value = NULL;
    return due->destroy != NULL;
}

/* Called again after each destructor, until it says that nothing is left. */
static bool next_local(sk_extra *extra, sk_local_due *due)
{
    local_table *table = (local_table *)extra->locals;
    for (uint32_t idle = 0; table && idle < table->n && table->round < SKUA_LOCAL_ROUNDS; idle++) {
        if (table->next == table->n) {
            table->next = 0;
            if (++table->round == SKUA_LOCAL_ROUNDS) break;
        }
        if (take_out(table, table->next++, due)) return true;
    }
    sk_heap_free(table);
    extra->locals = NULL;
    return false;
}

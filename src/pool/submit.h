/* submit.h: what a submission is, between submit.c and submit_with.c. */
#ifndef SK_POOL_SUBMIT_H
#define SK_POOL_SUBMIT_H

#include "pool/job.h"

/* One submission: what, and how. */
typedef struct sk_submission {
    skua_fn *fn;
    void *arg;
    const skua_submit_options *options;
    skua_task *handle; /* NULL: born detached */
    bool may_wait;     /* or do whatever else the policy says */
    sk_job *job;       /* NULL: none */
    bool is_filled;    /* the pool's defaults are in `options` */
} sk_submission;

static const skua_submit_options sk_no_options = {0};

/* ---- submit.c ---- */

/* The pool is open, or was a moment ago. Fills in its defaults if they are not in the options. May park. */
int sk_submit(skua_pool *pool, const sk_submission *s);

/* ---- submit_with.c ---- */

/* The same with the pool's defaults, of which it has some. */
int sk_submit_filled(skua_pool *pool, const sk_submission *s);

#endif

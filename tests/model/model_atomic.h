/*
 * model_atomic.h: Relacy's atomic, with what it leaves out of C11: sequentially
 * consistent accesses beside sequentially consistent fences.
 *
 * Relacy orders such accesses among themselves, and fences among themselves.
 * The order S of the standard holds both, and the parking protocol lives on
 * that (a read-modify-write and a load on one side, a store, a fence and a load
 * on the other).  Schedules run one step after the other, so S is the order of
 * the steps, and two rules remain:
 *
 *   - a load after a fence sees an access that came before the fence in S
 *   - a sequentially consistent load sees what was stored before a fence that
 *     came before it in S
 *
 * Both are told to Relacy as "this thread has seen that store": coherence then
 * forbids anything older.  Neither makes anything else visible.
 *
 * A model may also set sk_model_step: it is called before each access, and a
 * scenario stops a thread there for good.
 */
#ifndef SK_TEST_MODEL_ATOMIC_H
#define SK_TEST_MODEL_ATOMIC_H

/* Relacy takes any pointer for one to data. */
namespace rl
{
template <typename R, typename... A> struct atomic_add_type<R (*)(A...)> {
    typedef R (*type)(A...);
    typedef R (*output_type)(A...);
};
} // namespace rl

static void (*sk_model_step)();

enum { SK_MODEL_THREADS = 8 };

/* Places in S; never begun anew, so that an old place is before every schedule. */
static uint64_t sk_model_now;
static uint64_t sk_model_fenced[SK_MODEL_THREADS]; /* of each thread's last fence */

/* The store of this place in the history, or any before it, is the oldest that the calling thread may see. */
template <rl::thread_id_t threads> static void sk_model_seen(rl::atomic_data *data, unsigned index)
{
    rl::thread_info_base *self = rl::ctx().threadx_;
    auto &record = static_cast<rl::atomic_data_impl<threads> *>(data)->history_[index % rl::atomic_history_size];
    if (record.first_seen_order_[self->index_] == (rl::timestamp_t)-1)
        record.first_seen_order_[self->index_] = self->own_acq_rel_order_;
}

/* What was stored before some fence is the oldest that the calling thread may see. */
template <rl::thread_id_t threads> static void sk_model_see_fenced(rl::atomic_data *data)
{
    auto *d = static_cast<rl::atomic_data_impl<threads> *>(data);
    for (unsigned i = 0; i < rl::atomic_history_size; i++) {
        auto &record = d->history_[(d->current_index_ - i) % rl::atomic_history_size];
        if (!record.busy_) return;
        if (record.acq_rel_timestamp_ <= rl::ctx().seq_cst_fence_order_[record.thread_id_])
            return sk_model_seen<threads>(data, d->current_index_ - i);
    }
}

template <rl::thread_id_t threads> static unsigned sk_model_newest(rl::atomic_data *data)
{
    return static_cast<rl::atomic_data_impl<threads> *>(data)->current_index_;
}

/* The number of threads is a part of Relacy's types. */
#define SK_MODEL_CALL(function, ...)                                                                                   \
    (rl::ctx().get_thread_count() == 1   ? function<1>(__VA_ARGS__)                                                    \
     : rl::ctx().get_thread_count() == 2 ? function<2>(__VA_ARGS__)                                                    \
     : rl::ctx().get_thread_count() == 3 ? function<3>(__VA_ARGS__)                                                    \
     : rl::ctx().get_thread_count() == 4 ? function<4>(__VA_ARGS__)                                                    \
                                         : function<5>(__VA_ARGS__))

template <typename T> class sk_model_atomic : public rl::atomic<T>
{
    typedef rl::atomic<T> base;
    uint64_t stored; /* when, in S, the last sequentially consistent access changed it */
    unsigned index;  /* and its place in the history */

    void before_load() const
    {
        if (sk_model_step) sk_model_step();
        /* Where the scheduler may switch: it must not do so between what is told to Relacy and the access. */
        rl::ctx().sched();
    }
    void after_store(rl::memory_order mo)
    {
        if (mo != rl::mo_seq_cst) return;
        stored = ++sk_model_now;
        index = SK_MODEL_CALL(sk_model_newest, this->impl_);
    }

  public:
    sk_model_atomic() : stored(UINT64_MAX)
    {
    }
    T load(rl::memory_order mo, rl::debug_info_param info) const
    {
        before_load();
        rl::preemption_disabler together(rl::ctx());
        if (sk_model_fenced[rl::ctx().threadx_->index_] > stored) SK_MODEL_CALL(sk_model_seen, this->impl_, index);
        if (mo == rl::mo_seq_cst) SK_MODEL_CALL(sk_model_see_fenced, this->impl_);
        return base::load(mo, info);
    }
    /* As the kernel sees it; older values are not seen by this thread from now on. */
    T newest() const
    {
        rl::ctx().sched();
        SK_MODEL_CALL(sk_model_seen, this->impl_, SK_MODEL_CALL(sk_model_newest, this->impl_));
        return this->value_;
    }
    void store(T v, rl::memory_order mo, rl::debug_info_param info)
    {
        if (sk_model_step) sk_model_step();
        base::store(v, mo, info);
        after_store(mo);
    }
#define SK_MODEL_RMW(name, V)                                                                                          \
    T name(V v, rl::memory_order mo, rl::debug_info_param info)                                                        \
    {                                                                                                                  \
        if (sk_model_step) sk_model_step();                                                                            \
        T was = base::name(v, mo, info);                                                                               \
        after_store(mo);                                                                                               \
        return was;                                                                                                    \
    }
    SK_MODEL_RMW(exchange, T)
    SK_MODEL_RMW(fetch_add, typename rl::atomic_add_type<T>::type)
    SK_MODEL_RMW(fetch_sub, typename rl::atomic_add_type<T>::type)
    SK_MODEL_RMW(fetch_or, T)
    SK_MODEL_RMW(fetch_and, T)
#undef SK_MODEL_RMW
    bool compare_exchange_strong(T &expected, T v, rl::memory_order mo, rl::debug_info_param info,
                                 rl::memory_order failure, rl::debug_info_param)
    {
        if (sk_model_step) sk_model_step();
        bool done = base::compare_exchange_strong(expected, v, mo, info, failure, info);
        if (done) after_store(mo);
        return done;
    }
};

inline void sk_model_fence(rl::memory_order mo, rl::debug_info_param info)
{
    if (sk_model_step) sk_model_step();
    rl::atomic_thread_fence(mo, info);
    if (mo == rl::mo_seq_cst) sk_model_fenced[rl::ctx().threadx_->index_] = ++sk_model_now;
}

#endif

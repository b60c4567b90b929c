/*
 * refuse.h: makes the kernel refuse a system call, as another kernel would: by a seccomp filter, for the calling thread
 * and those that it starts, for good.  So call it in a child or in a thread made for it.
 */
#ifndef SK_REFUSE_H
#define SK_REFUSE_H

#include "base/base.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SK_REFUSE_ANY = -1 };

/*
 * System call `number` gives -error from now on (0: it says yes and does nothing), but only when its argument `nth`
 * (0 to 5) is `value`; nth = SK_REFUSE_ANY: always.  False: this machine has no seccomp.
 */
static inline bool sk_refuse(long number, int nth, uint32_t value, int error)
{
    size_t low = offsetof(struct seccomp_data, args) + (nth > 0 ? (size_t)nth : 0) * sizeof(uint64_t);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    low += sizeof(uint32_t);
#endif
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)low),
        BPF_JUMP(BPF_JMP | (nth == SK_REFUSE_ANY ? BPF_JGE : BPF_JEQ) | BPF_K, nth == SK_REFUSE_ANY ? 0 : value, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ((uint32_t)error & SECCOMP_RET_DATA)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sk_array_len(rules), .filter = rules};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

#endif

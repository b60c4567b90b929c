/*
 * vm.h: address space, from the kernel and back.
 *
 * Memory comes reserved: readable and writable, but without a page behind it until
 * it is touched (MAP_NORESERVE).  So "commit" is the first touch and needs no call.
 * A reservation without rights would need an mprotect for each piece in use, and
 * each of those splits a mapping; the kernel allows 65,530 of them.
 *
 * All calls: any thread.  They return 0 or a negative errno, and ask sk_fault first.
 */
#ifndef SK_OS_VM_H
#define SK_OS_VM_H

#include <stddef.h>
#include <stdint.h>

/* What keeps a stack from running into its neighbour. */
typedef enum sk_vm_guard_kind {
    SK_VM_GUARD_NONE,   /* nothing was tried yet */
    SK_VM_GUARD_KERNEL, /* MADV_GUARD_INSTALL, Linux 6.13 and later: a mark in the page table, no mapping */
    SK_VM_GUARD_MPROTECT,
    SK_VM_GUARD_CANARY, /* nothing in the kernel: the page must be checked for being untouched */
} sk_vm_guard_kind;

enum {
    SK_VM_SMALL_PAGES = 1, /* no huge pages: one touched byte must not cost 2 MiB */
};

#define SK_VM_PAGE ((size_t)4096) /* the unit of guards and colours; a kernel with larger pages is served too */

/* The kernel's page size, at least SK_VM_PAGE. */
size_t sk_vm_page(void);

/* `bytes` of zeroed memory at a multiple of `align` (a power of two, at least a page).  -ENOMEM. */
int sk_vm_reserve(void **out, size_t bytes, size_t align, unsigned flags);

/* Gives a whole reservation back. */
void sk_vm_release(void *base, size_t bytes);

/* Gives the pages back and keeps the addresses: they read as zero afterwards.  Guards outlive it. */
int sk_vm_decommit(void *base, size_t bytes);

/*
 * Makes a page inaccessible, by the best means that is left.  Never fails: the
 * last means is SK_VM_GUARD_CANARY, which does nothing.  mprotect guards cost two
 * mappings each and stop at half of vm.max_map_count, so that the rest of the
 * process can go on mapping.  The page must be zeroed and not in use yet.
 */
sk_vm_guard_kind sk_vm_guard(void *page, size_t bytes);

/* Takes a guard of that kind off, or forgets it before its mapping is released. */
void sk_vm_unguard(void *page, size_t bytes, sk_vm_guard_kind kind);

#endif

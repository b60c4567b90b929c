/*
 * memory.c: memory whose addresses are the same in each run, and which knows
 * when it is touched after it was given back; and the stores of each strand that
 * are still on their way to it.
 *
 * The heap and the stacks of the strands lie at fixed addresses, reserved before
 * the first run.  A heap block is never used twice.  mmap hands out fixed
 * addresses, too, with a gap behind each mapping.
 */
#include "sim/sim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HEAP_BASE ((char *)0x100000000000)
#define MAP_BASE ((char *)0x120000000000)
#define STACK_BASE ((char *)0x140000000000)

enum {
    HEAP_BYTES = 64 << 20,
    GRAIN = 64,
    STACK_BYTES = 128 << 10,
    GAP = 1 << 20,
    PAGE = 4096,
    FILL_MOST = 1024 /* new memory is made ugly up to here */
};

enum { NEVER_USED, IN_USE, GIVEN_BACK };

typedef struct block_head {
    size_t bytes; /* whole grains behind the head */
    size_t asked;
    uint64_t magic;
} block_head;

#define MAGIC UINT64_C(0x6b636f6c62)

static uint8_t grain_state[HEAP_BYTES / GRAIN];
static char *heap_next = HEAP_BASE;
static uint64_t blocks;
static char *map_next = MAP_BASE;
static uint64_t mapped;

void *__real_mmap(void *base, size_t bytes, int rights, int flags, int file, off_t offset);
int __real_munmap(void *base, size_t bytes);
int __real_madvise(void *base, size_t bytes, int advice);
int __real_mprotect(void *base, size_t bytes, int rights);
void *__real_memset(void *to, int byte, size_t bytes);

static void reserve(char *base, size_t bytes)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
    if (__real_mmap(base, bytes, PROT_READ | PROT_WRITE, flags, -1, 0) == base) return;
    perror("sim: mmap at a fixed address");
    exit(77);
}

void sim_memory_reserve(void)
{
    reserve(HEAP_BASE, HEAP_BYTES);
    reserve(STACK_BASE, (size_t)SIM_STRANDS * STACK_BYTES);
    for (int i = 0; i < SIM_STRANDS; i++) __real_mprotect(STACK_BASE + (size_t)i * STACK_BYTES, PAGE, PROT_NONE);
}

void *sim_stack_top(int id)
{
    return STACK_BASE + (size_t)(id + 1) * STACK_BYTES - GRAIN;
}

/* ---- stores under way ---- */

static void store_out(sim_store *s)
{
    sim_check_word(s->word);
    memcpy((void *)(uintptr_t)s->word, &s->value, s->size);
}

static void drain_one(sim_strand *s, unsigned i)
{
    store_out(&s->store[i]);
    s->stores--;
    for (; i < s->stores; i++) s->store[i] = s->store[i + 1];
}

void sim_drain(sim_strand *s)
{
    for (unsigned i = 0; i < s->stores; i++) store_out(&s->store[i]);
    s->stores = 0;
}

void sim_drain_all(void)
{
    for (uint64_t left = sim.alive; left; left &= left - 1) sim_drain(&sim.strand[__builtin_ctzll(left)]);
}

/* May this store go before those that came earlier? */
static bool may_overtake(const sim_strand *s, unsigned i)
{
    if (s->store[i].release) return i == 0;
    for (unsigned k = 0; k < i; k++)
        if (s->store[k].word == s->store[i].word) return false;
    return true;
}

void sim_drain_some(void)
{
    if (!sim_once_in(sim.plan.drain_shift)) return;
    unsigned count = (unsigned)__builtin_popcountll(sim.alive);
    uint64_t left = sim.alive;
    for (unsigned skip = sim_below(count); skip > 0; skip--) left &= left - 1;
    sim_strand *s = &sim.strand[__builtin_ctzll(left)];
    if (!s->stores || s->frozen) return;
    unsigned i = sim.plan.memory == SIM_PSO ? sim_below(s->stores) : 0;
    drain_one(s, may_overtake(s, i) ? i : 0);
}

/* ---- the heap ---- */

void sim_check_word(const volatile void *word)
{
    uintptr_t offset = (uintptr_t)word - (uintptr_t)HEAP_BASE;
    if (offset >= HEAP_BYTES) {
        if ((uintptr_t)word < PAGE) sim_fail("access to address %p", (void *)(uintptr_t)word);
        return;
    }
    if (grain_state[offset / GRAIN] != IN_USE)
        sim_fail("access to %s memory at %p", grain_state[offset / GRAIN] == GIVEN_BACK ? "freed" : "unallocated",
                 (void *)(uintptr_t)word);
}

static void *take(size_t asked, bool zeroed)
{
    size_t bytes = sk_round_up(asked ? asked : 1, GRAIN);
    if (asked > HEAP_BYTES || bytes + 2 * GRAIN > (size_t)(HEAP_BASE + HEAP_BYTES - heap_next)) return NULL;
    char *block = heap_next + GRAIN;
    *(block_head *)(void *)heap_next = (block_head){bytes, asked, MAGIC};
    heap_next = block + bytes;
    __real_memset(&grain_state[(block - HEAP_BASE) / GRAIN], IN_USE, bytes / GRAIN);
    if (!zeroed && asked <= FILL_MOST) __real_memset(block, 0xa5, asked);
    blocks++;
    return block;
}

static void give_back(void *memory)
{
    block_head *head = (block_head *)(void *)((char *)memory - GRAIN);
    uintptr_t offset = (uintptr_t)memory - (uintptr_t)HEAP_BASE;
    if (offset >= HEAP_BYTES || offset % GRAIN || head->magic != MAGIC)
        sim_fail("free of %p, which is no block", memory);
    if (grain_state[offset / GRAIN] != IN_USE) sim_fail("block %p freed twice", memory);
    __real_memset(&grain_state[offset / GRAIN], GIVEN_BACK, head->bytes / GRAIN);
    if (head->asked <= FILL_MOST) __real_memset(memory, 0xdd, head->asked);
    blocks--;
}

uint64_t sim_heap_blocks(void)
{
    return blocks;
}

/* A call that leaves the compiler's and the processor's sight: stores are out by then. */
static void call_out(sim_kind kind, const void *word, const void *place)
{
    sim_point(kind, word, place);
    if (sim.me) sim_drain(sim.me);
}

void *__wrap_malloc(size_t bytes)
{
    call_out(SIM_ALLOC, NULL, __builtin_return_address(0));
    return take(bytes, false);
}

void *__wrap_calloc(size_t count, size_t size)
{
    size_t bytes;
    call_out(SIM_ALLOC, NULL, __builtin_return_address(0));
    return __builtin_mul_overflow(count, size, &bytes) ? NULL : take(bytes, true);
}

void *__wrap_aligned_alloc(size_t align, size_t bytes)
{
    call_out(SIM_ALLOC, NULL, __builtin_return_address(0));
    return align <= GRAIN ? take(bytes, false) : NULL;
}

void __wrap_free(void *memory)
{
    call_out(SIM_FREE, memory, __builtin_return_address(0));
    if (memory) give_back(memory);
}

/* The library clears records with atomics in them this way. */
void *__wrap_memset(void *to, int byte, size_t bytes)
{
    if (sim.me) sim_drain(sim.me);
    return __real_memset(to, byte, bytes);
}

/* ---- mappings ---- */

uint64_t sim_mapped_bytes(void)
{
    return mapped;
}

void *__wrap_mmap(void *base, size_t bytes, int rights, int flags, int file, off_t offset)
{
    call_out(SIM_MAP, NULL, __builtin_return_address(0));
    base = __real_mmap(map_next, bytes, rights, flags | MAP_FIXED_NOREPLACE, file, offset);
    if (base == MAP_FAILED) return base;
    map_next += sk_round_up(bytes, GAP) + GAP;
    mapped += sk_round_up(bytes, PAGE);
    return base;
}

int __wrap_munmap(void *base, size_t bytes)
{
    call_out(SIM_UNMAP, base, __builtin_return_address(0));
    int error = __real_munmap(base, bytes);
    if (!error) mapped -= sk_round_up(bytes, PAGE);
    return error;
}

int __wrap_madvise(void *base, size_t bytes, int advice)
{
    call_out(SIM_ADVISE, base, __builtin_return_address(0));
    return __real_madvise(base, bytes, advice);
}

int __wrap_mprotect(void *base, size_t bytes, int rights)
{
    call_out(SIM_PROTECT, base, __builtin_return_address(0));
    return __real_mprotect(base, bytes, rights);
}

/*
 * owner.c: a variable that belongs to one task; the others speak to it.
 *
 * The balance of an account is a local variable of the teller.  Who wants to deposit sends an amount, who wants to know
 * the balance receives it: one select serves both, one at a time, and nothing needs a lock.
 */
#include <errno.h>
#include <stdio.h>

#include <skua/skua.h>

enum { CUSTOMERS = 8, DEPOSITS = 25 };

typedef struct account {
    skua_chan *deposits, *balances;
} account;

static int serve(const account *a)
{
    int balance = 0, amount;
    enum { DEPOSIT, BALANCE };
    skua_case cases[] = {SKUA_CASE_RECV(a->deposits, &amount), SKUA_CASE_SEND(a->balances, &balance)};
    for (;;) {
        int chosen = skua_select(cases, 2); /* what is sent is read when somebody asks */
        if (chosen < 0) return chosen;
        if (chosen == BALANCE) continue;
        if (cases[DEPOSIT].result == -EPIPE) return balance; /* closing time */
        balance += amount;
    }
}

static int teller(void *arg)
{
    const account *a = arg;
    int balance = serve(a);
    skua_chan_close(a->deposits); /* after an error, too: nobody is to wait for a teller that has gone */
    skua_chan_close(a->balances);
    return balance;
}

static int deposit(const account *a, int amount)
{
    return skua_chan_send(a->deposits, &amount);
}

static int balance_of(const account *a, int *balance)
{
    return skua_chan_recv(a->balances, balance);
}

/* Looks after each deposit: what it has paid in itself is there, and the balance never falls. */
static int customer(void *arg)
{
    const account *a = arg;
    int before = 0, now;
    for (int paid = 1; paid <= DEPOSITS; paid++) {
        int error = deposit(a, 1);
        if (error == 0) error = balance_of(a, &now);
        if (error < 0) return error;
        if (now < paid || now <= before) printf("the balance was %d after %d\n", now, before);
        before = now;
    }
    return 0;
}

static int do_business(const account *a)
{
    skua_group *customers;
    int error = skua_group_create(&customers, &(skua_group_options){.fail_fast = 1});
    if (error < 0) return error;
    for (int i = 0; i < CUSTOMERS && error == 0; i++) error = skua_group_go(customers, customer, (void *)a);
    if (error < 0) skua_group_cancel(customers, error);
    error = skua_group_wait(customers, NULL);
    skua_group_release(customers);
    return error;
}

int main(void)
{
    account a;
    skua_task task;
    int balance = 0, last = 0;
    if (skua_chan_create(&a.deposits, sizeof(int), 0) < 0 || skua_chan_create(&a.balances, sizeof(int), 0) < 0)
        return 1;
    if (skua_spawn(&task, teller, &a) < 0) return 1;
    int error = do_business(&a);
    if (error == 0) error = balance_of(&a, &balance);
    skua_chan_close(a.deposits);
    if (skua_join(task, &last) < 0) return 1;
    printf("%d customers paid in %d each: %d; the teller ended with %d\n", CUSTOMERS, DEPOSITS, balance, last);
    skua_chan_release(a.deposits);
    skua_chan_release(a.balances);
    if (error < 0) fprintf(stderr, "owner: %s\n", skua_strerror(error));
    return error < 0;
}

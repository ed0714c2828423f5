/* Eight threads on one link, which is shut down in their midst, again and again: every thread comes
 * back at once, and nothing is lost track of. In every third round they are cancelled and get
 * signals meanwhile. The count of rounds is the argument. */
#include "must.h"

#include <pthread.h>
#include <signal.h>

static peerbeat_link *near, *far;
static pthread_barrier_t start;
static const char payload[2000] = "tick";

static void use(int kind, int round) {
    char buf[2000];
    const void *data;
    size_t len;
    peerbeat_state state = {.struct_size = sizeof state};
    peerbeat_stats stats = {.struct_size = sizeof stats};
    peerbeat_link *link = kind % 2 ? near : far;
    switch (kind / 2) {
    case 0:
        peerbeat_link_send(link, payload, (size_t)(round * 37 % 2000));
        break;
    case 1:
        peerbeat_link_recv(link, buf, sizeof buf, &len, -1);
        break;
    case 2:
        if (peerbeat_link_recv_borrow(link, &data, &len, -1) == PEERBEAT_OK)
            peerbeat_link_release(link);
        break;
    default:
        IS(peerbeat_link_state(link, &state), PEERBEAT_OK);
        IS(peerbeat_link_stats(link, &stats), PEERBEAT_OK);
        peerbeat_link_set_heartbeat_time(link, 4000 - (uint32_t)round % 1000);
        peerbeat_link_try_send(link, payload, 100);
        peerbeat_link_recv(link, buf, sizeof buf, &len, 0);
    }
}

static void *run(void *argument) {
    int kind = (int)(long)argument;
    peerbeat_state state = {.struct_size = sizeof state};
    pthread_barrier_wait(&start);
    for (int round = 0;; round++) {
        use(kind, round);
        pthread_testcancel(); /* the only place in the loop where a cancellation may act */
        IS(peerbeat_link_state(kind % 2 ? near : far, &state), PEERBEAT_OK);
        if (state.state == PEERBEAT_STATE_DOWN)
            return NULL;
    }
}

static volatile sig_atomic_t signals;

static void on_signal(int number) {
    (void)number;
    signals++;
}

/* Signals to all threads, and half of them cancelled, wherever they are. */
static void harass(pthread_t *threads, int round) {
    for (int i = 0; i < 64; i++) {
        pthread_kill(threads[i % 8], SIGUSR1);
        if (i % 16 == round % 16)
            pthread_cancel(threads[(i / 8 + round) % 8]);
        if (i % 8 == 0)
            usleep(100);
    }
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 1000;
    long long slowest = 0;
    peerbeat_options options = options_of(5000, 2000);
    options.inbox_bytes = 20000;
    options.queue_bytes = 20000;
    options.thread_name = "storm";
    struct sigaction action;
    memset(&action, 0, sizeof action); /* no SA_RESTART: system calls are interrupted */
    action.sa_handler = on_signal;
    MUST(sigaction(SIGUSR1, &action, NULL) == 0);
    int cancelled = 0;
    for (int round = 0; round < rounds; round++) {
        pthread_t threads[8];
        options.close_timeout_ms = round % 4 == 0 ? 50 : 0;
        link_pair(&near, &far, &options);
        pthread_barrier_init(&start, NULL, 9);
        for (long i = 0; i < 8; i++)
            MUST(pthread_create(&threads[i], NULL, run, (void *)i) == 0);
        pthread_barrier_wait(&start);
        if (round % 2)
            usleep((useconds_t)(round * 97 % 3000));
        if (round % 3 == 0)
            harass(threads, round);
        long long began = now_ms();
        IS(peerbeat_link_shutdown(round % 3 ? near : far), PEERBEAT_OK);
        IS(peerbeat_link_shutdown(near), PEERBEAT_OK);
        for (int i = 0; i < 8; i++) {
            void *result;
            MUST(pthread_join(threads[i], &result) == 0);
            cancelled += result == PTHREAD_CANCELED;
        }
        IS(peerbeat_link_free(near), PEERBEAT_OK);
        IS(peerbeat_link_free(far), PEERBEAT_OK);
        pthread_barrier_destroy(&start);
        long long took = now_ms() - began;
        MUST(took < 5000); /* far below the send timeout, far above what a busy machine takes */
        slowest = took > slowest ? took : slowest;
    }
    printf("%d rounds, the slowest end took %lld ms; %d threads cancelled, %d signals\n", rounds,
           slowest, cancelled, (int)signals);
    return 0;
}

/* A host that cancels threads, sends signals, has large thread-local variables, hands sockets over
 * and frees under a lock comes to no harm. */
#define _GNU_SOURCE
#include "must.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static peerbeat_listener *listener;
static peerbeat_link *near, *far;
static uint16_t port;

/* Threads are cancelled while they are inside a call ------------------------------------------- */

static int inside;

static void *in_accept(void *of) {
    peerbeat_link *link;
    (void)of;
    __atomic_store_n(&inside, 1, __ATOMIC_SEQ_CST);
    IS(peerbeat_listener_accept(listener, NULL, 700, &link), PEERBEAT_E_TIMEOUT);
    return &inside; /* it came back: no cancellation point was met */
}

static void *in_connect(void *of) {
    peerbeat_link *link;
    peerbeat_options options = options_of(1000, 1000);
    options.handshake = PEERBEAT_HANDSHAKE_DEFAULT;
    options.handshake_timeout_ms = 700;
    __atomic_store_n(&inside, 1, __ATOMIC_SEQ_CST);
    IS(peerbeat_link_connect("127.0.0.1", *(uint16_t *)of, &options, &link),
       PEERBEAT_E_HANDSHAKE);
    return &inside;
}

static void *in_recv(void *of) {
    char buf[8];
    size_t len;
    __atomic_store_n(&inside, 1, __ATOMIC_SEQ_CST);
    IS(peerbeat_link_recv(of, buf, sizeof buf, &len, 700), PEERBEAT_E_TIMEOUT);
    return &inside;
}

static void *in_free(void *of) {
    __atomic_store_n(&inside, 1, __ATOMIC_SEQ_CST);
    IS(peerbeat_node_free(of), PEERBEAT_OK);
    return &inside;
}

static void cancelled(void *(*run)(void *), void *of) {
    pthread_t thread;
    void *result = NULL;
    __atomic_store_n(&inside, 0, __ATOMIC_SEQ_CST);
    MUST(pthread_create(&thread, NULL, run, of) == 0);
    while (!__atomic_load_n(&inside, __ATOMIC_SEQ_CST))
        sleep_ms(1);
    sleep_ms(50); /* into the wait */
    MUST(pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0);
    MUST(result == &inside);
}

/* Nodes whose callbacks do what hosts do --------------------------------------------------------- */

static __thread volatile char thread_local_data[200 * 1024];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int messages, may_stop;

static void on_message(void *user_data, peerbeat_node *node, const char *peer, const void *data,
                       size_t len) {
    volatile char buffer[64 * 1024]; /* far less than the stack that is promised */
    (void)user_data, (void)node, (void)peer, (void)data, (void)len;
    for (size_t i = sizeof buffer; i-- > 0;)
        buffer[i] = thread_local_data[i];
    __atomic_add_fetch(&messages, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_lock(&lock);
    pthread_mutex_unlock(&lock);
}

static void on_event(void *user_data, peerbeat_node *node, const peerbeat_event *event) {
    (void)user_data, (void)node;
    if (event->kind == PEERBEAT_EVENT_STOPPED)
        while (!__atomic_load_n(&may_stop, __ATOMIC_SEQ_CST))
            sleep_ms(1);
}

static const char CALM[] = "datasrc-interface 127.0.0.1\ndatasrc-port auto\nadd-peer\n"
                           "remote-name far\nheartbeat-time 30\nend-peer\n";

static peerbeat_node *start(void) {
    peerbeat_handler handler = {.struct_size = sizeof handler, .on_message = on_message};
    handler.on_event = on_event;
    return start_node(CALM, &handler, &port);
}

static peerbeat_link *dial(void) {
    peerbeat_link *link;
    peerbeat_options options = options_of(30000, 30000);
    options.handshake = PEERBEAT_HANDSHAKE_DEFAULT;
    options.local_name = "far";
    IS(peerbeat_link_connect("127.0.0.1", port, &options, &link), PEERBEAT_OK);
    return link;
}

static void cancellation(void) {
    peerbeat_options options = options_of(30000, 30000);
    IS(peerbeat_listener_open("127.0.0.1", 0, &listener), PEERBEAT_OK);
    cancelled(in_accept, NULL);
    IS(peerbeat_listener_free(listener), PEERBEAT_OK);

    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof addr;
    int mute = socket(AF_INET, SOCK_STREAM, 0);
    MUST(bind(mute, (struct sockaddr *)&addr, len) == 0 && listen(mute, 9) == 0);
    MUST(getsockname(mute, (struct sockaddr *)&addr, &len) == 0);
    port = ntohs(addr.sin_port);
    cancelled(in_connect, &port);
    close(mute);

    link_pair(&near, &far, &options);
    cancelled(in_recv, near);
    IS(peerbeat_link_free(near), PEERBEAT_OK);
    IS(peerbeat_link_free(far), PEERBEAT_OK);

    pthread_t thread;
    void *result = NULL;
    peerbeat_node *node = start();
    may_stop = 0;
    MUST(pthread_create(&thread, NULL, in_free, node) == 0);
    sleep_ms(50);
    MUST(pthread_cancel(thread) == 0);
    sleep_ms(50);
    __atomic_store_n(&may_stop, 1, __ATOMIC_SEQ_CST);
    MUST(pthread_join(thread, &result) == 0 && result == &inside);
}

/* The host's own threads get its signals, though it sets them up after the start ---------------- */

static void signals(void) {
    peerbeat_node *node = start();
    peerbeat_link *link = dial();
    sigset_t before, set;
    int signal;
    MUST(pthread_sigmask(SIG_BLOCK, NULL, &before) == 0);
    MUST(!sigismember(&before, SIGTERM)); /* our calls have left the mask as it was */
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    MUST(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    for (int i = 0; i < 20; i++) { /* the default of both would end the process */
        MUST(kill(getpid(), i % 2 ? SIGTERM : SIGUSR1) == 0);
        MUST(sigwait(&set, &signal) == 0 && signal == (i % 2 ? SIGTERM : SIGUSR1));
    }
    MUST(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    IS(peerbeat_link_free(link), PEERBEAT_OK);
    IS(peerbeat_node_free(node), PEERBEAT_OK);
}

/* Callbacks have their stack beside the host's thread-local variables; free has a limit --------- */

static void callbacks(void) {
    peerbeat_node *node = start();
    peerbeat_link *link = dial();
    thread_local_data[0] = 1;
    MUST(pthread_mutex_lock(&lock) == 0);
    IS(peerbeat_link_send(link, "x", 1), PEERBEAT_OK);
    while (!__atomic_load_n(&messages, __ATOMIC_SEQ_CST))
        sleep_ms(1);
    /* The callback waits for our lock: a free without a limit would never return. */
    IS(peerbeat_node_free_timeout(node, 0), PEERBEAT_E_TIMEOUT);
    IS(peerbeat_node_free_timeout(node, 50), PEERBEAT_E_TIMEOUT);
    MUST(pthread_mutex_unlock(&lock) == 0);
    IS(peerbeat_node_free_timeout(node, 30000), PEERBEAT_OK);
    IS(peerbeat_link_free_timeout(link, 30000), PEERBEAT_OK);
}

/* Sockets that are handed over ------------------------------------------------------------------- */

static void attaching(void) {
    int pair[2], type[] = {SOCK_DGRAM, SOCK_SEQPACKET};
    char buf[8];
    peerbeat_link *link;
    peerbeat_options options = options_of(30000, 30000);
    for (int i = 0; i < 2; i++) {
        MUST(socketpair(AF_UNIX, type[i], 0, pair) == 0);
        IS(peerbeat_link_attach_fd(pair[0], &options, &link), PEERBEAT_E_INVALID);
        MUST(send(pair[0], "mine", 4, 0) == 4 && recv(pair[1], buf, 8, 0) == 4);
        close(pair[0]), close(pair[1]);
    }
    MUST(pipe(pair) == 0);
    IS(peerbeat_link_attach_fd(pair[0], &options, &link), PEERBEAT_E_INVALID);
    close(pair[0]), close(pair[1]);

    /* One that fails is as it was. */
    struct timeval limit = {7, 0}, after;
    socklen_t len = sizeof after;
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    MUST(fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0);
    MUST(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    options.handshake = PEERBEAT_HANDSHAKE_ACCEPT;
    options.handshake_timeout_ms = 50;
    IS(peerbeat_link_attach_fd(pair[0], &options, &link), PEERBEAT_E_HANDSHAKE);
    MUST(fcntl(pair[0], F_GETFL) & O_NONBLOCK);
    MUST(getsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &after, &len) == 0 && after.tv_sec == 7);
    MUST(send(pair[1], "mine", 4, 0) == 4 && recv(pair[0], buf, 8, 0) == 4);

    /* One that succeeds keeps its number until the link ends, and was made blocking. */
    options.handshake = PEERBEAT_HANDSHAKE_NONE;
    IS(peerbeat_link_attach_fd(pair[0], &options, &link), PEERBEAT_OK);
    MUST(fcntl(pair[0], F_GETFD) >= 0 && !(fcntl(pair[0], F_GETFL) & O_NONBLOCK));
    IS(peerbeat_link_free(link), PEERBEAT_OK);
    MUST(fcntl(pair[0], F_GETFD) < 0);
    close(pair[1]);
}

/* A silent client delays no other client, and not the free -------------------------------------- */

static void *dial_well(void *of) {
    peerbeat_link **link = of;
    IS(peerbeat_link_connect("127.0.0.1", port, NULL, link), PEERBEAT_OK);
    return NULL;
}

static void *accept_one(void *of) {
    *(int *)of = peerbeat_listener_accept(listener, NULL, -1, &near);
    return NULL;
}

static void silent_clients(void) {
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    pthread_t dialling, accepting;
    int silent[3], code = 0;
    long long began = now_ms(); /* the handshake's limit is 10 s */
    IS(peerbeat_listener_open("127.0.0.1", 0, &listener), PEERBEAT_OK);
    IS(peerbeat_listener_port(listener, &port), PEERBEAT_OK);
    addr.sin_port = htons(port);
    for (int i = 0; i < 3; i++) {
        silent[i] = socket(AF_INET, SOCK_STREAM, 0);
        MUST(connect(silent[i], (struct sockaddr *)&addr, sizeof addr) == 0);
    }
    MUST(pthread_create(&dialling, NULL, dial_well, &far) == 0);
    IS(peerbeat_listener_accept(listener, NULL, -1, &near), PEERBEAT_OK);
    pthread_join(dialling, NULL);
    IS(peerbeat_link_free(near), PEERBEAT_OK);
    IS(peerbeat_link_free(far), PEERBEAT_OK);
    MUST(pthread_create(&accepting, NULL, accept_one, &code) == 0);
    sleep_ms(50);
    IS(peerbeat_listener_free(listener), PEERBEAT_OK);
    pthread_join(accepting, NULL);
    IS(code, PEERBEAT_E_CLOSED);
    MUST(now_ms() - began < 9000);
    for (int i = 0; i < 3; i++)
        close(silent[i]);
}

/* A child that returns from a callback, or is the first of its namespace, takes nothing ---------- */

static pid_t child;
static int seen_by_parent;

static void on_message_fork(void *user_data, peerbeat_node *node, const char *peer,
                            const void *data, size_t len) {
    (void)user_data, (void)node, (void)peer, (void)data, (void)len;
    if (__atomic_add_fetch(&seen_by_parent, 1, __ATOMIC_SEQ_CST) == 1)
        child = fork();
}

static void forking(void) {
    peerbeat_handler handler = {.struct_size = sizeof handler, .on_message = on_message_fork};
    peerbeat_node *node = start_node(CALM, &handler, &port);
    peerbeat_link *link = dial();
    for (int i = 0; i < 200; i++) {
        IS(peerbeat_link_send(link, "tick", 4), PEERBEAT_OK);
        if (i < 20)
            sleep_ms(2); /* so that a child that reads has its chance */
    }
    for (int i = 0; i < 10000 && __atomic_load_n(&seen_by_parent, __ATOMIC_SEQ_CST) < 200; i++)
        sleep_ms(1);
    MUST(seen_by_parent == 200 && child > 0);
    kill(child, SIGKILL);
    MUST(waitpid(child, NULL, 0) == child);
    IS(peerbeat_link_free(link), PEERBEAT_OK);
    IS(peerbeat_node_free(node), PEERBEAT_OK);
}

int main(int argc, char **argv) {
    may_stop = 1;
    cancellation();
    signals();
    callbacks();
    attaching();
    silent_clients();
    if (argc < 2 || strcmp(argv[1], "no-fork") != 0)
        forking();
    return 0;
}

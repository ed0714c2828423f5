/* Every status code that walk.c does not meet, provoked. */
#include "must.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/resource.h>

static int last_error_has(const char *words) {
    char detail[1024];
    peerbeat_last_error(detail, sizeof detail);
    return strstr(detail, words) != NULL;
}

/* A plain socket that listens, and its port. */
static int listen_plainly(uint16_t *port) {
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    MUST(fd >= 0 && bind(fd, (struct sockaddr *)&addr, len) == 0 && listen(fd, 9) == 0);
    MUST(getsockname(fd, (struct sockaddr *)&addr, &len) == 0);
    *port = ntohs(addr.sin_port);
    return fd;
}

typedef struct {
    int listener;
    const char *answer; /* NULL = a reset */
} stranger;

/* Accepts one connection and answers it with something that is no HELLO. */
static void *be_strange(void *argument) {
    stranger *self = argument;
    char waste[100];
    int fd = accept(self->listener, NULL, NULL);
    MUST(fd >= 0 && read(fd, waste, 1) == 1);
    if (self->answer) {
        MUST(read(fd, waste, sizeof waste) > 0);
        MUST(write(fd, self->answer, strlen(self->answer)) > 0);
    } else {
        struct linger hard = {1, 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    }
    close(fd);
    return NULL;
}

static void connecting(void) {
    peerbeat_link *link;
    peerbeat_options options;
    uint16_t port;
    int fd = listen_plainly(&port);
    peerbeat_listener *listener;
    IS(peerbeat_listener_open("127.0.0.1", port, &listener), PEERBEAT_E_LISTEN);
    MUST(last_error_has("in use"));
    IS(peerbeat_listener_open("256.0.0.1", port, &listener), PEERBEAT_E_LISTEN);

    IS(peerbeat_options_init(&options, sizeof options), PEERBEAT_OK);
    options.handshake_timeout_ms = 100;
    IS(peerbeat_link_connect("127.0.0.1", port, &options, &link), PEERBEAT_E_HANDSHAKE);
    MUST(last_error_has("in time"));
    close(accept(fd, NULL, NULL)); /* the connection that got no answer */

    options.handshake_timeout_ms = 10000;
    const char *answers[] = {"HTTP/1.1 400 Bad Request\r\n\r\n", NULL};
    int codes[] = {PEERBEAT_E_HANDSHAKE, PEERBEAT_E_IO};
    for (int i = 0; i < 2; i++) {
        pthread_t thread;
        stranger strange = {fd, answers[i]};
        MUST(pthread_create(&thread, NULL, be_strange, &strange) == 0);
        IS(peerbeat_link_connect("127.0.0.1", port, &options, &link), codes[i]);
        pthread_join(thread, NULL);
    }
    close(fd);
    IS(peerbeat_link_connect("127.0.0.1", port, &options, &link), PEERBEAT_E_CONNECT);
    IS(peerbeat_link_connect("no.such.host.invalid", 1, &options, &link), PEERBEAT_E_CONNECT);
    /* People read 10.0.0.1, and the C library 8.0.0.1. */
    IS(peerbeat_link_connect("010.0.0.1", 1, &options, &link), PEERBEAT_E_INVALID);
}

static void sending(void) {
    char big[5000] = "", buf[8];
    size_t len;
    peerbeat_link *near;
    peerbeat_options options = options_of(0, 0); /* no heartbeats: no peer is blamed */
    options.frame_max = 5000;
    options.queue_bytes = 10000;
    options.send_timeout_ms = 50;
    options.close_timeout_ms = 1500;
    int fds[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    IS(peerbeat_link_attach_fd(fds[0], &options, &near), PEERBEAT_OK);
    IS(peerbeat_link_send(near, big, 5000), PEERBEAT_E_TOO_LONG);
    int code, sent = 0;
    while ((code = peerbeat_link_try_send(near, big, 4999)) == PEERBEAT_OK)
        sent++;
    IS(code, PEERBEAT_E_FULL);
    while ((code = peerbeat_link_send(near, big, 4999)) == PEERBEAT_OK)
        sent++; /* what the kernel still took */
    IS(code, PEERBEAT_E_TIMEOUT);
    IS(peerbeat_link_recv(near, buf, sizeof buf, &len, 20), PEERBEAT_E_TIMEOUT);
    IS(peerbeat_link_set_heartbeat_time(near, 0), PEERBEAT_E_NEXT_CONNECTION);
    IS(peerbeat_link_set_heartbeat_time(near, 60000), PEERBEAT_OK);
    IS(peerbeat_link_set_heartbeat_time(near, 60000), PEERBEAT_OK);
    IS(peerbeat_link_set_heartbeat_time(near, 60001), PEERBEAT_E_NEXT_CONNECTION);
    long long began = now_ms(); /* while the goodbye is stuck, no caller waits for it */
    IS(peerbeat_link_shutdown(near), PEERBEAT_OK);
    IS(peerbeat_link_recv(near, buf, sizeof buf, &len, -1), PEERBEAT_E_DOWN);
    IS(peerbeat_link_send(near, big, 10), PEERBEAT_E_DOWN);
    MUST(now_ms() - began < 1900); /* the goodbye has 2 s */
    peerbeat_state state = {.struct_size = sizeof state};
    do
        IS(peerbeat_link_state(near, &state), PEERBEAT_OK);
    while (state.unsent_frames == 0);
    MUST(state.unsent_frames < sent && state.unsent_bytes > 0);
    IS(peerbeat_link_free(near), PEERBEAT_OK);
    close(fds[1]);
}

static int own_thread_code = PEERBEAT_E_PANIC;

static void on_event(void *user_data, peerbeat_node *node, const peerbeat_event *event) {
    if (event->kind != PEERBEAT_EVENT_REFUSED)
        return;
    MUST(event->reason == PEERBEAT_REFUSED_UNKNOWN_PEER && !strcmp(event->remote_name, "nobody"));
    MUST(strcmp(event->reason_word, "unknown-peer") == 0 && event->silent_ms == -1);
    MUST(event->struct_size == sizeof *event);
    own_thread_code = peerbeat_node_free(node);
    __atomic_store_n((int *)user_data, 1, __ATOMIC_SEQ_CST);
}

static void refusing(void) {
    int refused = 0;
    peerbeat_config *config;
    peerbeat_node *node;
    peerbeat_link *link;
    uint16_t port;
    const char *text = "datasrc-interface 127.0.0.1\ndatasrc-port auto\n"
                       "add-peer\nremote-name somebody\nend-peer\n";
    peerbeat_handler handler = {sizeof handler, 0, NULL, on_event, &refused, 0};
    IS(peerbeat_config_parse(text, NULL, &config), PEERBEAT_OK);
    IS(peerbeat_node_start(config, &handler, &node), PEERBEAT_OK);
    IS(peerbeat_node_port(node, &port), PEERBEAT_OK);
    peerbeat_options options = options_of(1000, 1000);
    options.handshake = PEERBEAT_HANDSHAKE_DEFAULT;
    options.local_name = "nobody";
    IS(peerbeat_link_connect("127.0.0.1", port, &options, &link), PEERBEAT_E_REFUSED);
    MUST(last_error_has("not known here"));
    for (int i = 0; i < 5000 && !__atomic_load_n(&refused, __ATOMIC_SEQ_CST); i++)
        sleep_ms(1);
    IS(own_thread_code, PEERBEAT_E_OWN_THREAD); /* and the node goes on */
    IS(peerbeat_link_connect("127.0.0.1", port, &options, &link), PEERBEAT_E_REFUSED);
    MUST(last_error_has("not known here"));
    IS(peerbeat_node_free(node), PEERBEAT_OK);
    peerbeat_config_free(config);
    MUST(refused);
}

static pthread_barrier_t entering;

static void *accept_one(void *listener) {
    peerbeat_link *link;
    pthread_barrier_wait(&entering);
    return (void *)(long)peerbeat_listener_accept(listener, NULL, -1, &link);
}

static void *receive_one(void *link) {
    char buf[8];
    size_t len;
    pthread_barrier_wait(&entering);
    return (void *)(long)peerbeat_link_recv(link, buf, sizeof buf, &len, -1);
}

/* Returns when the thread is inside the call: it says when it is about to go in, and has time for
 * the rest. The handle must not be freed before. */
static void start_thread(pthread_t *thread, void *(*call)(void *), void *handle) {
    MUST(pthread_create(thread, NULL, call, handle) == 0);
    pthread_barrier_wait(&entering);
    sleep_ms(200);
}

/* Freeing wakes who is inside and waits until they have left. */
static void closing(void) {
    pthread_t thread;
    pthread_barrier_init(&entering, NULL, 2);
    void *code;
    peerbeat_link *near, *far;
    peerbeat_options options = options_of(5000, 5000);
    link_pair(&near, &far, &options);
    start_thread(&thread, receive_one, near);
    long long began = now_ms();
    IS(peerbeat_link_free(near), PEERBEAT_OK);
    pthread_join(thread, &code);
    IS((int)(long)code, PEERBEAT_E_DOWN);
    MUST(now_ms() - began < 1900); /* a close that moves nothing ends after 2000 */
    IS(peerbeat_link_free(far), PEERBEAT_OK);

    peerbeat_listener *listener;
    IS(peerbeat_listener_open("127.0.0.1", 0, &listener), PEERBEAT_OK);
    start_thread(&thread, accept_one, listener);
    IS(peerbeat_listener_free(listener), PEERBEAT_OK);
    pthread_join(thread, &code);
    IS((int)(long)code, PEERBEAT_E_CLOSED);
    pthread_barrier_destroy(&entering);
}

/* Out of descriptors, out of threads: a status that names the limit, and nothing is left behind. */
static void running_out(void) {
    struct rlimit before, limit;
    peerbeat_link *link;
    peerbeat_listener *listener;
    int fds[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    peerbeat_options options = options_of(1000, 1000);
    MUST(getrlimit(RLIMIT_NOFILE, &before) == 0);
    limit = before;
    limit.rlim_cur = (rlim_t)fds[1] + 1;
    MUST(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    IS(peerbeat_link_attach_fd(fds[0], &options, &link), PEERBEAT_E_LIMIT);
    MUST(last_error_has("ulimit -n"));
    IS(peerbeat_link_connect("127.0.0.1", 1, &options, &link), PEERBEAT_E_LIMIT);
    IS(peerbeat_listener_open("127.0.0.1", 0, &listener), PEERBEAT_E_LIMIT);
    MUST(setrlimit(RLIMIT_NOFILE, &before) == 0);

#ifndef NO_MEMORY_LIMIT /* sanitizers and valgrind need the room themselves */
    options.stack_size = 1ull << 39;
    MUST(getrlimit(RLIMIT_AS, &before) == 0);
    limit = before;
    limit.rlim_cur = 1ull << 38;
    MUST(setrlimit(RLIMIT_AS, &limit) == 0);
    IS(peerbeat_link_attach_fd(fds[0], &options, &link), PEERBEAT_E_LIMIT);
    MUST(last_error_has("ulimit -u"));
    MUST(setrlimit(RLIMIT_AS, &before) == 0);
#endif
    options.stack_size = 0;
    peerbeat_link *far;
    IS(peerbeat_link_attach_fd(fds[0], &options, &link), PEERBEAT_OK); /* it had stayed ours */
    IS(peerbeat_link_attach_fd(fds[1], &options, &far), PEERBEAT_OK);
    IS(peerbeat_link_free(link), PEERBEAT_OK);
    IS(peerbeat_link_free(far), PEERBEAT_OK);
}

int main(void) {
    connecting();
    sending();
    refusing();
    closing();
    running_out();
    return 0;
}

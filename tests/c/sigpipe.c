/* SIGPIPE with its default disposition, on every path that writes: a peer that closed, one that
 * reset, one that stopped reading and then reset. The program lives, or this test is killed. */
#include "must.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/wait.h>

/* A link and the raw other end of its TCP connection. */
static peerbeat_link *open_tcp(int *raw, const peerbeat_options *options) {
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof addr;
    peerbeat_link *link;
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
    MUST(bind(listener, (struct sockaddr *)&addr, len) == 0 && listen(listener, 1) == 0);
    MUST(getsockname(listener, (struct sockaddr *)&addr, &len) == 0);
    MUST(connect(fd, (struct sockaddr *)&addr, len) == 0);
    *raw = accept(listener, NULL, NULL);
    MUST(*raw >= 0);
    close(listener);
    int nodelay = 0, same = dup(fd);
    IS(peerbeat_link_attach_fd(fd, options, &link), PEERBEAT_OK);
    /* Small messages do not wait for acknowledgements unless the program wants it. */
    len = sizeof nodelay;
    MUST(getsockopt(same, IPPROTO_TCP, TCP_NODELAY, &nodelay, &len) == 0 && nodelay);
    close(same);
    return link;
}

static void reset(int raw) {
    struct linger hard = {1, 0};
    setsockopt(raw, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(raw);
}

enum { CLOSES, RESETS, STUFFED, HALF_SHUT, WAYS };

/* The peer goes one of the ways while our threads write what they have to. */
static void lose(int way, int heartbeats, int flood, int orderly) {
    char data[4000] = "", buf[8];
    size_t len;
    int raw;
    peerbeat_options options = options_of(heartbeats ? 10 : 0, 5000);
    options.heartbeat_time_min_ms = 1;
    options.queue_bytes = 1 << 22;
    peerbeat_link *link = open_tcp(&raw, &options);
    for (int i = 0; way == STUFFED && i < 3000; i++)
        if (peerbeat_link_try_send(link, data, sizeof data) == PEERBEAT_E_FULL)
            break;
    if (way == HALF_SHUT)
        shutdown(raw, SHUT_RDWR);
    else if (way == CLOSES)
        close(raw);
    else
        reset(raw);
    for (int i = 0; i < (flood ? 2000 : 3); i++)
        peerbeat_link_send(link, data, 10); /* the application's thread, and the sender's */
    if (heartbeats)
        sleep_ms(25); /* the sender's own beats */
    if (orderly)
        IS(peerbeat_link_shutdown(link), PEERBEAT_OK); /* the goodbye */
    while (peerbeat_link_recv(link, buf, sizeof buf, &len, 10000) == PEERBEAT_OK)
        continue;
    peerbeat_link_send(link, data, 10);
    peerbeat_link_shutdown(link);
    IS(peerbeat_link_free(link), PEERBEAT_OK);
    if (way == HALF_SHUT)
        close(raw);
}

/* Handshakes write as well: with a peer that is gone when we answer. */
static void lose_in_handshake(void) {
    peerbeat_options options = options_of(10, 5000);
    options.handshake_timeout_ms = 2000;
    for (int way = 0; way < 2; way++) {
        int fds[2];
        peerbeat_link *link;
        MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
        close(fds[1]);
        options.handshake = way ? PEERBEAT_HANDSHAKE_ACCEPT : PEERBEAT_HANDSHAKE_DIAL;
        MUST(peerbeat_link_attach_fd(fds[0], &options, &link) < 0);
        close(fds[0]);
    }
}

static int dial(uint16_t port) {
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    addr.sin_port = htons(port);
    MUST(connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0);
    return fd;
}

static void on_event(void *user_data, peerbeat_node *node, const peerbeat_event *event) {
    (void)user_data;
    if (event->kind == PEERBEAT_EVENT_UP)
        for (int i = 0; i < 100; i++)
            peerbeat_node_try_send(node, event->peer, "tick", 4);
}

/* A node and a listener, visited by strangers who do not wait for the answer, and by a peer who
 * does not either. */
static void lose_visitors(void) {
    static const char known[] = "\0\0\0\x12\1PBHB\1\0\0\0\0\0\5known";
    static const char unknown[] = "\0\0\0\x12\1PBHB\1\0\0\0\0\0\5other";
    const struct {
        const char *bytes;
        size_t len;
    } says[] = {{"", 0}, {"GET / HTTP/1.0\r\n\r\n", 18}, {unknown, 22}, {known, 22}};
    peerbeat_config *config;
    peerbeat_node *node;
    peerbeat_listener *listener;
    peerbeat_handler handler = {sizeof handler, 0, NULL, on_event, NULL, 0};
    const char *text = "datasrc-interface 127.0.0.1\ndatasrc-port auto\nadd-peer\n"
                       "remote-name known\nheartbeat-time 0.01\nend-peer\n";
    uint16_t ports[2];
    IS(peerbeat_config_parse(text, NULL, &config), PEERBEAT_OK);
    IS(peerbeat_node_start(config, &handler, &node), PEERBEAT_OK);
    IS(peerbeat_node_port(node, &ports[0]), PEERBEAT_OK);
    IS(peerbeat_listener_open("127.0.0.1", 0, &listener), PEERBEAT_OK);
    IS(peerbeat_listener_port(listener, &ports[1]), PEERBEAT_OK);
    for (int i = 0; i < 64; i++) {
        peerbeat_link *link = NULL;
        int fd = dial(ports[i % 2]);
        MUST(write(fd, says[i / 2 % 4].bytes, says[i / 2 % 4].len) >= 0);
        if (i & 8)
            usleep(1000);
        if (i & 16)
            close(fd);
        else
            reset(fd);
        if (i % 2 && peerbeat_listener_accept(listener, NULL, 5000, &link) == PEERBEAT_OK)
            IS(peerbeat_link_free(link), PEERBEAT_OK);
    }
    IS(peerbeat_node_free(node), PEERBEAT_OK);
    IS(peerbeat_listener_free(listener), PEERBEAT_OK);
    peerbeat_config_free(config);
}

int main(void) {
    signal(SIGPIPE, SIG_DFL);
    /* The test can fail: a plain write to such a socket does kill. */
    pid_t child = fork();
    if (child == 0) {
        int fds[2];
        MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
        close(fds[1]);
        _exit(write(fds[0], "x", 1) == 1);
    }
    int status;
    MUST(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    MUST(WTERMSIG(status) == SIGPIPE);

    for (int way = 0; way < WAYS; way++)
        for (int what = 0; what < 8; what++)
            lose(way, what & 1, what & 2, what & 4);
    lose_in_handshake();
    lose_visitors();
    struct sigaction now; /* and it is untouched */
    MUST(sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
    return 0;
}

/* Shared by the test programs: a check that prints where it failed. */
#ifndef MUST_H
#define MUST_H

#include "peerbeat.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            char detail_[512] = "";                                                                \
            peerbeat_last_error(detail_, sizeof detail_);                                          \
            fprintf(stderr, "%s:%d: not true: %s (last error: %s)\n", __FILE__, __LINE__,          \
                    #condition, detail_);                                                          \
            fflush(NULL);                                                                          \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

/* Expects a status, and says which one came. */
#define IS(call, code)                                                                             \
    do {                                                                                           \
        int is_ = (call);                                                                          \
        if (is_ != (code)) {                                                                       \
            fprintf(stderr, "status %d (%s), wanted %d\n", is_, peerbeat_strerror(is_), (code));   \
            MUST(!#call);                                                                          \
        }                                                                                          \
    } while (0)

static inline long long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static inline void sleep_ms(int ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&time, NULL);
}

static inline peerbeat_options options_of(uint32_t heartbeat_time_ms, uint32_t slack_ms) {
    peerbeat_options options;
    IS(peerbeat_options_init(&options, sizeof options), PEERBEAT_OK);
    options.heartbeat_time_ms = heartbeat_time_ms;
    options.slack_ms = slack_ms;
    options.handshake = PEERBEAT_HANDSHAKE_NONE;
    return options;
}

/* A node of a configuration, with a port of its own. */
static inline peerbeat_node *start_node(const char *text, const peerbeat_handler *handler,
                                        uint16_t *port) {
    peerbeat_config *config;
    peerbeat_node *node;
    IS(peerbeat_config_parse(text, NULL, &config), PEERBEAT_OK);
    IS(peerbeat_node_start(config, handler, &node), PEERBEAT_OK);
    peerbeat_config_free(config);
    IS(peerbeat_node_port(node, port), PEERBEAT_OK);
    return node;
}

/* A path for a file or folder of this process alone, where the system has its temporary ones. */
static inline void scratch_path(char *path, size_t len, const char *name) {
    const char *folder = getenv("TMPDIR");
    folder = folder ? folder : "/tmp";
    int written = snprintf(path, len, "%s/peerbeat-%s-%d", folder, name, getpid());
    MUST(written > 0 && (size_t)written < len);
}

/* The next event of a kind; those before it are dropped. */
static inline peerbeat_event next_of(peerbeat_node *node, int kind) {
    peerbeat_event event = {.struct_size = sizeof event};
    do
        IS(peerbeat_node_next_event(node, &event, 20000), PEERBEAT_OK);
    while (event.kind != kind);
    return event;
}

/* A connection to a port of this machine. */
static inline int connect_to(uint16_t port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    MUST(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    return fd;
}

/* Two links at the two ends of one socket. */
static inline void link_pair(peerbeat_link **near, peerbeat_link **far,
                             const peerbeat_options *options) {
    int fds[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    IS(peerbeat_link_attach_fd(fds[0], options, near), PEERBEAT_OK);
    IS(peerbeat_link_attach_fd(fds[1], options, far), PEERBEAT_OK);
}

#endif

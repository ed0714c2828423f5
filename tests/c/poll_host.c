/* A host with sockets and a poll() loop of its own, which takes whole connections from peerbeat:
 * framing, send queue, heartbeats, verdicts and the orderly close. Both ends run in one loop. The
 * one that accepts has no heartbeat-time of its own and takes the dialler's over; ticks go one way;
 * then the dialler closes, and nothing is lost.
 *
 *   cc poll_host.c -I PATH/src/ffi PATH/target/release/libpeerbeat.a -lpthread -ldl -lm
 */
#include "peerbeat.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TICKS 20
#define TICK_NS 20000000ull /* 20 ms */

typedef struct {
    int fd, has_greeted, is_over, down_reason;
    size_t greeted; /* bytes of the handshake so far */
    char greeting[PEERBEAT_HELLO_MAX + 4096];
    peerbeat_options options;
    peerbeat_connection *connection; /* NULL until the peer's HELLO is whole */
    uint64_t deadline;
    int messages, heartbeat_times;
    short events; /* what to poll for */
} end_t;

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void fail(const char *what) {
    char detail[256];
    peerbeat_last_error(detail, sizeof detail);
    fprintf(stderr, "%s: %s\n", what, detail);
    _exit(1);
}

/* HELLO is small and first: a fresh socket takes it whole. */
static void say_hello(end_t *end) {
    char hello[PEERBEAT_HELLO_MAX];
    size_t len;
    if (peerbeat_connection_hello(&end->options, hello, sizeof hello, &len) != PEERBEAT_OK ||
        write(end->fd, hello, len) != (ssize_t)len)
        fail("HELLO");
    end->has_greeted = 1;
}

static void shake_hands(end_t *end) {
    size_t room = sizeof end->greeting - end->greeted;
    ssize_t count = read(end->fd, end->greeting + end->greeted, room);
    end->greeted += count > 0 ? (size_t)count : 0;
    int code = peerbeat_connection_new(&end->options, end->greeting, end->greeted, now_ns(),
                                       &end->connection);
    if (code == PEERBEAT_E_TIMEOUT && count != 0)
        return; /* more will come; a real host has a deadline for it */
    if (code != PEERBEAT_OK)
        fail("handshake");
    if (!end->has_greeted)
        say_hello(end);
    printf("%s: connected with %s\n", end->options.local_name,
           peerbeat_connection_remote_name(end->connection));
}

static void read_all(end_t *end) {
    void *space;
    size_t len;
    if (peerbeat_connection_space(end->connection, &space, &len) != PEERBEAT_OK)
        fail("space");
    ssize_t count = read(end->fd, space, len);
    if (count > 0)
        peerbeat_connection_received(end->connection, (size_t)count, now_ns());
    else if (count == 0 || (errno != EAGAIN && errno != EINTR))
        peerbeat_connection_read_failed(end->connection, count == 0 ? 0 : errno, now_ns());
}

static void write_some(end_t *end) {
    const void *data;
    size_t len;
    if (peerbeat_connection_transmit(end->connection, now_ns(), &data, &len) != PEERBEAT_OK)
        fail("transmit");
    ssize_t count = len > 0 ? send(end->fd, data, len, MSG_NOSIGNAL) : 0;
    if (count < 0 && errno != EAGAIN && errno != EINTR)
        peerbeat_connection_write_failed(end->connection, errno, now_ns());
    else
        peerbeat_connection_written(end->connection, count > 0 ? (size_t)count : 0, now_ns());
    end->events = count < (ssize_t)len ? POLLIN | POLLOUT : POLLIN;
}

static void happened(end_t *end, const peerbeat_event *event) {
    if (event->kind == PEERBEAT_EVENT_MESSAGE) {
        end->messages++;
        return;
    }
    printf("%s: %s\n", end->options.local_name, event->line);
    end->heartbeat_times += event->kind == PEERBEAT_EVENT_HEARTBEAT_TIME;
    if (event->kind == PEERBEAT_EVENT_DOWN) {
        end->down_reason = event->reason;
        end->is_over = 1;
        close(end->fd);
    }
}

/* Writes and asks until nothing is due. */
static void drive(end_t *end) {
    peerbeat_event event = {.struct_size = sizeof event};
    while (!end->is_over) {
        write_some(end);
        switch (peerbeat_connection_next(end->connection, now_ns(), &end->deadline, &event)) {
        case PEERBEAT_NEXT_NOTHING: return;
        case PEERBEAT_NEXT_EVENT: happened(end, &event); break;
        case PEERBEAT_NEXT_SHUTDOWN_WRITE: shutdown(end->fd, SHUT_WR); break;
        default: fail("next");
        }
    }
}

int main(void) {
    end_t ends[2] = {{.events = POLLIN}, {.events = POLLIN}};
    int fds[2], sent = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
        return 1;
    for (int i = 0; i < 2; i++) {
        fcntl(ends[i].fd = fds[i], F_SETFL, O_NONBLOCK);
        peerbeat_options_init(&ends[i].options, sizeof ends[i].options);
        ends[i].options.local_name = i == 0 ? "dialler" : "acceptor";
        ends[i].options.heartbeat_time_ms = i == 0 ? 100 : 0;
        ends[i].deadline = PEERBEAT_NEVER;
    }
    say_hello(&ends[0]);
    for (uint64_t next = now_ns(); !ends[0].is_over || !ends[1].is_over;) {
        uint64_t now = now_ns(), until = sent < TICKS ? next : PEERBEAT_NEVER;
        struct pollfd polled[2];
        for (int i = 0; i < 2; i++) {
            until = ends[i].deadline < until && !ends[i].is_over ? ends[i].deadline : until;
            polled[i] = (struct pollfd){ends[i].is_over ? -1 : ends[i].fd, ends[i].events, 0};
        }
        /* Rounded up: a wait that ends before the deadline would only ask again. */
        int wait_ms = until <= now ? 0 : (int)((until - now) / 1000000 + 1);
        poll(polled, 2, until == PEERBEAT_NEVER ? -1 : wait_ms);
        if (ends[0].connection && sent < TICKS && now_ns() >= next) {
            if (peerbeat_connection_send(ends[0].connection, "tick", 4) != PEERBEAT_OK)
                fail("send");
            next += TICK_NS;
            if (++sent == TICKS)
                peerbeat_connection_close(ends[0].connection, now_ns());
        }
        for (int i = 0; i < 2; i++) {
            if (polled[i].revents != 0)
                ends[i].connection ? read_all(&ends[i]) : shake_hands(&ends[i]);
            if (ends[i].connection)
                drive(&ends[i]);
        }
    }
    printf("%d ticks sent, %d received\n", sent, ends[1].messages);
    for (int i = 0; i < 2; i++)
        peerbeat_connection_free(ends[i].connection);
    return ends[1].messages == TICKS && ends[1].heartbeat_times == 1 &&
                   ends[0].down_reason == PEERBEAT_DOWN_LOCAL &&
                   ends[1].down_reason == PEERBEAT_DOWN_CLOSED
               ? 0
               : 1;
}

/* A host with sockets and an epoll loop of its own, which takes only the rules of liveness: no
 * thread, heap or clock of peerbeat's. Two ends of a connection run in one loop; one of them stops
 * speaking, and the other finds out at the limit, not before it.
 *
 * The host's own protocol here: 'H' and four bytes are a heartbeat and its value, 'D' is data.
 *
 *   cc epoll_host.c -I PATH/src/ffi PATH/target/release/libpeerbeat.a -lpthread -ldl -lm
 */
#include "peerbeat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000ull
#define SPOKEN 5 /* heartbeats of the end that then falls silent */

typedef struct {
    const char *name;
    int fd;
    int is_mute;
    int is_closed;
    uint64_t deadline; /* when to ask the rules again */
    uint64_t last_received, silent_for;
    int heartbeats;
    peerbeat_liveness rules; /* by value: nothing to free */
} end_t;

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 * MS + (uint64_t)now.tv_nsec;
}

static void send_heartbeat(end_t *end, uint32_t value_ms) {
    unsigned char frame[5] = {'H', (unsigned char)(value_ms >> 24), (unsigned char)(value_ms >> 16),
                              (unsigned char)(value_ms >> 8), (unsigned char)value_ms};
    if (!end->is_mute && write(end->fd, frame, sizeof frame) != sizeof frame)
        perror("write");
    /* The mute end believes that it speaks, as a host behind a pulled cable does. */
    peerbeat_liveness_heartbeat_sent(&end->rules, value_ms, now_ns());
    end->heartbeats++;
}

/* Frames are small and local here: one read brings whole ones. A real host keeps a buffer. */
static void read_all(end_t *end) {
    unsigned char bytes[500];
    ssize_t count = recv(end->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (count <= 0)
        return;
    end->last_received = now_ns();
    peerbeat_liveness_received(&end->rules, end->last_received);
    for (ssize_t i = 0; i < count; i += bytes[i] == 'H' ? 5 : 1) {
        if (bytes[i] != 'H')
            continue;
        uint32_t value_ms = (uint32_t)bytes[i + 1] << 24 | (uint32_t)bytes[i + 2] << 16 |
                            (uint32_t)bytes[i + 3] << 8 | bytes[i + 4];
        peerbeat_liveness_heartbeat_received(&end->rules, value_ms, end->last_received);
    }
}

/* Asks the rules until nothing is due. */
static void ask(end_t *end) {
    for (;;) {
        uint32_t value_ms;
        uint64_t now = now_ns();
        switch (peerbeat_liveness_next(&end->rules, now, &end->deadline, &value_ms)) {
        case PEERBEAT_NEXT_NOTHING:
            return;
        case PEERBEAT_NEXT_SEND_HEARTBEAT:
            send_heartbeat(end, value_ms);
            break;
        case PEERBEAT_NEXT_LATE:
            printf("%s: the peer is late\n", end->name);
            break;
        case PEERBEAT_NEXT_STALLED:
            printf("%s: we were stopped ourselves\n", end->name);
            break;
        case PEERBEAT_NEXT_SILENT:
            end->silent_for = now - end->last_received;
            printf("%s: the peer is gone, silent for %llu ms\n", end->name,
                   (unsigned long long)(end->silent_for / MS));
            end->is_closed = 1;
            end->deadline = PEERBEAT_NEVER;
            shutdown(end->fd, SHUT_RDWR);
            return;
        default:
            fprintf(stderr, "%s: a mistake in this program\n", end->name);
            exit(1);
        }
    }
}

int main(void) {
    int fds[2], loop = epoll_create1(0);
    if (loop < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
        return 1;
    peerbeat_options options;
    peerbeat_options_init(&options, sizeof options);
    options.slack_ms = 1400; /* a limit that no busy machine is late for */
    uint64_t began = now_ns();
    end_t ends[2] = {{.name = "near", .fd = fds[0]}, {.name = "far", .fd = fds[1]}};
    for (int i = 0; i < 2; i++) {
        options.heartbeat_time_ms = i == 0 ? 100 : 0; /* far takes near's value over */
        if (peerbeat_liveness_init(&ends[i].rules, &options, began) != PEERBEAT_OK)
            return 1;
        ends[i].last_received = began;
        struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = &ends[i]}};
        epoll_ctl(loop, EPOLL_CTL_ADD, ends[i].fd, &event);
        ask(&ends[i]);
    }
    while (!ends[0].is_closed) {
        uint64_t now = now_ns();
        uint64_t next = ends[0].deadline < ends[1].deadline ? ends[0].deadline : ends[1].deadline;
        /* Rounded up: a wait that ends before the deadline would only ask again. */
        int wait_ms = next <= now ? 0 : (int)((next - now + MS - 1) / MS);
        struct epoll_event events[2];
        int count = epoll_wait(loop, events, 2, wait_ms);
        for (int i = 0; i < count; i++)
            read_all(events[i].data.ptr); /* the socket before the clock ... */
        if (!ends[1].is_mute && ends[1].heartbeats == SPOKEN) {
            printf("far falls silent after %d heartbeats\n", SPOKEN);
            ends[1].is_mute = 1;
            if (now_ns() - began < (SPOKEN - 1) * 100 * MS)
                return 1; /* they came too often */
        }
        for (int i = 0; i < 2; i++)
            ask(&ends[i]); /* ... and then the rules */
    }
    printf("near sent %d heartbeats\n", ends[0].heartbeats);
    close(fds[0]), close(fds[1]), close(loop);
    return ends[1].is_mute && ends[0].silent_for >= 1500 * MS ? 0 : 1;
}

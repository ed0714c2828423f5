/* Two links in one program and a cable between them. While bytes run through the cable both live;
 * then it freezes, without closing anything, as a pulled cable does: both links die of silence, at
 * their limit and not before it.
 *
 *   cc pair.c -I PATH/src/ffi PATH/target/release/libpeerbeat.a -lpthread -ldl -lm -o pair
 */
#include "peerbeat.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static long long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void must(int code, const char *what) {
    char detail[512];
    if (code == PEERBEAT_OK)
        return;
    peerbeat_last_error(detail, sizeof detail);
    fprintf(stderr, "%s: %s (%s)\n", what, peerbeat_strerror(code), detail);
    exit(1);
}

/* Makes a link and returns the other end of its socket: one end of the cable. */
static int open_link(peerbeat_link **link, const peerbeat_options *options) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
        perror("socketpair");
        exit(1);
    }
    must(peerbeat_link_attach_fd(ends[0], options, link), "attach");
    return ends[1];
}

/* Carries what has come at either end to the other for so long. */
static void carry(int ends[2], int milliseconds) {
    char bytes[4096];
    long long until = now_ms() + milliseconds;
    for (long long left = milliseconds; left > 0; left = until - now_ms()) {
        struct pollfd fds[2] = {{ends[0], POLLIN, 0}, {ends[1], POLLIN, 0}};
        if (poll(fds, 2, (int)left) <= 0)
            continue;
        for (int i = 0; i < 2; i++) {
            if (!(fds[i].revents & POLLIN))
                continue;
            ssize_t count = read(ends[i], bytes, sizeof bytes);
            if (count > 0 && write(ends[1 - i], bytes, (size_t)count) != count)
                perror("cable");
        }
    }
}

static void show(const char *name, const peerbeat_link *link, peerbeat_state *state) {
    state->struct_size = sizeof *state;
    must(peerbeat_link_state(link, state), "state");
    printf("%s: %s, heartbeat-time %lld ms, silent for %lld ms, limit %lld ms%s%s\n", name,
           state->state == PEERBEAT_STATE_DOWN ? "down" : "up",
           (long long)state->heartbeat_time_ms, (long long)state->silent_ms,
           (long long)state->limit_ms, state->reason ? ": " : "", state->detail);
}

int main(void) {
    peerbeat_options options;
    must(peerbeat_options_init(&options, sizeof options), "options");
    options.handshake = PEERBEAT_HANDSHAKE_NONE; /* both ends are here and know each other */
    options.slack_ms = 2700; /* a limit that no busy machine is late for */

    peerbeat_link *left, *right;
    int cable[2];
    options.heartbeat_time_ms = 300; /* left has a value; right takes it over */
    options.thread_name = "left";
    cable[0] = open_link(&left, &options);
    options.heartbeat_time_ms = 0;
    options.thread_name = "right";
    cable[1] = open_link(&right, &options);

    must(peerbeat_link_send(left, "tick", 4), "send");
    carry(cable, 4000); /* more than a limit without a word but heartbeats */
    char message[16];
    size_t len = 0;
    must(peerbeat_link_recv(right, message, sizeof message, &len, 0), "recv");
    printf("right received \"%.*s\"\n", (int)len, message);

    peerbeat_state of_left, of_right;
    show("left", left, &of_left);
    show("right", right, &of_right);
    int good = of_left.state != PEERBEAT_STATE_DOWN && of_right.state != PEERBEAT_STATE_DOWN &&
               of_right.heartbeat_time_ms == 300 && len == 4;

    printf("the cable freezes\n");
    int code_left = peerbeat_link_recv(left, message, sizeof message, &len, 10000);
    int code_right = peerbeat_link_recv(right, message, sizeof message, &len, 10000);
    show("left", left, &of_left);
    show("right", right, &of_right);
    good = good && code_left == PEERBEAT_E_DOWN && code_right == PEERBEAT_E_DOWN;
    good = good && of_left.reason == PEERBEAT_DOWN_SILENT && of_left.silent_ms >= 3000;
    good = good && of_right.reason == PEERBEAT_DOWN_SILENT && of_right.silent_ms >= 3000;

    must(peerbeat_link_free(left), "free");
    must(peerbeat_link_free(right), "free");
    close(cable[0]);
    close(cable[1]);
    return good ? 0 : 1;
}

/* Every function of a connection on a clock of our own: what it refuses, and the whole life of two
 * ends that exchange their bytes in memory. */
#include "must.h"

#include <errno.h>

#define INVALID PEERBEAT_E_INVALID
#define MARK ((void *)1)
static const uint64_t ms = 1000000;

/* What one end has to write goes to the other, which takes at most `most` at a time. */
static size_t carry(peerbeat_connection *from, peerbeat_connection *to, uint64_t now, size_t most) {
    size_t all = 0, len, room;
    const void *data;
    void *space;
    for (;;) {
        IS(peerbeat_connection_transmit(from, now, &data, &len), PEERBEAT_OK);
        if (len == 0)
            break;
        IS(peerbeat_connection_space(to, &space, &room), PEERBEAT_OK);
        MUST(room > 0);
        len = len < room ? len : room;
        len = len < most ? len : most;
        memcpy(space, data, len);
        IS(peerbeat_connection_written(from, len, now), PEERBEAT_OK);
        IS(peerbeat_connection_received(to, len, now), PEERBEAT_OK);
        all += len;
    }
    IS(peerbeat_connection_written(from, 0, now), PEERBEAT_OK);
    return all;
}

static int next(peerbeat_connection *connection, uint64_t now, peerbeat_event *event) {
    uint64_t deadline = 0;
    event->struct_size = sizeof *event;
    return peerbeat_connection_next(connection, now, &deadline, event);
}

/* The next thing is an event of this kind. */
#define EVENT(connection, now, kind_)                                                              \
    do {                                                                                           \
        IS(next(connection, now, &event), PEERBEAT_NEXT_EVENT);                                    \
        MUST(event.kind == (kind_));                                                               \
    } while (0)

static peerbeat_connection *make(uint32_t heartbeat_time_ms, uint32_t slack_ms, uint64_t now) {
    peerbeat_options options = options_of(heartbeat_time_ms, slack_ms);
    peerbeat_connection *connection = NULL;
    IS(peerbeat_connection_new(&options, NULL, 0, now, &connection), PEERBEAT_OK);
    return connection;
}

static void refusals(void) {
    peerbeat_connection *connection = MARK, *c = make(100, 50, 0);
    peerbeat_options options = options_of(100, 50);
    peerbeat_event event = {.struct_size = sizeof event};
    peerbeat_stats stats = {.struct_size = sizeof stats};
    const void *data = MARK;
    void *space = MARK;
    size_t len = 77;
    uint64_t deadline = 77;
    char buf[PEERBEAT_HELLO_MAX];
    IS(peerbeat_connection_hello(NULL, NULL, 10, &len), INVALID);
    IS(peerbeat_connection_hello(NULL, buf, sizeof buf, NULL), INVALID);
    IS(peerbeat_connection_new(NULL, NULL, 0, 0, NULL), INVALID);
    IS(peerbeat_connection_new(NULL, NULL, 5, 0, &connection), INVALID);
    options.struct_size = 3;
    IS(peerbeat_connection_new(&options, NULL, 0, 0, &connection), INVALID);
    MUST(connection == MARK && len == 77);
    MUST(peerbeat_connection_remote_name(NULL) == NULL);
    MUST(peerbeat_connection_remote_label(NULL) == NULL);
    IS(peerbeat_connection_space(NULL, &space, &len), INVALID);
    IS(peerbeat_connection_space(c, NULL, &len), INVALID);
    IS(peerbeat_connection_space(c, &space, NULL), INVALID);
    IS(peerbeat_connection_received(NULL, 0, 0), INVALID);
    IS(peerbeat_connection_received(c, 1, 0), INVALID); /* there was no room given */
    IS(peerbeat_connection_read_failed(NULL, 0, 0), INVALID);
    IS(peerbeat_connection_transmit(NULL, 0, &data, &len), INVALID);
    IS(peerbeat_connection_transmit(c, 0, NULL, &len), INVALID);
    IS(peerbeat_connection_transmit(c, 0, &data, NULL), INVALID);
    IS(peerbeat_connection_written(NULL, 0, 0), INVALID);
    IS(peerbeat_connection_written(c, 1, 0), INVALID);
    IS(peerbeat_connection_write_failed(NULL, EPIPE, 0), INVALID);
    IS(peerbeat_connection_next(NULL, 0, &deadline, &event), INVALID);
    IS(peerbeat_connection_next(c, 0, NULL, &event), INVALID);
    IS(peerbeat_connection_next(c, 0, &deadline, NULL), INVALID);
    event.struct_size = 1;
    IS(peerbeat_connection_next(c, 0, &deadline, &event), INVALID);
    MUST(space == MARK && data == MARK && len == 77 && deadline == 77);
    IS(peerbeat_connection_send(NULL, "x", 1), INVALID);
    IS(peerbeat_connection_send(c, NULL, 1), INVALID);
    IS(peerbeat_connection_close(NULL, 0), INVALID);
    IS(peerbeat_connection_drain(NULL, 0), INVALID);
    IS(peerbeat_connection_set_heartbeat_time(NULL, 1, 0), INVALID);
    IS(peerbeat_connection_set_slack(NULL, 1, 0), INVALID);
    IS(peerbeat_connection_stats(NULL, 0, &stats), INVALID);
    IS(peerbeat_connection_stats(c, 0, NULL), INVALID);
    /* A pointer that was given out, more than it had room for, and twice the same. */
    IS(peerbeat_connection_space(c, &space, &len), PEERBEAT_OK);
    IS(peerbeat_connection_received(c, len + 1, 0), INVALID);
    IS(peerbeat_connection_transmit(c, 0, &data, &len), PEERBEAT_OK);
    MUST(len == 33); /* the first heartbeat */
    IS(peerbeat_connection_written(c, len + 1, 0), INVALID);
    IS(peerbeat_connection_written(c, len, 0), PEERBEAT_OK);
    IS(peerbeat_connection_written(c, 1, 0), INVALID);
    peerbeat_connection_free(c);
    peerbeat_connection_free(NULL);
}

static void handshake(void) {
    peerbeat_options options = options_of(0, 50);
    options.handshake = PEERBEAT_HANDSHAKE_DEFAULT;
    options.local_name = "left", options.local_label = "L";
    unsigned char bytes[PEERBEAT_HELLO_MAX];
    size_t len = 0;
    IS(peerbeat_connection_hello(&options, bytes, 3, &len), PEERBEAT_E_TOO_SMALL);
    MUST(len == 4 + 1 + 6 + 4 + 5 + 2 + 4);
    IS(peerbeat_connection_hello(&options, bytes, len, &len), PEERBEAT_OK);
    bytes[len - 1] = 100; /* as if left had a heartbeat-time */
    memcpy(bytes + len, "\0\0\0\5\3tick", 9); /* a message behind it */
    peerbeat_connection *c = MARK;
    peerbeat_event event;
    for (size_t some = 0; some < len; some++)
        IS(peerbeat_connection_new(&options, bytes, some, 0, &c), PEERBEAT_E_TIMEOUT);
    MUST(c == MARK);
    IS(peerbeat_connection_new(&options, bytes, len + 9, 0, &c), PEERBEAT_OK);
    MUST(strcmp(peerbeat_connection_remote_name(c), "left") == 0);
    MUST(strcmp(peerbeat_connection_remote_label(c), "L") == 0);
    EVENT(c, 0, PEERBEAT_EVENT_HEARTBEAT_TIME);
    MUST(event.to_ms == 100 && event.from_ms == -1 && event.cause == PEERBEAT_CAUSE_PEER);
    EVENT(c, 0, PEERBEAT_EVENT_MESSAGE);
    MUST(event.data_len == 4 && memcmp(event.data, "tick", 4) == 0);
    MUST(strcmp(event.peer, "left") == 0 && strcmp(event.line, "message") == 0);
    IS(next(c, 0, &event), PEERBEAT_NEXT_NOTHING);
    peerbeat_connection_free(c);
    c = MARK;
    IS(peerbeat_connection_new(&options, "\0\0\0\7\4\1nobody", 11, 0, &c), PEERBEAT_E_REFUSED);
    IS(peerbeat_connection_new(&options, "GET / HTTP/1.1", 14, 0, &c), PEERBEAT_E_HANDSHAKE);
    IS(peerbeat_connection_new(&options, "\0\0\0\5\3tick", 9, 0, &c), PEERBEAT_E_HANDSHAKE);
    MUST(c == MARK);
}

/* A peer that falls silent is down at the limit, and not a nanosecond before. */
static void silence(void) {
    peerbeat_connection *near = make(100, 50, 0), *far = make(0, 50, 0);
    peerbeat_event event = {.struct_size = sizeof event};
    uint64_t deadline = 0;
    MUST(carry(near, far, 0, 5) == 33); /* in pieces */
    EVENT(far, 0, PEERBEAT_EVENT_HEARTBEAT_TIME);
    MUST(carry(far, near, 0, 500) == 33);
    IS(next(near, 0, &event), PEERBEAT_NEXT_NOTHING);
    IS(peerbeat_connection_next(near, 0, &deadline, &event), PEERBEAT_NEXT_NOTHING);
    MUST(deadline == 100 * ms);
    MUST(carry(near, far, 100 * ms, 500) == 33);
    IS(next(near, 100 * ms, &event), PEERBEAT_NEXT_NOTHING);
    EVENT(near, 125 * ms, PEERBEAT_EVENT_LATE);
    IS(peerbeat_connection_next(near, 150 * ms - 1, &deadline, &event), PEERBEAT_NEXT_NOTHING);
    MUST(deadline == 150 * ms);
    EVENT(near, 150 * ms, PEERBEAT_EVENT_DOWN);
    MUST(event.reason == PEERBEAT_DOWN_SILENT && event.silent_ms == 150 && event.limit_ms == 150);
    IS(next(near, 150 * ms, &event), PEERBEAT_E_DOWN);
    IS(peerbeat_connection_send(near, "x", 1), PEERBEAT_E_DOWN);
    IS(peerbeat_connection_set_slack(near, 1, 150 * ms), PEERBEAT_E_DOWN);
    IS(peerbeat_connection_set_heartbeat_time(near, 1, 150 * ms), PEERBEAT_E_DOWN);
    peerbeat_connection_free(near);
    /* The far end has lost its socket. */
    IS(peerbeat_connection_write_failed(far, EPIPE, 160 * ms), PEERBEAT_OK);
    IS(next(far, 160 * ms, &event), PEERBEAT_NEXT_NOTHING);
    IS(peerbeat_connection_read_failed(far, ECONNRESET, 160 * ms), PEERBEAT_OK);
    EVENT(far, 160 * ms, PEERBEAT_EVENT_DOWN);
    MUST(event.reason == PEERBEAT_DOWN_IO);
    peerbeat_connection_free(far);
}

static void values_and_a_close(void) {
    peerbeat_connection *near = make(0, 50, 0), *far = make(0, 50, 0);
    peerbeat_event event = {.struct_size = sizeof event};
    peerbeat_stats stats = {.struct_size = sizeof stats};
    IS(peerbeat_connection_set_heartbeat_time(near, 0, 0), PEERBEAT_E_NEXT_CONNECTION);
    IS(peerbeat_connection_set_heartbeat_time(near, 200, 0), PEERBEAT_OK);
    IS(peerbeat_connection_set_heartbeat_time(near, 300, 0), PEERBEAT_E_NEXT_CONNECTION);
    IS(peerbeat_connection_set_slack(near, 80, 0), PEERBEAT_OK);
    MUST(carry(near, far, 0, 500) == 33);
    EVENT(far, 0, PEERBEAT_EVENT_HEARTBEAT_TIME);
    MUST(event.to_ms == 200);
    IS(peerbeat_connection_send(far, NULL, 0), PEERBEAT_OK);
    IS(peerbeat_connection_send(far, "back", 4), PEERBEAT_OK);
    IS(peerbeat_connection_send(near, "last", 4), PEERBEAT_OK);
    IS(peerbeat_connection_drain(near, 0), PEERBEAT_OK);
    IS(peerbeat_connection_send(near, "x", 1), PEERBEAT_E_DOWN);
    carry(near, far, 0, 500);
    while (next(near, 0, &event) == PEERBEAT_NEXT_EVENT)
        MUST(event.kind == PEERBEAT_EVENT_HEARTBEAT_TIME);
    carry(far, near, 0, 500); /* a drain hands on what arrives meanwhile */
    EVENT(near, 0, PEERBEAT_EVENT_MESSAGE);
    MUST(event.data_len == 0);
    EVENT(near, 0, PEERBEAT_EVENT_MESSAGE);
    MUST(event.data_len == 4 && memcmp(event.data, "back", 4) == 0);
    EVENT(far, 0, PEERBEAT_EVENT_MESSAGE);
    MUST(memcmp(event.data, "last", 4) == 0);
    IS(peerbeat_connection_stats(far, 0, &stats), PEERBEAT_OK);
    MUST(stats.links == 1 && stats.messages_accepted == 2 && stats.messages_received == 1);
    MUST(stats.bytes_received >= 33 + 9);
    EVENT(far, 0, PEERBEAT_EVENT_DOWN);
    MUST(event.reason == PEERBEAT_DOWN_CLOSED && event.bye_code == 0);
    IS(peerbeat_connection_read_failed(near, 0, 0), PEERBEAT_OK);
    EVENT(near, 0, PEERBEAT_EVENT_DOWN);
    MUST(event.reason == PEERBEAT_DOWN_LOCAL && event.unsent_frames == 0);
    MUST(event.unconfirmed_bytes == 0);
    peerbeat_connection_free(near);
    peerbeat_connection_free(far);
}

static void limits(void) {
    peerbeat_options options = options_of(0, 50);
    options.frame_max = 512, options.queue_bytes = 30;
    char long_one[512] = "";
    peerbeat_connection *c = NULL;
    peerbeat_event event;
    IS(peerbeat_connection_new(&options, NULL, 0, 0, &c), PEERBEAT_OK);
    IS(peerbeat_connection_send(c, long_one, 512), PEERBEAT_E_TOO_LONG);
    IS(peerbeat_connection_send(c, "1234567890", 10), PEERBEAT_OK);
    IS(peerbeat_connection_send(c, "1234567890", 10), PEERBEAT_OK);
    IS(peerbeat_connection_send(c, "1234567890", 10), PEERBEAT_E_FULL);
    IS(peerbeat_connection_close(c, 0), PEERBEAT_OK);
    uint64_t deadline = 0; /* no byte is taken: the close ends at its limit */
    event.struct_size = sizeof event;
    IS(peerbeat_connection_next(c, 0, &deadline, &event), PEERBEAT_NEXT_NOTHING);
    MUST(deadline == 2000 * ms);
    EVENT(c, deadline, PEERBEAT_EVENT_DOWN);
    MUST(event.reason == PEERBEAT_DOWN_LOCAL && event.unsent_frames == 2);
    peerbeat_connection_free(c);
}

/* What was handed out before the end is not taken after it, and not as our mistake. */
static void reports_after_the_end(void) {
    peerbeat_connection *c = make(100, 50, 0);
    peerbeat_event event = {.struct_size = sizeof event};
    const void *data = NULL;
    void *space = NULL;
    size_t room = 0, len = 0;
    IS(peerbeat_connection_transmit(c, 0, &data, &len), PEERBEAT_OK);
    MUST(len == 33);
    IS(peerbeat_connection_space(c, &space, &room), PEERBEAT_OK);
    IS(peerbeat_connection_read_failed(c, ECONNRESET, 0), PEERBEAT_OK);
    EVENT(c, 0, PEERBEAT_EVENT_DOWN);
    IS(peerbeat_connection_written(c, len, 0), INVALID);
    IS(peerbeat_connection_received(c, 1, 0), INVALID);
    peerbeat_connection_free(c);
}

int main(void) {
    reports_after_the_end();
    refusals();
    handshake();
    silence();
    values_and_a_close();
    limits();
    return 0;
}

/* Senders in C: what a host in C gets of each library. Each opens a sender, sends a run of numbered
 * messages as fast as one thread can, and closes it; the receivers are those of the rows in Rust.
 * The functions return 0, or the library's error.
 */
#define _DEFAULT_SOURCE

#include "peerbeat.h"

#include <endian.h>
#include <nng/nng.h>
#include <nng/protocol/pipeline0/push.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

enum { SIZE = 64, MESSAGES = 100000, SECOND = 1000 };

/* As the receivers look for it: eight bytes, the lowest first; written at once as in Rust. */
static void number(unsigned char *payload, uint64_t sequence) {
    uint64_t bytes = htole64(sequence);
    memcpy(payload, &bytes, sizeof bytes);
}

/* Takes the descriptor over. */
int from_c_peerbeat_open(int fd, peerbeat_link **link) {
    peerbeat_options options;
    int code = peerbeat_options_init(&options, sizeof options);
    if (code != PEERBEAT_OK)
        return code;
    options.handshake = PEERBEAT_HANDSHAKE_NONE;
    options.heartbeat_time_ms = SECOND;
    options.slack_ms = 2 * SECOND;
    return peerbeat_link_attach_fd(fd, &options, link);
}

int from_c_peerbeat_send(peerbeat_link *link, uint64_t messages) {
    unsigned char payload[SIZE];
    memset(payload, 7, sizeof payload);
    for (uint64_t sequence = 0; sequence < messages; sequence++) {
        number(payload, sequence);
        int code = peerbeat_link_send(link, payload, sizeof payload);
        if (code != PEERBEAT_OK)
            return code;
    }
    return 0;
}

int from_c_peerbeat_close(peerbeat_link *link) {
    return peerbeat_link_free(link);
}

struct zmq_sender {
    void *context;
    void *push;
};

int from_c_zmq_open(const char *address, struct zmq_sender **sender) {
    int heartbeat = SECOND, timeout = 30 * SECOND, messages = MESSAGES;
    struct zmq_sender *made = malloc(sizeof *made);
    if (made == NULL)
        return -1;
    made->context = zmq_ctx_new();
    made->push = zmq_socket(made->context, ZMQ_PUSH);
    zmq_setsockopt(made->push, ZMQ_HEARTBEAT_IVL, &heartbeat, sizeof heartbeat);
    zmq_setsockopt(made->push, ZMQ_HEARTBEAT_TIMEOUT, &timeout, sizeof timeout);
    zmq_setsockopt(made->push, ZMQ_SNDHWM, &messages, sizeof messages);
    *sender = made;
    return zmq_connect(made->push, address) == 0 ? 0 : zmq_errno();
}

int from_c_zmq_send(struct zmq_sender *sender, uint64_t messages) {
    unsigned char payload[SIZE];
    memset(payload, 7, sizeof payload);
    for (uint64_t sequence = 0; sequence < messages; sequence++) {
        number(payload, sequence);
        if (zmq_send(sender->push, payload, sizeof payload, 0) < 0)
            return zmq_errno();
    }
    return 0;
}

int from_c_zmq_close(struct zmq_sender *sender) {
    zmq_close(sender->push);
    zmq_ctx_term(sender->context);
    free(sender);
    return 0;
}

int from_c_nng_open(const char *address, uint32_t *id) {
    nng_socket socket;
    int code = nng_push0_open(&socket);
    if (code == 0)
        code = nng_socket_set_int(socket, NNG_OPT_SENDBUF, 8192); /* the most that it takes */
    if (code == 0)
        code = nng_dial(socket, address, NULL, 0);
    *id = socket.id;
    return code;
}

int from_c_nng_send(uint32_t id, uint64_t messages) {
    nng_socket socket = {id};
    unsigned char payload[SIZE];
    memset(payload, 7, sizeof payload);
    for (uint64_t sequence = 0; sequence < messages; sequence++) {
        number(payload, sequence);
        int code = nng_send(socket, payload, sizeof payload, 0);
        if (code != 0)
            return code;
    }
    return 0;
}

int from_c_nng_close(uint32_t id) {
    nng_socket socket = {id};
    return nng_close(socket);
}

/* A feed adapter: streams a tick a few times a second to every peer of a configuration file, and
 * reports when a link is lost.
 *
 *   adapter FILE      runs the node of FILE until it is interrupted
 *   adapter           shows it: dials a receiver in this same program, which then goes away
 *
 *   cc adapter.c -I PATH/src/ffi PATH/target/release/libpeerbeat.a -lpthread -ldl -lm -o adapter
 */
#include "peerbeat.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static atomic_int ticks_received, losses;

static void fail(const char *what, int code) {
    char detail[1024];
    peerbeat_last_error(detail, sizeof detail);
    fprintf(stderr, "%s: %s (%s)\n", what, peerbeat_strerror(code), detail);
    _exit(1);
}

/* The receiver counts; a real one would do something with them. */
static void on_tick(void *user_data, peerbeat_node *node, const char *peer, const void *data,
                    size_t len) {
    (void)user_data, (void)node, (void)peer, (void)data, (void)len;
    atomic_fetch_add(&ticks_received, 1);
}

/* Runs on the node's threads; event and its texts are valid until it returns. */
static void on_event(void *user_data, peerbeat_node *node, const peerbeat_event *event) {
    (void)user_data, (void)node;
    switch (event->kind) {
    case PEERBEAT_EVENT_UP:
        printf("%s is up at %s\n", event->peer, event->addr);
        break;
    case PEERBEAT_EVENT_LATE:
        printf("%s is late: silent for %lld ms\n", event->peer, (long long)event->silent_ms);
        break;
    case PEERBEAT_EVENT_DOWN:
        printf("%s is down: %s (%s), silent for %lld of %lld ms, %lld messages not sent\n",
               event->peer, event->reason_word, event->text, (long long)event->silent_ms,
               (long long)event->limit_ms, (long long)event->unsent_frames);
        atomic_fetch_add(&losses, 1);
        break;
    case PEERBEAT_EVENT_DIAL_FAILED:
        printf("%s cannot be reached at %s: %s\n", event->peer, event->addr, event->text);
        break;
    default:
        break;
    }
}

static peerbeat_config *read_config(const char *path, const char *text) {
    peerbeat_config *config = NULL;
    int code = path ? peerbeat_config_load(path, "adapter", &config)
                    : peerbeat_config_parse(text, "adapter", &config);
    if (code != PEERBEAT_OK) {
        for (size_t i = 0; i < peerbeat_config_error_count(); i++)
            fprintf(stderr, "%s\n", peerbeat_config_error(i));
        _exit(2);
    }
    for (size_t i = 0; i < peerbeat_config_warning_count(config); i++)
        fprintf(stderr, "warning: %s\n", peerbeat_config_warning(config, i));
    return config;
}

static peerbeat_node *start(peerbeat_config *config) {
    peerbeat_handler handler = {sizeof handler, 0, on_tick, on_event, NULL, 0};
    peerbeat_node *node = NULL;
    int code = peerbeat_node_start(config, &handler, &node);
    if (code != PEERBEAT_OK)
        fail("cannot start", code);
    return node;
}

/* One tick to every peer. A peer that is down misses it; one that reads slowly too. */
static void send_tick(peerbeat_node *node, const peerbeat_config *config, long number) {
    char tick[64];
    int len = snprintf(tick, sizeof tick, "EURUSD 1.%05ld", number % 100000);
    for (size_t i = 0; i < peerbeat_config_peer_count(config); i++) {
        const char *peer = peerbeat_config_peer_name(config, i);
        int code = peerbeat_node_try_send(node, peer, tick, (size_t)len);
        if (code == PEERBEAT_E_FULL)
            printf("%s reads slowly: a tick is dropped\n", peer);
    }
}

static const char *RECEIVER = "datasrc-name receiver\n"
                              "datasrc-interface 127.0.0.1\n"
                              "datasrc-port auto\n"
                              "add-peer\n  remote-name adapter\nend-peer\n";

static const char *ADAPTER = "datasrc-name adapter\n"
                             "add-peer\n"
                             "  remote-name receiver\n"
                             "  addr 127.0.0.1\n"
                             "  port %u\n"
                             "  heartbeat-time 1\n"
                             "  reconnect-time-min 0.05\n"
                             "end-peer\n";

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1) {
        peerbeat_config *config = read_config(argv[1], NULL);
        peerbeat_node *node = start(config);
        for (long number = 0;; number++, usleep(250 * 1000))
            send_tick(node, config, number);
    }

    peerbeat_config *receiving = read_config(NULL, RECEIVER);
    peerbeat_node *receiver = start(receiving);
    uint16_t port = 0;
    peerbeat_node_port(receiver, &port);

    char text[512];
    snprintf(text, sizeof text, ADAPTER, (unsigned)port);
    peerbeat_config *sending = read_config(NULL, text);
    peerbeat_node *adapter = start(sending);

    for (long number = 0; number < 3000 && atomic_load(&ticks_received) < 20; number++) {
        send_tick(adapter, sending, number);
        usleep(10 * 1000);
    }
    peerbeat_node_free(receiver); /* the other side goes away ... */
    for (int i = 0; i < 3000 && atomic_load(&losses) < 2; i++)
        usleep(10 * 1000); /* ... and both sides have reported it, once each */
    int code = peerbeat_node_free(adapter);
    peerbeat_config_free(receiving);
    peerbeat_config_free(sending);
    int good = code == PEERBEAT_OK && ticks_received >= 20 && losses == 2;
    printf("%d ticks arrived, %d losses reported\n", ticks_received, losses);
    return good ? 0 : 1;
}

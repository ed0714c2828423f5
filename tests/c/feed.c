/* A feed handler as one runs for years: signals by sigwait, reload without a reconnection, the line
 * of every event, and an orderly end.
 *
 *   feed CONFIG [MILLISECONDS]     sends a tick to every peer that often
 *
 * HUP reloads CONFIG, USR1 prints what went over each peer's links, TERM and INT end it.
 */
#define _GNU_SOURCE
#include "peerbeat.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
    atomic_ulong ticks; /* since it came up */
} feed_peer;

static void complain(const char *what, int code) {
    char detail[1024];
    peerbeat_last_error(detail, sizeof detail);
    printf("%s: %s: %s\n", what, peerbeat_strerror(code), detail);
}

static void on_message(void *user_data, peerbeat_node *node, const char *peer, const void *data,
                       size_t len) {
    feed_peer *mine = peerbeat_node_user_data(node, peer);
    (void)user_data;
    if (mine != NULL && atomic_fetch_add(&mine->ticks, 1) == 0)
        printf("%s: first tick: %.*s\n", peer, (int)len, (const char *)data);
}

static void on_event(void *user_data, peerbeat_node *node, const peerbeat_event *event) {
    char line[1024];
    feed_peer *mine = event->peer_user_data;
    (void)user_data;
    if (event->kind == PEERBEAT_EVENT_UP) {
        if (mine == NULL) { /* its first time */
            mine = calloc(1, sizeof *mine);
            peerbeat_node_set_user_data(node, event->peer, mine);
        }
        if (mine != NULL)
            atomic_store(&mine->ticks, 0);
    }
    peerbeat_event_text(event, line, sizeof line);
    puts(line);
}

static peerbeat_config *load(const char *path) {
    peerbeat_config *config = NULL;
    if (peerbeat_config_load(path, "feed", &config) == PEERBEAT_OK)
        return config;
    for (size_t i = 0; i < peerbeat_config_error_count(); i++)
        puts(peerbeat_config_error(i));
    return NULL;
}

/* A configuration with errors, or one that needs a new node, leaves everything as it is. */
static void reload(peerbeat_node *node, peerbeat_config **config, const char *path) {
    char report[4096];
    peerbeat_config *next = load(path);
    if (next == NULL)
        return;
    int code = peerbeat_node_reload(node, next, report, sizeof report);
    if (code != PEERBEAT_OK) {
        complain("reload", code);
        peerbeat_config_free(next);
        return;
    }
    printf("reloaded\n%s\n", report);
    peerbeat_config_free(*config);
    *config = next;
}

static void send_ticks(peerbeat_node *node, const peerbeat_config *config, unsigned long number) {
    char tick[64];
    int len = snprintf(tick, sizeof tick, "EURUSD 1.%05lu", number % 100000);
    for (size_t i = 0; i < peerbeat_config_peer_count(config); i++) {
        const char *peer = peerbeat_config_peer_name(config, i);
        if (peerbeat_node_try_send(node, peer, tick, (size_t)len) == PEERBEAT_E_FULL)
            printf("%s: reads slowly, a tick is dropped\n", peer);
    }
}

static void print_totals(peerbeat_node *node, const peerbeat_config *config) {
    for (size_t i = 0; i < peerbeat_config_peer_count(config); i++) {
        const char *peer = peerbeat_config_peer_name(config, i);
        peerbeat_totals all = {.struct_size = sizeof all};
        if (peerbeat_node_totals(node, peer, &all) == PEERBEAT_OK)
            printf("%s: totals: %llu links, %llu silent, %llu ticks out, %llu in\n", peer,
                   (unsigned long long)all.connects,
                   (unsigned long long)all.downs[PEERBEAT_DOWN_SILENT],
                   (unsigned long long)all.messages_accepted,
                   (unsigned long long)all.messages_received);
    }
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc < 2)
        return fprintf(stderr, "usage: feed CONFIG [MILLISECONDS]\n"), 2;
    long period = argc > 2 ? atol(argv[2]) : 0;
    peerbeat_config *config = load(argv[1]);
    if (config == NULL)
        return 2;
    peerbeat_node *node = NULL;
    peerbeat_handler handler = {.struct_size = sizeof handler, .on_message = on_message};
    handler.on_event = on_event;
    int code = peerbeat_node_start(config, &handler, &node);
    if (code != PEERBEAT_OK)
        return complain("start", code), 1;

    /* After the start: the node's threads take no signal, whatever the mask was. */
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < 4; i++)
        sigaddset(&set, (int[]){SIGTERM, SIGINT, SIGHUP, SIGUSR1}[i]);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    puts("ready");

    struct timespec wait = {period / 1000, period % 1000 * 1000000L};
    for (unsigned long number = 0;; number++) {
        int got = period > 0 ? sigtimedwait(&set, NULL, &wait) : sigwaitinfo(&set, NULL);
        if (got == SIGTERM || got == SIGINT)
            break;
        if (got == SIGHUP)
            reload(node, &config, argv[1]);
        if (got == SIGUSR1)
            print_totals(node, config);
        if (got < 0 && errno == EAGAIN)
            send_ticks(node, config, number);
    }
    peerbeat_node_shutdown(node);
    while ((code = peerbeat_node_free_timeout(node, 5000)) == PEERBEAT_E_TIMEOUT)
        puts("a callback still runs");
    peerbeat_config_free(config);
    return code == PEERBEAT_OK ? 0 : 1; /* what was kept with peers goes with the process */
}

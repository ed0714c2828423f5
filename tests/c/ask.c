/* What a host asks of nodes and links: changes, waits, numbers, and events without callbacks. */
#include "must.h"

#include <poll.h>
#include <pthread.h>

static const char *HUB = "datasrc-name hub\ndatasrc-interface 127.0.0.1\ndatasrc-port auto\n"
                         "add-peer\nremote-name feed\nheartbeat-time 5\nsend-queue-bytes 100000\n"
                         "end-peer\n%s";
static const char *OTHER = "add-peer\nremote-name other\nend-peer\n";
static const char *FEED = "datasrc-name feed\nadd-peer\nremote-name hub\naddr 127.0.0.1\nport %u\n"
                          "heartbeat-time 5\nreconnect-time-min 0.05\nreconnect-time-max 0.05\n"
                          "end-peer\n";

static peerbeat_config *parse(const char *text) {
    peerbeat_config *config;
    IS(peerbeat_config_parse(text, NULL, &config), PEERBEAT_OK);
    return config;
}

static peerbeat_config *hub_config(const char *more) {
    char text[500];
    snprintf(text, sizeof text, HUB, more);
    return parse(text);
}

static int is_readable(int fd, int ms) {
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    return poll(&ready, 1, ms) == 1;
}

static int events_called;

static void on_event(void *user_data, peerbeat_node *node, const peerbeat_event *event) {
    char line[200];
    (void)user_data;
    MUST(peerbeat_event_text(event, line, sizeof line) > 0 && *peerbeat_event_word(event->kind));
    MUST(event->peer_user_data == peerbeat_node_user_data(node, event->peer));
    __atomic_add_fetch(&events_called, 1, __ATOMIC_SEQ_CST);
}

static void on_message(void *user_data, peerbeat_node *node, const char *peer, const void *data,
                       size_t len) {
    (void)user_data, (void)data, (void)len;
    MUST(peer == peerbeat_node_peer(node, peer)); /* the very pointer */
    MUST(peer == peerbeat_node_peer(node, "hub"));
    IS(peerbeat_node_wait_up(node, "hub", -1), PEERBEAT_OK);
}

static peerbeat_node *start_feed(peerbeat_node *hub) {
    char text[500];
    uint16_t port;
    peerbeat_node *feed;
    peerbeat_handler handler = {.struct_size = sizeof handler, .send_timeout_ms = 50};
    handler.on_message = on_message;
    handler.on_event = on_event;
    IS(peerbeat_node_port(hub, &port), PEERBEAT_OK);
    snprintf(text, sizeof text, FEED, (unsigned)port);
    peerbeat_config *config = parse(text);
    IS(peerbeat_node_start(config, &handler, &feed), PEERBEAT_OK);
    peerbeat_config_free(config);
    return feed;
}

/* A node without a handler: everything is asked for. */
static void asked_for(peerbeat_node *hub, peerbeat_node *feed) {
    int fd, mine;
    char text[300];
    peerbeat_event event = next_of(hub, PEERBEAT_EVENT_LISTENING);
    MUST(strcmp(event.peer, "") == 0 && event.peer_user_data == NULL);
    IS(peerbeat_node_set_user_data(hub, "feed", &mine), PEERBEAT_OK);
    IS(peerbeat_node_wait_up(hub, "feed", 20000), PEERBEAT_OK);
    IS(peerbeat_node_wait_up(feed, NULL, 20000), PEERBEAT_OK);
    event = next_of(hub, PEERBEAT_EVENT_UP);
    MUST(event.peer == peerbeat_node_peer(hub, "feed"));
    MUST(peerbeat_event_text(&event, text, sizeof text) == strlen(text));
    MUST(strncmp(text, "feed: up: accepted 127.0.0.1", 28) == 0);
    MUST(strcmp(peerbeat_event_word(event.kind), "up") == 0);

    IS(peerbeat_node_event_fd(hub, &fd), PEERBEAT_OK);
    while (is_readable(fd, 0)) /* the adopted heartbeat-time may have been reported */
        IS(peerbeat_node_next_event(hub, &event, 0), PEERBEAT_OK);
    IS(peerbeat_node_next_event(hub, &event, 0), PEERBEAT_E_TIMEOUT);
    for (int i = 0; i < 3; i++) {
        IS(peerbeat_node_send(feed, "hub", "tick", 4), PEERBEAT_OK);
        MUST(is_readable(fd, 20000));
        event = next_of(hub, PEERBEAT_EVENT_MESSAGE);
        MUST(event.data_len == 4 && memcmp(event.data, "tick", 4) == 0);
        MUST(event.peer_user_data == &mine);
    }
    IS(peerbeat_node_send(hub, "feed", "tock", 4), PEERBEAT_OK);
    peerbeat_published published = {.struct_size = sizeof published};
    IS(peerbeat_node_publish(feed, "to all", 6, NULL, 0, &published), PEERBEAT_OK);
    MUST(published.sent == 1 && published.full == 0 && published.not_connected == 0);
    event = next_of(hub, PEERBEAT_EVENT_MESSAGE);
    MUST(event.data_len == 6 && memcmp(event.data, "to all", 6) == 0);
}

static void changed(peerbeat_node *hub, peerbeat_node *feed) {
    char text[2000];
    size_t len;
    peerbeat_state state = {.struct_size = sizeof state};
    IS(peerbeat_node_state(hub, "feed", &state), PEERBEAT_OK);
    MUST(state.state == PEERBEAT_STATE_UP && state.heartbeat_time_ms == 5000);
    IS(peerbeat_node_set_heartbeat_time(hub, "feed", 3000), PEERBEAT_OK);
    IS(peerbeat_node_set_heartbeat_time(hub, "feed", 4000), PEERBEAT_E_NEXT_CONNECTION);
    IS(peerbeat_node_set_slack(hub, "feed", 7000), PEERBEAT_OK);
    IS(peerbeat_node_state(hub, "feed", &state), PEERBEAT_OK);
    MUST(state.heartbeat_time_ms == 3000 && state.slack_ms == 7000);
    IS(peerbeat_node_explain(hub, "feed", text, sizeof text, &len), PEERBEAT_OK);
    MUST(len == strlen(text) && strstr(text, "3"));

    peerbeat_config *config = hub_config(OTHER);
    IS(peerbeat_node_reload(hub, config, text, sizeof text), PEERBEAT_OK);
    MUST(strstr(text, "other") && strstr(text, "feed"));
    peerbeat_config_free(config);
    const char *other = peerbeat_node_peer(hub, "other");
    MUST(other != NULL);
    IS(peerbeat_node_state(hub, other, &state), PEERBEAT_OK);
    MUST(state.state == PEERBEAT_STATE_DOWN && state.reason == 0);
    IS(peerbeat_node_send(hub, "other", "x", 1), PEERBEAT_E_NOT_CONNECTED);
    peerbeat_published published = {.struct_size = sizeof published};
    IS(peerbeat_node_publish(hub, "x", 1, NULL, 0, &published), PEERBEAT_OK);
    MUST(published.sent == 1 && published.not_connected == 1);
    IS(peerbeat_node_close_peer(hub, "other"), PEERBEAT_E_NOT_CONNECTED);
    IS(peerbeat_node_wait_up(hub, NULL, 20), PEERBEAT_E_TIMEOUT);
    config = hub_config("");
    IS(peerbeat_node_reload(hub, config, NULL, 0), PEERBEAT_OK);
    peerbeat_config_free(config);
    IS(peerbeat_node_send(hub, "other", "x", 1), PEERBEAT_E_NOT_FOUND);
    IS(peerbeat_node_send(hub, other, "x", 1), PEERBEAT_E_NOT_FOUND); /* the pointer still lives */
    config = parse("datasrc-name hub\ndatasrc-port 1\nadd-peer\nremote-name feed\nend-peer\n");
    IS(peerbeat_node_reload(hub, config, NULL, 0), PEERBEAT_E_CONFIG);
    peerbeat_config_free(config);

    peerbeat_totals before = {.struct_size = sizeof before}, after = before;
    IS(peerbeat_node_totals(feed, NULL, &before), PEERBEAT_OK);
    MUST(before.peers_up == 1 && before.connects == 1 && before.messages_accepted == 4);
    MUST(before.downs[PEERBEAT_DOWN_LOCAL] == 0);
    IS(peerbeat_node_close_peer(feed, "hub"), PEERBEAT_OK);
    peerbeat_event event = next_of(hub, PEERBEAT_EVENT_DOWN);
    MUST(event.reason == PEERBEAT_DOWN_CLOSED);
    next_of(hub, PEERBEAT_EVENT_UP); /* it is dialled again */
    IS(peerbeat_node_wait_up(feed, "hub", 20000), PEERBEAT_OK);
    IS(peerbeat_node_totals(feed, "hub", &after), PEERBEAT_OK);
    MUST(after.connects == 2 && after.downs[PEERBEAT_DOWN_LOCAL] == 1);
    MUST(after.messages_accepted == 4 && after.bytes_sent > before.bytes_sent);
}

/* A hub that asks for nothing stops reading; the feed's queue fills, and has room again. */
static void filled(peerbeat_node *hub, peerbeat_node *feed) {
    static char big[50000];
    int code, sent = 0;
    while ((code = peerbeat_node_try_send(feed, "hub", big, sizeof big)) == PEERBEAT_OK)
        sent++;
    IS(code, PEERBEAT_E_FULL);
    while ((code = peerbeat_node_send(feed, "hub", big, sizeof big)) == PEERBEAT_OK)
        sent++;
    IS(code, PEERBEAT_E_TIMEOUT);
    IS(peerbeat_node_wait_room(feed, "hub", 16 << 20, 20), PEERBEAT_E_TIMEOUT);
    for (int i = 0; i < sent; i++)
        MUST(next_of(hub, PEERBEAT_EVENT_MESSAGE).data_len == sizeof big);
    IS(peerbeat_node_wait_room(feed, "hub", sizeof big, 20000), PEERBEAT_OK);
}

static void *drain(void *node) {
    sleep_ms(50);
    IS(peerbeat_node_drain(node, 20000), PEERBEAT_OK);
    return NULL;
}

static void nodes(void) {
    int fd;
    pthread_t thread;
    peerbeat_node *hub;
    peerbeat_event event = {.struct_size = sizeof event};
    peerbeat_config *config = hub_config("");
    IS(peerbeat_node_start(config, NULL, &hub), PEERBEAT_OK);
    peerbeat_config_free(config);
    peerbeat_node *feed = start_feed(hub);
    asked_for(hub, feed);
    changed(hub, feed);
    filled(hub, feed);
    IS(peerbeat_node_event_fd(feed, &fd), PEERBEAT_OK);
    MUST(pthread_create(&thread, NULL, drain, hub) == 0);
    next_of(hub, PEERBEAT_EVENT_STOPPED);
    IS(peerbeat_node_next_event(hub, &event, -1), PEERBEAT_E_DOWN);
    pthread_join(thread, NULL);
    IS(peerbeat_node_wait_up(hub, "feed", -1), PEERBEAT_E_DOWN);
    IS(peerbeat_node_free(hub), PEERBEAT_OK);
    MUST(is_readable(fd, 20000)); /* what is called back is kept as well */
    event = next_of(feed, PEERBEAT_EVENT_DOWN);
    MUST(event.reason == PEERBEAT_DOWN_CLOSED);
    IS(peerbeat_node_free(feed), PEERBEAT_OK);
    MUST(events_called > 3);
}

static void links(void) {
    peerbeat_link *near, *far;
    peerbeat_options options = options_of(5000, 2000);
    peerbeat_state state = {.struct_size = sizeof state};
    peerbeat_bytes messages[] = {{"one", 3}, {"", 0}, {"three", 5}, {NULL, 1}};
    const size_t wanted[] = {3, 0, 5};
    static char big[20000];
    char text[2000], buf[20000];
    size_t len, sent = 99;
    int fd;
    options.queue_bytes = 50000;
    link_pair(&near, &far, &options);
    IS(peerbeat_link_event_fd(far, &fd), PEERBEAT_OK);
    MUST(!is_readable(fd, 0));
    IS(peerbeat_link_send_all(near, messages, 4, &sent), PEERBEAT_E_INVALID);
    MUST(sent == 3);
    for (int i = 0; i < 3; i++) {
        MUST(is_readable(fd, 20000));
        IS(peerbeat_link_recv(far, buf, sizeof buf, &len, 20000), PEERBEAT_OK);
        MUST(len == wanted[i]);
    }
    IS(peerbeat_link_recv(far, buf, sizeof buf, &len, 0), PEERBEAT_E_TIMEOUT);
    MUST(!is_readable(fd, 0));
    IS(peerbeat_link_set_slack(near, 9000), PEERBEAT_OK);
    IS(peerbeat_link_state(near, &state), PEERBEAT_OK);
    MUST(state.slack_ms == 9000);
    IS(peerbeat_link_explain(near, text, sizeof text, &len), PEERBEAT_OK);
    MUST(len == strlen(text) && len > 20);
    IS(peerbeat_link_explain(near, text, 5, NULL), PEERBEAT_OK);
    MUST(strlen(text) == 4);

    int count = 0;
    while (peerbeat_link_try_send(near, big, sizeof big) == PEERBEAT_OK)
        count++;
    while (count > 0 && peerbeat_link_recv(far, buf, sizeof buf, &len, 20000) == PEERBEAT_OK)
        count--;
    IS(peerbeat_link_wait_room(near, 50000, 20000), PEERBEAT_OK);
    IS(peerbeat_link_send(near, "last", 4), PEERBEAT_OK);
    IS(peerbeat_link_drain(near, 20000), PEERBEAT_OK);
    MUST(is_readable(fd, 20000)); /* the last message, and the end */
    IS(peerbeat_link_recv(far, buf, sizeof buf, &len, 0), PEERBEAT_OK);
    MUST(len == 4);
    MUST(is_readable(fd, 20000));
    IS(peerbeat_link_recv(far, buf, sizeof buf, &len, 20000), PEERBEAT_E_DOWN);
    IS(peerbeat_link_wait_room(near, 1, -1), PEERBEAT_E_DOWN);
    IS(peerbeat_link_free(near), PEERBEAT_OK);
    IS(peerbeat_link_free(far), PEERBEAT_OK);
}

/* A full inbox holds the reader: for how long, the state says. */
static void held(void) {
    peerbeat_options options = options_of(5000, 2000);
    peerbeat_link *near, *far;
    peerbeat_state state = {.struct_size = sizeof state};
    char buf[1000] = "";
    size_t len;
    options.inbox_bytes = 1000;
    link_pair(&near, &far, &options);
    IS(peerbeat_link_state(far, &state), PEERBEAT_OK);
    MUST(state.handler_held_ms == 0);
    for (int i = 0; i < 3; i++)
        IS(peerbeat_link_send(near, buf, sizeof buf), PEERBEAT_OK);
    for (long long until = now_ms() + 30000; state.handler_held_ms < 50; sleep_ms(5)) {
        MUST(now_ms() < until);
        IS(peerbeat_link_state(far, &state), PEERBEAT_OK);
    }
    for (int i = 0; i < 3; i++)
        IS(peerbeat_link_recv(far, buf, sizeof buf, &len, -1), PEERBEAT_OK);
    for (long long until = now_ms() + 30000; state.handler_held_ms > 0; sleep_ms(5)) {
        MUST(now_ms() < until);
        IS(peerbeat_link_state(far, &state), PEERBEAT_OK);
    }
    IS(peerbeat_link_free(near), PEERBEAT_OK);
    IS(peerbeat_link_free(far), PEERBEAT_OK);
}

int main(void) {
    links();
    nodes();
    held();
    return 0;
}

/* What the programs that put a layer on nodes share: a hub, and feeds that dial it. */
#ifndef NODES_H
#define NODES_H

#include "must.h"

#define HUB                                                                                        \
    "datasrc-name hub\ndatasrc-interface 127.0.0.1\ndatasrc-port auto\n"                           \
    "add-peer\nremote-name feed\nend-peer\n"

/* layer may be NULL. */
static inline peerbeat_node *start(const char *text, const peerbeat_layer *layer) {
    peerbeat_config *config;
    peerbeat_node *node;
    IS(peerbeat_config_parse(text, NULL, &config), PEERBEAT_OK);
    IS(peerbeat_node_start_layered(config, NULL, layer, &node), PEERBEAT_OK);
    peerbeat_config_free(config);
    return node;
}

/* A feed that dials a peer that must have the name remote_name. */
static inline peerbeat_node *start_feed(uint16_t port, const char *remote_name,
                                        const peerbeat_layer *layer) {
    char text[300];
    snprintf(text, sizeof text,
             "datasrc-name feed\nadd-peer\nremote-name %s\naddr 127.0.0.1\nport %u\n"
             "reconnect-time-min 0.05\nreconnect-time-max 0.05\nend-peer\n",
             remote_name, (unsigned)port);
    return start(text, layer);
}

#endif

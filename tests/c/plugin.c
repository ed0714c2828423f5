/* A plugin of a host that does not know us: peerbeat is linked into this shared object, which only
 * shows its own function. The host closes it when it has ended. */
#include "must.h"

__attribute__((visibility("default"))) int plugin_run(void);

int plugin_run(void) {
    peerbeat_link *near, *far;
    char buf[8];
    size_t len;
    peerbeat_options options = options_of(1000, 5000);
    link_pair(&near, &far, &options);
    IS(peerbeat_link_send(near, "tick", 4), PEERBEAT_OK);
    IS(peerbeat_link_recv(far, buf, sizeof buf, &len, 10000), PEERBEAT_OK);
    IS(peerbeat_link_free(near), PEERBEAT_OK);
    IS(peerbeat_link_free(far), PEERBEAT_OK);
    return (int)len;
}

/* What idle links cost: threads and memory of each end, and what comes back when they are freed.
 * The count of pairs is the argument. */
#include "must.h"

static long status_of(const char *field) {
    char line[256];
    long value = -1;
    FILE *file = fopen("/proc/self/status", "r");
    MUST(file != NULL);
    while (fgets(line, sizeof line, file))
        if (strncmp(line, field, strlen(field)) == 0)
            value = atol(line + strlen(field));
    fclose(file);
    return value;
}

int main(int argc, char **argv) {
    int pairs = argc > 1 ? atoi(argv[1]) : 50;
    peerbeat_link **links = calloc((size_t)pairs * 2, sizeof *links);
    peerbeat_options options = options_of(200, 2000);
    MUST(links != NULL);
    link_pair(&links[0], &links[1], &options); /* what the first one costs is the program's */
    sleep_ms(300);
    long memory = status_of("VmRSS:"), threads = status_of("Threads:");
    for (int i = 1; i < pairs; i++)
        link_pair(&links[2 * i], &links[2 * i + 1], &options);
    sleep_ms(1000); /* heartbeats run */
    double count = 2 * (pairs - 1);
    printf("%d idle links: %.2f threads and %.1f KiB of memory each\n", 2 * (pairs - 1),
           (double)(status_of("Threads:") - threads) / count,
           (double)(status_of("VmRSS:") - memory) / count);
    for (int i = 0; i < 2 * pairs; i++)
        IS(peerbeat_link_shutdown(links[i]), PEERBEAT_OK);
    for (int i = 0; i < 2 * pairs; i++)
        IS(peerbeat_link_free(links[i]), PEERBEAT_OK);
    MUST(status_of("Threads:") == 1);
    free(links);
    return 0;
}

/* What idle links cost: threads and memory of each end, and what comes back when they are freed.
 * The count of pairs is the argument. */
#include "must.h"

#include <dirent.h>

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

/* How many of our threads have this name. */
static int named(const char *name) {
    char path[300], comm[32];
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    MUST(tasks != NULL);
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", task->d_name);
        FILE *file = fopen(path, "r");
        if (file != NULL && fgets(comm, sizeof comm, file) != NULL)
            count += strcmp(strtok(comm, "\n"), name) == 0;
        if (file != NULL)
            fclose(file);
    }
    closedir(tasks);
    return count;
}

int main(int argc, char **argv) {
    int pairs = argc > 1 ? atoi(argv[1]) : 50;
    peerbeat_link **links = calloc((size_t)pairs * 2, sizeof *links);
    peerbeat_options options = options_of(200, 2000);
    MUST(links != NULL);
    options.thread_name = "idle";
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
    MUST(named("pb-r:idle") == 2 * pairs && named("pb-s:idle") == 2 * pairs);
    for (int i = 0; i < 2 * pairs; i++)
        IS(peerbeat_link_shutdown(links[i]), PEERBEAT_OK);
    for (int i = 0; i < 2 * pairs; i++)
        IS(peerbeat_link_free(links[i]), PEERBEAT_OK);
    /* A thread that has been joined may still be counted for a moment. */
    for (int i = 0; i < 10000 && status_of("Threads:") != 1; i++)
        sleep_ms(1);
    MUST(status_of("Threads:") == 1);
    free(links);
    return 0;
}

/* Opens the library as a plugin host does, uses it, closes it, and finds it gone from the address space; several times,
 * from the main thread and from one that ends. Argument: the library. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "tokenbucket.h"

#define CHECK(condition)                                                    \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            return 1;                                                       \
        }                                                                   \
    } while (0)

/* A function is found as an object pointer; ISO C has no cast between the two. */
#define FIND(library, function)                        \
    do {                                               \
        void *const found = dlsym(library, #function); \
        CHECK(found != NULL);                          \
        memcpy(&function##_, &found, sizeof found);    \
    } while (0)

static const char *path;

static int is_mapped(void) {
    char line[4096];
    int mapped = 0;
    FILE *const maps = fopen("/proc/self/maps", "r");
    if (maps == NULL) return -1;
    while (fgets(line, sizeof line, maps) != NULL)
        if (strstr(line, "libtokenbucket") != NULL) mapped = 1;
    fclose(maps);
    return mapped;
}

static int use(void *library) {
    tb_status (*tb_create_)(double, double, tb_bucket **) = NULL;
    tb_status (*tb_allow_)(tb_bucket *, double) = NULL;
    tb_status (*tb_wait_for_)(tb_bucket *, double, int64_t) = NULL;
    void (*tb_destroy_)(tb_bucket *) = NULL;
    FIND(library, tb_create);
    FIND(library, tb_allow);
    FIND(library, tb_wait_for);
    FIND(library, tb_destroy);

    tb_bucket *bucket = NULL;
    CHECK(tb_create_(2, 1000, &bucket) == TB_SUCCESS);
    CHECK(tb_allow_(bucket, 2) == TB_SUCCESS);
    CHECK(tb_allow_(bucket, 2) == TB_DENIED);
    CHECK(tb_wait_for_(bucket, 2, 0) == TB_TIMED_OUT);
    CHECK(tb_wait_for_(bucket, 2, 60000000000) == TB_SUCCESS);
    tb_destroy_(bucket);
    return 0;
}

static int open_use_close(void) {
    CHECK(is_mapped() == 0);
    void *const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) fprintf(stderr, "%s\n", dlerror());
    CHECK(library != NULL);
    CHECK(is_mapped() == 1);
    CHECK(dlsym(RTLD_DEFAULT, "tb_create") == NULL);
    CHECK(use(library) == 0);
    CHECK(dlclose(library) == 0);
    CHECK(is_mapped() == 0);
    return 0;
}

static void *in_thread(void *result) {
    *(int *)result = open_use_close();
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    path = argv[1];
    for (int round = 0; round < 3; ++round) {
        int result = -1;
        pthread_t thread;
        CHECK(open_use_close() == 0);
        CHECK(pthread_create(&thread, NULL, in_thread, &result) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK(result == 0);
    }
    return 0;
}

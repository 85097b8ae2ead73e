/* SPDX-License-Identifier: MIT
 *
 * dlopen: uses the library where it is there, without being linked to it, as a plugin host or an optional feature does.
 *
 *     cc dlopen.c $(pkg-config --cflags tokenbucket) -ldl
 *
 * The header is needed to compile, the library only to run. It is opened by the name that all its releases of one ABI
 * share; the plain libtokenbucket.so comes with the development files and may be missing. An argument names another
 * file.
 */
#define _POSIX_C_SOURCE 200809L

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tokenbucket.h>

enum { ABI = TB_VERSION_MAJOR };

/* What this program calls. Their types are the header's. */
#define FUNCTIONS(X)             \
    X(tb_abi_version)            \
    X(tb_library_version_string) \
    X(tb_status_message)         \
    X(tb_create)                 \
    X(tb_take)                   \
    X(tb_wait_for)               \
    X(tb_destroy)

#define MEMBER(function) __typeof__(function) *function;
static struct {
    void *handle;
    FUNCTIONS(MEMBER)
} library;

static int failed(const char *what, const char *why) {
    fprintf(stderr, "dlopen: %s: %s\n", what, why);
    return EXIT_FAILURE;
}

/* ISO C has no cast from the object pointer that dlsym returns to a function pointer; POSIX has their bytes agree. */
static int find(const char *name, void *out_function, size_t size) {
    void *const found = dlsym(library.handle, name);
    if (found == NULL) return failed("not a tokenbucket library", dlerror());
    memcpy(out_function, &found, size);
    return EXIT_SUCCESS;
}

static int open_library(const char *name) {
    library.handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library.handle == NULL) return failed("the library cannot be opened", dlerror());
#define FIND(function) \
    if (find(#function, &library.function, sizeof library.function) != EXIT_SUCCESS) return EXIT_FAILURE;
    FUNCTIONS(FIND)
    if (library.tb_abi_version() != ABI) {
        fprintf(stderr, "dlopen: %s has ABI %d, this program was made for %d\n", name, (int)library.tb_abi_version(),
                ABI);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

/* A burst, a refusal, and a wait for what was refused. */
static int use_library(void) {
    tb_bucket *bucket;
    tb_status status = library.tb_create(5, 50, &bucket);
    if (status != TB_SUCCESS) return failed("tb_create", library.tb_status_message(status));

    tb_decision decision;
    int granted = 0;
    while (library.tb_take(bucket, 1, &decision) == TB_SUCCESS) ++granted;
    printf("%d granted at once; then %s; next in %.0f ms\n", granted, library.tb_status_message(decision.status),
           (double)decision.retry_after_ns / 1e6);
    status = library.tb_wait_for(bucket, 1, 1000000000);
    printf("waited for it: %s\n", library.tb_status_message(status));
    library.tb_destroy(bucket);
    return status == TB_SUCCESS && granted >= 5 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv) {
    const char *const name = argc > 1 ? argv[1] : "libtokenbucket.so.1";
    if (open_library(name) != EXIT_SUCCESS) return EXIT_FAILURE;
    printf("%s: version %s, ABI %d\n", name, library.tb_library_version_string(), (int)library.tb_abi_version());
    const int result = use_library();
    dlclose(library.handle);
    return result;
}

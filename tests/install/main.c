/* A program as a user writes it; it builds as C and as C++. */
#include <stdio.h>
#include <tokenbucket.h>

int main(void) {
    tb_bucket *bucket;
    if (tb_create(1, 0.001, &bucket) != TB_SUCCESS) return 1;
    const tb_status first = tb_allow(bucket, 1);
    const tb_status second = tb_allow(bucket, 1);
    tb_destroy(bucket);
    printf("%s %s %s\n", tb_library_version_string(), tb_status_name(first), tb_status_name(second));
    return first == TB_SUCCESS && second == TB_DENIED ? 0 : 2;
}

/* Compiled as C and as C++, in every standard: the header stands alone, twice over, and what it declares links. */
#include "tokenbucket.h"

int main(void) {
    tb_bucket *bucket = NULL;
    tb_config config;
    tb_decision decision;
    const char *text = tb_status_name(TB_E_SYSTEM);
    if (text[0] != 'T' || tb_library_version() != TB_VERSION_MAJOR * 10000 + TB_VERSION_MINOR * 100 + TB_VERSION_PATCH)
        return 1;
    if (tb_config_init(&config, sizeof config) != TB_SUCCESS || config.initial_tokens > TB_INITIALLY_FULL) return 2;
    config.capacity = 2;
    config.rate_tokens = 1;
    config.rate_period_ns = TB_FOREVER;
    if (tb_create_with(&config, &bucket) != TB_E_OUT_OF_RANGE || bucket != NULL) return 3;
    config.rate_period_ns = 3600000000000;
    if (tb_create_with(&config, &bucket) != TB_SUCCESS) return 4;
    if (tb_allow(bucket, 2) != TB_SUCCESS || tb_take(bucket, 1, &decision) != TB_DENIED) return 5;
    if (decision.status != TB_DENIED || decision.retry_after_ns <= 0) return 6;
    tb_destroy(bucket);
    return 0;
}

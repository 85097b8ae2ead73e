/* SPDX-License-Identifier: MIT */
#include "limit.h"

/* At most half the burst. */
static size_t chunk_for(double rate, double burst) {
    double chunk = rate / 100;
    if (chunk > burst / 2) chunk = burst / 2;
    if (chunk > BUFFER_SIZE) chunk = BUFFER_SIZE;
    return chunk < 1 ? 1 : (size_t)chunk;
}

tb_status create_limit(struct limit *limit, double rate, double burst, bool statistics) {
    limit->rate = rate;
    limit->burst = burst;
    limit->chunk = chunk_for(rate, burst);
    tb_config config;
    tb_config_init(&config, sizeof config);
    config.capacity = burst - (double)limit->chunk;
    config.rate_tokens = rate;
    config.flags = statistics ? TB_STATISTICS : 0;
    return tb_create_with(&config, &limit->bucket);
}

tb_status change_rate(struct limit *limit, double rate) {
    const size_t chunk = chunk_for(rate, limit->burst);
    const tb_status status = tb_set_rate(limit->bucket, rate);
    if (status != TB_SUCCESS) return status;
    limit->rate = rate;
    limit->chunk = chunk;
    return tb_set_capacity(limit->bucket, limit->burst - (double)chunk);
}

// tb_config in all its sizes: programs older or newer than this library pass shorter or longer ones.
#ifndef TOKENBUCKET_CAPI_SRC_CONFIG_H
#define TOKENBUCKET_CAPI_SRC_CONFIG_H

#include <cstddef>

#include "capi/include/tokenbucket.h"
#include "core/bucket/limit.h"

namespace tb::capi {

inline constexpr std::size_t kLargestStruct = 4096;

// A valid config; fields beyond its struct_size have their defaults.
struct ParsedConfig {
    tb_config config;
    Limit limit;
    int64_t initial_units;
};

// Checks all of *config but the clock, which must be alive. *parsed is written on success only.
Status read_config(const tb_config *config, ParsedConfig *parsed);
// Writes as many fields of `full` as fit the struct_size of *config.
Status write_config(const tb_config &full, tb_config *config);

}  // namespace tb::capi

#endif

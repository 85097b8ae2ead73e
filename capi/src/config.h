// Structs that begin with struct_size, in all their sizes: programs older or newer than this library pass shorter or
// longer ones.
#ifndef TOKENBUCKET_CAPI_SRC_CONFIG_H
#define TOKENBUCKET_CAPI_SRC_CONFIG_H

#include <cstddef>

#include "capi/include/tokenbucket.h"
#include "core/bucket/limit.h"

namespace tb::capi {

// What `status` refuses, noted in *fault.
inline Status refuse(tb_config_fault *fault, const char *field, const char *allowed, Status status) {
    *fault = {field, allowed};
    return status;
}

// Is struct_size that of a struct whose first version had `smallest` bytes? All have the alignment of a tb_config.
bool is_struct_size(std::size_t struct_size, std::size_t smallest);
// Copies what both know of *from, a struct, to *to, one of `size` bytes that holds the defaults, but struct_size.
// invalid_argument: `from` is null, or its struct_size none. unsupported: what is not known of it is not zero.
// *fault is written then.
Status read_struct(const void *from, std::size_t smallest, void *to, std::size_t size, tb_config_fault *fault);
// Copies as much of *from, of `size` bytes, as fits the struct_size of *to, but struct_size. invalid_argument as above.
Status write_struct(const void *from, std::size_t size, std::size_t smallest, void *to);

// A valid config; fields beyond its struct_size have their defaults.
struct ParsedConfig {
    tb_config config;
    Limit limit;
    int64_t initial_units;
};

// Checks all of *config but the clock, which must be alive; `fastest` is that of make_limit. *parsed is written on
// success only, *fault otherwise.
Status read_config(const tb_config *config, ParsedConfig *parsed, tb_config_fault *fault,
                   uint64_t fastest = UINT64_MAX);
// Writes as many fields of `full` as fit the struct_size of *config.
Status write_config(const tb_config &full, tb_config *config);

}  // namespace tb::capi

#endif

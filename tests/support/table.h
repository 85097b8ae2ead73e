// Tables that end with the test, through the public header only.
#ifndef TOKENBUCKET_TESTS_SUPPORT_TABLE_H
#define TOKENBUCKET_TESTS_SUPPORT_TABLE_H

#include <string_view>

#include "tests/support/api.h"

namespace tb_test {

// Neither max_keys nor max_bytes is set.
inline tb_table_config table_config(int32_t when_full = TB_TABLE_EVICT_FULLEST) {
    tb_table_config config;
    EXPECT_EQ(tb_table_config_init(&config, sizeof config), TB_SUCCESS);
    config.when_full = when_full;
    return config;
}

inline TableHandle table_of(const tb_config &limit, const tb_table_config &config) {
    tb_table *table = nullptr;
    EXPECT_EQ(tb_table_create_with(&limit, &config, &table), TB_SUCCESS);
    return TableHandle(table);
}

// f(table, key, its size, ...), as all functions of a key are called.
template <class F, class... Arguments>
tb_status ask(F f, const TableHandle &table, std::string_view key, Arguments... arguments) {
    return f(table.get(), key.data(), key.size(), arguments...);
}

inline double available(const TableHandle &table, std::string_view key) {
    double tokens = 0;
    EXPECT_EQ(ask(tb_table_available, table, key, &tokens), TB_SUCCESS);
    return tokens;
}

inline tb_table_stats stats_of(const TableHandle &table) {
    tb_table_stats stats{};
    stats.struct_size = sizeof stats;
    EXPECT_EQ(tb_table_get_stats(table.get(), &stats), TB_SUCCESS);
    return stats;
}

}  // namespace tb_test

#endif

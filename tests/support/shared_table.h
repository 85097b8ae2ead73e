// Tables in shared memory of a name that is the test's own.
#ifndef TOKENBUCKET_TESTS_SUPPORT_SHARED_TABLE_H
#define TOKENBUCKET_TESTS_SUPPORT_SHARED_TABLE_H

#include <string_view>

#include "tests/support/shared.h"
#include "tests/support/table.h"

namespace tb_test {

class SharedTable : public SharedTest {
  protected:
    void SetUp() override {
        if (tb_has_feature("shared_memory") != 0 && tb_has_feature("lock_free_table") != 0) return;
        tb_table *table = nullptr;
        EXPECT_EQ(tb_shared_table_open(&slow, &keys, nullptr, 0, &table, nullptr), TB_E_UNSUPPORTED);
        EXPECT_EQ(table, nullptr);
        GTEST_SKIP() << "no shared tables here";
    }

    static tb_table_config of_keys(int64_t max_keys, int32_t when_full = TB_TABLE_EVICT_FULLEST) {
        tb_table_config config = table_config(when_full);
        config.max_keys = max_keys;
        return config;
    }
    static TableHandle open(const tb_config &limit, const tb_table_config &config, uint32_t flags = 0) {
        tb_table *table = nullptr;
        int32_t fault = 0;
        EXPECT_EQ(tb_shared_table_open(&limit, &config, name().c_str(), flags, &table, &fault), TB_SUCCESS) << fault;
        return TableHandle(table);
    }
    TableHandle open() const { return open(slow, keys); }
    TableHandle open_nameless() const {
        tb_table *table = nullptr;
        EXPECT_EQ(tb_shared_table_open(&slow, &keys, nullptr, 0, &table, nullptr), TB_SUCCESS);
        return TableHandle(table);
    }
    // Why it does not open; 0 if it does.
    static int32_t fault_of(const tb_config &limit, const tb_table_config &config) {
        tb_table *table = nullptr;
        int32_t fault = 0;
        const tb_status s = tb_shared_table_open(&limit, &config, name().c_str(), 0, &table, &fault);
        EXPECT_EQ(s, fault == 0 ? TB_SUCCESS : TB_E_MISMATCH);
        EXPECT_EQ(table != nullptr, fault == 0);
        tb_table_destroy(table);
        return fault;
    }
    static tb_status allow(const TableHandle &table, std::string_view key, double n) {
        return ask(tb_table_allow, table, key, n);
    }

    const tb_config slow = config_of(10, 1e-6, nullptr);  // next to nothing accrues during a test
    const tb_table_config keys = of_keys(1000);
};

}  // namespace tb_test

#endif

// What takes are told where the server is unavailable.
#ifndef TOKENBUCKET_CAPI_REDIS_SRC_FALLBACK_H
#define TOKENBUCKET_CAPI_REDIS_SRC_FALLBACK_H

#include <tokenbucket.h>

#include <string_view>

namespace tb::redis {

class Fallback {
  public:
    Fallback() = default;
    ~Fallback() { tb_table_destroy(table_); }
    Fallback(const Fallback &) = delete;
    Fallback &operator=(const Fallback &) = delete;

    // Called once. retry_after_ns is what denials say.
    tb_status init(int32_t policy, const tb_config &limit, double share, int64_t retry_after_ns);

    int32_t policy() const { return policy_; }
    tb_table *table() const { return table_; }

    // TB_E_UNAVAILABLE, with nothing written, for TB_REDIS_ERROR.
    tb_status take(std::string_view key, double n, tb_decision *decision);
    tb_status take_up_to(std::string_view key, double most, double *taken);
    tb_status wait_for(std::string_view key, double n, int64_t timeout_ns);

    tb_decision denial() const { return {TB_DENIED, 0, 0, retry_after_ns_, 0}; }

  private:
    int32_t policy_ = 0;
    double capacity_ = 0;
    int64_t retry_after_ns_ = 0;
    tb_table *table_ = nullptr;
};

}  // namespace tb::redis

#endif

// The keyed limiter that one would write by hand: a hash map of buckets behind a mutex, or several such by the key's
// hash. It never forgets a key.
#ifndef TOKENBUCKET_TESTS_BENCH_BUCKET_MAP_H
#define TOKENBUCKET_TESTS_BENCH_BUCKET_MAP_H

#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "capi/include/tokenbucket.h"

namespace bench {

class BucketMap {
  public:
    explicit BucketMap(std::size_t shards) : shards_(shards) {}

    // The buckets are the caller's.
    void add(std::string_view key, tb_bucket *bucket) { shard(key).buckets.emplace(key, bucket); }

    // The lock is held until the bucket has answered, so that another thread could remove it.
    bool allow(std::string_view key) {
        Shard &s = shard(key);
        const std::lock_guard<std::mutex> guard(s.mutex);
        const auto found = s.buckets.find(key);
        return found != s.buckets.end() && tb_allow(found->second, 1) == TB_SUCCESS;
    }

  private:
    // Looks a key up without making a string of it.
    struct Hash : std::hash<std::string_view> {
        using is_transparent = void;
    };
    struct alignas(64) Shard {
        std::mutex mutex;
        std::unordered_map<std::string, tb_bucket *, Hash, std::equal_to<>> buckets;
    };

    Shard &shard(std::string_view key) { return shards_[shards_.size() == 1 ? 0 : Hash()(key) % shards_.size()]; }

    std::vector<Shard> shards_;
};

}  // namespace bench

#endif

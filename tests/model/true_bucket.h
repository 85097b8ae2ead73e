// What was granted, and the judge of it: a full bucket that simply runs. Whole tokens; the rate is one token per step.
#ifndef TOKENBUCKET_TESTS_MODEL_TRUE_BUCKET_H
#define TOKENBUCKET_TESTS_MODEL_TRUE_BUCKET_H

#include <algorithm>
#include <cstdint>
#include <map>

namespace model {

class Grants {
  public:
    void add(int64_t step, int64_t tokens) { tokens_at_[step] += tokens; }
    void remove(int64_t step, int64_t tokens) {
        if ((tokens_at_[step] -= tokens) == 0) tokens_at_.erase(step);
    }

    // Could a bucket that was full at first have paid for them all, each when it was due? Equivalently: does every
    // window hold at most capacity + rate * window?
    bool payable(int64_t capacity) const {
        int64_t level = capacity;
        int64_t last = 0;
        for (const auto &[step, tokens] : tokens_at_) {
            level = std::min(capacity, level + step - last) - tokens;
            last = step;
            if (level < 0) return false;
        }
        return true;
    }

    // What that bucket holds after them all; the last must not lie ahead.
    int64_t level(int64_t capacity, int64_t now) const {
        int64_t level = capacity;
        int64_t last = 0;
        for (const auto &[step, tokens] : tokens_at_) {
            level = std::min(capacity, level + step - last) - tokens;
            last = step;
        }
        return std::min(capacity, level + now - last);
    }

    // Is anything granted for later?
    bool lies_ahead(int64_t now) const { return !tokens_at_.empty() && tokens_at_.rbegin()->first > now; }

  private:
    std::map<int64_t, int64_t> tokens_at_;
};

}  // namespace model

#endif

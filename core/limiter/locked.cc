#include "core/limiter/locked.h"

namespace tb {
const Observation &Account::Locked::look() {
    return look(account_.observe());
}

const Observation &Account::Locked::look(const Observation &observed) {
    observed_ = observed;
    looked_ = true;
    queue().look(observed_);
    return observed_;
}

void Account::Locked::relimit(const Observation &before, const Plan &next) {
    chain().set_capacity(static_cast<int64_t>(next.capacity));
    if (!is_same(before.plan.rate, next.rate)) chain().set_rate(next);
    chain().set_base(later(chain().base(), before.balance.accrued - next.capacity));
    queue().replan(Observation(before.word, next, before.now));
}

}  // namespace tb

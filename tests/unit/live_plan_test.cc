// Changes of a table's limit whose threads were killed, or are kept from running for long.
#include "core/table/live_plan.h"

#include <gtest/gtest.h>

#include "core/clock/clock.h"
#include "tests/support/core.h"

namespace {

using namespace tb;
using tb_test::kSecond;
using tb_test::limit_of;

constexpr LimitSpec kSpec{10, 2, kSecond};

// The stamp is odd, and no lock is held.
class AbandonedChange : public testing::Test {
  protected:
    static constexpr uint64_t kStamp = 1;

    void abandon(int64_t held_ns) {
        image_.held_ns.store(held_ns);
        image_.stamp.store(kStamp);
    }
    void advance_to(int64_t seconds) { clock_.set(seconds * kSecond); }
    void look() {
        LivePlan::View view;
        plan_.look(&time_, true, &view);
    }
    void change() {
        EXPECT_EQ(plan_.change(&time_, [](Plan *, LimitSpec *) { return Status::success; }), Status::success);
    }
    // What has accrued by the base of the plan in force, which is not before the present.
    double accrued() const {
        const Plan plan = plan_.read();
        EXPECT_GE(plan.base_ns, clock_.latest());
        return to_tokens(plan.scale, static_cast<int64_t>(plan.base.units));
    }

    LivePlanImage image_{plan_of_table(limit_of(kSpec.capacity, kSpec.rate_tokens), 0), kSpec};
    LivePlan plan_{&image_, nullptr};
    Clock clock_{0};
    TimeSource time_{&clock_, false};
};

// What was taken until then stays paid for.
TEST_F(AbandonedChange, BeforeAnybodyLookedHasHeldUpNoTime) {
    abandon(LivePlanImage::not_seen(kStamp));
    advance_to(3);
    look();
    EXPECT_EQ(accrued(), 6);
}

TEST_F(AbandonedChange, BeforeAnybodyLookedIsFollowedByAnother) {
    abandon(LivePlanImage::not_seen(kStamp));
    advance_to(3);
    change();
    EXPECT_EQ(accrued(), 6);
}

// A bucket that was full then may have been emptied since.
TEST_F(AbandonedChange, HoldsUpTimeFromTheFirstLookOn) {
    abandon(kSecond);
    advance_to(3);
    look();
    EXPECT_EQ(accrued(), 2);
}

TEST_F(AbandonedChange, HoldsUpTimeFromTheFirstLookOnAlsoForAnother) {
    abandon(kSecond);
    advance_to(3);
    change();
    EXPECT_EQ(accrued(), 2);
}

// The thread has put the plan in force, and nobody has looked at it.
class UnseenPlan : public AbandonedChange {
  protected:
    static constexpr uint64_t kNext = 2;

    UnseenPlan() {
        Plan plan = plan_.read();
        plan.base_ns = LivePlanImage::kNotResumed;
        image_.plans[1].store(plan);
        image_.specs[1].store(kSpec);
        image_.resumed_ns.store(LivePlanImage::not_seen(kNext));
        image_.stamp.store(kNext);
    }
};

TEST_F(UnseenPlan, GoesOnFromTheFirstLook) {
    advance_to(3);
    look();
    EXPECT_EQ(accrued(), 0);
    EXPECT_EQ(plan_.read().base_ns, 3 * kSecond);
}

TEST_F(UnseenPlan, GoesOnFromTheFirstLookAlsoForAnother) {
    advance_to(3);
    image_.resumed_ns.store(kSecond);  // a look, by somebody who could not have the lock
    change();
    EXPECT_EQ(accrued(), 4);
}

TEST_F(UnseenPlan, OfDamagedMemoryGoesOnFromTheBeginning) {
    advance_to(3);
    image_.resumed_ns.store(INT64_MIN);
    look();
    EXPECT_FALSE(plan_.read().is_closed());
    EXPECT_EQ(plan_.read().base_ns, 0);
}

}  // namespace

// SPDX-License-Identifier: MIT
//
// job_pool: three tenants flood a pool of four threads, and each gets what its limit and the shared one grant.
//
// Prints a table and checks it: of each flood the pool accepts what the tenant's limit yields within the patience, runs
// all of that and nothing else, and at no time had more begun than burst + rate * time, of a tenant or of all.
#include <chrono>
#include <cstdio>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "job_pool.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned kThreads = 4;
constexpr int kJobs = 1000;  // of each tenant
constexpr double kLargestCost = 4;
constexpr std::chrono::seconds kPatience{1};
constexpr JobPool::Limit kShared{50, 500};

const std::map<std::string, JobPool::Limit> &tenants() {
    static const std::map<std::string, JobPool::Limit> limits{
        {"gold", {40, 400}}, {"silver", {20, 200}}, {"bronze", {10, 100}}};
    return limits;
}

double seconds_since(Clock::time_point began) {
    return std::chrono::duration<double>(Clock::now() - began).count();
}

// The jobs that began, in the order of their times.
class Record {
  public:
    explicit Record(JobPool::Limit limit) : limit_(limit) {}

    void begin(double cost, double time) {
        ++jobs_;
        tokens_ += cost;
        last_ = time;
        // Whole tokens: what a clock may differ from another in a second is less.
        if (tokens_ > limit_.burst + limit_.per_second * time + 0.01) within_limit_ = false;
    }
    int jobs() const { return jobs_; }
    double tokens() const { return tokens_; }
    double last() const { return last_; }
    bool within_limit() const { return within_limit_; }

  private:
    JobPool::Limit limit_;
    int jobs_ = 0;
    double tokens_ = 0;
    double last_ = 0;
    bool within_limit_ = true;
};

struct Tenant {
    std::string name;
    JobPool::Limit limit;
    Record record;
    int accepted_jobs = 0;
    double accepted = 0;
    double flooded_by = 0;  // when the last job was submitted

    // What the limit yields from the start of the pool until the patience of the last job ends. The first number holds
    // even if no time passed; a job that did not fit may have left up to its cost.
    double least() const { return limit.burst + limit.per_second * std::chrono::duration<double>(kPatience).count(); }
    bool accepted_exactly() const {
        return accepted > least() - kLargestCost && accepted <= least() + limit.per_second * flooded_by + 0.01;
    }
    bool as_expected() const {
        return accepted_exactly() && record.jobs() == accepted_jobs && record.tokens() == accepted &&
               record.within_limit();
    }
};

class Demo {
  public:
    Demo() {
        for (const auto &[name, limit] : tenants()) all_.push_back({name, limit, Record(limit)});
    }

    bool run() {
        flood();
        pool_.finish();
        return report();
    }

  private:
    void flood() {
        for (Tenant &tenant : all_) {
            for (int i = 0; i < kJobs; ++i) submit(tenant, 1 + i % static_cast<int>(kLargestCost));
            tenant.flooded_by = seconds_since(began_);
        }
    }

    void submit(Tenant &tenant, double cost) {
        const auto status = pool_.submit(tenant.name, cost, [this, &tenant, cost] {
            const std::lock_guard<std::mutex> guard(mutex_);
            const double time = seconds_since(began_);
            tenant.record.begin(cost, time);
            total_.begin(cost, time);
        });
        if (status != tokenbucket::Status::success) return;
        ++tenant.accepted_jobs;
        tenant.accepted += cost;
    }

    bool report() const {
        bool good = total_.within_limit();
        std::printf("%-8s %7s %6s %9s %9s %9s %9s\n", "tenant", "limit/s", "burst", "accepted", "to accept", "ran",
                    "last at");
        for (const Tenant &tenant : all_) {
            std::printf("%-8s %7.0f %6.0f %9.0f %9.0f %9.0f %7.2f s  %s\n", tenant.name.c_str(),
                        tenant.limit.per_second, tenant.limit.burst, tenant.accepted, tenant.least(),
                        tenant.record.tokens(), tenant.record.last(), tenant.as_expected() ? "ok" : "FAIL");
            good = good && tenant.as_expected();
        }
        std::printf("%-8s %7.0f %6.0f %9s %9s %9.0f %7.2f s  %s\n", "all", kShared.per_second, kShared.burst, "", "",
                    total_.tokens(), total_.last(), total_.within_limit() ? "ok" : "FAIL");
        return good;
    }

    // Before the buckets are made: no limit has had more time than this says.
    const Clock::time_point began_ = Clock::now();
    std::mutex mutex_;  // the records, while jobs run
    std::vector<Tenant> all_;
    Record total_{kShared};
    JobPool pool_{kThreads, kShared, tenants(), kPatience};  // the last to come and the first to go
};

}  // namespace

int main() {
    Demo demo;
    return demo.run() ? 0 : 1;
}

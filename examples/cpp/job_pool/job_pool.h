// SPDX-License-Identifier: MIT
//
// JobPool: threads that run jobs of many tenants, each tenant within its own limit and all within a shared one.
//
// A job has a cost in tokens. It reserves them from its tenant's bucket when it is submitted, and from the shared
// bucket when the tenant's are due; it runs when those are. So a tenant that floods waits for itself and for nobody
// else, each tenant's jobs begin in the order in which they came, and no thread is occupied by a job that waits. A job
// that would have to wait too long for its tenant's tokens is refused at once, which keeps queues short.
#ifndef TOKENBUCKET_EXAMPLES_JOB_POOL_H
#define TOKENBUCKET_EXAMPLES_JOB_POOL_H

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <tokenbucket.hpp>
#include <utility>
#include <vector>

class JobPool {
  public:
    using Work = std::function<void()>;

    struct Limit {
        double burst;
        double per_second;
    };

    // Limits that no bucket can have throw tokenbucket::Error. `patience` is the longest that a job may wait for its
    // tenant's tokens.
    JobPool(unsigned threads, Limit shared, const std::map<std::string, Limit> &tenants,
            std::chrono::nanoseconds patience)
        : patience_(patience), shared_(shared.burst, shared.per_second) {
        for (const auto &[name, limit] : tenants)
            tenants_.emplace(name, tokenbucket::Bucket(limit.burst, limit.per_second));
        for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
    }

    // Drops the jobs that have not begun, whose tokens go back, and waits for those that have.
    ~JobPool() {
        {
            const std::lock_guard<std::mutex> guard(mutex_);
            stopping_ = true;
        }
        changed_.notify_all();
        for (std::thread &thread : threads_) thread.join();
    }
    JobPool(const JobPool &) = delete;
    JobPool &operator=(const JobPool &) = delete;

    // Success: the work will run on a thread of the pool; it must not throw. Otherwise it will not: timed_out beyond
    // the patience, exceeds_capacity for a cost above either burst, invalid_argument for an unknown tenant or no cost.
    tokenbucket::Status submit(const std::string &tenant, double cost, Work work) {
        const auto found = tenants_.find(tenant);
        if (found == tenants_.end()) return tokenbucket::Status::invalid_argument;
        if (const auto fits = shared_.time_until(cost); !fits) return fits.status();
        const std::lock_guard<std::mutex> guard(mutex_);
        auto promise = found->second.reserve(cost, patience_);
        if (!promise) return promise.status();
        put({Job::Waits::for_tenant, std::move(*promise), std::move(work)});
        return tokenbucket::Status::success;
    }

    // Waits until every job that was submitted has run.
    void finish() {
        std::unique_lock<std::mutex> lock(mutex_);
        idle_.wait(lock, [this] { return jobs_.empty() && running_ == 0; });
    }

  private:
    struct Job {
        enum class Waits { for_tenant, for_shared };

        Waits waits;
        tokenbucket::Reservation promise;  // gives its tokens back if the job is dropped before they are due
        Work work;
    };

    // The earliest job comes first, and of two the one put first.
    void put(Job job) {
        const auto due = job.promise.ready_at();
        const auto place = jobs_.emplace(due, std::move(job));
        if (place == jobs_.begin()) changed_.notify_one();
    }

    void run() {
        std::unique_lock<std::mutex> lock(mutex_);
        while (std::optional<Job> job = next(lock)) {
            ++running_;
            lock.unlock();
            job->work();
            job.reset();
            lock.lock();
            if (--running_ == 0 && jobs_.empty()) idle_.notify_all();
        }
    }

    // Sleeps until a job is due by both limits; nothing once the pool stops.
    std::optional<Job> next(std::unique_lock<std::mutex> &lock) {
        while (!stopping_) {
            if (jobs_.empty()) {
                changed_.wait(lock);
                continue;
            }
            const auto due = jobs_.begin()->first;
            if (due > std::chrono::steady_clock::now()) {
                changed_.wait_until(lock, due);
                continue;
            }
            Job job = std::move(jobs_.extract(jobs_.begin()).mapped());
            if (!pass_on(job)) continue;
            if (!jobs_.empty()) changed_.notify_one();  // the next one is another thread's
            return job;
        }
        return std::nullopt;
    }

    // True: the job may run. False: it waits for the shared tokens now.
    bool pass_on(Job &job) {
        if (job.waits == Job::Waits::for_shared) return true;
        auto shared = shared_.reserve(job.promise.tokens());
        shared.value();  // that the cost fits was asked before, and the bucket is never closed
        job.promise.commit();
        job.promise = std::move(*shared);
        job.waits = Job::Waits::for_shared;
        if (job.promise.delay().count() == 0) return true;
        put(std::move(job));
        return false;
    }

    const std::chrono::nanoseconds patience_;
    tokenbucket::Bucket shared_;
    std::map<std::string, tokenbucket::Bucket> tenants_;

    std::mutex mutex_;
    std::condition_variable changed_;  // the first job, or stopping_
    std::condition_variable idle_;     // no job is there or runs
    std::multimap<std::chrono::steady_clock::time_point, Job> jobs_;
    int running_ = 0;
    bool stopping_ = false;
    std::vector<std::thread> threads_;  // the last to come and the first to go
};

#endif

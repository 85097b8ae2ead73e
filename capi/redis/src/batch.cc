#include "capi/redis/src/batch.h"

#include <hiredis.h>

#include <algorithm>
#include <cstring>

namespace tb::redis {
namespace {

// From so many on, two calls cost the server less than one for each.
constexpr std::size_t kFewestAlike = 4;
constexpr std::size_t kTakeArguments = 5;

// A reply that is freed at the end of its scope; null if there is none.
class Reply {
  public:
    explicit Reply(redisReply *reply) : reply_(reply) {}
    ~Reply() {
        if (reply_ != nullptr) ::freeReplyObject(reply_);
    }
    Reply(const Reply &) = delete;
    Reply &operator=(const Reply &) = delete;

    explicit operator bool() const { return reply_ != nullptr; }
    const redisReply &operator*() const { return *reply_; }

  private:
    redisReply *const reply_;
};

bool begins_with(const char *text, const char *with) {
    return std::strncmp(text, with, std::strlen(with)) == 0;
}

bool is_error(const redisReply &reply) {
    return reply.type == REDIS_REPLY_ERROR;
}

bool is_unknown_script(const redisReply &reply) {
    return is_error(reply) && begins_with(reply.str, "NOSCRIPT");
}

// Is it about what the key holds? Servers before 7.0 put an error within the script behind words of their own.
bool is_mismatch(const char *error) {
    return std::strstr(error, "WRONGTYPE") != nullptr || std::strstr(error, "attempt to perform arithmetic") != nullptr;
}

bool is_answer(tb_status s) {
    return s == TB_SUCCESS || s == TB_DENIED;
}

}  // namespace

bool Batch::add(Question *question) {
    if (question_count_ == kMostQuestions) return false;
    if (question->arguments == nullptr) {
        if (take_count_ + question->count > TB_REMOTE_MAX_KEYS) return false;
        std::copy_n(question->members, question->count, takes_ + take_count_);
        std::fill_n(statuses_ + take_count_, question->count, TB_E_UNAVAILABLE);
        take_count_ += question->count;
    }
    questions_[question_count_++] = question;
    return true;
}

bool Batch::run(Connection *connection, int64_t deadline_ns, Failure *failure) {
    is_replica_ = false;
    plan();
    bool is_connected = true;
    while (is_connected && again_count_ > 0) is_connected = exchange(connection, deadline_ns, failure);
    // After a failover the name may lead to another server.
    if (is_connected && is_replica_) connection->close();
    conclude();
    return is_connected;
}

// ---- What is asked ----

// One token of one bucket.
bool Batch::is_alike(std::size_t a, std::size_t b) const {
    const tb_remote_member &x = takes_[a], &y = takes_[b];
    return x.n == 1 && y.n == 1 && x.remote == y.remote && x.key_size == y.key_size &&
           std::memcmp(x.key, y.key, x.key_size) == 0;
}

void Batch::plan() {
    again_count_ = 0;
    std::size_t first = 0, end = 0;
    for (std::size_t i = 0; i < question_count_; ++i) {
        Question *const q = questions_[i];
        if (q->arguments == nullptr) {
            end += q->count;
            continue;
        }
        plan_takes(first, end, false);
        first = end;
        again_[again_count_++] = {q, 0, 0, false, false, q->arguments, q->argument_count};
    }
    plan_takes(first, end, false);
}

void Batch::plan_takes(std::size_t first, std::size_t end, bool as_text) {
    std::size_t planned = first;
    for (std::size_t i = first, next = first; i < end; i = next) {
        next = i + 1;
        while (next < end && is_alike(i, next)) ++next;
        if (next - i < kFewestAlike) continue;
        add_takes(planned, i - planned, false, as_text);
        add_takes(i, next - i, true, as_text);
        planned = next;
    }
    add_takes(planned, end - planned, false, as_text);
}

void Batch::add_takes(std::size_t first, std::size_t count, bool are_alike, bool as_text) {
    if (count > 0) again_[again_count_++] = {nullptr, first, count, are_alike, as_text, nullptr, 0};
}

// ---- Writing ----

bool Batch::exchange(Connection *connection, int64_t deadline_ns, Failure *failure) {
    std::copy_n(again_, again_count_, commands_);
    command_count_ = again_count_;
    again_count_ = argument_end_ = 0;
    wire_.clear();
    for (std::size_t i = 0; i < command_count_; ++i) write(&commands_[i]);
    if (!connection->send(wire_.bytes(), deadline_ns, failure)) return false;
    for (std::size_t i = 0; i < command_count_; ++i) {
        const Reply reply(connection->receive(deadline_ns, failure));
        if (!reply) return false;
        if (!commands_[i].are_alike) {
            read(commands_[i], *reply, failure);
            continue;
        }
        const Reply last(connection->receive(deadline_ns, failure));
        if (!last) return false;
        read_alike(commands_[i], *reply, *last, failure);
    }
    return true;
}

void Batch::write(Command *command) {
    if (command->call != nullptr) {
        write_call(*command, command->call->members, command->call->count, command->call);
    } else {
        write_takes(command);
    }
}

void Batch::write_takes(Command *command) {
    int64_t *const arguments = arguments_ + argument_end_;
    const tb_remote_member *const takes = takes_ + command->first;
    size_t *const count = &command->argument_count;
    command->arguments = arguments;
    if (command->are_alike) {
        tb_remote_take_up_to(takes->remote, static_cast<double>(command->count - 1), arguments, count);
        argument_end_ += *count;
        write_call(*command, takes, 1, nullptr);
        // The last is a command of its own here, whose arguments stand behind the others.
        Command last = *command;
        last.arguments = arguments_ + argument_end_;
        tb_remote_take(takes->remote, takes->n, arguments_ + argument_end_, &last.argument_count);
        argument_end_ += last.argument_count;
        write_call(last, takes, 1, nullptr);
        return;
    }
    if (command->count == 1) {
        tb_remote_take(takes->remote, takes->n, arguments, count);
    } else {
        tb_remote_take_each(takes, command->count, arguments, count);
    }
    argument_end_ += *count;
    write_call(*command, takes, command->count, nullptr);
}

void Batch::write_call(const Command &command, const tb_remote_member *members, std::size_t count,
                       const Question *second) {
    const bool has_second = second != nullptr && second->queue_key != nullptr;
    const std::size_t keys = count + (has_second ? 1 : 0);
    wire_.begin(3 + keys + command.argument_count);
    wire_.word(command.as_text ? "EVAL" : "EVALSHA");
    wire_.word(command.as_text ? tb_remote_script() : tb_remote_script_sha1());
    wire_.word(static_cast<int64_t>(keys));
    for (std::size_t i = 0; i < count; ++i) wire_.word(members[i].key, members[i].key_size);
    if (has_second) wire_.word(second->queue_key, second->queue_key_size);
    for (std::size_t i = 0; i < command.argument_count; ++i) wire_.word(command.arguments[i]);
}

// ---- Reading ----

void Batch::read(const Command &command, const redisReply &reply, Failure *failure) {
    if (is_unknown_script(reply) && !command.as_text) {
        again_[again_count_] = command;
        again_[again_count_++].as_text = true;
        return;
    }
    if (command.call == nullptr) {
        read_takes(command, reply, failure);
        return;
    }
    Question &q = *command.call;
    std::size_t count = 0;
    if (!take_numbers(reply, &count) || count > q.reply_room) {
        q.status = status_of(reply, failure);
    } else {
        std::copy_n(numbers_, count, q.reply);
        q.reply_count = count;
        q.status = TB_SUCCESS;
    }
}

void Batch::read_takes(const Command &command, const redisReply &reply, Failure *failure) {
    const std::size_t first = command.first;
    if (is_error(reply) && command.count > 1) {
        for (std::size_t i = first; i < first + command.count; ++i) add_takes(i, 1, false, command.as_text);
    } else if (command.count == 1) {
        const tb_status s = read_take(first, command.arguments, command.argument_count, reply);
        statuses_[first] = is_answer(s) ? s : status_of(reply, failure);
    } else {
        std::size_t count = 0;
        const bool are_numbers = take_numbers(reply, &count);
        if (!are_numbers ||
            !is_answer(tb_remote_read_many(takes_ + first, command.count, command.arguments, command.argument_count,
                                           numbers_, count, statuses_ + first, answers_ + first)))
            status_of(reply, failure);
    }
}

// The answer to one take; any other status than TB_SUCCESS and TB_DENIED: there is none.
tb_status Batch::read_take(std::size_t place, const int64_t *arguments, std::size_t argument_count,
                           const redisReply &reply) {
    std::size_t count = 0;
    if (!take_numbers(reply, &count)) return TB_E_UNAVAILABLE;
    return tb_remote_read(takes_[place].remote, arguments, argument_count, numbers_, count, answers_ + place);
}

void Batch::read_alike(const Command &command, const redisReply &reply, const redisReply &last, Failure *failure) {
    const std::size_t end = command.first + command.count;
    std::size_t next = command.first + grant_alike(command, reply);
    const int64_t *const last_arguments = command.arguments + command.argument_count;
    const tb_status s = read_take(next, last_arguments, kTakeArguments, last);
    if (s == TB_SUCCESS) {
        statuses_[next++] = s;
    } else if (s == TB_DENIED && !is_error(reply)) {
        std::fill(answers_ + next + 1, answers_ + end, answers_[next]);
        std::fill(statuses_ + next, statuses_ + end, s);
        return;
    }
    const bool is_unknown = is_unknown_script(reply) || is_unknown_script(last);
    const redisReply &refusal = is_error(last) ? last : reply;
    if (is_error(refusal) && (!is_unknown || command.as_text)) {
        std::fill(statuses_ + next, statuses_ + end, status_of(refusal, failure));
    } else {
        plan_takes(next, end, command.as_text || is_unknown);
    }
}

// Hands out the tokens that there were for all but the last, in order: how many.
std::size_t Batch::grant_alike(const Command &command, const redisReply &reply) {
    const tb_remote *const remote = takes_[command.first].remote;
    std::size_t count = 0;
    tb_remote_answer all;
    if (!take_numbers(reply, &count) ||
        tb_remote_read(remote, command.arguments, command.argument_count, numbers_, count, &all) != TB_SUCCESS)
        return 0;
    tb_config limit;
    tb_config_init(&limit, sizeof limit);
    tb_remote_get_limit(remote, &limit);
    const double ns_per_token = static_cast<double>(limit.rate_period_ns) / limit.rate_tokens;
    const std::size_t granted = std::min(static_cast<std::size_t>(all.tokens), command.count - 1);
    for (std::size_t i = 0; i < granted; ++i) {
        const double later = static_cast<double>(granted - 1 - i);
        const int64_t sooner_ns = static_cast<int64_t>(later * ns_per_token);
        statuses_[command.first + i] = TB_SUCCESS;
        answers_[command.first + i] = {1, all.remaining + later, 0,
                                       std::max(int64_t{0}, all.reset_after_ns - sooner_ns)};
    }
    return granted;
}

bool Batch::take_numbers(const redisReply &reply, std::size_t *count) {
    const auto is_number = [](const redisReply &r) { return r.type == REDIS_REPLY_INTEGER; };
    if (is_number(reply)) {
        numbers_[0] = reply.integer;
        *count = 1;
        return true;
    }
    if (reply.type != REDIS_REPLY_ARRAY || reply.elements > sizeof numbers_ / sizeof numbers_[0]) return false;
    for (std::size_t i = 0; i < reply.elements; ++i) {
        if (!is_number(*reply.element[i])) return false;
        numbers_[i] = reply.element[i]->integer;
    }
    *count = reply.elements;
    return true;
}

// What a reply means that is no answer.
tb_status Batch::status_of(const redisReply &reply, Failure *failure) {
    if (!is_error(reply)) {
        failure->set("reply", "not the numbers of the script");
        return TB_E_UNAVAILABLE;
    }
    failure->set("server", reply.str);
    is_replica_ = is_replica_ || begins_with(reply.str, "READONLY");
    return is_mismatch(reply.str) ? TB_E_MISMATCH : TB_E_UNAVAILABLE;
}

void Batch::conclude() {
    std::size_t from = 0;
    for (std::size_t i = 0; i < question_count_; ++i) {
        Question &q = *questions_[i];
        if (q.arguments != nullptr) continue;
        const tb_status *const statuses = statuses_ + from;
        const bool is_answered = std::find(statuses, statuses + q.count, TB_E_UNAVAILABLE) == statuses + q.count;
        q.status = is_answered ? TB_SUCCESS : TB_E_UNAVAILABLE;
        std::copy_n(statuses_ + from, q.count, q.statuses);
        std::copy_n(answers_ + from, q.count, q.answers);
        from += q.count;
    }
}

}  // namespace tb::redis

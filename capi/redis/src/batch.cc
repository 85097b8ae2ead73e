#include "capi/redis/src/batch.h"

#include <hiredis.h>

#include <algorithm>
#include <cstring>

namespace tb::redis {
namespace {

bool begins_with(const char *text, const char *with) {
    return std::strncmp(text, with, std::strlen(with)) == 0;
}

// Is it about what the key holds? Servers before 7.0 put an error within the script behind words of their own.
bool is_mismatch(const char *error) {
    return std::strstr(error, "WRONGTYPE") != nullptr || std::strstr(error, "attempt to perform arithmetic") != nullptr;
}

}  // namespace

bool Batch::add(Question *question) {
    if (question_count_ == kMostQuestions) return false;
    if (question->arguments == nullptr) {
        if (member_count_ + question->count > TB_REMOTE_MAX_KEYS) return false;
        std::copy_n(question->members, question->count, members_ + member_count_);
        member_count_ += question->count;
    }
    questions_[question_count_++] = question;
    return true;
}

void Batch::plan() {
    command_count_ = 0;
    std::size_t member = 0;
    for (std::size_t i = 0; i < question_count_; ++i) {
        const std::size_t members = is_take(i) ? questions_[i]->count : 0;
        if (i > 0 && is_take(i) && is_take(i - 1)) {
            ++commands_[command_count_ - 1].questions;
            commands_[command_count_ - 1].members += members;
        } else {
            commands_[command_count_++] = {i, 1, false, member, members, nullptr, 0};
        }
        member += members;
    }
}

bool Batch::run(Connection *connection, int64_t deadline_ns, Failure *failure) {
    plan();
    is_replica_ = false;
    while (command_count_ > 0) {
        wire_.clear();
        argument_end_ = again_count_ = 0;
        for (std::size_t i = 0; i < command_count_; ++i) write(&commands_[i]);
        if (!connection->send(wire_.bytes(), deadline_ns, failure)) return false;
        for (std::size_t i = 0; i < command_count_; ++i) {
            redisReply *const reply = connection->receive(deadline_ns, failure);
            if (reply == nullptr) return false;
            read(commands_[i], *reply, failure);
            ::freeReplyObject(reply);
        }
        std::copy_n(again_, again_count_, commands_);
        command_count_ = again_count_;
    }
    // After a failover the name may lead to another server.
    if (is_replica_) connection->close();
    return true;
}

void Batch::write(Command *command) {
    const bool are_takes = is_take(command->first);
    const Question &q = *questions_[command->first];
    if (are_takes) {
        write_takes(command);
    } else {
        command->arguments = q.arguments;
        command->argument_count = q.argument_count;
    }
    const tb_remote_member *const members = are_takes ? members_ + command->member : q.members;
    const std::size_t member_count = are_takes ? command->members : q.count;
    const std::size_t keys = member_count + (q.queue_key != nullptr ? 1 : 0);
    wire_.begin(3 + keys + command->argument_count);
    wire_.word(command->as_text ? "EVAL" : "EVALSHA");
    wire_.word(command->as_text ? tb_remote_script() : tb_remote_script_sha1());
    wire_.word(static_cast<int64_t>(keys));
    for (std::size_t i = 0; i < member_count; ++i) wire_.word(members[i].key, members[i].key_size);
    if (q.queue_key != nullptr) wire_.word(q.queue_key, q.queue_key_size);
    for (std::size_t i = 0; i < command->argument_count; ++i) wire_.word(command->arguments[i]);
}

// One take has a shorter call than several.
void Batch::write_takes(Command *command) {
    int64_t *const arguments = arguments_ + argument_end_;
    const tb_remote_member *const members = members_ + command->member;
    if (command->members == 1) {
        tb_remote_take(members->remote, members->n, arguments, &command->argument_count);
    } else {
        tb_remote_take_each(members, command->members, arguments, &command->argument_count);
    }
    command->arguments = arguments;
    argument_end_ += command->argument_count;
}

void Batch::read(const Command &command, const redisReply &reply, Failure *failure) {
    std::size_t count = 0;
    if (reply.type == REDIS_REPLY_ERROR) {
        refuse(command, reply.str, failure);
    } else if (!take_numbers(reply, &count)) {
        failure->set("reply", "not the numbers of the script");
    } else if (is_take(command.first)) {
        read_takes(command, count);
    } else if (Question &q = *questions_[command.first]; count <= q.reply_room) {
        std::copy_n(numbers_, count, q.reply);
        q.reply_count = count;
        q.status = TB_SUCCESS;
    }
}

void Batch::read_takes(const Command &command, std::size_t number_count) {
    const tb_remote_member *const members = members_ + command.member;
    tb_status s = TB_SUCCESS;
    if (command.members == 1) {
        s = statuses_[0] = tb_remote_read(members->remote, command.arguments, command.argument_count, numbers_,
                                          number_count, answers_);
    } else {
        s = tb_remote_read_many(members, command.members, command.arguments, command.argument_count, numbers_,
                                number_count, statuses_, answers_);
    }
    if (s != TB_SUCCESS && s != TB_DENIED) return;
    std::size_t from = 0;
    for (std::size_t i = command.first; i < command.first + command.questions; ++i) {
        Question &q = *questions_[i];
        std::copy_n(statuses_ + from, q.count, q.statuses);
        std::copy_n(answers_ + from, q.count, q.answers);
        from += q.count;
        q.status = TB_SUCCESS;
    }
}

void Batch::refuse(const Command &command, const char *error, Failure *failure) {
    if (begins_with(error, "NOSCRIPT") && !command.as_text) {
        again_[again_count_] = command;
        again_[again_count_++].as_text = true;
        return;
    }
    if (command.questions > 1) {
        std::size_t member = command.member;
        for (std::size_t i = command.first; i < command.first + command.questions; ++i) {
            again_[again_count_++] = {i, 1, command.as_text, member, questions_[i]->count, nullptr, 0};
            member += questions_[i]->count;
        }
        return;
    }
    failure->set("server", error);
    is_replica_ = is_replica_ || begins_with(error, "READONLY");
    set_status(command, is_mismatch(error) ? TB_E_MISMATCH : TB_E_UNAVAILABLE);
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

void Batch::set_status(const Command &command, tb_status status) {
    for (std::size_t i = 0; i < command.questions; ++i) questions_[command.first + i]->status = status;
}

}  // namespace tb::redis

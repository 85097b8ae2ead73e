// What is sent to the server together: the questions of some threads, in their order.
#ifndef TOKENBUCKET_CAPI_REDIS_SRC_BATCH_H
#define TOKENBUCKET_CAPI_REDIS_SRC_BATCH_H

#include <tokenbucket.h>

#include <cstddef>
#include <cstdint>

#include "capi/redis/src/connection.h"
#include "capi/redis/src/wire.h"

struct redisReply;

namespace tb::redis {

// Takes from each of the members' buckets that has enough; or, if there are arguments, one call of the script with the
// members' keys, and a second key if there is one. The arguments and amounts have been accepted by tb_remote_*.
struct Question {
    const tb_remote_member *members;
    std::size_t count;  // 1 .. TB_REMOTE_MAX_KEYS
    const int64_t *arguments = nullptr;
    std::size_t argument_count = 0;
    const void *queue_key = nullptr;
    std::size_t queue_key_size = 0;

    // TB_SUCCESS: there is an answer. TB_E_MISMATCH, TB_E_UNAVAILABLE.
    tb_status status = TB_E_UNAVAILABLE;
    tb_status *statuses = nullptr;  // of takes, `count` of them, and as many answers
    tb_remote_answer *answers = nullptr;
    int64_t *reply = nullptr;  // of a call
    std::size_t reply_room = 0;
    std::size_t reply_count = 0;
};

// Takes that follow each other are one call. Each question is asked by EVALSHA; what NOSCRIPT refuses is asked again
// with the text of the script, and what was put into one call and got an error each by itself: some of these may then
// take twice, since a script that fails is not undone.
class Batch {
  public:
    static constexpr std::size_t kMostQuestions = 128;

    void clear() { question_count_ = member_count_ = 0; }
    // False: there is no room left. An empty batch has room for any question.
    bool add(Question *question);

    // Asks, and sets what the answers are. False: the connection failed, and what has no answer has kept its status.
    bool run(Connection *connection, int64_t deadline_ns, Failure *failure);

    // In a forked child.
    void forget() { wire_.forget(); }

  private:
    // Questions that stand in one call, and its arguments.
    struct Command {
        std::size_t first;
        std::size_t questions;
        bool as_text;
        std::size_t member;  // of takes: the place of the first
        std::size_t members;
        const int64_t *arguments;
        std::size_t argument_count;
    };

    bool is_take(std::size_t i) const { return questions_[i]->arguments == nullptr; }
    void plan();
    void write(Command *command);
    void write_takes(Command *command);
    void read(const Command &command, const redisReply &reply, Failure *failure);
    void read_takes(const Command &command, std::size_t number_count);
    void refuse(const Command &command, const char *error, Failure *failure);
    bool take_numbers(const redisReply &reply, std::size_t *count);
    void set_status(const Command &command, tb_status status);

    Question *questions_[kMostQuestions];
    std::size_t question_count_ = 0;
    std::size_t member_count_ = 0;

    // Of this round and the next; each question stands in at most one.
    Command commands_[kMostQuestions];
    std::size_t command_count_ = 0;
    Command again_[kMostQuestions];
    std::size_t again_count_ = 0;

    bool is_replica_ = false;
    std::size_t argument_end_ = 0;
    tb_remote_member members_[TB_REMOTE_MAX_KEYS];
    int64_t arguments_[5 * TB_REMOTE_MAX_KEYS + kMostQuestions];
    int64_t numbers_[3 * TB_REMOTE_MAX_KEYS];
    tb_status statuses_[TB_REMOTE_MAX_KEYS];
    tb_remote_answer answers_[TB_REMOTE_MAX_KEYS];
    Wire wire_;
};

}  // namespace tb::redis

#endif

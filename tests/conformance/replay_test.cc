// Replays rows.txt through the C API; README.md beside it explains the steps.
#include "tests/conformance/replay.h"

namespace {

using namespace conformance;

TEST(Conformance, EveryRowOfTheFile) {
    const int rows = for_each_row(TB_SOURCE "/tests/conformance/rows.txt",
                                  [](const std::string &limits, const std::vector<std::string> &steps) {
                                      Replay replay(limits);
                                      for (const std::string &step : steps) replay.step(step);
                                  });
    EXPECT_GE(rows, 18);
}

}  // namespace

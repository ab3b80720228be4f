#include <excitor/run/run_part.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace excitor {
namespace {

TEST(ResumeState, ComesBackFromACheckpointAsItWas) {
  const ResumeState state{.bad_steps_in_a_row = 2,
                          .unfinished = Unfinished::rung,
                          .best = {.eval_loss = 1.5, .step = 8, .evaluations_since = 3}};
  EXPECT_EQ(ResumeState::from_json(state.json()).json(), state.json());
}

TEST(ResumeState, ALossThatWasNotFiniteIsNoBest) {
  const ResumeState state = ResumeState::from_json({{"bad_steps_in_a_row", 0},
                                                    {"best_eval_loss", nullptr},
                                                    {"best_step", 0},
                                                    {"evaluations_since_best", 4}});
  EXPECT_FALSE(state.best.eval_loss);
  EXPECT_EQ(state.best.evaluations_since, 0);
}

}  // namespace
}  // namespace excitor

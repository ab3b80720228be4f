// What a training run keeps in mind about its evaluations, and how far it goes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <excitor/util/json.h>

namespace excitor {

/// The evaluation with the lowest loss, for early stopping and the folder best/.
struct BestSoFar {
  std::optional<double> eval_loss;
  int64_t step = 0;
  int64_t evaluations_since = 0;  ///< without a better one
};

/// How far a run goes in this start, where successive halving looks at it on the way.
struct RunPart {
  std::vector<double> rungs = {};       ///< shares of all steps at which it is looked at, ascending
  std::optional<size_t> pause_at = {};  ///< index of the rung that it stops at; nothing: it goes to its end
};

enum class RunOutcome { finished, paused };

/// What a run that ended while it was being evaluated has still to do.
enum class Unfinished {
  nothing,
  evaluation,  ///< all of an evaluation
  tasks,       ///< its benchmarks; its loss has been judged
  rung
};

/// What a run computes from besides its configuration: a continuation must find the same.
struct Origins {
  std::string base_fingerprint;
  std::string tokenizer_sha256;
  std::string data_sha256;  ///< hash_contents() of data.train and data.validation

  Json json() const;
  /// Those that differ, in words; what one of them lacks is not compared.
  std::vector<std::string> differences(const Json& recorded) const;
};

/// What a checkpoint keeps of a run besides its tensors.
struct ResumeState {
  int64_t bad_steps_in_a_row = 0;  ///< not finite
  Unfinished unfinished = Unfinished::nothing;
  BestSoFar best;

  Json json() const;
  static ResumeState from_json(const Json& json);
};

}  // namespace excitor

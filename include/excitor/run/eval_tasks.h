// `eval.tasks` of a configuration: from its words to benchmarks that are read and tokenised.
#pragma once

#include <memory>
#include <vector>

#include <excitor/data/data_settings.h>
#include <excitor/eval/task.h>
#include <excitor/train/train_settings.h>
#include <excitor/util/settings.h>

namespace excitor {

/// "TYPE=PATH" in eval.tasks of a whole configuration becomes {"type": TYPE, "path": PATH}.
void expand_tasks(Json& config);

/// Gives every task its name, and adds what can't be: unknown types, options that a type has no use for,
/// images where the run has no tower (`sees`) to see them, two tasks of one name.
void check_tasks(std::vector<EvalTaskSettings>& tasks, bool sees, Problems& problems);
/// Adds files and folders that are not there.
void check_task_files(const std::vector<EvalTaskSettings>& tasks, Problems& missing);

using ScoredTasks = std::vector<std::unique_ptr<ScoredTask>>;

/// Reads and tokenises the benchmarks for a model of `context_length` positions; no weights are needed.
/// Images are asked about as those of `data` are. Throws as load_task.
ScoredTasks load_tasks(const std::vector<EvalTaskSettings>& tasks, const DataSettings& data,
                       const Tokenizer& tokenizer, int64_t context_length);

}  // namespace excitor

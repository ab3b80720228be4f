// The subcommands: each adds itself to the command line in its own file.
#pragma once

namespace CLI {
class App;
}

namespace excitor {

/// What every subcommand returns through: the exit code of the process.
struct CommandResult {
  int exit_code = 0;
};

void add_train_command(CLI::App& app, CommandResult& result);
void add_check_command(CLI::App& app, CommandResult& result);
void add_sweep_command(CLI::App& app, CommandResult& result);
void add_sweep_worker_command(CLI::App& app, CommandResult& result);
void add_prepare_command(CLI::App& app, CommandResult& result);
void add_cache_command(CLI::App& app, CommandResult& result);
void add_generate_command(CLI::App& app, CommandResult& result);
void add_chat_command(CLI::App& app, CommandResult& result);
void add_caption_command(CLI::App& app, CommandResult& result);
void add_eval_command(CLI::App& app, CommandResult& result);
void add_eval_captions_command(CLI::App& app, CommandResult& result);
void add_inspect_command(CLI::App& app, CommandResult& result);
void add_export_command(CLI::App& app, CommandResult& result);
void add_import_command(CLI::App& app, CommandResult& result);
void add_doctor_command(CLI::App& app, CommandResult& result);
void add_report_command(CLI::App& app, CommandResult& result);
void add_schema_command(CLI::App& app, CommandResult& result);

}  // namespace excitor

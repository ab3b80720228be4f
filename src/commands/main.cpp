#include <excitor/commands/main.h>

#include <csignal>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <excitor/util/error.h>
#include <excitor/util/log.h>
#include <excitor/util/settings.h>
#include <excitor/version.h>

#include "commands.h"

namespace excitor {
namespace {

constexpr const char* kFooter =
    "Examples:\n"
    "  excitor train configs/tiny-world/excitor.json train.learning_rate=0.003\n"
    "  excitor generate models/tiny-world --adapter runs/tiny-world-excitor/adapter --prompt \"What colour "
    "is the fox?\"\n"
    "  excitor inspect model models/tiny-world\n\n"
    "Exit codes: 0 done, 1 failed while running, 2 wrong usage or configuration, 130/143 stopped by "
    "Ctrl-C/SIGTERM.";

/// CLI11 answers a misspelt command with "a subcommand is required"; this names the word.
void check_command_name(const CLI::App& app, const std::string& path, int argc, char** argv) {
  if (argc < 1 || argv[0][0] == '-') return;
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) {
    names.push_back(command->get_name());
    if (names.back() == argv[0])
      return check_command_name(*command, path + " " + names.back(), argc - 1, argv + 1);
  }
  if (names.empty()) return;  // a command without kinds; what follows are its arguments
  const std::string near = nearest_name(argv[0], names);
  throw UsageError(fmt::format("there is no command \"{} {}\"{}; {} --help lists them", path, argv[0],
                               near.empty() ? "" : "; did you mean \"" + near + "\"?", path));
}

/// Reading a mapped file that became shorter or vanished from its disk is a signal, not an error that can be
/// caught.
extern "C" void say_mapped_file_is_gone(int) {
  constexpr std::string_view kText =
      "error: a file that was being read (weights or data) was cut off or replaced meanwhile; restore it and "
      "start "
      "again, checkpoints are intact\n";
  [[maybe_unused]] const auto written = write(STDERR_FILENO, kText.data(), kText.size());
  _exit(1);
}

int parse_and_run(int argc, char** argv) {
  CLI::App app(
      "Fine-tunes frozen LLaMA models with small bypass modules: LLaMA-Excitor, LLaMA-Adapter (V1 "
      "and V2), LoRA, full fine-tuning.",
      "excitor");
  app.set_version_flag("--version", std::string("excitor ") + kVersion);
  app.require_subcommand(1);
  app.footer(kFooter);
  CommandResult result;
  add_train_command(app, result);
  add_check_command(app, result);
  add_sweep_command(app, result);
  add_sweep_worker_command(app, result);
  add_prepare_command(app, result);
  add_cache_command(app, result);
  add_generate_command(app, result);
  add_chat_command(app, result);
  add_caption_command(app, result);
  add_eval_command(app, result);
  add_eval_captions_command(app, result);
  add_inspect_command(app, result);
  add_export_command(app, result);
  add_import_command(app, result);
  add_doctor_command(app, result);
  add_report_command(app, result);
  add_schema_command(app, result);
  check_command_name(app, "excitor", argc - 1, argv + 1);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    result.exit_code = app.exit(error) == 0 ? 0 : 2;
  }
  if (!std::cout.flush())
    throw IoError("standard output: cannot write all of the result (is the disk full?)");
  return result.exit_code;
}

/// Errors of a path that was given, not of the disk.
bool is_wrong_path(const std::error_code& code) {
  return code == std::errc::permission_denied || code == std::errc::filename_too_long ||
         code == std::errc::too_many_symbolic_link_levels;
}

}  // namespace

int run_program(int argc, char** argv) {
  // oneDNN keeps a compiled product for every number of tokens that it meets, 1,024 of them by default, which
  // is hundreds of megabytes in a long run; as fast with these (measured).
  setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64", /*overwrite=*/0);
  // A file-size limit or a closed pipe is then an error of the write, which says what to do, instead of the
  // end of the process.
  std::signal(SIGXFSZ, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGBUS, say_mapped_file_is_gone);
  try {
    return parse_and_run(argc, argv);
  } catch (const Interrupted& stop) {
    log::warning(stop.what());
    return stop.exit_code();
  } catch (const Error& error) {
    log::error(error.what());
    return error.exit_code();
  } catch (const std::filesystem::filesystem_error& error) {
    log::error(fmt::format("{}: {}", error.path1().string(), error.code().message()));
    return is_wrong_path(error.code()) ? 2 : 1;
  } catch (const std::bad_alloc&) {
    log::error(
        "out of memory: lower train.micro_batch_size (or micro_batch_tokens), or load the model as bfloat16");
  } catch (const c10::Error& error) {
    log::error(std::string("LibTorch: ") + error.what_without_backtrace());
  } catch (const std::exception& error) {
    log::error(std::string("internal error, please report it: ") + error.what());
  }
  return 1;
}

}  // namespace excitor

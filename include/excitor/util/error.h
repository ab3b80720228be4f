// Errors that users cause or meet. Each message says where, what was found, what was expected, and what to
// do.
#pragma once

#include <stdexcept>
#include <string>

namespace excitor {

/// Base of everything that main() turns into one message and an exit code. Faults of our own code are not
/// Errors: they are std::logic_error (a broken contract between two functions) and reported as such.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  /// Exit code of the process: 1 failed while running, 2 wrong usage or configuration.
  virtual int exit_code() const noexcept { return 1; }
};

/// A wrong command line.
class UsageError : public Error {
 public:
  using Error::Error;
  int exit_code() const noexcept override { return 2; }
};

/// A wrong configuration: its syntax, its keys, its values, or files it names that do not exist.
class ConfigError : public Error {
 public:
  using Error::Error;
  int exit_code() const noexcept override { return 2; }
};

/// Training or evaluation data that can't be used; the message names `file:line` or the row.
class DataError : public Error {
 public:
  using Error::Error;
};

/// Model weights, tokenizers, adapters or checkpoints that are damaged or do not fit each other.
class CheckpointError : public Error {
 public:
  using Error::Error;
};

/// The operating system refused a file operation; the message names the path and the system's reason.
class IoError : public Error {
 public:
  using Error::Error;
};

/// A run that ended because of SIGINT or SIGTERM, after its state was saved.
class Interrupted : public Error {
 public:
  Interrupted(const std::string& message, int signal_number)
      : Error(message), signal_number_(signal_number) {}
  int exit_code() const noexcept override { return 128 + signal_number_; }

 private:
  int signal_number_;
};

}  // namespace excitor

// How OpenMP's threads wait for each other, decided before LibTorch is initialised.
//
// libgomp reads the environment when it is loaded, before main(): by default its threads spin at every
// barrier for long. Where the cores are shared, or are virtual, a spinning thread takes the core that the
// other one needs: measured with two threads on two busy virtual cores, 62 tokens/s against 300 without (LoRA
// on 134 M parameters). Without any spinning each of a step's thousands of parallel regions wakes a thread
// through the kernel: 700 tokens/s on idle cores (bf16) against 1021 with the few microseconds of 1000
// rounds, which cost busy cores nothing (289 against 274). The only way to set it from inside is to start
// again with it in the environment. Done from .preinit_array, where no constructor of a library has run yet,
// that costs a few hundredths of a second. OMP_WAIT_POLICY or GOMP_SPINCOUNT in the environment are left as
// they are.
#include <unistd.h>

#include <climits>
#include <cstddef>
#include <cstring>
#include <initializer_list>

namespace {

/// All but the commands that only read and write files; so a new command can't be forgotten.
bool computes(const char* command) {
  if (command[0] == '-') return false;  // --help, --version
  for (const char* name : {"cache", "eval-captions", "import", "report", "schema"}) {
    if (std::strcmp(command, name) == 0) return false;
  }
  return true;
}

bool is_set(char* const* environment, const char* name) {
  const size_t length = std::strlen(name);
  for (; *environment != nullptr; ++environment) {
    if (std::strncmp(*environment, name, length) == 0 && (*environment)[length] == '=') return true;
  }
  return false;
}

void start_with_short_spinning(int argc, char** argv, char** environment) {
  if (argc < 2 || !computes(argv[1])) return;
  if (is_set(environment, "OMP_WAIT_POLICY") || is_set(environment, "GOMP_SPINCOUNT")) return;
  constexpr size_t kMostVariables = 8192;
  static char policy[] = "GOMP_SPINCOUNT=1000";
  static char* extended[kMostVariables + 2];
  size_t count = 0;
  while (environment[count] != nullptr && count < kMostVariables) {
    extended[count] = environment[count];
    ++count;
  }
  extended[count] = policy;
  static char program[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  if (length > 0)
    execve(program, argv, extended);  // returns only when it failed; then threads spin, as they would have
}

using PreinitFunction = void (*)(int, char**, char**);
[[gnu::used, gnu::section(".preinit_array")]] const PreinitFunction kBeforeConstructors =
    start_with_short_spinning;

}  // namespace

#include <excitor/commands/main.h>

int main(int argc, char** argv) {
  return excitor::run_program(argc, argv);
}

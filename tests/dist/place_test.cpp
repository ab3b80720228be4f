#include <excitor/dist/place.h>

#include <map>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <excitor/util/error.h>

namespace excitor {
namespace {

using testing::HasSubstr;
using Variables = std::map<std::string, std::string>;

std::optional<Place> read(const Variables& variables) {
  return place_from([&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  });
}

std::string refusal(const Variables& variables) {
  try {
    read(variables);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

const Variables kTorchrun{{"RANK", "5"},
                          {"WORLD_SIZE", "8"},
                          {"LOCAL_RANK", "1"},
                          {"LOCAL_WORLD_SIZE", "4"},
                          {"MASTER_ADDR", "node7"},
                          {"MASTER_PORT", "29400"}};

Variables with(Variables variables, const Variables& others) {
  for (const auto& [name, value] : others) variables[name] = value;
  return variables;
}
Variables without(Variables variables, const std::string& name) {
  variables.erase(name);
  return variables;
}

TEST(Place, WithoutVariablesThereIsNone) {
  EXPECT_FALSE(read({}));
  EXPECT_FALSE(read({{"MASTER_ADDR", "node7"}, {"MASTER_PORT", "1"}}));
}

TEST(Place, TorchrunsVariables) {
  const auto place = read(kTorchrun);
  ASSERT_TRUE(place);
  EXPECT_EQ(place->rank, 5);
  EXPECT_EQ(place->size, 8);
  EXPECT_EQ(place->local_rank, 1);
  EXPECT_EQ(place->local_size, 4);
  EXPECT_EQ(place->address, "node7");
  EXPECT_EQ(place->port, 29400);
  EXPECT_FALSE(place->store_is_kept);
}

TEST(Place, TorchrunsAgentKeepsTheStoreAndARestartMeetsApart) {
  const auto first = read(with(kTorchrun, {{"TORCHELASTIC_USE_AGENT_STORE", "True"}}));
  const auto again =
      read(with(kTorchrun, {{"TORCHELASTIC_USE_AGENT_STORE", "True"}, {"TORCHELASTIC_RESTART_COUNT", "1"}}));
  EXPECT_TRUE(first->store_is_kept);
  EXPECT_NE(first->run, again->run);
}

TEST(Place, AGroupOfOneIsNone) {
  EXPECT_FALSE(read({{"RANK", "0"}, {"WORLD_SIZE", "1"}}));
  EXPECT_FALSE(read({{"SLURM_PROCID", "0"}, {"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "1"}}));
}

TEST(Place, EachMissingVariableIsNamed) {
  for (const char* name : {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"})
    EXPECT_THAT(refusal(without(kTorchrun, name)), HasSubstr(std::string(name) + " is not set")) << name;
}

TEST(Place, VariablesThatContradictOrAreNoNumbersAreNamed) {
  EXPECT_THAT(refusal(with(kTorchrun, {{"RANK", "8"}})), HasSubstr("RANK=8 and WORLD_SIZE=8"));
  EXPECT_THAT(refusal(with(kTorchrun, {{"LOCAL_RANK", "4"}})), HasSubstr("LOCAL_RANK=4"));
  EXPECT_THAT(refusal(with(kTorchrun, {{"LOCAL_WORLD_SIZE", "9"}})), HasSubstr("LOCAL_WORLD_SIZE=9"));
  EXPECT_THAT(refusal(with(kTorchrun, {{"RANK", "0"}})), HasSubstr("LOCAL_RANK=1 and RANK=0"));
  for (const char* bad : {"", "-1", "two", "1.0", "99999999999999999999"})
    EXPECT_THAT(refusal(with(kTorchrun, {{"RANK", bad}})), HasSubstr(std::string("RANK=") + bad)) << bad;
  EXPECT_THAT(refusal(with(kTorchrun, {{"MASTER_PORT", "65536"}})), HasSubstr("MASTER_PORT=65536"));
}

const Variables kSlurm{{"SLURM_PROCID", "9"},          {"SLURM_STEP_ID", "2"},
                       {"SLURM_STEP_NUM_TASKS", "16"}, {"SLURM_LOCALID", "1"},
                       {"SLURM_JOB_ID", "41237"},      {"SLURM_STEP_NODELIST", "gpu[017-018,021]"}};

TEST(Place, SlurmsVariables) {
  const auto place = read(kSlurm);
  ASSERT_TRUE(place);
  EXPECT_EQ(place->rank, 9);
  EXPECT_EQ(place->size, 16);
  EXPECT_EQ(place->local_rank, 1);
  EXPECT_EQ(place->address, "gpu017");
  EXPECT_GE(place->port, 1024);
  EXPECT_LT(place->port, 32768);
  EXPECT_EQ(read(with(kSlurm, {{"SLURM_PROCID", "3"}}))->port, place->port);
  EXPECT_NE(read(with(kSlurm, {{"SLURM_JOB_ID", "41238"}}))->port, place->port);
  EXPECT_EQ(read(with(kSlurm, {{"MASTER_ADDR", "x"}, {"MASTER_PORT", "7"}}))->address, "x");
  EXPECT_THAT(refusal(without(kSlurm, "SLURM_LOCALID")), HasSubstr("SLURM_LOCALID is not set"));
}

TEST(Place, AScriptOfSbatchIsNoStep) {
  EXPECT_FALSE(read(without(kSlurm, "SLURM_STEP_ID")));
}

TEST(Place, TheFirstHostOfANodeList) {
  EXPECT_EQ(first_host("node1"), "node1");
  EXPECT_EQ(first_host("node1,node2"), "node1");
  EXPECT_EQ(first_host("node[001-004,007],other"), "node001");
  EXPECT_EQ(first_host("node[3,5]"), "node3");
  EXPECT_EQ(first_host("rack2-node[12]"), "rack2-node12");
}

TEST(Place, SlurmsTasksOnAMachineAreThoseOfTheStep) {
  EXPECT_EQ(read(with(kSlurm, {{"SLURM_NTASKS_PER_NODE", "8"}}))->local_size, 8);
  const Variables step = with(kSlurm, {{"SLURM_STEP_TASKS_PER_NODE", "6(x2),4"}, {"SLURM_NODEID", "1"}});
  EXPECT_EQ(read(step)->local_size, 6);
  EXPECT_EQ(read(with(step, {{"SLURM_NODEID", "2"}}))->local_size, 4);
  EXPECT_EQ(read(with(step, {{"SLURM_NTASKS_PER_NODE", "32"}, {"SLURM_TASKS_PER_NODE", "16"}}))->local_size,
            6)
      << "the other two are those of the whole allocation";
  EXPECT_EQ(read(with(kSlurm, {{"SLURM_TASKS_PER_NODE", "8(x2)"}, {"SLURM_NODEID", "1"}}))->local_size, 8);
  EXPECT_THAT(refusal(with(step, {{"SLURM_NODEID", "3"}})), HasSubstr("SLURM_STEP_TASKS_PER_NODE=6(x2),4"));
  EXPECT_THAT(refusal(without(step, "SLURM_NODEID")), HasSubstr("SLURM_NODEID is not set"));
}

TEST(Place, TheTasksOnEachMachineOfAList) {
  const auto all = [](const std::string& list) {
    std::vector<int64_t> tasks;
    while (const auto next = tasks_on_node(list, static_cast<int64_t>(tasks.size()))) tasks.push_back(*next);
    return tasks;
  };
  EXPECT_EQ(all("4"), (std::vector<int64_t>{4}));
  EXPECT_EQ(all("4(x2),3"), (std::vector<int64_t>{4, 4, 3}));
  EXPECT_EQ(all("1,12(x1),2"), (std::vector<int64_t>{1, 12, 2}));
  for (const char* bad :
       {"", "x", "0", "4(x0)", "4(x2", "4(2)", "4(x2)3", ",4", "-1", "99999999999999999999"})
    EXPECT_EQ(all(bad), std::vector<int64_t>{}) << bad;
}

TEST(Place, CoresAreSharedByTheProcessesOfAMachineUnlessEachHasItsOwn) {
  Place place{.local_size = 4};
  EXPECT_EQ(threads_of(place, {.online = 16, .allowed = 16, .usable = 16}), 4);
  EXPECT_EQ(threads_of(place, {.online = 16, .allowed = 16, .usable = 8}), 2)
      << "a container's quota is for all";
  EXPECT_EQ(threads_of(place, {.online = 16, .allowed = 2, .usable = 2}), 1);
  place.cores_are_dealt = true;
  EXPECT_EQ(threads_of(place, {.online = 16, .allowed = 3, .usable = 3}), 3);
  EXPECT_EQ(threads_of(place, {.online = 16, .allowed = 16, .usable = 8}), 2) << "not bound after all";
}

const Variables kMpi{{"OMPI_COMM_WORLD_RANK", "1"},
                     {"OMPI_COMM_WORLD_SIZE", "2"},
                     {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                     {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}};

TEST(Place, OpenMpisVariablesNeedAnAddressOnSeveralMachinesOnly) {
  EXPECT_EQ(read(kMpi)->rank, 1);
  EXPECT_EQ(read(kMpi)->address, "127.0.0.1");
  const Variables two_machines =
      with(kMpi, {{"OMPI_COMM_WORLD_LOCAL_RANK", "0"}, {"OMPI_COMM_WORLD_LOCAL_SIZE", "1"}});
  EXPECT_THAT(refusal(two_machines), HasSubstr("MASTER_ADDR is not set"));
  EXPECT_EQ(read(with(two_machines, {{"MASTER_ADDR", "a"}}))->address, "a");
  EXPECT_THAT(refusal(without(kMpi, "OMPI_COMM_WORLD_SIZE")), HasSubstr("OMPI_COMM_WORLD_SIZE is not set"));
}

}  // namespace
}  // namespace excitor

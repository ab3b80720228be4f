// excitor inspect: what files hold, and logits for other frameworks to compare with.
#include <charconv>
#include <iostream>
#include <map>
#include <memory>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>
#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <excitor/methods/adapter_files.h>
#include <excitor/model/checkpoint.h>
#include <excitor/model/llama.h>
#include <excitor/tensor/safetensors.h>
#include <excitor/util/error.h>

#include "commands.h"
#include "image_options.h"
#include "inspect_image.h"
#include "inspect_tokens.h"
#include "inspect_weights.h"
#include "session.h"

namespace excitor {
namespace {

struct InspectOptions {
  SessionOptions session;
  ImageOptions images;
  std::string image;
  std::string ids;
  std::string output;
  std::string precision = "float32";
  bool json = false;
};

void print_tensor(const std::string& name, const std::string& dtype, const std::vector<int64_t>& shape) {
  std::cout << fmt::format("{:<60} {:>5}  [{}]\n", name, dtype, fmt::join(shape, ", "));
}

int64_t numel(const std::vector<int64_t>& shape) {
  int64_t n = 1;
  for (const int64_t size : shape) n *= size;
  return n;
}

void inspect_model(const InspectOptions& options) {
  const LlamaConfig config = read_llama_config(options.session.model);
  const Weights files = open_weights(options.session.model, config);
  check_weights(files, weight_shapes(config));
  const std::string fingerprint = base_fingerprint(files, weight_shapes(config));
  int64_t parameters = 0;
  Json tensors = Json::array();
  for (const auto& weight : weight_shapes(config)) {
    const StoredWeight& stored = files.at(weight.name);
    parameters += numel(stored.shape);
    if (options.json)
      tensors.push_back({{"name", weight.name}, {"dtype", stored.dtype}, {"shape", stored.shape}});
    else
      print_tensor(weight.name, stored.dtype, stored.shape);
  }
  if (options.json) {
    std::cout << Json{{"parameters", parameters},
                      {"fingerprint", fingerprint},
                      {"tensors", tensors},
                      {"config", write_llama_config(config, "")}}
                     .dump()
              << "\n";
    return;
  }
  std::cout << fmt::format(
      "\n{} parameters; {} layers, hidden {}, {} query and {} key/value heads of width {}, feed-forward {}, "
      "vocabulary {}{}\nfingerprint {}\n",
      parameters, config.num_hidden_layers, config.hidden_size, config.query_heads(), config.key_heads(),
      config.head_width(), config.intermediate_size, config.vocab_size,
      config.tie_word_embeddings ? ", tied output layer" : "", fingerprint);
}

void inspect_adapter(const InspectOptions& options) {
  const AdapterSettings settings = read_adapter_method(options.session.adapter);
  const auto file =
      SafetensorsFile::open(std::filesystem::path(options.session.adapter) / "adapter_model.safetensors");
  const Json described = write_settings([&](Describer& d) { settings.method->describe(d); });
  int64_t parameters = 0;
  Json tensors = Json::array();
  for (const auto& [name, stored] : file->tensors()) {
    parameters += numel(stored.shape);
    if (options.json)
      tensors.push_back({{"name", name}, {"dtype", stored.dtype}, {"shape", stored.shape}});
    else
      print_tensor(name, stored.dtype, stored.shape);
  }
  if (options.json) {
    std::cout << Json{{"method", settings.method->name()},
                      {"parameters", parameters},
                      {"settings", described},
                      {"tensors", tensors}}
                     .dump()
              << "\n";
    return;
  }
  std::cout << fmt::format("\n{} parameters; method {}, template {}, base {}\nsettings: {}\n", parameters,
                           settings.method->name(), settings.origin.template_text(),
                           settings.origin.base_model_name_or_path, described.dump());
}

std::vector<int64_t> parse_ids(const std::string& text, int64_t vocab_size) {
  std::vector<int64_t> ids;
  const char *at = text.data(), *end = text.data() + text.size();
  while (true) {
    int64_t id = -1;
    const auto [next, error] = std::from_chars(at, end, id);
    if (error != std::errc() || id < 0 || id >= vocab_size || (next != end && *next != ',')) {
      throw UsageError(
          fmt::format("--ids: expected token ids from 0 to {} with commas between them, found \"{}\"",
                      vocab_size - 1, text));
    }
    ids.push_back(id);
    if (next == end) return ids;
    at = next + 1;
  }
}

void inspect_logits(const InspectOptions& options) {
  SessionOptions session_options = options.session;
  session_options.needs_tokenizer = false;
  session_options.dtype = options.precision;
  ImageViewer viewer(options.images, session_options);
  if (!options.image.empty()) viewer.check_has_use();
  const Session session = open_session(session_options);
  const Llama& model = session.base.model;
  const std::vector<int64_t> ids = parse_ids(options.ids, model.config().vocab_size);
  const at::NoGradGuard no_grad;
  const TokenBatch batch{.ids = at::tensor(at::ArrayRef<int64_t>(ids)).to(model.device()),
                         .segments = Segments({static_cast<int64_t>(ids.size())})};
  SequenceImages images;
  if (!options.image.empty())
    images.push_back(viewer.look(options.image, session).features.to(model.device()));
  const at::Tensor hidden = model.hidden(batch, {.bypass = session.bypass.get(), .images = images});
  write_safetensors(options.output, {{"logits", model.logits(hidden, session.bypass.get())}});
}

CLI::App* add_kind(CLI::App& parent, const char* name, const char* about, const char* example) {
  auto* command = parent.add_subcommand(name, about);
  command->footer(std::string("Example: ") + example);
  return command;
}

}  // namespace

void add_inspect_command(CLI::App& app, CommandResult&) {
  auto options = std::make_shared<InspectOptions>();
  auto* inspect = app.add_subcommand("inspect", "Shows a model, an adapter, tokens, an image, or logits");
  inspect->require_subcommand(1);
  inspect->footer("Example: excitor inspect model models/tiny-world");

  auto* model = add_kind(*inspect, "model", "Shapes, types and parameter counts of a model folder",
                         "excitor inspect model models/tiny-world");
  model->add_option("model", options->session.model, "Model folder")->required();
  model->add_flag("--json", options->json, "Print JSON");
  model->callback([options] { inspect_model(*options); });

  add_inspect_weights_command(*inspect);

  auto* adapter = add_kind(*inspect, "adapter", "Settings and tensors of an adapter folder",
                           "excitor inspect adapter runs/x/adapter");
  adapter->add_option("adapter", options->session.adapter, "Adapter folder")->required();
  adapter->add_flag("--json", options->json, "Print JSON");
  adapter->callback([options] { inspect_adapter(*options); });

  add_inspect_tokens(*inspect);
  add_inspect_image(*inspect);

  auto* logits = add_kind(*inspect, "logits", "Writes the logits [T,V] of token ids as fp32 safetensors",
                          "excitor inspect logits models/tiny-world --ids 1,2,3 --output logits.safetensors");
  logits->add_option("model", options->session.model, "Model folder")->required();
  logits->add_option("--adapter", options->session.adapter, "Adapter folder");
  logits->add_option("--ids", options->ids, "Token ids with commas between them")->required();
  logits->add_option("--image", options->image, "Image that the adapter sees");
  logits->add_option("--vision", options->images.vision,
                     "Folder of the CLIP tower; default: where the adapter was trained with it");
  logits->add_option("--output", options->output, "File to write")->required();
  logits->add_option("--precision", options->precision, "Type to compute in")
      ->check(CLI::IsMember({"float32", "bfloat16", "float16", "fp32", "bf16", "fp16"}))
      ->capture_default_str();
  add_device_option(*logits, options->session);
  logits->add_flag("--force", options->session.force, "Use an adapter of another base all the same");
  logits->callback([options] { inspect_logits(*options); });
}

}  // namespace excitor

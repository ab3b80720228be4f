#include <memory>

#include <excitor/tensor/safetensors.h>
#include <excitor/tensor/weights.h>

namespace excitor {

Weights safetensors_weights(const std::filesystem::path& folder, const std::string& stem) {
  const auto files = std::make_shared<const SafetensorsFolder>(folder, stem);
  Weights weights(folder);
  for (const std::string& name : files->names()) {
    const StoredTensor& stored = files->stored(name);
    weights.add(
        name,
        {.shape = stored.shape, .dtype = stored.dtype, .path = files->path_of(name), .parts = [files, name] {
           return WeightParts{files->stored(name).shape, {files->load(name)}};
         }});
  }
  return weights;
}

}  // namespace excitor

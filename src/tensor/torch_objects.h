// From the tree of a pickle to values: what torch's own rebuild functions would make.
#pragma once

#include <string_view>

#include <excitor/tensor/torch_file.h>

#include "pickle_reader.h"
#include "zip_archive.h"

namespace excitor {

/// Whether a pickle of weights may name it: torch's functions that rebuild tensors, the types of storages,
/// dtypes, torch.Size, torch.device, collections.OrderedDict.
bool is_allowed_global(std::string_view name);

/// Where the storages of a pickle lie.
struct TorchStorages {
  const ZipArchive& archive;
  std::string root;  ///< "archive/": the folder in the archive
};

/// The root of the tree as a value. Throws CheckpointError that begins with the place in the file: a storage
/// that is missing or has another size, a tensor that reaches beyond its storage, wrong arguments, nesting
/// deeper than 64 levels (or a value inside itself), more than a million values or 256 MB of text (which a
/// small pickle can describe by naming one value many times).
TorchValue make_torch_value(const PickleTree& tree, const TorchStorages& storages);

}  // namespace excitor

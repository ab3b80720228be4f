#include "session.h"

#include <excitor/tensor/dtype.h>

namespace excitor {

at::ScalarType resolve_dtype(const std::string& name) { return name == "auto" ? at::kFloat : parse_dtype(name); }

Session open_session(const SessionOptions& options) {
  std::unique_ptr<Tokenizer> tokenizer = options.needs_tokenizer ? load_tokenizer(options.model) : nullptr;
  Session session{.base = load_hugging_face(options.model, resolve_dtype(options.dtype)),
                  .tokenizer = std::move(tokenizer),
                  .adapter = {},
                  .bypass = nullptr};
  if (options.adapter.empty()) return session;
  const AdapterExpectation expected{.base_fingerprint = session.base.fingerprint,
                                    .tokenizer_sha256 = session.tokenizer ? session.tokenizer->sha256() : "",
                                    .force = options.force};
  const LlamaConfig& config = session.base.model.config();
  session.adapter = load_adapter(options.adapter, config, expected);
  session.bypass = session.adapter->method->bypass(config, session.adapter->parameters);
  return session;
}

}  // namespace excitor

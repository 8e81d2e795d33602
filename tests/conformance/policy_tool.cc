// Compiles policies by the hundred, for compare.py: one process, since starting one per bundle
// would take most of the time.
//
//   policy_tool compile PRIVATE_KEY.pem KID SCOPE < LINES     a line:
//   BUNDLE<tab>POLICY<tab>POLICY...
//
// Prints a line for each bundle: "ok", or all diagnostics with " | " between them.
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "aegis/base/file.h"
#include "aegis/base/text.h"
#include "aegis/policy/compile.h"
#include "aegis/policy/parse.h"
#include "aegis/rego/bundle.h"

namespace aegis::policy {
namespace {

int Report(const Error& error) {
  std::fprintf(stderr, "%s\n", error.ToString().c_str());
  return 1;
}

std::string CompileOne(const std::vector<std::string>& words, const rego::BundleSigner& signer) {
  const std::vector<std::string> paths(words.begin() + 1, words.end());
  const ParseResult parsed = LoadSources(paths);
  if (!parsed.policies) {
    std::string text;
    for (const Diagnostic& diagnostic : parsed.diagnostics.items()) {
      if (diagnostic.severity != Severity::kError) continue;
      text.append(text.empty() ? "" : " | ").append(diagnostic.ToString());
    }
    return text;
  }
  const Result<std::string> bundle = CompileToBundle(*parsed.policies, "1", &signer);
  if (!bundle) return bundle.error().ToString();
  const Status written = WriteFileAtomic(words[0], *bundle);
  return written ? "ok" : written.error().ToString();
}

int Compile(const std::vector<std::string>& args) {
  const Result<std::string> pem = ReadFile(args[0]);
  if (!pem) return Report(pem.error());
  Result<crypto::SigningKey> key = crypto::SigningKey::FromPem(*pem, args[1]);
  if (!key) return Report(key.error());
  const rego::BundleSigner signer{*std::move(key), args[2]};
  std::string line;
  while (std::getline(std::cin, line)) {
    std::vector<std::string> words;
    for (const std::string_view word : Split(line, '\t')) words.emplace_back(word);
    std::string answer = CompileOne(words, signer);
    for (char& c : answer) c = c == '\n' ? ' ' : c;
    std::printf("%s\n", answer.c_str());
  }
  return 0;
}

}  // namespace
}  // namespace aegis::policy

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() == 4 && args[0] == "compile") {
    return aegis::policy::Compile({args.begin() + 1, args.end()});
  }
  std::fprintf(stderr, "usage: policy_tool compile ... (see policy_tool.cc)\n");
  return 2;
}

// Compiles policies and decides calls by the thousand, for compare.py: one process, since starting
// one per bundle would take most of the time.
//
//   policy_tool compile PRIVATE_KEY.pem KID SCOPE < LINES   a line: BUNDLE<tab>POLICY<tab>POLICY...
//   policy_tool decide PUBLIC_KEY.pem KID SCOPE < LINES     a line: BUNDLE<tab>INPUT, input as JSON
//
// `compile` prints a line for each bundle: "ok", or all errors with " | " between them. `decide`
// checks each bundle's signature and prints the canonical decision document, {"undefined":true} or
// {"error":"..."}.
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "aegis/base/file.h"
#include "aegis/base/text.h"
#include "aegis/policy/compile.h"
#include "aegis/policy/custom_rego.h"
#include "aegis/policy/parse.h"
#include "aegis/rego/bundle.h"
#include "aegis/rego/program.h"
#include "aegis/rego/vm.h"

namespace aegis::policy {
namespace {

int Report(const Error& error) {
  std::fprintf(stderr, "%s\n", error.ToString().c_str());
  return 1;
}

std::string CompileOne(const std::vector<std::string>& words, const rego::BundleSigner& signer) {
  const std::vector<std::string> paths(words.begin() + 1, words.end());
  ParseResult parsed = LoadSources(paths);
  PlanCustomRego(parsed);
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

// The bundle that was asked last; questions come bundle by bundle.
struct Loaded {
  std::string path;
  std::unique_ptr<const rego::Program> program;
  uint32_t entrypoint = 0;
};

Status Load(const std::string& path, const rego::BundleVerifier& verifier, Loaded& loaded) {
  if (loaded.path == path) return {};
  loaded = {};
  AEGIS_TRY(const std::string bytes, ReadFile(path));
  AEGIS_TRY(const rego::Bundle bundle, rego::ReadBundle(bytes, &verifier));
  AEGIS_TRY(loaded.program, rego::Program::Load(bundle.plan_json, bundle.data_json));
  const std::optional<uint32_t> entrypoint = loaded.program->FindEntrypoint(kEntrypoint);
  if (!entrypoint) return Fail(Code::kFailedPrecondition, "bundle_no_entrypoint", path);
  loaded.entrypoint = *entrypoint;
  loaded.path = path;
  return {};
}

Result<std::string> DecideOne(const Loaded& loaded, std::string_view input_json, rego::Vm& vm,
                              Arena& arena) {
  arena.Reset();
  AEGIS_TRY(const rego::Value input, rego::ParseJson(input_json, arena));
  AEGIS_TRY(const rego::Value document,
            vm.Eval(*loaded.program, loaded.entrypoint, input, 0, arena));
  if (document.is_undefined()) return std::string("{\"undefined\":true}");
  return rego::ToJson(document);
}

int Decide(const std::vector<std::string>& args) {
  const Result<std::string> pem = ReadFile(args[0]);
  if (!pem) return Report(pem.error());
  Result<crypto::VerificationKey> key = crypto::VerificationKey::FromPem(*pem, args[1]);
  if (!key) return Report(key.error());
  rego::BundleVerifier verifier;
  if (const Status added = verifier.keys.Add(*std::move(key)); !added) return Report(added.error());
  verifier.scope = args[2];
  Loaded loaded;
  rego::Vm vm;
  Arena arena;
  std::string line;
  while (std::getline(std::cin, line)) {
    const size_t tab = line.find('\t');
    if (tab == std::string::npos) return 2;
    std::string answer;
    if (const Status status = Load(line.substr(0, tab), verifier, loaded); !status) {
      answer = status.error().ToString();
    } else if (Result<std::string> decided =
                   DecideOne(loaded, std::string_view(line).substr(tab + 1), vm, arena);
               decided) {
      std::printf("%s\n", decided->c_str());
      continue;
    } else {
      answer = decided.error().ToString();
    }
    arena.Reset();
    const rego::Value text = rego::MakeString(arena, answer);
    std::printf("{\"error\":%s}\n", rego::ToJson(text).c_str());
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
  if (args.size() == 4 && args[0] == "decide") {
    return aegis::policy::Decide({args.begin() + 1, args.end()});
  }
  std::fprintf(stderr, "usage: policy_tool compile|decide ... (see policy_tool.cc)\n");
  return 2;
}

// aegis policy validate|compile|schema|publish|list|show: what works on files, and the registry.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <set>

#include "aegis/base/file.h"
#include "aegis/cli/bundle_file.h"
#include "aegis/cli/commands.h"
#include "aegis/cli/context.h"
#include "aegis/cli/policy_files.h"
#include "aegis/crypto/base64.h"
#include "aegis/policy/compile.h"
#include "aegis/policy/custom_rego.h"
#include "aegis/policy/json_schema.h"

namespace aegis::cli {

using nlohmann::json;

namespace {

void AddValidate(CLI::App& policy, Context& context) {
  auto paths = std::make_shared<std::vector<std::string>>();
  CLI::App* command =
      policy.add_subcommand("validate", "Check policies; every mistake is shown with its place");
  command->add_option("PATH", *paths, "Policy files, or folders of them")->required();
  context.SetAction(command, [&context, paths]() -> Result<int> {
    policy::ParseResult parsed = policy::LoadSources(*paths);
    policy::PlanCustomRego(parsed);
    if (context.format() == Format::kJson) {
      PrintJson(
          {{"valid", parsed.policies.has_value()}, {"diagnostics", ToJson(parsed.diagnostics)}});
    } else {
      PrintDiagnostics(parsed.diagnostics);
      if (parsed.policies)
        std::printf("%zu %s valid\n", parsed.policies->documents.size(),
                    parsed.policies->documents.size() == 1 ? "document is" : "documents are");
    }
    return parsed.policies ? kExitOk : kExitFailed;
  });
}

void AddCompile(CLI::App& policy, Context& context) {
  struct Flags {
    std::vector<std::string> paths;
    std::string out, revision, key, scope;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      policy.add_subcommand("compile", "Write an OPA bundle, which stock OPA loads too");
  command->add_option("PATH", flags->paths, "Policy files, or folders of them")->required();
  command->add_option("--out", flags->out, "The bundle, e.g. bundle.tar.gz")->required();
  command->add_option("--revision", flags->revision, "Default: the hash of what the policies mean");
  command->add_option("--signing-key", flags->key,
                      "PEM file with an ES256 or RS256 private key; default: unsigned");
  command->add_option("--scope", flags->scope, "Scope of the signature, the tenant's name")
      ->default_val("default")
      ->needs("--signing-key");
  context.SetAction(command, [&context, flags]() -> Result<int> {
    AEGIS_TRY(const policy::PolicySet policies, LoadPolicies(flags->paths));
    std::string revision = flags->revision;
    if (revision.empty()) {
      AEGIS_TRY(revision, policy::ContentRevision(policies));
    }
    std::optional<rego::BundleSigner> signer;
    if (!flags->key.empty()) {
      AEGIS_TRY(const std::string pem, ReadFile(flags->key, 64 * 1024));
      AEGIS_TRY(crypto::SigningKey key, crypto::SigningKey::FromPem(pem));
      signer.emplace(rego::BundleSigner{std::move(key), flags->scope});
    }
    AEGIS_TRY(const std::string bundle,
              policy::CompileToBundle(policies, revision, signer ? &*signer : nullptr));
    AEGIS_RETURN_IF_ERROR(WriteFileAtomic(flags->out, bundle));
    if (context.format() == Format::kJson) {
      PrintJson({{"out", flags->out},
                 {"revision", revision},
                 {"bytes", bundle.size()},
                 {"signed", signer.has_value()}});
    } else {
      std::printf("%s: revision %s, %zu bytes, %s\n", flags->out.c_str(),
                  Printable(revision).c_str(), bundle.size(), signer ? "signed" : "not signed");
    }
    return kExitOk;
  });
}

// The names that files get in the registry: unique, so folders must not have two of one name.
Result<json> FilesToPublish(const std::vector<policy::SourceFile>& sources) {
  json files = json::array();
  std::set<std::string> names;
  for (const policy::SourceFile& source : sources) {
    const std::string name = source.name.substr(source.name.rfind('/') + 1);
    if (!names.insert(name).second)
      return Fail(Code::kInvalidArgument, "duplicate_name",
                  source.name + ": another file is named " + name +
                      " too; names must differ, they order the documents");
    files.push_back({{"name", name}, {"content", source.text}});
  }
  return files;
}

// What the running version has besides `files`.
struct Running {
  json others = json::array();  // files
  bool bundle = false;          // it is a whole bundle
};

Result<Running> WhatRuns(ControlClient& client, const json& files) {
  Running running;
  Result<json> active = client.Call("GET", "/api/v1/policies/active");
  if (!active) {
    if (active.error().code == Code::kNotFound) return running;
    return Fail(std::move(active).error());
  }
  running.bundle = active->value("kind", "") == "bundle";
  for (const json& file : (*active)["files"]) {
    const bool named = std::any_of(files.begin(), files.end(),
                                   [&](const json& each) { return each["name"] == file["name"]; });
    if (!named) running.others.push_back(file);
  }
  return running;
}

struct PublishFlags {
  std::vector<std::string> paths;
  std::string bundle, message;
  bool keep = false, prune = false, dry_run = false;
};

// Adds what is to be kept; an error when the flags do not say what shall become of it.
Status SettleRunning(const Running& running, const PublishFlags& flags, json& files) {
  if (flags.prune) return Ok();
  if (running.bundle) {
    return Fail(Code::kFailedPrecondition, "would_drop",
                "the running version is a whole bundle, which cannot be kept beside others; say "
                "--prune to replace it");
  }
  if (running.others.empty()) return Ok();
  if (!flags.keep || !flags.bundle.empty()) {
    std::string names;
    for (const json& file : running.others)
      names += (names.empty() ? "" : ", ") + file["name"].get<std::string>();
    return Fail(Code::kFailedPrecondition, "would_drop",
                "the running version also has " + names +
                    (flags.bundle.empty()
                         ? "; say --keep to keep what you do not name, or --prune to drop it"
                         : "; a bundle replaces all of it; say --prune if that is meant"));
  }
  for (const json& file : running.others) files.push_back(file);
  return Ok();
}

// Names in the registry, and the paths that they were read from.
using PathsByName = std::map<std::string, std::string>;

// The files or the bundle that are named, as the body of the request. Errors: those of reading;
// policy_invalid (the mistakes were printed).
Result<json> ReadPublication(const PublishFlags& flags, PathsByName& paths) {
  json body = json::object();
  if (!flags.message.empty()) body["message"] = flags.message;
  if (flags.dry_run) body["dry_run"] = true;
  if (!flags.bundle.empty()) {
    AEGIS_TRY(const std::string bytes,
              ReadFileOrStdin(flags.bundle, rego::BundleLimits().max_archive_bytes));
    const std::string name =
        flags.bundle == "-" ? "bundle" : flags.bundle.substr(flags.bundle.rfind('/') + 1);
    paths[name] = NameOf(flags.bundle);
    body["bundle"] = {{"name", name}, {"content", crypto::Base64Encode(bytes)}};
    return body;
  }
  policy::Diagnostics unreadable;
  const std::vector<policy::SourceFile> sources =
      policy::ReadSources(flags.paths, policy::FileKind::kPolicies, unreadable);
  PrintDiagnostics(unreadable);
  if (unreadable.has_errors())
    return Fail(Code::kInvalidArgument, "policy_invalid", "nothing was published");
  AEGIS_TRY(body["files"], FilesToPublish(sources));
  for (size_t i = 0; i < sources.size(); ++i) {
    paths[body["files"][i]["name"].get<std::string>()] = sources[i].name;
  }
  return body;
}

// The control plane knows files by their names only; people look for them by their paths.
json WithPaths(json diagnostics, const PathsByName& paths) {
  for (json& each : diagnostics) {
    const auto path = paths.find(each.value("file", ""));
    if (path != paths.end()) each["file"] = path->second;
  }
  return diagnostics;
}

void AddPublish(CLI::App& policy, Context& context) {
  auto flags = std::make_shared<PublishFlags>();
  CLI::App* command =
      policy.add_subcommand("publish", "Make policies the new version that gateways enforce");
  CLI::Option* paths =
      command->add_option("PATH", flags->paths, "Policy files, or folders of them");
  command
      ->add_option("--bundle", flags->bundle,
                   "In place of files an OPA bundle with the entrypoint aegis/decision; - for "
                   "standard input")
      ->excludes(paths);
  command->add_option("-m,--message", flags->message, "Why");
  CLI::Option* keep =
      command->add_flag("--keep", flags->keep, "Keep the running version's other files");
  command->add_flag("--prune", flags->prune, "Drop the running version's other files")
      ->excludes(keep);
  command->add_flag("--dry-run", flags->dry_run, "Check and compile on the server, change nothing");
  context.SetAction(command, [&context, flags]() -> Result<int> {
    if (flags->paths.empty() && flags->bundle.empty()) throw CLI::RequiredError("PATH or --bundle");
    PathsByName paths_by_name;
    AEGIS_TRY(json body, ReadPublication(*flags, paths_by_name));
    AEGIS_TRY(ControlClient client, ControlClient::Connect(context));
    json files = body.value("files", json::array());
    AEGIS_TRY(const Running running, WhatRuns(client, files));
    AEGIS_RETURN_IF_ERROR(SettleRunning(running, *flags, files));
    if (flags->bundle.empty()) body["files"] = files;
    json problem;
    const Result<json> answer = client.Call("POST", "/api/v1/policies", &body, &problem);
    if (!answer && problem.contains("diagnostics")) {
      const json diagnostics = WithPaths(problem["diagnostics"], paths_by_name);
      if (context.format() == Format::kJson) {
        PrintJson({{"published", false}, {"diagnostics", diagnostics}});
      } else {
        PrintDiagnostics(diagnostics);
        PrintError({Code::kInvalidArgument, "policy_invalid",
                    "nothing was published; the running version stays"});
      }
      return kExitFailed;
    }
    if (!answer) return Fail(answer.error());
    if (context.format() == Format::kJson) {
      PrintJson(*answer);
      return kExitOk;
    }
    PrintDiagnostics(WithPaths(answer->value("diagnostics", json::array()), paths_by_name));
    if (flags->dry_run) {
      std::printf("valid; nothing was published (--dry-run)\n");
    } else {
      std::printf("published version %s (%s)\n", answer->value("revision", "").c_str(),
                  files.empty() ? "a bundle" : (std::to_string(files.size()) + " files").c_str());
    }
    return kExitOk;
  });
}

void AddListAndShow(CLI::App& policy, Context& context) {
  CLI::App* list = policy.add_subcommand("list", "The published versions, the newest first");
  context.SetAction(list, [&context]() -> Result<int> {
    AEGIS_TRY(ControlClient client, ControlClient::Connect(context));
    AEGIS_TRY(const json versions, client.List("/api/v1/policies"));
    if (context.format() == Format::kJson) {
      PrintJson(versions);
      return kExitOk;
    }
    Table table({"VERSION", "ACTIVE", "PUBLISHED", "BY", "FILES", "MESSAGE"});
    for (const json& row : versions)
      table.Add({row.value("revision", ""), row.value("active", false) ? "yes" : "",
                 row.value("created_at", ""), row.value("author", ""),
                 row.value("kind", "") == "bundle"
                     ? "bundle"
                     : std::to_string(row.value("file_names", json::array()).size()),
                 row.value("message", "")});
    table.Print();
    return kExitOk;
  });

  auto version = std::make_shared<std::string>("active");
  CLI::App* show = policy.add_subcommand("show", "The files of one version");
  show->add_option("VERSION", *version, "A number, or active")->capture_default_str();
  context.SetAction(show, [&context, version]() -> Result<int> {
    AEGIS_TRY(ControlClient client, ControlClient::Connect(context));
    AEGIS_TRY(const json answer, client.Call("GET", "/api/v1/policies/" + EncodeSegment(*version)));
    if (context.format() == Format::kJson) {
      PrintJson(answer);
      return kExitOk;
    }
    if (answer.value("kind", "") == "bundle")
      std::printf("version %s is a whole bundle, without files\n",
                  answer.value("revision", "").c_str());
    for (const json& file : answer["files"])
      std::printf("%s\n%s\n",
                  Paint("# --- " + file.value("name", "") + " ---", Color::kDim).c_str(),
                  file.value("content", "").c_str());
    return kExitOk;
  });
}

}  // namespace

void AddPolicyCommands(CLI::App& root, Context& context) {
  CLI::App* policy = root.add_subcommand("policy", "Write, check, test and publish policies");
  policy->require_subcommand(1);
  AddValidate(*policy, context);
  AddPolicyTestCommand(*policy, context);
  AddCompile(*policy, context);
  AddPolicyDiffCommand(*policy, context);
  AddPolicyLintCommand(*policy, context);
  AddPublish(*policy, context);
  AddListAndShow(*policy, context);

  auto tests = std::make_shared<bool>(false);
  CLI::App* schema = policy->add_subcommand("schema", "The JSON Schema of policies, for editors");
  schema->add_flag("--tests", *tests, "Of *_test.yaml files instead");
  context.SetAction(schema, [tests]() -> Result<int> {
    std::fputs((*tests ? policy::TestFileJsonSchema() : policy::JsonSchema()).c_str(), stdout);
    return kExitOk;
  });
}

}  // namespace aegis::cli

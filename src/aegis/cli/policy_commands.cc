// aegis policy validate|compile|schema|publish|list|show: what works on files, and the registry.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <set>

#include "aegis/base/file.h"
#include "aegis/cli/commands.h"
#include "aegis/cli/context.h"
#include "aegis/cli/policy_files.h"
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

// The running version's files that are not among `files`.
Result<json> OtherFiles(ControlClient& client, const json& files) {
  json others = json::array();
  Result<json> active = client.Call("GET", "/api/v1/policies/active");
  if (!active) {
    if (active.error().code == Code::kNotFound) return others;
    return Fail(std::move(active).error());
  }
  for (const json& file : (*active)["files"]) {
    const bool named = std::any_of(files.begin(), files.end(),
                                   [&](const json& each) { return each["name"] == file["name"]; });
    if (!named) others.push_back(file);
  }
  return others;
}

void AddPublish(CLI::App& policy, Context& context) {
  struct Flags {
    std::vector<std::string> paths;
    std::string message;
    bool keep = false, prune = false, dry_run = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      policy.add_subcommand("publish", "Make policies the new version that gateways enforce");
  command->add_option("PATH", flags->paths, "Policy files, or folders of them")->required();
  command->add_option("-m,--message", flags->message, "Why");
  CLI::Option* keep =
      command->add_flag("--keep", flags->keep, "Keep the running version's other files");
  command->add_flag("--prune", flags->prune, "Drop the running version's other files")
      ->excludes(keep);
  command->add_flag("--dry-run", flags->dry_run, "Check and compile on the server, change nothing");
  context.SetAction(command, [&context, flags]() -> Result<int> {
    policy::Diagnostics unreadable;
    const std::vector<policy::SourceFile> sources =
        policy::ReadSources(flags->paths, policy::FileKind::kPolicies, unreadable);
    PrintDiagnostics(unreadable);
    if (unreadable.has_errors()) return kExitFailed;
    AEGIS_TRY(json files, FilesToPublish(sources));
    AEGIS_TRY(ControlClient client, ControlClient::Connect(context));
    AEGIS_TRY(const json others, OtherFiles(client, files));
    if (!others.empty() && !flags->prune) {
      if (!flags->keep) {
        std::string names;
        for (const json& file : others)
          names += (names.empty() ? "" : ", ") + file["name"].get<std::string>();
        return Fail(Code::kFailedPrecondition, "would_drop",
                    "the running version also has " + names +
                        "; say --keep to keep what you do not name, or --prune to drop it");
      }
      for (const json& file : others) files.push_back(file);
    }
    json body = {{"files", files}};
    if (!flags->message.empty()) body["message"] = flags->message;
    if (flags->dry_run) body["dry_run"] = true;
    json problem;
    const Result<json> answer = client.Call("POST", "/api/v1/policies", &body, &problem);
    if (!answer && problem.contains("diagnostics")) {
      if (context.format() == Format::kJson) {
        PrintJson({{"published", false}, {"diagnostics", problem["diagnostics"]}});
      } else {
        PrintDiagnostics(problem["diagnostics"]);
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
    PrintDiagnostics(answer->value("diagnostics", json::array()));
    if (flags->dry_run) {
      std::printf("valid; nothing was published (--dry-run)\n");
    } else {
      std::printf("published version %s (%zu files)\n", answer->value("revision", "").c_str(),
                  files.size());
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
                 std::to_string(row.value("file_names", json::array()).size()),
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

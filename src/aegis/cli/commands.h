// The commands, a group per file. Each function adds its subcommands to `root`; `context` outlives
// it.
#pragma once

namespace CLI {
class App;
}

namespace aegis::cli {

struct Context;

void AddGlobalFlags(CLI::App& root, Context& context);
void AddAgentCommands(CLI::App& root, Context& context);  // agent register|list|suspend|resume
// agent unknown|adopt|block|unblock|blocked; called by AddAgentCommands
void AddUnknownAgentCommands(CLI::App& agent, Context& context);
void AddTokenCommands(CLI::App& root, Context& context);  // token issue|inspect
void AddToolCommands(CLI::App& root, Context& context);   // tool add|apply|import|list|show
void AddPolicyCommands(
    CLI::App& root,
    Context& context);  // policy validate|test|compile|schema|diff|publish|list|show
void AddDecideCommand(CLI::App& root, Context& context);      // decide
void AddRegoCommand(CLI::App& root, Context& context);        // rego eval
void AddAuditCommands(CLI::App& root, Context& context);      // audit tail|search|show
void AddDoctorCommand(CLI::App& root, Context& context);      // doctor
void AddCompletionCommand(CLI::App& root, Context& context);  // completion bash|zsh|fish

}  // namespace aegis::cli

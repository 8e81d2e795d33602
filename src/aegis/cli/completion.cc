// aegis completion bash|zsh|fish: a script made from the very tree of commands and flags.
#include <CLI/CLI.hpp>
#include <functional>

#include "aegis/cli/commands.h"
#include "aegis/cli/context.h"

namespace aegis::cli {
namespace {

struct Node {
  std::string path;                // "policy validate"; empty: the root
  std::vector<std::string> words;  // subcommands, then flags
};

void Walk(const CLI::App& app, const std::string& path, std::vector<Node>& nodes) {
  Node node{path, {}};
  for (const CLI::App* sub : app.get_subcommands({}))
    if (!sub->get_name().empty() && !sub->get_group().empty())
      node.words.push_back(sub->get_name());
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) node.words.push_back("--" + name);
  nodes.push_back(std::move(node));
  for (const CLI::App* sub : app.get_subcommands({}))
    if (!sub->get_name().empty())
      Walk(*sub, path.empty() ? sub->get_name() : path + " " + sub->get_name(), nodes);
}

std::string Join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

// zsh runs bash's through bashcompinit, so that there is one script to keep right.
void PrintBash(const std::vector<Node>& nodes, bool zsh) {
  if (zsh) std::printf("#compdef aegis\nautoload -U +X bashcompinit && bashcompinit\n");
  std::printf(
      "_aegis() {\n"
      "  local current=\"${COMP_WORDS[COMP_CWORD]}\" path=\"\" word\n"
      "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
      "    case \"$word\" in -*) ;; *) path=\"${path:+$path }$word\" ;; esac\n"
      "  done\n"
      "  local words=\"\"\n"
      "  while :; do\n"
      "    case \"$path\" in\n");
  for (const Node& node : nodes)
    std::printf("      \"%s\") words=\"%s\"; break ;;\n", node.path.c_str(),
                Join(node.words).c_str());
  std::printf(
      "    esac\n"
      "    case \"$path\" in *\" \"*) path=\"${path%% *}\" ;; \"\") break ;; *) path=\"\" ;; esac\n"
      "  done\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
      "  [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- \"$current\"))\n"
      "}\n"
      "complete -F _aegis aegis\n");
}

void PrintFish(const std::vector<Node>& nodes) {
  for (const Node& node : nodes) {
    std::string condition = "__fish_use_subcommand";
    if (!node.path.empty()) {
      condition.clear();
      size_t start = 0;
      while (start <= node.path.size()) {
        const size_t space = std::min(node.path.find(' ', start), node.path.size());
        condition += (condition.empty() ? "" : "; and ") +
                     std::string("__fish_seen_subcommand_from ") +
                     node.path.substr(start, space - start);
        start = space + 1;
      }
    }
    std::vector<std::string> subcommands;
    for (const std::string& word : node.words) {
      if (word.starts_with("--")) {
        std::printf("complete -c aegis -n '%s' -l %s\n", condition.c_str(), word.c_str() + 2);
      } else {
        subcommands.push_back(word);
      }
    }
    if (!subcommands.empty())
      std::printf("complete -c aegis -f -n '%s' -a '%s'\n", condition.c_str(),
                  Join(subcommands).c_str());
  }
}

}  // namespace

void AddCompletionCommand(CLI::App& root, Context& context) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command = root.add_subcommand(
      "completion", "A completion script, e.g. source <(aegis completion bash)");
  command->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  context.SetAction(command, [&root, shell]() -> Result<int> {
    std::vector<Node> nodes;
    Walk(root, "", nodes);
    if (*shell == "fish") {
      PrintFish(nodes);
    } else {
      PrintBash(nodes, *shell == "zsh");
    }
    return kExitOk;
  });
}

}  // namespace aegis::cli

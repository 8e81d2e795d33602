#include "aegis/policy/test_file.h"

#include <absl/time/time.h>

#include <iterator>
#include <unordered_map>

#include "aegis/policy/check.h"

namespace aegis::policy {
namespace {

constexpr int64_t kDefaultTimeNs = 1'767'614'400'000'000'000;  // Monday, 2026-01-05T12:00:00Z

std::string TextOf(const Node& map, std::string_view key) {
  const Node* node = map.Find(key);
  return node == nullptr ? std::string() : node->text;
}

void AppendMember(std::string_view key, std::string_view text, std::string& out) {
  AppendJsonString(key, out);
  out += ':';
  AppendJsonString(text, out);
}

void AppendTree(std::string_view key, const Node* node, std::string_view otherwise,
                std::string& out) {
  out += ",\"" + std::string(key) + "\":";
  if (node == nullptr) {
    out += otherwise;
  } else {
    AppendJson(*node, out);
  }
}

std::string ChainJson(const Node* chain) {
  std::string out = "[";
  if (chain == nullptr) return out + "]";
  for (const Node* link : chain->items) {
    const size_t colon = link->text.find(':');
    out += out.size() > 1 ? ",{" : "{";
    AppendMember("type", std::string_view(link->text).substr(0, colon), out);
    out += ',';
    AppendMember("id", std::string_view(link->text).substr(colon + 1), out);
    out += '}';
  }
  return out + "]";
}

int64_t TimeOf(const Node& call) {
  const Node* node = call.Find("time");
  absl::Time time;
  std::string error;
  if (node == nullptr || !absl::ParseTime(absl::RFC3339_full, node->text, &time, &error)) {
    return kDefaultTimeNs;
  }
  return absl::ToUnixNanos(time);
}

// As the doors build it, less what a test does not say.
std::string InputJson(const Node& call, int64_t time_unix_ns) {
  const std::string door = TextOf(call, "door");
  std::string out = "{\"org\":\"\",\"tenant\":\"\",\"door\":\"" + (door.empty() ? "cli" : door) +
                    "\",\"agent\":{";
  AppendMember("id", TextOf(call, "agent"), out);
  AppendTree("labels", call.Find("labels"), "{}", out);
  out += "},";
  AppendMember("tool", TextOf(call, "tool"), out);
  out += ',';
  AppendMember("action", TextOf(call, "action"), out);
  AppendTree("params", call.Find("params"), "{}", out);
  out += ",\"chain\":" + ChainJson(call.Find("chain"));
  return out + ",\"time\":{\"unix_ns\":" + std::to_string(time_unix_ns) + "}}";
}

class TestSink final : public DocumentSink {
 public:
  TestSink(const SourceText& source, Diagnostics& diagnostics, std::vector<PolicyTest>& tests)
      : source_(source), reporter_(source, diagnostics), tests_(tests) {}

  void OnDocument(const NodeTree& tree) override {
    const Node& root = *tree.root;
    if (root.kind == Node::Kind::kNull) return;
    if (!CheckNode(root, TestFileType(), "the file", reporter_)) return;
    for (const Node* item : root.Find("tests")->items) Read(*item);
  }

 private:
  void Read(const Node& item) {
    PolicyTest test;
    test.file = source_.name();
    test.position = source_.PositionAt(item.offset);
    test.name = TextOf(item, "name");
    const auto [known, fresh] = names_.emplace(test.name, test.position.line);
    if (!fresh) {
      reporter_.Error(item.offset, "the test in line " + std::to_string(known->second) +
                                       " has the same name; give one of them another");
    }
    const Node& call = *item.Find("call");
    test.time_unix_ns = TimeOf(call);
    test.input_json = InputJson(call, test.time_unix_ns);
    for (const Node::Member& member : item.Find("expect")->members) {
      test.expected.emplace_back(member.key, member.value->text);
    }
    tests_.push_back(std::move(test));
  }

  const SourceText& source_;
  Reporter reporter_;
  std::vector<PolicyTest>& tests_;
  std::unordered_map<std::string, uint32_t> names_;
};

}  // namespace

std::vector<PolicyTest> ReadTests(std::span<const SourceFile> files, Diagnostics& diagnostics,
                                  const SourceLimits& limits) {
  std::vector<PolicyTest> tests;
  for (const SourceFile& file : files) {
    const SourceText source(file.name, file.text);
    std::vector<PolicyTest> of_file;
    Diagnostics found;
    TestSink sink(source, found, of_file);
    ReadSource(source, limits, sink, found);
    if (!found.has_errors()) {
      std::move(of_file.begin(), of_file.end(), std::back_inserter(tests));
    }
    diagnostics.Append(std::move(found));
  }
  return tests;
}

}  // namespace aegis::policy

// The protobuf forms of plan and manifest.
#include "aegis/rego/bundle_proto.h"

#include <gtest/gtest.h>

#include <bit>
#include <string>

#include "aegis/rego/bundle.h"
#include "aegis/rego/bundle_archive.h"

namespace aegis::rego {
namespace {

std::string Varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}
std::string Int(uint32_t number, int64_t value) {
  return Varint(number << 3) + Varint(static_cast<uint64_t>(value));
}
std::string Sub(uint32_t number, const std::string& bytes) {
  return Varint(number << 3 | 2) + Varint(bytes.size()) + bytes;
}
std::string Local(uint32_t number, int64_t local) { return Sub(number, Sub(1, Int(2, local))); }

// plans { plans { name: "p", blocks { stmts } } }
std::string PlanOf(const std::string& statements) {
  return Sub(2, Sub(1, Sub(1, "p") + Sub(2, statements)));
}
std::string PlanJson(const std::string& bytes, size_t limit = 1 << 20) {
  const Result<std::string> json = PlanJsonFromProto(bytes, limit);
  return json ? *json : std::string(json.error().reason);
}
// What the statement becomes, without what is around it.
std::string Statement(const std::string& bytes) {
  std::string json = PlanJson(PlanOf(Sub(1, bytes)));
  const std::string before = R"([{"name":"p","blocks":[{"stmts":[)";
  const size_t at = json.find(before);
  if (at == std::string::npos) return json;
  return json.substr(at + before.size(), json.rfind("]}]}]},\"funcs\"") - at - before.size());
}

TEST(BundleProto, EmptyPlan) {
  EXPECT_EQ(PlanJson(""), R"({"static":{"strings":[],"builtin_funcs":[],"files":[]},)"
                          R"("plans":{"plans":[]},"funcs":{"funcs":[]}})");
}

TEST(BundleProto, Statements) {
  // Fields in another order than they are written, negative numbers, unknown fields, locations.
  EXPECT_EQ(Statement(Int(3, 7) +
                      Sub(12, Int(3, 5) + Local(1, 2) + Sub(2, Sub(1, Int(3, 9))) + Int(77, 1))),
            R"({"type":"DotStmt","stmt":{"source":{"type":"local","value":2},)"
            R"("key":{"type":"string_index","value":9},"target":5,"file":0,"col":0,"row":7}})");
  EXPECT_EQ(Statement(Sub(5, Int(1, -3))),
            R"({"type":"AssignIntStmt","stmt":{"value":-3,"target":0,"file":0,"col":0,"row":0}})");
  EXPECT_EQ(Statement(Sub(11, Sub(1, "plus") + Local(2, 4) + Sub(2, Sub(1, Int(1, 1))))),
            R"({"type":"CallStmt","stmt":{"func":"plus","args":[{"type":"local","value":4},)"
            R"({"type":"bool","value":true}],"result":0,"file":0,"col":0,"row":0}})");
  EXPECT_EQ(Statement(Sub(26, "")), R"({"type":"NopStmt","stmt":{"file":0,"col":0,"row":0}})");
  const std::string with = Int(1, 0) + Local(3, 2) + Sub(4, "");
  EXPECT_NE(Statement(Sub(37, with)).find(R"("path":null)"), std::string::npos);
  EXPECT_NE(Statement(Sub(37, with + Sub(2, Varint(3) + Varint(300)))).find(R"("path":[3,300])"),
            std::string::npos);
  EXPECT_NE(Statement(Sub(37, with + Int(2, 3) + Int(2, 4))).find(R"("path":[3,4])"),
            std::string::npos);
}

TEST(BundleProto, RefusesWhatIsDamaged) {
  const std::string rows[] = {
      "\x80",                                     // a number that does not end
      std::string(10, '\xff') + "\x01",           // or is too long
      Varint(0),                                  // field 0
      Varint(2 << 3 | 3),                         // a group
      Varint(2 << 3 | 2) + Varint(1000) + "abc",  // longer than what is there
      Int(2, 1),                                  // a number for a message
      PlanOf(Sub(1, "")),                         // a statement of no kind
      PlanOf(Sub(1, Sub(40, ""))),                // of an unknown one
      PlanOf(Sub(1, Sub(26, "") + Sub(26, ""))),  // of two
      PlanOf(Sub(1, Sub(14, ""))),                // without its operand
      PlanOf(Sub(1, Sub(14, Sub(1, "")))),
      PlanOf(Sub(1, Sub(14, Sub(1, Sub(1, Int(9, 1)))))),
      PlanOf(Sub(1, Sub(14, Local(1, 2) + Local(1, 2)))),
      Sub(1, Sub(1, Sub(1, "\xff"))),  // text that is not UTF-8
      Sub(2, "") + Sub(2, ""),         // plans twice
  };
  for (const std::string& row : rows) EXPECT_EQ(PlanJson(row), "bundle_malformed");
  std::string deep;
  for (int i = 0; i < 1000; ++i) deep = Sub(1, Sub(28, Sub(1, deep)));
  EXPECT_EQ(PlanJson(PlanOf(deep)), "bundle_malformed");
  std::string many;
  for (int i = 0; i < 10'000; ++i) many += Sub(1, Sub(26, ""));
  EXPECT_EQ(PlanJson(PlanOf(many), 100'000), "bundle_too_large");
}

TEST(BundleProto, Manifest) {
  const auto manifest = [](const std::string& bytes) {
    const Result<std::string> json = ManifestJsonFromProto(bytes, 1 << 20);
    return json ? *json : std::string(json.error().reason);
  };
  EXPECT_EQ(manifest(""), R"({"revision":""})");
  EXPECT_EQ(manifest(Int(7, 1)), R"({"revision":"","roots":[]})");
  std::string half = Varint(2 << 3 | 1);
  const auto bits = std::bit_cast<uint64_t>(0.5);
  for (int i = 0; i < 8; ++i) half += static_cast<char>(bits >> (8 * i));
  const auto entry = [](const std::string& name, const std::string& value) {
    return Sub(1, Sub(1, name) + Sub(2, value));
  };
  EXPECT_EQ(manifest(Sub(1, "r1") + Sub(2, "a") + Sub(2, "b/c") + Int(4, 1) +
                     Sub(6, entry("n", half) + entry("b", Int(4, 1)) + entry("z", Int(1, 0)) +
                                entry("s", Sub(3, "x\"")) +
                                entry("l", Sub(6, Sub(1, Int(4, 0)) + Sub(1, half))) +
                                entry("o", Sub(5, entry("k", Sub(3, "v")))))),
            R"({"revision":"r1","roots":["a","b/c"],"rego_version":1,"metadata":{"b":true,)"
            R"("l":[false,0.5],"n":0.5,"o":{"k":"v"},"s":"x\"","z":null}})");
  std::string deep = Int(1, 0);
  for (int i = 0; i < 1000; ++i) deep = Sub(6, Sub(1, deep));
  EXPECT_EQ(manifest(Sub(6, entry("d", deep))), "bundle_malformed");
  EXPECT_EQ(manifest(Sub(6, entry("d", ""))), "bundle_malformed");
}

TEST(BundleProto, Bundles) {
  const auto read = [](const std::vector<BundleFile>& files) {
    return ReadBundle(*WriteArchive(files), nullptr);
  };
  const std::string plan = PlanOf(Sub(1, Sub(26, "")));
  const Result<Bundle> bundle = read({{"plan.pb", plan}, {".manifest.pb", Sub(1, "r9")}});
  ASSERT_TRUE(bundle.has_value()) << bundle.error().message;
  EXPECT_EQ(bundle->manifest.revision, "r9");
  EXPECT_EQ(bundle->manifest.roots, std::vector<std::string>{""});
  EXPECT_TRUE(bundle->files.empty());
  EXPECT_EQ(bundle->plan_json, *PlanJsonFromProto(plan, 1 << 20));
  EXPECT_EQ(read({{"plan.pb", plan}, {"plan.json", "{}"}}).error().reason, "bundle_malformed");
  EXPECT_EQ(read({{".manifest.pb", ""}, {".manifest", "{}"}}).error().reason, "bundle_malformed");
  EXPECT_EQ(read({{"plan.pb", "\xff"}}).error().reason, "bundle_malformed");
}

}  // namespace
}  // namespace aegis::rego

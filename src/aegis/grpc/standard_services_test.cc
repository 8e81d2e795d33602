// Health and reflection as a client sees them, and the pool of descriptors behind reflection.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aegis/base/protobuf_wire.h"
#include "aegis/grpc/descriptor_pool.h"
#include "aegis/grpc/health.h"
#include "aegis/grpc/reflection.h"
#include "aegis/grpc/server_testing.h"

namespace aegis::grpc {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::string_view kCheck = "/grpc.health.v1.Health/Check";
constexpr std::string_view kWatch = "/grpc.health.v1.Health/Watch";
const std::string kServing = "\x08\x01";
const std::string kNotServing = "\x08\x02";
const std::string kServiceUnknown = "\x08\x03";

std::string Text(uint32_t field, std::string_view value) {
  std::string out;
  WireWriter(out).Bytes(field, value);
  return out;
}

class HealthTest : public testing::Test {
 protected:
  HealthTest() : health_(fixture_.loop, [this] { return serving_; }) {
    health_.AddName("test.Echo");
    fixture_.OnLoop(
        [this] { fixture_.server->AddService(std::string(HealthService::kName), &health_); });
  }
  ~HealthTest() override {
    fixture_.OnLoop([this] { fixture_.server->Close(); });
  }
  void SetServing(bool serving) {
    fixture_.OnLoop([&] {
      serving_ = serving;
      health_.Update();
    });
  }

  ServerFixture fixture_;
  bool serving_ = true;  // the loop's
  HealthService health_;
};

TEST_F(HealthTest, Check) {
  TestClient client(fixture_.Connect());
  const auto check = [&](std::string_view request) {
    const uint32_t call = client.Start(kCheck);
    client.Message(call, request, true);
    const std::string status = client.Status(call);
    const auto messages = client.Messages(call);
    return messages.empty() ? status : messages[0];
  };
  EXPECT_EQ(check(""), kServing);
  EXPECT_EQ(check(Text(1, "test.Echo")), kServing);
  EXPECT_EQ(check(Text(1, "other")), "5");
  EXPECT_EQ(check("\x0a\x7F"), "3");
  EXPECT_EQ(check(Text(1, "\xFF")), "3");
  SetServing(false);
  EXPECT_EQ(check(""), kNotServing);
  const uint32_t empty = client.Start(kCheck);
  client.Data(empty, {}, true);
  EXPECT_EQ(client.Status(empty), "3");
  const uint32_t twice = client.Start(kCheck);
  client.Message(twice, "", false);
  client.Message(twice, "", true);
  EXPECT_EQ(client.Status(twice), "3");
  EXPECT_EQ(client.Status(client.Start("/grpc.health.v1.Health/List")), "12");
}

TEST_F(HealthTest, Watch) {
  TestClient client(fixture_.Connect());
  const uint32_t watch = client.Start(kWatch);
  const uint32_t unknown = client.Start(kWatch);
  client.Message(watch, "", true);
  client.Message(unknown, Text(1, "other"), true);
  const auto has = [&](size_t count) {
    return client.Await([&] { return client.Messages(watch).size() >= count; });
  };
  EXPECT_TRUE(has(1));
  SetServing(false);
  EXPECT_TRUE(has(2));
  SetServing(false);
  fixture_.OnLoop([this] { serving_ = true; });  // found without being told
  EXPECT_TRUE(has(3));
  fixture_.OnLoop([this] { health_.Shutdown(); });
  EXPECT_EQ(client.Status(watch), "14");
  EXPECT_THAT(client.Messages(watch), ElementsAre(kServing, kNotServing, kServing, kNotServing));
  EXPECT_THAT(client.Messages(unknown), ElementsAre(kServiceUnknown));
  const uint32_t late = client.Start(kWatch);
  client.Message(late, "", true);
  EXPECT_EQ(client.Status(late), "14");
}

TEST_F(HealthTest, WatchThatIsCancelledIsForgotten) {
  TestClient client(fixture_.Connect());
  const uint32_t watch = client.Start(kWatch);
  client.Message(watch, "", true);
  EXPECT_TRUE(client.Await([&] { return client.Messages(watch).size() == 1; }));
  client.Reset(watch, net::Http2Stream::kCancel);
  const uint32_t check = client.Start(kCheck);
  client.Message(check, "", true);
  EXPECT_EQ(client.Status(check), "0");
  SetServing(false);
  EXPECT_EQ(client.Messages(watch).size(), 1U);
}

// a.proto: package p; message M { string f; message N {} enum E { V } oneof o }, service S { rpc R
// }, extend M { x = 100 }; it needs b.proto.
std::string SampleSet() {
  const std::string value = Text(2, Text(1, "V"));
  const std::string message = Text(1, "M") + Text(2, Text(1, "f")) + Text(3, Text(1, "N")) +
                              Text(4, Text(1, "E") + value) + Text(8, Text(1, "o"));
  std::string extension = Text(1, "x") + Text(2, ".p.M");
  WireWriter(extension).Number(3, 100);
  const std::string a = Text(4, message) + Text(6, Text(1, "S") + Text(2, Text(1, "R"))) +
                        Text(7, extension) + Text(3, "b.proto") + Text(1, "a.proto") + Text(2, "p");
  const std::string b = Text(1, "b.proto") + Text(5, Text(1, "Top") + Text(2, Text(1, "ONE")));
  return Text(1, a) + Text(1, b);
}

TEST(DescriptorPoolTest, FindsSymbols) {
  DescriptorPool pool;
  ASSERT_TRUE(pool.Add(SampleSet()).has_value());
  const auto* a = pool.FindFile("a.proto");
  const auto* b = pool.FindFile("b.proto");
  ASSERT_NE(a, nullptr);
  ASSERT_NE(b, nullptr);
  for (const std::string_view symbol :
       {"p.M", "p.M.f", "p.M.N", "p.M.E", "p.M.V", "p.M.o", "p.S", "p.S.R", "p.x"}) {
    EXPECT_EQ(pool.FindSymbol(symbol), a) << symbol;
  }
  for (const std::string_view symbol : {"Top", "ONE"}) EXPECT_EQ(pool.FindSymbol(symbol), b);
  for (const std::string_view symbol : {"", "M", ".p.M", "p", "p.M.E.V", "p.T"}) {
    EXPECT_EQ(pool.FindSymbol(symbol), nullptr) << symbol;
  }
  EXPECT_EQ(pool.FindExtension("p.M", 100), a);
  EXPECT_EQ(pool.FindExtension("p.M", 101), nullptr);
  EXPECT_THAT(pool.ExtensionNumbers("p.M"), ElementsAre(100));
  EXPECT_THAT(pool.ExtensionNumbers("p.S"), IsEmpty());
  EXPECT_THAT(pool.WithDependencies(*a), ElementsAre(a, b));
  // What is there already stays.
  ASSERT_TRUE(pool.Add(SampleSet()).has_value());
  EXPECT_EQ(pool.FindFile("a.proto"), a);
}

TEST(DescriptorPoolTest, RefusesWhatIsNoDescriptor) {
  std::string deep = Text(1, "M");
  for (int i = 0; i < 50; ++i) deep = Text(1, "M") + Text(3, deep);
  for (const std::string& bytes :
       {std::string("x"), Text(2, "a"), Text(1, ""), Text(1, "\xFF"),
        Text(1, Text(1, "c.proto") + Text(4, "")), Text(1, Text(1, "c.proto") + Text(4, deep))}) {
    DescriptorPool pool;
    EXPECT_FALSE(pool.Add(bytes).has_value());
  }
  const std::string whole = SampleSet();
  DescriptorPool cut;
  EXPECT_FALSE(cut.Add(std::string_view(whole).substr(0, whole.size() - 1)).has_value());
}

TEST(ReflectionTest, Answers) {
  DescriptorPool pool;
  ASSERT_TRUE(pool.Add(SampleSet()).has_value());
  ServerFixture fixture;
  ReflectionService reflection(*fixture.server, [&pool]() -> const auto& { return pool; });
  fixture.OnLoop([&] {
    for (const std::string_view name : ReflectionService::kNames) {
      fixture.server->AddService(std::string(name), &reflection);
    }
  });
  TestClient client(fixture.Connect());
  std::string extension = Text(1, "p.M");
  WireWriter(extension).Number(2, 100);
  const auto* a = pool.FindFile("a.proto");
  const std::string files = Text(4, Text(1, a->bytes) + Text(1, pool.FindFile("b.proto")->bytes));
  std::string numbers = Text(1, "p.M");
  WireWriter(numbers).Number(2, 100);
  std::string unknown;
  WireWriter(unknown).Number(1, 5);
  unknown += Text(2, "nothing of this name is known here");
  std::string services;
  for (const auto& [name, service] : fixture.server->services()) services += Text(1, Text(1, name));
  const std::vector<std::pair<std::string, std::string>> cases = {
      {Text(3, "a.proto"), files},           {Text(4, "p.S.R"), files},
      {Text(5, extension), files},           {Text(6, "p.M"), Text(5, numbers)},
      {Text(7, ""), Text(6, services)},      {Text(3, "c.proto"), Text(7, unknown)},
      {Text(4, "p.None"), Text(7, unknown)}, {Text(6, "p.None"), Text(7, unknown)},
  };
  for (const std::string_view name : ReflectionService::kNames) {
    const uint32_t call = client.Start("/" + std::string(name) + "/ServerReflectionInfo");
    for (size_t i = 0; i < cases.size(); ++i) {
      const std::string request = Text(1, "host") + cases[i].first;
      client.Message(call, request, false);
      ASSERT_TRUE(client.Await([&] { return client.Messages(call).size() == i + 1; }));
      EXPECT_EQ(client.Messages(call)[i], Text(1, "host") + Text(2, request) + cases[i].second)
          << i;
    }
    client.Data(call, {}, true);
    EXPECT_EQ(client.Status(call), "0");
    const uint32_t bad = client.Start("/" + std::string(name) + "/ServerReflectionInfo");
    client.Message(bad, Text(1, "host"), true);
    EXPECT_EQ(client.Status(bad), "3");
  }
  fixture.OnLoop([&] { fixture.server->Close(); });
}

}  // namespace
}  // namespace aegis::grpc

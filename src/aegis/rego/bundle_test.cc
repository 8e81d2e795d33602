#include "aegis/rego/bundle.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "aegis/crypto/digest.h"
#include "aegis/rego/bundle_archive.h"

namespace aegis::rego {
namespace {

std::string Archive(const std::vector<BundleFile>& files) { return *WriteArchive(files); }

std::string ReasonOf(std::string_view bytes, const BundleLimits& limits = {}) {
  const Result<Bundle> bundle = ReadBundle(bytes, nullptr, limits);
  return bundle ? "" : std::string(bundle.error().reason);
}

std::string DataOf(const std::vector<BundleFile>& files) {
  const Result<Bundle> bundle = ReadBundle(Archive(files), nullptr);
  return bundle ? bundle->data_json : std::string(bundle.error().reason);
}

const std::vector<BundleFile> kFiles = {
    {"plan.json", R"({"static":{}})"},
    {".manifest", R"({"revision":"r7","roots":["aegis"],"metadata":{"b":1,"a":[2.0]}})"},
    {"data.json", R"({"aegis":{"x":1}})"},
    {"aegis/decision.rego", "package aegis\n"},
};

TEST(Bundle, RoundTrips) {
  const std::string bytes = *WriteBundle(kFiles, nullptr);
  const Bundle bundle = *ReadBundle(bytes, nullptr);
  EXPECT_EQ(bundle.manifest.revision, "r7");
  EXPECT_EQ(bundle.manifest.roots, std::vector<std::string>{"aegis"});
  EXPECT_EQ(bundle.manifest.metadata_json, R"({"a":[2.0],"b":1})");
  EXPECT_EQ(bundle.data_json, R"({"aegis":{"x":1}})");
  EXPECT_EQ(bundle.plan_json, R"({"static":{}})");
  ASSERT_EQ(bundle.modules.size(), 1u);
  EXPECT_EQ(bundle.modules[0].name, "aegis/decision.rego");
  EXPECT_EQ(bundle.modules[0].content, "package aegis\n");
  ASSERT_EQ(bundle.files.size(), 1u);
  EXPECT_EQ(bundle.files[0].name, ".manifest");
  EXPECT_EQ(bundle.sha256, crypto::Sha256Hex(bytes));
  EXPECT_FALSE(bundle.verified);
}

TEST(Bundle, EqualInputGivesEqualBytes) {
  std::vector<BundleFile> reversed(kFiles.rbegin(), kFiles.rend());
  EXPECT_EQ(*WriteBundle(kFiles, nullptr), *WriteBundle(reversed, nullptr));
}

TEST(Bundle, LongNamesAndLargeFiles) {
  std::string name(300, 'n');
  for (size_t i = 90; i < name.size(); i += 90) name[i] = '/';
  std::string content(3'000'000, 'c');
  for (size_t i = 0; i < content.size(); i += 7) content[i] = static_cast<char>(i * 31);
  const std::string bytes = Archive(
      {{name, content}, {std::string(99, 'p'), "1"}, {std::string(100, 'q'), "2"}, {"empty", ""}});
  const Bundle bundle = *ReadBundle(bytes, nullptr);
  ASSERT_EQ(bundle.files.size(), 4u);
  EXPECT_EQ(bundle.files[1].name, name);
  EXPECT_EQ(bundle.files[1].content, content);
}

TEST(Bundle, ManifestDefaultsToEverything) {
  const Bundle bundle = *ReadBundle(Archive({{"a.rego", "package a"}}), nullptr);
  EXPECT_EQ(bundle.manifest.roots, std::vector<std::string>{""});
  EXPECT_EQ(bundle.data_json, "{}");
  EXPECT_EQ(bundle.plan_json, "");
}

TEST(Bundle, ManifestJsonRoundTrips) {
  Manifest manifest;
  manifest.revision = "r\"1";
  manifest.roots = {"aegis", "x/y"};
  manifest.metadata_json = R"({"k":1})";
  const Bundle bundle = *ReadBundle(Archive({{".manifest", ManifestJson(manifest)}}), nullptr);
  EXPECT_EQ(bundle.manifest.revision, manifest.revision);
  EXPECT_EQ(bundle.manifest.roots, manifest.roots);
  EXPECT_EQ(bundle.manifest.metadata_json, manifest.metadata_json);
}

TEST(Bundle, MergesDataFiles) {
  EXPECT_EQ(DataOf({{"a/b/data.json", "[1]"},
                    {"data.json", R"({"x":1,"a":{"c":2.50}})"},
                    {"a/data.json", "{}"}}),
            R"({"a":{"b":[1],"c":2.50},"x":1})");
  EXPECT_EQ(DataOf({{"a/data.json", "7"}}), R"({"a":7})");
  EXPECT_EQ(DataOf({{"data.json", " { \"z\" : 1, \"a\" : 2 } "}}), " { \"z\" : 1, \"a\" : 2 } ");
}

TEST(Bundle, RefusesDataThatContradicts) {
  EXPECT_EQ(DataOf({{"a/data.json", "1"}, {"data.json", R"({"a":1})"}}), "bundle_malformed");
  EXPECT_EQ(DataOf({{"a/data.json", "1"}, {"a/b/data.json", "1"}}), "bundle_malformed");
  EXPECT_EQ(DataOf({{"a/data.json", "{}"}, {"data.json", R"({"a":1})"}}), "bundle_malformed");
  EXPECT_EQ(DataOf({{"data.json", "[]"}}), "bundle_malformed");
  EXPECT_EQ(DataOf({{"data.json", R"({"a":1,"a":2})"}}), "bundle_malformed");
  EXPECT_EQ(DataOf({{"data.json", "{"}}), "bundle_malformed");
}

TEST(Bundle, KeepsDataBelowTheRoots) {
  const auto with_roots = [](std::string_view roots, std::string_view data) {
    return DataOf({{".manifest", R"({"roots":)" + std::string(roots) + "}"},
                   {"data.json", std::string(data)}});
  };
  EXPECT_EQ(with_roots(R"(["a/b","c"])", R"({"a":{"b":1},"c":{}})"), R"({"a":{"b":1},"c":{}})");
  EXPECT_EQ(with_roots(R"(["a/b"])", R"({"a":{"x":1}})"), "bundle_malformed");
  EXPECT_EQ(with_roots(R"(["a/b"])", R"({"a":1})"), "bundle_malformed");
  EXPECT_EQ(with_roots(R"(["ab"])", R"({"a":1})"), "bundle_malformed");
  EXPECT_EQ(with_roots(R"(["a","a/b"])", "{}"), "bundle_malformed");
  EXPECT_EQ(with_roots(R"(["a",""])", "{}"), "bundle_malformed");
  EXPECT_EQ(with_roots("[]", R"({"a":1})"), "bundle_malformed");
}

TEST(Bundle, RefusesWrongManifests) {
  for (const std::string_view manifest :
       {"", "[]", "{", R"({"revision":5})", R"({"roots":"a"})", R"({"roots":[1]})",
        R"({"rego_version":9})", R"({"metadata":[]})"}) {
    EXPECT_EQ(ReasonOf(Archive({{".manifest", std::string(manifest)}})), "bundle_malformed")
        << manifest;
  }
}

TEST(Bundle, RefusesWhatItCannotRead) {
  for (const std::string_view name : {"data.yaml", "x/data.yml"}) {
    EXPECT_EQ(ReasonOf(Archive({{std::string(name), "{}"}})), "bundle_unsupported") << name;
  }
  for (const std::string_view name :
       {"x/.manifest", "x.manifest", "x/.signatures.json", "x/.manifest.pb"}) {
    EXPECT_EQ(ReasonOf(Archive({{std::string(name), "{}"}})), "bundle_name") << name;
  }
}

TEST(Bundle, RefusesHostileNames) {
  for (const std::string_view name : {"../x", "a/../x", "a//b", "a/./b", "//etc/passwd", "a/",
                                      "a\\b", "a\nb", "\xff", "..", "/", "./"}) {
    EXPECT_EQ(ReasonOf(Archive({{std::string(name), ""}})), "bundle_name") << name;
    EXPECT_FALSE(WriteBundle(std::vector<BundleFile>{{std::string(name), ""}}, nullptr)) << name;
  }
  EXPECT_EQ(ReasonOf(Archive({{"a", "1"}, {"a", "2"}})), "bundle_name");
  EXPECT_EQ(ReasonOf(Archive({{"a", "1"}, {"/a", "2"}})), "bundle_name");
  EXPECT_EQ(ReasonOf(Archive({{"a", "1"}, {"./a", "2"}})), "bundle_name");
  EXPECT_EQ(ReasonOf(Archive({{"a", "1"}, {"/b", "2"}, {"./c", "3"}})), "");
}

TEST(Bundle, KeepsToItsLimits) {
  const std::string bytes = Archive({{"a", std::string(1000, 'a')}, {"b", std::string(1000, 'b')}});
  EXPECT_EQ(ReasonOf(bytes, {.max_total_bytes = 2000}), "");
  EXPECT_EQ(ReasonOf(bytes, {.max_total_bytes = 1999}), "bundle_too_large");
  EXPECT_EQ(ReasonOf(bytes, {.max_file_bytes = 999}), "bundle_too_large");
  EXPECT_EQ(ReasonOf(bytes, {.max_archive_bytes = 10}), "bundle_too_large");
  EXPECT_EQ(ReasonOf(bytes, {.max_files = 1}), "bundle_too_large");
  EXPECT_EQ(ReasonOf(Archive({{"abcdef", ""}}), {.max_name_bytes = 5}), "bundle_name");
}

TEST(Bundle, StopsAtGzipBombs) {
  const std::string bomb = Archive({{"a", std::string(64 << 20, '\0')}});
  ASSERT_LT(bomb.size(), 100'000u);
  EXPECT_EQ(ReasonOf(bomb, {.max_file_bytes = 1 << 20, .max_total_bytes = 1 << 20}),
            "bundle_too_large");
}

TEST(Bundle, RefusesEveryTruncationAndTrailingBytes) {
  const std::string bytes = *WriteBundle(kFiles, nullptr);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(ReasonOf(std::string_view(bytes).substr(0, size)), "bundle_malformed") << size;
  }
  EXPECT_EQ(ReasonOf(bytes + std::string(1, '\0')), "bundle_malformed");
  EXPECT_EQ(ReasonOf(bytes + "x"), "bundle_malformed");
}

// The gzip header has bytes that mean nothing, and deflate can say the same in several ways; what
// comes out is under a checksum.
TEST(Bundle, EveryFlippedByteIsRefusedOrHarmless) {
  const std::string bytes = *WriteBundle(kFiles, nullptr);
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string flipped = bytes;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x10);
    const Result<Bundle> bundle = ReadBundle(flipped, nullptr);
    if (!bundle) continue;
    EXPECT_EQ(bundle->plan_json, R"({"static":{}})") << i;
    EXPECT_EQ(bundle->data_json, R"({"aegis":{"x":1}})") << i;
  }
}

// Raw tar bytes under a valid checksum, to say what our writer never says.
std::string Tar(const std::function<void(std::string&)>& change, std::string_view content = "") {
  std::string block(512, '\0');
  block.replace(0, 1, "a");
  block.replace(100, 7, "0000644");
  block.replace(257, 8, std::string("ustar\00000", 8));
  block[156] = '0';
  char size[12];
  std::snprintf(size, sizeof size, "%011zo", content.size());
  block.replace(124, 11, size);
  change(block);
  block.replace(148, 8, 8, ' ');
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  char checksum[8];
  std::snprintf(checksum, sizeof checksum, "%06o", sum);
  block.replace(148, 7, checksum, 7);
  block += content;
  block.append((512 - content.size() % 512) % 512, '\0');
  return block;
}

// Puts ready tar bytes where WriteArchive puts its own, by gzip's stored blocks (RFC 1951 §3.2.4).
std::string Gzip(const std::string& tar) {
  std::string out("\x1f\x8b\x08\0\0\0\0\0\0\x03", 10);
  size_t at = 0;
  do {
    const size_t piece = std::min<size_t>(tar.size() - at, 65535);
    out.push_back(at + piece == tar.size() ? 1 : 0);
    const auto n = static_cast<uint16_t>(piece);
    for (const uint16_t v : {n, static_cast<uint16_t>(~n)}) {
      out.push_back(static_cast<char>(v & 255));
      out.push_back(static_cast<char>(v >> 8));
    }
    out.append(tar, at, piece);
    at += piece;
  } while (at < tar.size());
  uint32_t crc = 0xffffffff;
  for (const char c : tar) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  for (const uint32_t v : {~crc, static_cast<uint32_t>(tar.size())}) {
    for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<char>(v >> shift & 255));
  }
  return out;
}

const std::string kEnd(1024, '\0');

TEST(BundleTar, AcceptsForeignEntries) {
  const std::string plain = Tar([](std::string&) {}, "x");
  EXPECT_EQ(ReasonOf(Gzip(plain + kEnd)), "");
  EXPECT_EQ(ReasonOf(Gzip(plain + kEnd + std::string(8192, '\0'))), "");
  const auto type = [](char c) { return [c](std::string& block) { block[156] = c; }; };
  EXPECT_EQ(ReasonOf(Gzip(Tar(type('5')) + plain + kEnd)), "");
  EXPECT_EQ(ReasonOf(Gzip(Tar(type('g'), "20 comment=whatever\n") + plain + kEnd)), "");
  const Bundle gnu =
      *ReadBundle(Gzip(Tar(type('L'), std::string("long/name\0", 10)) + plain + kEnd), nullptr);
  EXPECT_EQ(gnu.files[0].name, "long/name");
  const Bundle pax =
      *ReadBundle(Gzip(Tar(type('x'), "17 path=pax/name\n9 size=1\n") + plain + kEnd), nullptr);
  EXPECT_EQ(pax.files[0].name, "pax/name");
}

TEST(BundleTar, RefusesHostileEntries) {
  const std::string plain = Tar([](std::string&) {}, "x");
  const auto type = [](char c) { return [c](std::string& block) { block[156] = c; }; };
  for (const char c : std::string_view("123467SKVMA")) {
    EXPECT_EQ(ReasonOf(Gzip(Tar(type(c)) + kEnd)), "bundle_entry_type") << c;
  }
  const auto malformed = [](const std::string& tar) {
    return ReasonOf(Gzip(tar)) == "bundle_malformed";
  };
  EXPECT_TRUE(malformed(""));
  EXPECT_TRUE(malformed(plain));                        // no end
  EXPECT_TRUE(malformed(plain.substr(0, 600)));         // content cut off
  EXPECT_TRUE(malformed(plain + kEnd + "x"));           // data after the end
  EXPECT_TRUE(malformed(plain + kEnd.substr(0, 100)));  // part of a block
  const auto size = [](const char* digits) {
    return [digits](std::string& block) { block.replace(124, 11, digits); };
  };
  EXPECT_EQ(ReasonOf(Gzip(Tar(size("77777777777")) + kEnd)), "bundle_too_large");
  EXPECT_TRUE(malformed(Tar(size("00000010000")) + kEnd));
  EXPECT_TRUE(malformed(Tar(size("0000000000z")) + kEnd));
  EXPECT_TRUE(malformed(Tar([](std::string& block) { block[124] = '\x80'; }) + kEnd));
  std::string wrong_checksum = plain + kEnd;
  wrong_checksum[0] = 'b';
  EXPECT_TRUE(malformed(wrong_checksum));
  for (const std::string_view records :
       {"5", "0 a=b\n", "99 a=b\n", "6 a=b", "4 a\n", "6 path\n", "10 size=x\n"}) {
    EXPECT_TRUE(malformed(Tar(type('x'), records) + plain + kEnd)) << records;
  }
  EXPECT_TRUE(malformed(Tar(type('g'), "10 path=b\n") + plain + kEnd));
}

}  // namespace
}  // namespace aegis::rego

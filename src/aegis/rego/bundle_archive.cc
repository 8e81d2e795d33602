#include "aegis/rego/bundle_archive.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <unordered_set>

#include "aegis/base/text.h"

namespace aegis::rego {
namespace {

constexpr size_t kBlock = 512;
constexpr size_t kMaxComponents = 64;
constexpr int kGzipWindow = 15 + 16;  // zlib: the largest window, in a gzip wrapper

// A ustar header (POSIX.1-1988 §10.1.1); all fields are text.
struct Header {
  char name[100];
  char mode[8];
  char uid[8];
  char gid[8];
  char size[12];
  char mtime[12];
  char checksum[8];
  char type;
  char link_name[100];
  char magic[6];
  char version[2];
  char user[32];
  char group[32];
  char device_major[8];
  char device_minor[8];
  char prefix[155];
  char padding[12];
};
static_assert(sizeof(Header) == kBlock);

tl::unexpected<Error> Malformed(std::string message) {
  return Fail(Code::kInvalidArgument, "bundle_malformed",
              "the bundle is damaged: " + std::move(message));
}
tl::unexpected<Error> TooLarge(std::string message) {
  return Fail(Code::kResourceExhausted, "bundle_too_large", std::move(message));
}
tl::unexpected<Error> BadName(std::string message) {
  return Fail(Code::kInvalidArgument, "bundle_name", std::move(message));
}

// Unpacks all gzip members of `bytes`; stops as soon as there is more than `max_bytes`.
Result<std::string> Gunzip(std::string_view bytes, size_t max_bytes) {
  z_stream stream{};
  if (inflateInit2(&stream, kGzipWindow) != Z_OK) {
    return Fail(Code::kInternal, "bundle_malformed", "zlib cannot start");
  }
  struct End {
    z_stream* stream;
    ~End() { inflateEnd(stream); }
  } end{&stream};
  std::string out;
  std::string buffer(256 * 1024, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  while (true) {
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = static_cast<uInt>(buffer.size());
    const int status = inflate(&stream, Z_NO_FLUSH);
    const size_t got = buffer.size() - stream.avail_out;
    if (got > max_bytes - out.size()) {
      return TooLarge("the bundle unpacks to more than " + std::to_string(max_bytes) + " bytes");
    }
    out.append(buffer, 0, got);
    if (status == Z_STREAM_END) {
      if (stream.avail_in == 0) return out;
      if (inflateReset(&stream) != Z_OK) return Malformed("bad gzip data");
      continue;
    }
    if (status != Z_OK) {
      return Malformed(stream.avail_in == 0 ? "the gzip data ends too early" : "bad gzip data");
    }
  }
}

// A field that ends at its first NUL, or at its end.
template <size_t n>
std::string_view Text(const char (&field)[n]) {
  return {field, strnlen(field, n)};
}

// An octal number, with spaces or NULs around it. The base-256 form, for 8 GiB and more, is not
// read.
template <size_t n>
std::optional<uint64_t> Octal(const char (&field)[n]) {
  std::string_view text = Trim(Text(field));
  if (text.empty()) return 0;
  uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '7' || value >> 60 != 0) return std::nullopt;
    value = value << 3 | static_cast<uint64_t>(c - '0');
  }
  return value;
}

// The sum of all bytes of the header, its checksum field taken as spaces.
uint64_t Checksum(const Header& header) {
  Header copy = header;
  std::memset(copy.checksum, ' ', sizeof copy.checksum);
  const auto* bytes = reinterpret_cast<const unsigned char*>(&copy);
  uint64_t sum = 0;
  for (size_t i = 0; i < kBlock; ++i) sum += bytes[i];
  return sum;
}

// What a pax extended header (POSIX.1-2001) or a GNU one says of the next entry.
struct Override {
  std::optional<std::string> path;
  std::optional<uint64_t> size;
};

std::optional<uint64_t> Decimal(std::string_view text) {
  if (text.empty() || text.size() > 15) return std::nullopt;
  uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  return value;
}

// Records "<length> <key>=<value>\n"; the length counts the whole record.
Status ReadPax(std::string_view records, Override& next) {
  while (!records.empty()) {
    const size_t space = records.find(' ');
    const std::optional<uint64_t> length =
        space == std::string_view::npos ? std::nullopt : Decimal(records.substr(0, space));
    if (!length || *length > records.size() || *length < space + 3 ||
        records[*length - 1] != '\n') {
      return Malformed("a bad pax header");
    }
    const std::string_view record = records.substr(space + 1, *length - space - 2);
    const size_t equals = record.find('=');
    if (equals == std::string_view::npos) return Malformed("a bad pax header");
    const std::string_view key = record.substr(0, equals), value = record.substr(equals + 1);
    if (key == "path") {
      next.path = std::string(value);
    } else if (key == "size") {
      next.size = Decimal(value);
      if (!next.size) return Malformed("a bad pax header");
    } else if (key.starts_with("GNU.sparse.")) {
      return Fail(Code::kInvalidArgument, "bundle_entry_type", "the bundle has a sparse file");
    }
    records.remove_prefix(*length);
  }
  return Ok();
}

// "/a", "./a" and "a" are the same file: OPA writes the first, `tar -C dir .` the second.
std::string_view Relative(std::string_view name) {
  if (name.starts_with('/')) name.remove_prefix(1);
  while (name.starts_with("./")) name.remove_prefix(2);
  return name;
}

class TarReader {
 public:
  TarReader(std::string_view tar, const BundleLimits& limits) : tar_(tar), limits_(limits) {}

  Result<std::vector<BundleFile>> Read() {
    while (true) {
      if (tar_.size() - at_ < kBlock) return Malformed("the tar data ends too early");
      Header header;
      std::memcpy(&header, tar_.data() + at_, kBlock);
      at_ += kBlock;
      if (IsZero(std::string_view(reinterpret_cast<const char*>(&header), kBlock))) break;
      if (++entries_ > 4 * limits_.max_files) return TooManyFiles();
      AEGIS_RETURN_IF_ERROR(ReadEntry(header));
    }
    if (!IsZero(tar_.substr(at_))) return Malformed("data follows the end of the tar file");
    return std::move(files_);
  }

 private:
  static bool IsZero(std::string_view bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == '\0'; });
  }

  tl::unexpected<Error> TooManyFiles() const {
    return TooLarge("the bundle has more than " + std::to_string(limits_.max_files) + " files");
  }

  // The content of an entry; the reader then stands at the next header.
  Result<std::string_view> Content(uint64_t size) {
    const size_t left = tar_.size() - at_;
    if (size > left) return Malformed("the tar data ends too early");
    const std::string_view content = tar_.substr(at_, size);
    at_ += std::min<size_t>(left, (size + kBlock - 1) / kBlock * kBlock);
    return content;
  }

  static std::string HeaderName(const Header& header) {
    const std::string_view name = Text(header.name), prefix = Text(header.prefix);
    // Only POSIX's own magic has a prefix; old GNU tar keeps other things there.
    if (std::string_view(header.magic, 6) != std::string_view("ustar\0", 6) || prefix.empty()) {
      return std::string(name);
    }
    return std::string(prefix) + '/' + std::string(name);
  }

  Status ReadEntry(const Header& header) {
    const std::optional<uint64_t> checksum = Octal(header.checksum);
    std::optional<uint64_t> size = Octal(header.size);
    if (!checksum || *checksum != Checksum(header))
      return Malformed("a tar header has a wrong checksum");
    if (!size) return Malformed("a tar header has a bad size");
    switch (header.type) {
      case 'x': {
        AEGIS_TRY(const std::string_view records, Content(*size));
        return ReadPax(records, next_);
      }
      case 'g': {
        AEGIS_TRY(const std::string_view records, Content(*size));
        Override global;
        AEGIS_RETURN_IF_ERROR(ReadPax(records, global));
        if (global.path || global.size)
          return Malformed("a global pax header sets a path or a size");
        return Ok();
      }
      case 'L': {
        AEGIS_TRY(const std::string_view name, Content(*size));
        next_.path = std::string(name.substr(0, name.find('\0')));
        return Ok();
      }
      case '0':
      case '\0':
        break;
      case '5':
        next_ = {};
        return Ok();
      default:
        return Fail(
            Code::kInvalidArgument, "bundle_entry_type",
            "the bundle has an entry that is neither a file nor a folder; links, devices and the "
            "like are refused");
    }
    if (next_.size) size = next_.size;
    const std::string full_name = next_.path ? *std::move(next_.path) : HeaderName(header);
    next_ = {};
    if (*size > limits_.max_file_bytes) {
      return TooLarge("a file of the bundle has more than " +
                      std::to_string(limits_.max_file_bytes) + " bytes");
    }
    AEGIS_TRY(const std::string_view content, Content(*size));
    const std::string_view name = Relative(full_name);
    AEGIS_RETURN_IF_ERROR(CheckBundleName(name, limits_.max_name_bytes));
    if (files_.size() == limits_.max_files) return TooManyFiles();
    if (!names_.emplace(name).second)
      return BadName("the bundle has two files named " + std::string(name));
    files_.push_back(BundleFile{std::string(name), std::string(content)});
    return Ok();
  }

  const std::string_view tar_;
  const BundleLimits& limits_;
  size_t at_ = 0;
  size_t entries_ = 0;
  Override next_;
  std::vector<BundleFile> files_;
  std::unordered_set<std::string> names_;
};

template <size_t n>
void PutOctal(char (&field)[n], uint64_t value) {
  for (size_t i = n - 1; i-- > 0; value >>= 3) field[i] = static_cast<char>('0' + (value & 7));
  field[n - 1] = '\0';
}

void AppendEntry(std::string& tar, char type, std::string_view name, std::string_view content) {
  Header header{};
  std::memcpy(header.name, name.data(), std::min(name.size(), sizeof header.name));
  PutOctal(header.mode, 0644);
  PutOctal(header.uid, 0);
  PutOctal(header.gid, 0);
  PutOctal(header.size, content.size());
  PutOctal(header.mtime, 0);
  header.type = type;
  std::memcpy(header.magic, "ustar", 6);
  std::memcpy(header.version, "00", 2);
  const uint64_t checksum = Checksum(header);
  char digits[7];
  PutOctal(digits, checksum);
  std::memcpy(header.checksum, digits, sizeof digits);
  header.checksum[7] = ' ';
  tar.append(reinterpret_cast<const char*>(&header), kBlock);
  tar.append(content);
  tar.append((kBlock - content.size() % kBlock) % kBlock, '\0');
}

// "<length> path=<name>\n", where the length counts its own digits.
std::string PaxPath(std::string_view name) {
  const size_t rest = std::string_view(" path=\n").size() + name.size();
  size_t length = rest + 1;
  while (std::to_string(length).size() + rest != length)
    length = std::to_string(length).size() + rest;
  return std::to_string(length) + " path=" + std::string(name) + "\n";
}

void AppendFile(std::string& tar, const BundleFile& file) {
  const std::string_view name = file.name;
  if (name.size() <= sizeof(Header::name)) {
    AppendEntry(tar, '0', name, file.content);
    return;
  }
  AppendEntry(tar, 'x', "pax", PaxPath(name));
  AppendEntry(tar, '0', name.substr(0, sizeof(Header::name)), file.content);
}

}  // namespace

Status CheckBundleName(std::string_view name, size_t max_bytes) {
  if (name.empty()) return BadName("a file of the bundle has no name");
  if (name.size() > max_bytes) return BadName("a file name of the bundle is too long");
  if (!IsValidUtf8(name)) return BadName("a file name of the bundle is not UTF-8");
  for (const char c : name) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\') {
      return BadName("a file name of the bundle has a control character or a backslash");
    }
  }
  const std::vector<std::string_view> components = Split(name, '/');
  if (components.size() > kMaxComponents) return BadName("a file of the bundle lies too deep");
  for (const std::string_view component : components) {
    if (component.empty() || component == "." || component == "..") {
      return BadName("a file name of the bundle is not a plain relative path: " +
                     std::string(name));
    }
  }
  return Ok();
}

Result<std::vector<BundleFile>> ReadArchive(std::string_view bytes, const BundleLimits& limits) {
  if (bytes.size() > std::min<size_t>(limits.max_archive_bytes, UINT32_MAX)) {
    return TooLarge("the bundle has " + std::to_string(bytes.size()) + " bytes; at most " +
                    std::to_string(limits.max_archive_bytes) + " are accepted");
  }
  // Beside the content, tar has a header and padding for each file, and blocks at the end.
  const size_t max_tar_bytes = limits.max_total_bytes + limits.max_files * 4 * kBlock + 20 * kBlock;
  AEGIS_TRY(const std::string tar, Gunzip(bytes, max_tar_bytes));
  AEGIS_TRY(std::vector<BundleFile> files, TarReader(tar, limits).Read());
  size_t total = 0;
  for (const BundleFile& file : files) total += file.content.size();
  if (total > limits.max_total_bytes) {
    return TooLarge("the files of the bundle have more than " +
                    std::to_string(limits.max_total_bytes) + " bytes");
  }
  return files;
}

Result<std::string> WriteArchive(std::span<const BundleFile> files) {
  std::string tar;
  for (const BundleFile& file : files) {
    if (file.content.size() >> 33 != 0) return TooLarge("a file of the bundle has 8 GiB or more");
    AppendFile(tar, file);
  }
  tar.append(2 * kBlock, '\0');

  z_stream stream{};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzipWindow, 8,
                   Z_DEFAULT_STRATEGY) != Z_OK) {
    return Fail(Code::kInternal, "bundle_malformed", "zlib cannot start");
  }
  std::string out;
  std::string buffer(256 * 1024, '\0');
  size_t fed = 0;
  int status = Z_OK;
  while (status == Z_OK) {
    if (stream.avail_in == 0 && fed < tar.size()) {
      const size_t piece = std::min<size_t>(tar.size() - fed, size_t{1} << 30);
      stream.next_in = reinterpret_cast<Bytef*>(tar.data() + fed);
      stream.avail_in = static_cast<uInt>(piece);
      fed += piece;
    }
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = static_cast<uInt>(buffer.size());
    status = deflate(&stream, fed == tar.size() ? Z_FINISH : Z_NO_FLUSH);
    out.append(buffer, 0, buffer.size() - stream.avail_out);
  }
  deflateEnd(&stream);
  if (status != Z_STREAM_END)
    return Fail(Code::kInternal, "bundle_malformed", "zlib failed to compress");
  return out;
}

}  // namespace aegis::rego

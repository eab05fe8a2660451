#include "backup/backup_manifest.h"

#include <fmt/format.h>

#include <optional>

#include "base/json.h"

namespace walback {
namespace {

/// A name that is not UTF-8 stands there as hexadecimal bytes.
std::string from_hex(std::string_view text) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; };
  std::string bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes += static_cast<char>(digit(text[i]) * 16 + digit(text[i + 1]));
  }
  return bytes;
}

/// Follows the document by depth and key; knows three places and passes over everything else.
class ManifestReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  using OnFile = std::function<void(const std::string& path, std::uint64_t bytes)>;
  explicit ManifestReader(const OnFile& on_file) : on_file_(on_file) {}
  [[nodiscard]] Result<BackupManifest> take() &&;

  bool null() override { return true; }
  bool boolean(bool /*value*/) override { return true; }
  bool number_float(number_float_t /*value*/, const string_t& /*text*/) override { return true; }
  bool binary(binary_t& /*value*/) override { return true; }
  bool number_integer(number_integer_t /*value*/) override { return reject("a negative number"); }
  bool number_unsigned(number_unsigned_t value) override;
  bool string(string_t& value) override;
  bool key(string_t& name) override {
    key_ = name;
    if (depth_ == 1) section_ = name;
    return true;
  }
  bool start_object(std::size_t /*elements*/) override;
  bool end_object() override;
  bool start_array(std::size_t /*elements*/) override {
    return ++depth_ <= kDeepest || reject("deep nesting");
  }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& /*why*/) override {
    return reject(fmt::format("no valid JSON at byte {}", position));
  }

 private:
  bool reject(const std::string& problem) {
    if (problem_.empty()) problem_ = problem;
    return false;
  }
  [[nodiscard]] bool in_item_of(std::string_view section) const { return depth_ == 3 && section_ == section; }

  static constexpr int kDeepest = 8;
  int depth_ = 0;
  std::string section_, key_, problem_;
  std::optional<std::uint64_t> version_;
  bool closed_ = false;  ///< its last member, the checksum over all others, is there
  BackupManifest manifest_;
  const OnFile& on_file_;
  std::string path_;
  std::uint64_t size_ = 0;
  std::optional<std::uint64_t> timeline_;
  std::optional<Lsn> start_, end_;
};

bool ManifestReader::number_unsigned(number_unsigned_t value) {
  if (depth_ == 1 && key_ == "PostgreSQL-Backup-Manifest-Version") version_ = value;
  if (in_item_of("Files") && key_ == "Size") {
    manifest_.size_bytes += value;
    size_ = value;
  }
  if (in_item_of("WAL-Ranges") && key_ == "Timeline") timeline_ = value;
  return true;
}

bool ManifestReader::string(string_t& value) {
  if (depth_ == 1 && key_ == "Manifest-Checksum") closed_ = true;
  if (in_item_of("Files") && key_ == "Path") path_ = value;
  if (in_item_of("Files") && key_ == "Encoded-Path") path_ = from_hex(value);
  if (in_item_of("WAL-Ranges") && key_ == "Start-LSN") start_ = parse_lsn(value);
  if (in_item_of("WAL-Ranges") && key_ == "End-LSN") end_ = parse_lsn(value);
  return true;
}

bool ManifestReader::start_object(std::size_t /*elements*/) {
  if (++depth_ > kDeepest) return reject("deep nesting");
  if (in_item_of("Files")) ++manifest_.files;
  return true;
}

bool ManifestReader::end_object() {
  if (in_item_of("Files")) {
    if (path_.empty()) return reject("a file without a path");
    if (on_file_) on_file_(path_, size_);
    path_.clear();
    size_ = 0;
  }
  if (in_item_of("WAL-Ranges")) {
    if (!timeline_ || *timeline_ == 0 || *timeline_ > UINT32_MAX || !start_ || !end_ || *end_ <= *start_) {
      return reject("a WAL range without valid Timeline, Start-LSN and End-LSN");
    }
    manifest_.wal_ranges.push_back({{static_cast<std::uint32_t>(*timeline_)}, *start_, *end_});
    timeline_.reset();
    start_.reset();
    end_.reset();
  }
  --depth_;
  return true;
}

Result<BackupManifest> ManifestReader::take() && {
  if (problem_.empty() && !version_) problem_ = "no PostgreSQL-Backup-Manifest-Version";
  if (problem_.empty() && *version_ != 1 && *version_ != 2) {
    problem_ = fmt::format("format version {}, expected 1 or 2", *version_);
  }
  if (problem_.empty() && manifest_.files == 0) problem_ = "no Files";
  if (problem_.empty() && manifest_.wal_ranges.empty()) problem_ = "no WAL-Ranges";
  if (problem_.empty() && !closed_) problem_ = "no Manifest-Checksum";
  if (!problem_.empty()) return fail(ErrorKind::corrupt, "backup_manifest: " + problem_);
  return std::move(manifest_);
}

}  // namespace

Result<BackupManifest> parse_backup_manifest(std::string_view text) {
  return parse_backup_manifest(text, {});
}

Result<BackupManifest> parse_backup_manifest(
    std::string_view text, const std::function<void(const std::string& path, std::uint64_t bytes)>& on_file) {
  ManifestReader reader(on_file);
  // A false return is an error that the reader noted itself.
  (void)nlohmann::json::sax_parse(text.begin(), text.end(), &reader);
  return std::move(reader).take();
}

}  // namespace walback

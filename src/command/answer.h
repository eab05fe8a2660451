#pragma once
#include <cstdio>
#include <optional>
#include <string_view>

#include "base/json.h"

namespace walback {

/// A command's stdout. With --json it is exactly one JSON document, however the command ends: an error
/// becomes the member "error" of the answer that was given before it, or the last element of a list under
/// way, or a document of its own.
///
/// A reader who went away (`walback commits | head`) is no error: nobody misses what he did not want to read.
/// Any other failure to write is one.
class Answer {
 public:
  explicit Answer(std::FILE* to = stdout) : to_(to) {}

  /// Written at once; an empty one or one without a final newline gets one. False: nobody reads any more.
  bool text(std::string_view text);
  /// The same for one of many lines: buffered.
  bool line(std::string_view line);
  /// Kept until the end is known. Once.
  void document(Json document) { document_ = std::move(document); }
  /// An array too long to hold: one element a line, written at once. False: nobody reads any more.
  bool item(const Json& item);
  /// For an array that may stay empty.
  void begin_items();

  /// Writes what is still to come. `error`: with --json, the form of a command that failed: an object with
  /// the member "error".
  [[nodiscard]] Status finish(const std::optional<Json>& error);

 private:
  void put(std::string_view bytes);

  std::FILE* to_;
  std::optional<Json> document_;
  bool in_items_ = false, first_item_ = true;
  int failure_ = 0;  ///< errno of the first write that failed
};

}  // namespace walback

#pragma once
#include <tl/expected.hpp>
#include <utility>

#include "base/error.h"

namespace walback {

/// What a function that can fail returns: the value, or the Error that a person will read.
template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

/// `return fail(ErrorKind::not_found, "…", "…");` from any function that returns a Result.
[[nodiscard]] inline tl::unexpected<Error> fail(ErrorKind kind, std::string message, std::string hint = {}) {
  return tl::unexpected<Error>(Error{kind, std::move(message), std::move(hint)});
}

namespace detail {
template <class T>
T take_value(Result<T>&& result) {
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}
}  // namespace detail

}  // namespace walback

/// `auto rows = TRY(connection.query(…));` hands an error to the caller and yields the value otherwise.
/// A statement expression (GCC and Clang) because the alternative, three lines at every call, buries the
/// story.
#define TRY(...) WALBACK_TRY(WALBACK_NAME(try_result_, __COUNTER__), __VA_ARGS__)
#define WALBACK_NAME(name, number) WALBACK_NAME_(name, number)
#define WALBACK_NAME_(name, number) name##number
// A name of its own each time, so that one TRY may stand inside another.
#define WALBACK_TRY(result, ...)                                                     \
  __extension__({                                                                    \
    auto result = (__VA_ARGS__);                                                     \
    if (!result) return tl::unexpected<::walback::Error>(std::move(result).error()); \
    ::walback::detail::take_value(std::move(result));                                \
  })

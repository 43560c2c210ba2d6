// Plain C++ functions as ops: arguments from the stack of 64-bit values that torch passes, the result back onto it.
#pragma once

#include <cstring>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "tensor.h"

namespace amt::stable {

// How a T travels in 64 bits. `take` makes the value ours, so that it is called once for each; `give` makes it torch's.
template <typename T>
struct Value;

template <>
struct Value<int64_t> {
  static int64_t take(StableIValue value) { return static_cast<int64_t>(value); }
  static StableIValue give(int64_t value) { return static_cast<StableIValue>(value); }
};

template <>
struct Value<bool> {
  static bool take(StableIValue value) { return (value & 0xff) != 0; }
};

template <>
struct Value<double> {
  static double take(StableIValue value) {
    double number;
    std::memcpy(&number, &value, sizeof(number));
    return number;
  }
};

// A handle is a pointer as a number.
template <typename Opaque>
Opaque* to_handle(StableIValue value) {
  return reinterpret_cast<Opaque*>(static_cast<uintptr_t>(value));
}
template <typename Opaque>
StableIValue from_handle(Opaque* handle) {
  return reinterpret_cast<uintptr_t>(handle);
}

template <>
struct Value<Tensor> {
  static Tensor take(StableIValue value) { return Tensor(to_handle<AtenTensorOpaque>(value)); }
};

template <>
struct Value<std::string> {
  static std::string take(StableIValue value) {
    const OwnedString string(to_handle<StringOpaque>(value));
    size_t length = 0;
    const char* data = nullptr;
    check_call(torch_string_length(string.get(), &length));
    check_call(torch_string_c_str(string.get(), &data));
    return std::string(data, length);
  }
  static StableIValue give(const std::string& value) {
    StringHandle string = nullptr;
    check_call(torch_new_string_handle(value.data(), value.size(), &string));
    return from_handle(string);
  }
};

template <typename T>
struct Value<std::vector<T>> {
  static std::vector<T> take(StableIValue value) {
    const OwnedList list(to_handle<StableListOpaque>(value));
    size_t size = 0;
    check_call(torch_list_size(list.get(), &size));
    std::vector<T> values;
    values.reserve(size);
    for (size_t index = 0; index < size; ++index) {
      StableIValue element = 0;
      check_call(torch_list_get_item(list.get(), index, &element));
      values.push_back(Value<T>::take(element));
    }
    return values;
  }
  static StableIValue give(const std::vector<T>& values) {
    StableListHandle handle = nullptr;
    check_call(torch_new_list_reserve_size(values.size(), &handle));
    OwnedList list(handle);
    for (const T& value : values) check_call(torch_list_push_back(handle, Value<T>::give(value)));
    return from_handle(list.release());
  }
};

template <auto function>
struct Boxed;

// Arguments are taken in order and gone when the function returns or throws; torch passes what it throws on to Python.
template <typename Result, typename... Arguments, Result (*function)(Arguments...)>
struct Boxed<function> {
  static void call(StableIValue* stack, uint64_t num_inputs, uint64_t num_outputs) {
    if (num_inputs != sizeof...(Arguments) || num_outputs != (std::is_void_v<Result> ? 0 : 1)) {
      throw std::runtime_error("the schema of an op does not fit its function");
    }
    call(stack, std::index_sequence_for<Arguments...>());
  }

 private:
  template <size_t... indices>
  static void call(StableIValue* stack, std::index_sequence<indices...>) {
    std::tuple<std::decay_t<Arguments>...> arguments{Value<std::decay_t<Arguments>>::take(stack[indices])...};
    if constexpr (std::is_void_v<Result>) {
      std::apply(function, std::move(arguments));
    } else {
      stack[0] = Value<Result>::give(std::apply(function, std::move(arguments)));
    }
  }
};

}  // namespace amt::stable

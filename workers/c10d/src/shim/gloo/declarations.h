// Gloo lies inside libtorch_cpu.so, but its headers are not in torch's wheel. ProcessGroupGloo.hpp needs the names below to
// be known and keeps all but one of them behind pointers, so it compiles to the layout that the library has. Written for
// torch 2.11.0 exactly: another release may keep one of these by value or call another of its members, and a program built
// with these declarations would then misbehave instead of not compiling. shim.cpp refuses any other version.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace gloo {

namespace transport {
class Device;
class UnboundBuffer {
 public:
  virtual ~UnboundBuffer() = default;
};
} // namespace transport

class Context {
 public:
  void setTimeout(std::chrono::milliseconds timeout);
};

namespace rendezvous {
// The base of GlooStore, which is defined in the header and only ever made inside the library.
class Store {
 public:
  virtual ~Store();
  virtual void set(const std::string& key, const std::vector<char>& value) = 0;
  virtual std::vector<char> get(const std::string& key) = 0;
  virtual void wait(const std::vector<std::string>& keys) = 0;
  virtual void wait(const std::vector<std::string>& keys, const std::chrono::milliseconds& timeout) = 0;
};
} // namespace rendezvous

} // namespace gloo

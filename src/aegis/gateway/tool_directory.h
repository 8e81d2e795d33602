// The tools of a gateway, made of their documents: where they are now, the certificates by which
// they are known, and the secrets that they get. Files and names are looked at again from time to
// time, and when Reload is called.
//
// What a document names must be in the gateway's own configuration (ToolResources): who may change
// documents cannot read the gateway's files, nor send a secret to a host that it is not for.
//
// Threading: a thread of its own; the methods from any thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "aegis/base/result.h"
#include "aegis/gateway/settings.h"
#include "aegis/gateway/state.h"
#include "aegis/telemetry/log.h"

namespace aegis::gateway {

struct ToolResources {
  std::map<std::string, std::string, std::less<>> certificate_authorities;  // PEM files by name
  struct ClientCertificate {
    std::string certificate_file;  // PEM
    std::string key_file;          // PEM
  };
  std::map<std::string, ClientCertificate, std::less<>> client_certificates;
  struct Secret {
    std::function<Result<std::string>()> read;
    // Of the tools that may get it, as in their base_url, without the port; empty: any.
    std::vector<std::string> hosts;
  };
  std::map<std::string, Secret, std::less<>> secrets;
};

class ToolDirectory {
 public:
  struct Options {
    ToolResources resources;
    telemetry::Logger* logger = nullptr;
    int refresh_ms = 30'000;
    int patience_ms = 500;  // how long Set waits, once, for a name that is not known yet
  };
  // Called by the directory's thread when a tool is not what it was.
  using OnChange = std::function<void()>;

  ToolDirectory(Options options, OnChange on_change);
  ~ToolDirectory();
  ToolDirectory(const ToolDirectory&) = delete;
  ToolDirectory& operator=(const ToolDirectory&) = delete;

  // From now on these are the tools. A name that is not known within the patience leaves its tool
  // with a problem until OnChange.
  void Set(std::vector<Settings::ToolEntry> entries);
  // What is known of them now.
  StringMap<Tool> tools() const;
  // Looks at all files and names again, soon.
  void Reload();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace aegis::gateway

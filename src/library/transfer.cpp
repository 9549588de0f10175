#include "library/transfer.h"

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <memory>

#include "base/ascii.h"
#include "base/shared_library.h"
#include "library/public_address.h"

namespace hearth {
namespace {

constexpr int max_redirects = 10;
constexpr long connect_seconds = 15, stalled_bytes_per_second = 1000;
constexpr std::size_t max_headers = 200, max_header_bytes = 16384;

// The functions of libcurl that are used.  It is loaded with the first transfer: it would double
// the time that every command takes to start.
struct Curl {
  decltype(curl_global_init)* global_init;
  decltype(curl_easy_init)* easy_init;
  decltype(curl_easy_setopt)* setopt;
  decltype(curl_easy_perform)* perform;
  decltype(curl_easy_getinfo)* getinfo;
  decltype(curl_easy_strerror)* strerror;
  decltype(curl_easy_cleanup)* easy_cleanup;
  decltype(curl_slist_append)* slist_append;
  decltype(curl_slist_free_all)* slist_free_all;
  decltype(curl_url)* url;
  decltype(curl_url_set)* url_set;
  decltype(curl_url_get)* url_get;
  decltype(curl_url_cleanup)* url_cleanup;
  decltype(curl_free)* free;
  decltype(curl_getdate)* getdate;
};

Result<Curl> load_curl() {
  const auto library = SharedLibrary::open({"libcurl.so.4", "libcurl-gnutls.so.4"});
  if (!library)
    return Error(ErrorKind::unsupported,
                 fmt::format("downloads need libcurl (Debian's package libcurl4): {}",
                             library.error().message()));
  Curl curl{};
  const bool is_whole =
      library->find("curl_global_init", curl.global_init) &&
      library->find("curl_easy_init", curl.easy_init) &&
      library->find("curl_easy_setopt", curl.setopt) &&
      library->find("curl_easy_perform", curl.perform) &&
      library->find("curl_easy_getinfo", curl.getinfo) &&
      library->find("curl_easy_strerror", curl.strerror) &&
      library->find("curl_easy_cleanup", curl.easy_cleanup) &&
      library->find("curl_slist_append", curl.slist_append) &&
      library->find("curl_slist_free_all", curl.slist_free_all) &&
      library->find("curl_url", curl.url) && library->find("curl_url_set", curl.url_set) &&
      library->find("curl_url_get", curl.url_get) &&
      library->find("curl_url_cleanup", curl.url_cleanup) &&
      library->find("curl_free", curl.free) && library->find("curl_getdate", curl.getdate);
  if (!is_whole || curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    return Error(ErrorKind::unsupported, "this libcurl is too old");
  return curl;
}

const Result<Curl>& loaded_curl() {
  static const Result<Curl> curl = load_curl();
  return curl;
}

// Only where loaded_curl() is known to hold one.
const Curl& curl() { return *loaded_curl(); }

struct EasyDeleter {
  void operator()(CURL* easy) const { curl().easy_cleanup(easy); }
};
struct ListDeleter {
  void operator()(curl_slist* list) const { curl().slist_free_all(list); }
};
struct UrlDeleter {
  void operator()(CURLU* url) const { curl().url_cleanup(url); }
};
using Easy = std::unique_ptr<CURL, EasyDeleter>;
using List = std::unique_ptr<curl_slist, ListDeleter>;

std::string part_of(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl().url_get(url, part, &text, CURLU_DEFAULT_PORT) != CURLUE_OK) return "";
  std::string value(text);
  curl().free(text);
  return value;
}

// Scheme, host and port: what a token belongs to.
struct Origin {
  std::string scheme, host, port;
  bool operator==(const Origin&) const = default;
};
Origin origin_of(const std::string& text) {
  const std::unique_ptr<CURLU, UrlDeleter> url(curl().url());
  if (!url || curl().url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) return {};
  return {part_of(url.get(), CURLUPART_SCHEME), part_of(url.get(), CURLUPART_HOST),
          part_of(url.get(), CURLUPART_PORT)};
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// What one hop's callbacks work with.
struct Hop {
  const TransferSink* sink;
  TransferHead* head;
  std::stop_token stop;
  std::optional<Error> error;
  bool is_head_given = false;

  bool give(Status status) {
    if (status.ok()) return true;
    error = std::move(status).error();
    return false;
  }
  bool give_head() {
    if (is_head_given) return true;
    is_head_given = true;
    if (const std::string text = head->header("content-length"); !text.empty()) {
      std::uint64_t length = 0;
      const auto parsed = std::from_chars(text.data(), text.data() + text.size(), length);
      if (parsed.ec == std::errc()) head->length = length;
    }
    return !sink->head || give(sink->head(*head));
  }
};

std::size_t on_header(char* bytes, std::size_t size, std::size_t count, void* user) {
  Hop& hop = *static_cast<Hop*>(user);
  const std::string_view line(bytes, size * count);
  if (line.starts_with("HTTP/")) {  // another answer: after 100 Continue, or through a proxy
    std::erase_if(hop.head->headers,
                  [](const auto& header) { return !header.first.starts_with("x-"); });
    hop.head->length.reset();
    const std::size_t space = std::min(line.find(' '), line.size() - 1);
    hop.head->status = 0;
    std::from_chars(line.data() + space + 1, line.data() + line.size(), hop.head->status);
    return line.size();
  }
  const std::size_t colon = line.find(':');
  if (colon == line.npos || line.size() > max_header_bytes ||
      hop.head->headers.size() >= max_headers)
    return line.size();
  hop.head->headers[ascii_lower(trimmed(line.substr(0, colon)))] = trimmed(line.substr(colon + 1));
  return line.size();
}

std::size_t on_body(char* bytes, std::size_t size, std::size_t count, void* user) {
  Hop& hop = *static_cast<Hop*>(user);
  const std::size_t total = size * count;
  if (is_redirect(hop.head->status)) return total;
  if (!hop.give_head()) return 0;
  const std::span<const char> body(bytes, total);
  return !hop.sink->body || hop.give(hop.sink->body(std::as_bytes(body))) ? total : 0;
}

int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<Hop*>(user)->stop.stop_requested() ? 1 : 0;
}

// The address that the connection will really go to: what a name meant when it was looked at before
// counts for nothing.
curl_socket_t open_public(void* user, curlsocktype, curl_sockaddr* address) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&address->addr);
  const bool is_v6 = address->family == AF_INET6;
  const std::span<const std::uint8_t> host =
      is_v6 ? std::span(bytes + offsetof(sockaddr_in6, sin6_addr), 16)
            : std::span(bytes + offsetof(sockaddr_in, sin_addr), 4);
  if ((!is_v6 && address->family != AF_INET) || !is_public_address(host)) {
    static_cast<Hop*>(user)->error =
        Error(ErrorKind::io,
              "the address is of this machine or of a private network, which other "
              "machines may not have it ask");
    return CURL_SOCKET_BAD;
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

// The variable that names a proxy, which has rules of its own; nullptr: none does.
const char* proxy_variable() {
  for (const char* name : {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"})
    if (const char* value = std::getenv(name); value && *value) return name;
  return nullptr;
}

Error network_error(CURLcode code, const char* detail, const std::string& host) {
  const std::string what = *detail ? detail : curl().strerror(code);
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
      return Error(ErrorKind::io, fmt::format("{}: {}", host, what));
    default:
      break;
  }
  const bool has_no_connection =
      code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_PROXY;
  const char* proxy = has_no_connection ? proxy_variable() : nullptr;
  return Error(ErrorKind::unavailable,
               proxy ? fmt::format("{}: {} ({} names a proxy)", host, what, proxy)
                     : fmt::format("{}: {}", host, what));
}

List headers_of(const TransferRequest& request, bool is_first_origin) {
  List list;
  const auto add = [&](const std::string& line) {
    if (curl_slist* longer = curl().slist_append(list.get(), line.c_str())) {
      (void)list.release();
      list.reset(longer);
    }
  };
  bool has_type = false;
  for (const std::string& header : request.headers) {
    has_type = has_type || ascii_lower(header).starts_with("content-type:");
    add(header);
  }
  if (!request.body.empty() && !has_type) add("Content-Type: application/json");
  if (!request.if_range.empty()) add("If-Range: " + request.if_range);
  if (is_first_origin && !request.bearer.empty()) add("Authorization: Bearer " + request.bearer);
  return list;
}

Status run_hop(const TransferRequest& request, const Origin& first, const TransferSink& sink,
               TransferHead& head, std::stop_token stop) {
  const Origin origin = origin_of(head.url);
  const Easy easy(curl().easy_init());
  if (!easy) return Error(ErrorKind::exhausted, "no memory for a connection");
  Hop hop{&sink, &head, std::move(stop), {}, false};
  const List headers = headers_of(request, origin == first);
  char detail[CURL_ERROR_SIZE] = "";
  CURL* c = easy.get();
  curl().setopt(c, CURLOPT_URL, head.url.c_str());
  curl().setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
  curl().setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
  curl().setopt(c, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl().setopt(c, CURLOPT_HTTPHEADER, headers.get());
  curl().setopt(c, CURLOPT_USERAGENT, "hearth/" HEARTH_VERSION);
  curl().setopt(c, CURLOPT_ERRORBUFFER, detail);
  curl().setopt(c, CURLOPT_NOSIGNAL, 1L);
  curl().setopt(c, CURLOPT_CONNECTTIMEOUT, connect_seconds);
  curl().setopt(c, CURLOPT_LOW_SPEED_LIMIT, stalled_bytes_per_second);
  curl().setopt(c, CURLOPT_LOW_SPEED_TIME, static_cast<long>(request.stall_seconds));
  curl().setopt(c, CURLOPT_BUFFERSIZE, 262144L);
  curl().setopt(c, CURLOPT_HEADERFUNCTION, on_header);
  curl().setopt(c, CURLOPT_HEADERDATA, &hop);
  curl().setopt(c, CURLOPT_WRITEFUNCTION, on_body);
  curl().setopt(c, CURLOPT_WRITEDATA, &hop);
  curl().setopt(c, CURLOPT_NOPROGRESS, 0L);
  curl().setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl().setopt(c, CURLOPT_XFERINFODATA, &hop);
  if (request.only_public && !proxy_variable()) {
    curl().setopt(c, CURLOPT_OPENSOCKETFUNCTION, open_public);
    curl().setopt(c, CURLOPT_OPENSOCKETDATA, &hop);
  }
  if (request.is_direct) curl().setopt(c, CURLOPT_PROXY, "");
  if (request.method != "GET") {
    curl().setopt(c, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    curl().setopt(c, CURLOPT_POSTFIELDSIZE, static_cast<long>(request.body.size()));
    curl().setopt(c, CURLOPT_POSTFIELDS, request.body.c_str());
  }
  const std::string last = request.to_byte > 0 ? std::to_string(request.to_byte) : "";
  const std::string range = fmt::format("{}-{}", request.from_byte, last);
  if (request.from_byte > 0 || request.to_byte > 0) curl().setopt(c, CURLOPT_RANGE, range.c_str());

  const CURLcode code = curl().perform(c);
  if (hop.error) return *std::move(hop.error);
  if (code == CURLE_ABORTED_BY_CALLBACK) return Error(ErrorKind::cancelled, "stopped");
  if (code != CURLE_OK) return network_error(code, detail, origin.host);
  if (!is_redirect(head.status) && !hop.give_head()) return *std::move(hop.error);
  char* next = nullptr;
  curl().getinfo(c, CURLINFO_REDIRECT_URL, &next);
  if (is_redirect(head.status)) {
    if (!next) return Error(ErrorKind::io, fmt::format("{}: a redirect to nowhere", origin.host));
    head.url = next;
  }
  return Done{};
}

}  // namespace

std::string TransferHead::header(std::string_view name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string() : found->second;
}

Result<TransferHead> transfer(const TransferRequest& request, const TransferSink& sink,
                              std::stop_token stop) {
  if (!loaded_curl()) return loaded_curl().error();
  const Origin first = origin_of(request.url);
  TransferHead head;
  head.url = request.url;
  for (int hop = 0; hop <= max_redirects; ++hop) {
    const Origin from = origin_of(head.url);
    TRY(run_hop(request, first, sink, head, stop));
    if (!is_redirect(head.status) || request.method != "GET") return head;
    const Origin to = origin_of(head.url);
    if (to.scheme != "https" && to.scheme != "http")
      return Error(ErrorKind::io,
                   fmt::format("{}: a redirect to '{}' is not followed", from.host, to.scheme));
    if (from.scheme == "https" && to.scheme == "http")
      return Error(ErrorKind::io, fmt::format("{}: a redirect from https to http on {} is not "
                                              "followed",
                                              from.host, to.host));
  }
  return Error(ErrorKind::io, fmt::format("{}: more than {} redirects", first.host, max_redirects));
}

std::int64_t parse_http_date(const std::string& text) {
  return loaded_curl() ? curl().getdate(text.c_str(), nullptr) : -1;
}

std::string percent_encoded(std::string_view path) {
  std::string out;
  for (const char c : path) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || std::string_view("-._~/").contains(c);
    if (is_plain)
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

}  // namespace hearth

// The header from C++: a node in a class that stops and frees itself, and a link in a unique_ptr.
//
//   c++ -std=c++11 adapter.cpp -I PATH/src/ffi PATH/target/release/libpeerbeat.a -lpthread -ldl -lm
#include "peerbeat.h"

#include <condition_variable>
#include <functional>
#include <iostream>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>

namespace {

void check(int code, const char *what) {
    if (code == PEERBEAT_OK) return;
    std::string detail(peerbeat_last_error(nullptr, 0) + 1, '\0');
    peerbeat_last_error(&detail[0], detail.size());
    throw std::runtime_error(std::string(what) + ": " + peerbeat_strerror(code) + ": " + detail);
}

struct FreeConfig {
    void operator()(peerbeat_config *config) const { peerbeat_config_free(config); }
};
struct FreeLink {
    void operator()(peerbeat_link *link) const { peerbeat_link_free(link); }
};
using Config = std::unique_ptr<peerbeat_config, FreeConfig>;
using Link = std::unique_ptr<peerbeat_link, FreeLink>;

Config parse(const char *text) {
    peerbeat_config *config = nullptr;
    check(peerbeat_config_parse(text, nullptr, &config), "configuration");
    return Config(config);
}

class Node {
public:
    using OnEvent = std::function<void(const peerbeat_event &)>;

    Node(const Config &config, OnEvent on_event) : on_event_(std::move(on_event)) {
        peerbeat_handler handler = peerbeat_handler();
        handler.struct_size = sizeof handler;
        handler.on_message = &Node::message;
        handler.on_event = &Node::event;
        handler.user_data = this;
        check(peerbeat_node_start(config.get(), &handler, &node_), "start");
    }
    // Waits for the last callback: the members that callbacks use are still there.
    ~Node() { peerbeat_node_free(node_); }
    Node(const Node &) = delete;
    Node &operator=(const Node &) = delete;

    uint16_t port() const {
        uint16_t port = 0;
        check(peerbeat_node_port(node_, &port), "port");
        return port;
    }

private:
    // Exceptions must not leave a callback.
    static void message(void *, peerbeat_node *node, const char *peer, const void *data,
                        size_t len) noexcept {
        std::string answer("echo ");
        answer.append(static_cast<const char *>(data), len);
        peerbeat_node_try_send(node, peer, answer.data(), answer.size());
    }
    static void event(void *self, peerbeat_node *, const peerbeat_event *event) noexcept {
        static_cast<Node *>(self)->on_event_(*event);
    }

    OnEvent on_event_;
    peerbeat_node *node_ = nullptr;
};

int run() {
    std::mutex mutex;
    std::condition_variable changed;
    int ups = 0, downs = 0;
    Config config = parse("datasrc-name echo\n datasrc-interface 127.0.0.1\n datasrc-port auto\n"
                          "add-peer\n remote-name cpp\n end-peer\n");
    Node node(config, [&](const peerbeat_event &event) {
        std::lock_guard<std::mutex> lock(mutex);
        if (event.kind == PEERBEAT_EVENT_UP) ups++;
        if (event.kind == PEERBEAT_EVENT_DOWN) {
            std::cout << event.peer << " is down: " << event.reason_word << '\n';
            downs++;
        }
        changed.notify_all();
    });

    peerbeat_options options = peerbeat_options();
    check(peerbeat_options_init(&options, sizeof options), "options");
    options.local_name = "cpp";
    peerbeat_link *made = nullptr;
    check(peerbeat_link_connect("127.0.0.1", node.port(), &options, &made), "connect");
    Link link(made);
    std::cout << "connected to " << peerbeat_link_remote_name(link.get()) << '\n';

    check(peerbeat_link_send(link.get(), "tick", 4), "send");
    const void *data = nullptr;
    size_t len = 0;
    check(peerbeat_link_recv_borrow(link.get(), &data, &len, 10000), "receive");
    std::string answer(static_cast<const char *>(data), len);
    check(peerbeat_link_release(link.get()), "release");
    std::cout << answer << '\n';

    link.reset();
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [&] { return downs == 1; });
    return answer == "echo tick" && ups == 1 ? 0 : 1;
}

} // namespace

int main() {
    try {
        return run();
    } catch (const std::exception &error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
}

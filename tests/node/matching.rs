//! Which peer a HELLO belongs to, if several match.

use crate::common::*;

#[test]
fn of_several_that_match_a_free_one_comes_first_then_the_stronger_way_then_the_first() {
    let (node, book) = start(
        "datasrc-port auto
        datasrc-interface 127.0.0.1
        add-peer
            remote-name feed
        end-peer
        add-peer
            label feed
            remote-name by-label
        end-peer
        add-peer
            remote-id 7
            remote-name by-id
        end-peer
        add-peer
            remote-label feed
            remote-name by-remote-label
        end-peer",
    );
    let greet = || {
        let mut mock = Mock::dial(addr(&node));
        mock.say(&hello("feed", "feed", 7));
        mock.expect_hello();
        mock
    };
    let mut open = Vec::new();
    for expected in ["by-remote-label", "by-id", "by-label", "feed"] {
        open.push(greet());
        book.wait_up(expected, 1);
    }
    // None is free: the strongest is replaced.
    open.push(greet());
    book.wait_down("by-remote-label", 1);
    book.wait_up("by-remote-label", 2);
}

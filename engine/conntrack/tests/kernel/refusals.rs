//! Where nothing can be read: what the reader says, and that it gets better by itself.

use std::net::UdpSocket;
use std::sync::mpsc::channel;
use std::time::Duration;

use greyhound_conntrack::namespace::Namespace;
use greyhound_conntrack::reader::view::{State, Trouble};
use greyhound_conntrack::reader::{Config, Mode, Reader, query};
use greyhound_sys::netns;

use super::net::{in_namespace, run, set_up, sysctl, until};

fn state(reader: &Reader) -> Option<State> {
    let view = reader.handle().view();
    (view.state != State::Starting).then(|| view.state.clone())
}

fn hint(reader: &Reader) -> Option<Trouble> {
    let view = reader.handle().view();
    view.namespaces.first()?.hint.clone()
}

#[test]
fn a_namespace_without_a_rule_gets_a_hint_whose_command_helps() {
    in_namespace(|| {
        run("ip", &["link", "set", "lo", "up"], "");
        let reader = Reader::start(Config {
            quiet: Duration::from_secs(1),
            ..Config::default()
        })
        .expect("a thread");
        let hint = until("a hint", || hint(&reader));
        assert!(hint.what.contains("no flow is tracked"), "{}", hint.what);
        assert_eq!(state(&reader), Some(State::Ready));
        let (_, command) = hint.cure.split_once("track here: ").expect("a command");
        run("sh", &["-c", command], "");
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        let own = socket.local_addr().expect("an address");
        until("the hint to go", || {
            socket.send_to(b"x", own).expect("sent");
            let view = reader.handle().view();
            view.namespaces.first()?.hint.is_none().then_some(())
        });
    });
}

#[test]
fn events_that_are_switched_off_are_named_with_the_command_that_switches_them_on() {
    in_namespace(|| {
        set_up(&[], "");
        sysctl("events", 0);
        let reader = Reader::start(Config {
            mode: Mode::Events,
            ..Config::default()
        })
        .expect("a thread");
        let trouble = until("a state", || state(&reader)?.trouble().cloned());
        assert!(
            trouble.what.contains("nf_conntrack_events is 0"),
            "{trouble:?}"
        );
        assert_eq!(
            trouble.cure,
            "sysctl -w net.netfilter.nf_conntrack_events=2"
        );
    });
}

#[test]
fn a_namespace_that_ends_is_let_go_of_and_one_that_comes_is_found() {
    in_namespace(|| {
        let (told, name) = channel();
        let (end, ended) = channel::<()>();
        std::thread::scope(|scope| {
            let other = scope.spawn(move || {
                netns::in_new(move || {
                    let own = std::fs::read_link("/proc/thread-self").expect("Linux");
                    told.send(format!("/proc/{}/ns/net", own.display()))
                        .expect("they wait");
                    ended.recv().ok();
                })
                .expect("another namespace");
            });
            let path = name.recv().expect("it lives");
            let link = tempfile::tempdir().expect("a folder");
            let alias = link.path().join("blue");
            let text = alias.display().to_string();
            let reader = Reader::start(Config {
                namespaces: vec![Namespace::own(), Namespace::from_text(&text)],
                mode: Mode::Events,
                ..Config::default()
            })
            .expect("a thread");
            let what = until("a state", || Some(state(&reader)?.reason()?.to_owned()));
            assert!(what.contains("there is no network namespace"), "{what}");
            let error =
                query::list(&Namespace::from_text(&text), &Default::default(), 1).unwrap_err();
            assert!(error.cure().contains("ip netns list"), "{error}");
            std::os::unix::fs::symlink(&path, &alias).expect("a name for it");
            until("both to be well", || {
                (state(&reader)? == State::Ready).then_some(())
            });
            drop(end);
            other.join().expect("it ends");
            let what = until("the loss", || Some(state(&reader)?.reason()?.to_owned()));
            assert!(what.contains("there is no network namespace"), "{what}");
            // Our own goes on.
            let first = reader.handle().view().namespaces[0].state.clone();
            assert_eq!(first, State::Ready);
        });
    });
}

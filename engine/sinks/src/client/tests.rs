//! Against a listener that answers what the test says.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use super::*;

/// Serves `answer` to one connection and gives back what was asked.
fn serve(answer: Vec<u8>, hold: bool) -> (Uri, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        while !request.ends_with(b"body") && !request.starts_with(b"CONNECT") {
            let len = stream.read(&mut buffer).expect("a request");
            if len == 0 {
                break;
            }
            request.extend_from_slice(&buffer[..len]);
        }
        // The client may have gone away on purpose.
        stream.write_all(&answer).ok();
        if hold {
            while stream.read(&mut buffer).is_ok_and(|len| len > 0) {}
        }
        String::from_utf8_lossy(&request).into_owned()
    });
    let uri = format!("http://{address}/api").parse().expect("an address");
    (uri, server)
}

fn post(config: &ClientConfig, uri: &Uri) -> Answer {
    let client = Client::new(config).expect("a client");
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(client.post(uri, &HeaderMap::new(), Bytes::from_static(b"body")))
}

fn failure(answer: Answer) -> (FailureKind, bool) {
    match answer {
        Answer::Failed { failure, body_sent } => (failure.kind, body_sent),
        Answer::Status { status, .. } => panic!("answered {status}"),
    }
}

#[test]
fn a_status_comes_with_its_retry_after_and_an_escaped_excerpt() {
    let (uri, server) = serve(
        b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 3\r\n\r\na\n\xff".to_vec(),
        false,
    );
    let config = ClientConfig {
        user_agent: "greyhound/test".to_owned(),
        ..ClientConfig::default()
    };
    match post(&config, &uri) {
        Answer::Status {
            status,
            retry_after,
            excerpt,
        } => {
            assert_eq!(status, 429);
            assert_eq!(retry_after.as_deref(), Some("7"));
            assert_eq!(excerpt, "a\\n\\xff");
        }
        Answer::Failed { failure, .. } => panic!("{failure}"),
    }
    let request = server.join().expect("served");
    assert!(request.starts_with("POST /api HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("user-agent: greyhound/test"), "{request}");
}

#[test]
fn nobody_there_is_a_failed_connection_and_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let uri = format!("http://{}/", listener.local_addr().expect("bound"));
    drop(listener);
    let answer = post(&ClientConfig::default(), &uri.parse().expect("an address"));
    assert_eq!(failure(answer), (FailureKind::Connect, false));
}

#[test]
fn a_name_without_address_is_a_dns_failure() {
    let uri = Uri::from_static("http://nowhere.invalid/");
    let answer = post(&ClientConfig::default(), &uri);
    assert_eq!(failure(answer), (FailureKind::Dns, false));
}

#[test]
fn silence_ends_at_the_deadline_and_the_outcome_is_unknown() {
    let (uri, server) = serve(Vec::new(), true);
    let config = ClientConfig {
        timeout: Duration::from_millis(200),
        ..ClientConfig::default()
    };
    assert_eq!(failure(post(&config, &uri)), (FailureKind::Timeout, true));
    server.join().expect("served");
}

#[test]
fn a_connection_cut_after_the_body_leaves_the_outcome_unknown() {
    let (uri, server) = serve(Vec::new(), false);
    let answer = post(&ClientConfig::default(), &uri);
    assert_eq!(failure(answer), (FailureKind::Broken, true));
    server.join().expect("served");
}

#[test]
fn an_endless_head_and_no_http_are_protocol_failures() {
    let mut endless = b"HTTP/1.1 200 OK\r\n".to_vec();
    for number in 0..10_000 {
        endless.extend_from_slice(format!("x-{number}: y\r\n").as_bytes());
    }
    for answer in [endless, b"SSH-2.0-OpenSSH\r\n\r\n".to_vec()] {
        let (uri, server) = serve(answer, false);
        let (kind, _) = failure(post(&ClientConfig::default(), &uri));
        assert_eq!(kind, FailureKind::Protocol);
        server.join().expect("served");
    }
}

#[test]
fn a_body_without_end_is_cut_and_the_status_counts() {
    let mut answer = b"HTTP/1.1 202 OK\r\nContent-Length: 99999999\r\n\r\n".to_vec();
    answer.resize(answer.len() + 1024 * 1024, b'x');
    let (uri, server) = serve(answer, true);
    match post(&ClientConfig::default(), &uri) {
        Answer::Status {
            status, excerpt, ..
        } => {
            assert_eq!(status, 202);
            assert_eq!(excerpt.len(), EXCERPT_LEN_BYTES);
        }
        Answer::Failed { failure, .. } => panic!("{failure}"),
    }
    server.join().expect("served");
}

#[test]
fn a_plain_request_goes_whole_to_its_proxy_with_credentials() {
    let (proxy, server) = serve(
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(),
        false,
    );
    let authority = proxy.authority().expect("an address").as_str();
    let config = ClientConfig {
        proxy: ProxyConfig {
            http: format!("http://me:secret@{authority}"),
            ..ProxyConfig::default()
        },
        ..ClientConfig::default()
    };
    assert!(!format!("{config:?}").contains("secret"));
    post(&config, &Uri::from_static("http://intake.invalid/api"));
    let request = server.join().expect("served");
    assert!(
        request.starts_with("POST http://intake.invalid/api HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains("proxy-authorization: Basic bWU6c2VjcmV0"),
        "{request}"
    );
}

#[test]
fn a_refusing_proxy_is_named_and_no_proxy_goes_past_it() {
    let (proxy, server) = serve(b"HTTP/1.1 407 No\r\n\r\n".to_vec(), false);
    let config = ClientConfig {
        proxy: ProxyConfig {
            https: proxy.authority().expect("an address").to_string(),
            no_proxy: "local.invalid".to_owned(),
            ..ProxyConfig::default()
        },
        ..ClientConfig::default()
    };
    let direct = post(&config, &Uri::from_static("https://local.invalid/"));
    assert_eq!(failure(direct).0, FailureKind::Dns);
    let tunnelled = post(&config, &Uri::from_static("https://intake.invalid/"));
    assert_eq!(failure(tunnelled), (FailureKind::Proxy, false));
    let request = server.join().expect("served");
    assert!(
        request.starts_with("CONNECT intake.invalid:443 HTTP/1.1"),
        "{request}"
    );
}

#[test]
fn a_proxy_that_is_no_http_address_is_refused() {
    for proxy in ["socks5://127.0.0.1:1", "https://127.0.0.1:1"] {
        let config = ClientConfig {
            proxy: ProxyConfig {
                https: proxy.to_owned(),
                ..ProxyConfig::default()
            },
            ..ClientConfig::default()
        };
        assert!(matches!(
            Client::new(&config),
            Err(ClientError::Proxy { scheme: "https" })
        ));
    }
}

#[test]
fn certificates_that_cannot_be_read_are_named() {
    let config = ClientConfig {
        ca_file: Some("/nonexistent/ca.pem".into()),
        ..ClientConfig::default()
    };
    let error = Client::new(&config).expect_err("no such file");
    assert!(error.to_string().contains("/nonexistent/ca.pem"), "{error}");
}

//! What may stand at a socket's path, and what becomes of it.

use std::os::unix::fs::symlink;

use super::*;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn file_at(path: PathBuf) -> SocketFile {
    SocketFile {
        path,
        mode: 0o722,
        uid: None,
        gid: None,
        allow_open_folder: false,
    }
}

fn names(folder: &Path) -> Vec<OsString> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    names
}

fn send_to(path: &Path) -> io::Result<usize> {
    UnixDatagram::unbound().unwrap().send_to(b"x", path)
}

#[test]
fn the_socket_has_its_mode_and_nothing_lies_beside_it() {
    let folder = folder();
    let file = file_at(folder.path().join("dsd.socket"));
    let (socket, _bound) = file.bind_datagram().unwrap();
    assert_eq!(fs::metadata(&file.path).unwrap().mode() & 0o7777, 0o722);
    assert_eq!(names(folder.path()), ["dsd.socket"]);
    send_to(&file.path).unwrap();
    assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 1);
}

#[test]
fn the_owner_and_group_are_those_asked_for() {
    let folder = folder();
    let mut file = file_at(folder.path().join("dsd.socket"));
    // Our own ids can be set by anybody; others only by root.
    let own = fs::metadata(folder.path()).unwrap();
    let (uid, gid) = if own.uid() == 0 {
        (1234, 4321)
    } else {
        (own.uid(), own.gid())
    };
    (file.uid, file.gid) = (Some(uid), Some(gid));
    let _bound = file.bind_stream().unwrap();
    let made = fs::metadata(&file.path).unwrap();
    assert_eq!((made.uid(), made.gid()), (uid, gid));
}

#[test]
fn a_file_or_a_folder_at_the_path_is_refused_and_stays() {
    let folder = folder();
    let file = file_at(folder.path().join("taken"));
    fs::write(&file.path, "precious").unwrap();
    assert!(matches!(file.bind_datagram(), Err(BindError::NotASocket)));
    assert_eq!(fs::read(&file.path).unwrap(), b"precious");
    fs::remove_file(&file.path).unwrap();
    fs::create_dir(&file.path).unwrap();
    assert!(matches!(file.bind_stream(), Err(BindError::NotASocket)));
    assert_eq!(names(folder.path()), ["taken"]);
}

#[test]
fn a_link_is_replaced_and_not_followed() {
    let folder = folder();
    let victim = folder.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    for target in [victim.as_path(), Path::new("dangling")] {
        let file = file_at(folder.path().join("dsd.socket"));
        symlink(target, &file.path).unwrap();
        let (_socket, bound) = file.bind_datagram().unwrap();
        assert!(
            fs::symlink_metadata(&file.path)
                .unwrap()
                .file_type()
                .is_socket()
        );
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        assert!(bound.remove().unwrap());
    }
    assert_eq!(names(folder.path()), ["victim"]);
}

#[test]
fn a_stale_socket_is_replaced() {
    let folder = folder();
    let file = file_at(folder.path().join("dsd.socket"));
    drop(UnixDatagram::bind(&file.path).unwrap());
    let (socket, _bound) = file.bind_datagram().unwrap();
    send_to(&file.path).unwrap();
    assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 1);
}

#[test]
fn a_live_socket_of_either_type_is_refused_and_keeps_its_clients() {
    let folder = folder();
    let file = file_at(folder.path().join("dsd.socket"));
    let (first, _bound) = file.bind_datagram().unwrap();
    assert!(matches!(file.bind_datagram(), Err(BindError::InUse)));
    assert!(matches!(file.bind_stream(), Err(BindError::InUse)));
    send_to(&file.path).unwrap();
    assert_eq!(first.recv(&mut [0; 8]).unwrap(), 1);

    let stream = file_at(folder.path().join("stream.socket"));
    let _listener = stream.bind_stream().unwrap();
    assert!(matches!(stream.bind_stream(), Err(BindError::InUse)));
    assert!(matches!(stream.bind_datagram(), Err(BindError::InUse)));
    assert_eq!(names(folder.path()), ["dsd.socket", "stream.socket"]);
}

#[test]
fn a_live_socket_behind_a_link_is_noticed() {
    let folder = folder();
    let real = file_at(folder.path().join("real"));
    let _live = real.bind_datagram().unwrap();
    let file = file_at(folder.path().join("dsd.socket"));
    symlink(&real.path, &file.path).unwrap();
    assert!(matches!(file.bind_datagram(), Err(BindError::InUse)));
}

#[test]
fn a_path_is_refused_from_108_bytes_on_and_107_still_work() {
    let folder = folder();
    let fill = PATH_BYTES_MAX - folder.path().as_os_str().len() - 1;
    let file = file_at(folder.path().join("x".repeat(fill)));
    let (socket, _bound) = file.bind_datagram().unwrap();
    send_to(&file.path).unwrap();
    assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 1);

    let file = file_at(folder.path().join("x".repeat(fill + 1)));
    assert!(matches!(
        file.bind_datagram(),
        Err(BindError::PathTooLong { len_bytes: 108 })
    ));
}

#[test]
fn a_folder_that_everybody_may_write_to_is_refused_unless_allowed() {
    let folder = folder();
    let mut file = file_at(folder.path().join("dsd.socket"));
    let set = |mode| fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
    set(0o777);
    assert!(matches!(
        file.bind_datagram(),
        Err(BindError::OpenFolder { mode: 0o777, .. })
    ));
    set(0o1777);
    drop(file.bind_datagram().unwrap());
    set(0o777);
    file.allow_open_folder = true;
    drop(file.bind_datagram().unwrap());
}

#[test]
fn a_folder_that_is_not_there_is_an_error_of_the_kernel() {
    let folder = folder();
    let file = file_at(folder.path().join("missing/dsd.socket"));
    match file.bind_datagram() {
        Err(BindError::Io(error)) => assert_eq!(error.kind(), io::ErrorKind::NotFound),
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_our_own_file_is_removed() {
    let folder = folder();
    let file = file_at(folder.path().join("dsd.socket"));
    let (first, first_bound) = file.bind_datagram().unwrap();
    drop(first);
    let (_second, second_bound) = file.bind_datagram().unwrap();
    assert!(!first_bound.remove().unwrap());
    send_to(&file.path).unwrap();
    assert!(second_bound.remove().unwrap());
    assert!(!second_bound.remove().unwrap());
    assert!(names(folder.path()).is_empty());
}

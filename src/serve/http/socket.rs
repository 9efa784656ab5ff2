//! The socket's file: made so that nobody can come between, and taken away at the end.
//!
//! The socket is bound inside a directory that only this process may enter, gets its permissions there, and is then renamed to
//! its place: at no moment does it stand there with permissions wider than wanted (there is no umask to fiddle with), and a stale
//! socket of an earlier run is replaced in one step. What is not a stale socket is never touched.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use super::peer::Allowed;

/// The longest path a Unix socket can have on Linux, without the final NUL (unix(7), `sun_path`).
const LONGEST_PATH: usize = 107;

/// Why the socket could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Its directory cannot be looked at, most often because it is not there.
    #[error("the directory {} of the administration socket: {source}", directory.display())]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others may write to its directory, and could put a socket of theirs in its place.
    #[error(
        "the directory {} of the administration socket must belong to root or to the server's user, and only they may write to it",
        directory.display()
    )]
    UnsafeDirectory {
        /// The directory.
        directory: PathBuf,
    },
    /// Something else stands at its place.
    #[error("{} is there already and is no socket; it is left alone", path.display())]
    NotASocket {
        /// The place.
        path: PathBuf,
    },
    /// Another server answers there.
    #[error("another server listens on {}", path.display())]
    InUse {
        /// The place.
        path: PathBuf,
    },
    /// The path is longer than the system allows.
    #[error("the path {} is too long for a Unix socket ({LONGEST_PATH} bytes at most)", path.display())]
    TooLong {
        /// The path.
        path: PathBuf,
    },
    /// The system refused.
    #[error("the administration socket {}: {source}", path.display())]
    System {
        /// The place.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The listening socket; its file goes when this is dropped.
#[derive(Debug)]
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
    identity: (u64, u64),
}

impl AdminSocket {
    /// Makes the socket at `path`, open for those who are `allowed`. Needs a tokio runtime.
    ///
    /// # Errors
    /// See [`SocketError`]; a server without its administration socket should not start.
    pub fn bind(path: &Path, allowed: &Allowed) -> Result<Self, SocketError> {
        let system = |source| SocketError::System { path: path.to_owned(), source };
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        check_directory(directory, allowed)?;
        check_place(path)?;

        let nursery = Nursery::new(directory).map_err(system)?;
        let cradle = nursery.0.join("s");
        for each in [path, &cradle] {
            if each.as_os_str().len() > LONGEST_PATH {
                return Err(SocketError::TooLong { path: each.to_owned() });
            }
        }
        let listener = UnixListener::bind(&cradle).map_err(system)?;
        open_for(&cradle, allowed).map_err(system)?;
        let made = fs::symlink_metadata(&cradle).map_err(system)?;
        fs::rename(&cradle, path).map_err(system)?;
        Ok(Self { listener, path: path.to_owned(), identity: (made.dev(), made.ino()) })
    }

    /// The listener.
    pub fn listener(&self) -> &UnixListener {
        &self.listener
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // Only our own file: a server started since may have put its socket there.
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|there| (there.dev(), there.ino()) == self.identity);
        if ours {
            let _gone_already = fs::remove_file(&self.path);
        }
    }
}

/// A directory of ours alone, for the moment between binding and renaming.
struct Nursery(PathBuf);

impl Nursery {
    fn new(directory: &Path) -> io::Result<Self> {
        // A short name: the path of a socket is bounded. What a killed run has left behind gives way to the next number.
        let first = std::process::id();
        for number in 0..64 {
            let path = directory.join(format!(".{:05x}", first.wrapping_add(number) & 0xf_ffff));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(problem) if problem.kind() == io::ErrorKind::AlreadyExists => {}
                Err(problem) => return Err(problem),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

impl Drop for Nursery {
    fn drop(&mut self) {
        let _not_bound = fs::remove_file(self.0.join("s"));
        let _gone = fs::remove_dir(&self.0);
    }
}

fn check_directory(directory: &Path, allowed: &Allowed) -> Result<(), SocketError> {
    let metadata =
        fs::metadata(directory).map_err(|source| SocketError::Directory { directory: directory.to_owned(), source })?;
    let mode = metadata.permissions().mode();
    let others_write = mode & 0o022 != 0;
    // In a sticky directory (/tmp) others may add files, not replace ours.
    let sticky = mode & 0o1000 != 0;
    let owner_trusted = metadata.uid() == 0 || metadata.uid() == allowed.own_uid();
    if metadata.is_dir() && owner_trusted && (!others_write || sticky) {
        Ok(())
    } else {
        Err(SocketError::UnsafeDirectory { directory: directory.to_owned() })
    }
}

/// The place must be free, or hold a socket that nobody listens on any more.
fn check_place(path: &Path) -> Result<(), SocketError> {
    let system = |source| SocketError::System { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(problem) => return Err(system(problem)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(SocketError::NotASocket { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(SocketError::InUse { path: path.to_owned() }),
        Err(problem) if matches!(problem.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => Ok(()),
        Err(problem) => Err(system(problem)),
    }
}

/// The narrowest permissions that let everyone who is allowed in: the owner alone; the owner and one group; or, where that
/// cannot be said in permissions, everyone — the check of the peer's credentials decides in any case.
fn open_for(path: &Path, allowed: &Allowed) -> io::Result<()> {
    let mode = match allowed.sole_group() {
        _ if allowed.only_owner() => 0o600,
        Some(group) if std::os::unix::fs::chown(path, None, Some(group)).is_ok() => 0o660,
        _ => 0o666,
    };
    fs::set_permissions(path, Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory for one test, gone afterwards.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("cad-{name}-{}", std::process::id()));
            let _left_over = fs::remove_dir_all(&path);
            DirBuilder::new().mode(0o755).create(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _gone = fs::remove_dir_all(&self.0);
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn only_owner() -> Allowed {
        Allowed::new(&[], &[]).unwrap()
    }

    #[tokio::test]
    async fn the_file_is_there_for_the_owner_alone_and_goes_with_the_socket() {
        let place = Place::new("owner");
        let path = place.0.join("admin.sock");
        let socket = AdminSocket::bind(&path, &only_owner()).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(fs::read_dir(&place.0).unwrap().count(), 1, "nothing is left beside it");
        std::os::unix::net::UnixStream::connect(&path).unwrap();
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let place = Place::new("stale");
        let path = place.0.join("admin.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let living = AdminSocket::bind(&path, &only_owner()).unwrap();
        assert!(matches!(AdminSocket::bind(&path, &only_owner()), Err(SocketError::InUse { .. })));
        drop(living);
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let place = Place::new("file");
        let path = place.0.join("admin.sock");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(AdminSocket::bind(&path, &only_owner()), Err(SocketError::NotASocket { .. })));
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(matches!(AdminSocket::bind(&path, &only_owner()), Err(SocketError::NotASocket { .. })));
    }

    #[tokio::test]
    async fn a_directory_that_others_may_write_to_is_refused() {
        let place = Place::new("open");
        fs::set_permissions(&place.0, Permissions::from_mode(0o777)).unwrap();
        let refused = AdminSocket::bind(&place.0.join("admin.sock"), &only_owner());
        assert!(matches!(refused, Err(SocketError::UnsafeDirectory { .. })));
        fs::set_permissions(&place.0, Permissions::from_mode(0o1777)).unwrap();
        AdminSocket::bind(&place.0.join("admin.sock"), &only_owner()).unwrap();
        let missing = AdminSocket::bind(&place.0.join("none/admin.sock"), &only_owner());
        assert!(matches!(missing, Err(SocketError::Directory { .. })));
    }

    #[tokio::test]
    async fn others_get_as_much_as_they_need() {
        let place = Place::new("modes");
        let path = place.0.join("admin.sock");
        let own_group = fs::metadata(&place.0).unwrap().gid();
        for (allowed, expected) in
            [(Allowed::new(&[], &[own_group]).unwrap(), 0o660), (Allowed::new(&[4711], &[]).unwrap(), 0o666)]
        {
            let socket = AdminSocket::bind(&path, &allowed).unwrap();
            assert_eq!(mode(&path), expected);
            drop(socket);
        }
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_says_so() {
        let place = Place::new("long");
        let refused = AdminSocket::bind(&place.0.join("x".repeat(108)), &only_owner());
        assert!(matches!(refused, Err(SocketError::TooLong { .. })));
    }

    #[tokio::test]
    async fn the_socket_of_a_later_server_is_not_taken_away() {
        let place = Place::new("later");
        let path = place.0.join("admin.sock");
        let first = AdminSocket::bind(&path, &only_owner()).unwrap();
        fs::remove_file(&path).unwrap();
        let second = AdminSocket::bind(&path, &only_owner()).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
    }
}

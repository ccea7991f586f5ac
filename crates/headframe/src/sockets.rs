//! Listening sockets that outlive the process: whoever connects while the pool is started again waits in the socket's queue
//! instead of being refused.
//!
//! Two things that systemd offers every service (`man sd_listen_fds`, `man sd_pid_notify_with_fds`): a process is started
//! with sockets (`LISTEN_FDS`), and may give sockets to its keeper (`FDSTORE=1`), who keeps them open and starts the next
//! process with them. So an address stands in the configuration alone, and is opened by the first process that needs it.
//! Sockets of `.socket` units are taken as well.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram};
use std::sync::{Mutex, PoisonError};

use pool::listener;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::net::TcpListener;

/// Where systemd listens for what a process says.
const KEEPER: &str = "NOTIFY_SOCKET";

/// What this process was started with and nobody has taken yet.
static INHERITED: Mutex<Vec<std::net::TcpListener>> = Mutex::new(Vec::new());

/// Takes the sockets that this process was started with. To be called once, before there are other threads: it clears the
/// variables that name them, so that no child takes them for its own.
pub fn inherit() {
    let mut given = listenfd::ListenFd::from_env();
    let listeners = (0..given.len()).filter_map(|index| given.take_tcp_listener(index).ok().flatten());
    *INHERITED.lock().unwrap_or_else(PoisonError::into_inner) = listeners.collect();
}

/// Listens on an address: with the socket that was handed over for it, or else with a new one, which is given to the keeper.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    if let Some(inherited) = take(address) {
        inherited.set_nonblocking(true)?;
        tracing::info!(%address, "goes on with the socket of the process before");
        return TcpListener::from_std(inherited);
    }
    let listener = listener::bind(address)?;
    // Of port 0 nobody could know later which one it was.
    if address.port() != 0
        && let Err(error) = keep(address, &listener)
    {
        tracing::warn!(%address, %error, "systemd does not keep the socket: a restart will refuse connections");
    }
    Ok(listener)
}

/// Closes what was handed over and is not wanted any more, here and at the keeper: nobody would ever answer there.
pub fn close_the_rest() {
    for listener in INHERITED.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        let Ok(address) = listener.local_addr() else { continue };
        tracing::warn!(%address, "a socket was handed over for an address that the configuration does not have");
        if let Err(error) = tell(&format!("FDSTOREREMOVE=1\nFDNAME={}", name(address)), &[]) {
            tracing::warn!(%address, %error, "systemd still keeps it");
        }
    }
}

fn take(address: SocketAddr) -> Option<std::net::TcpListener> {
    let mut inherited = INHERITED.lock().unwrap_or_else(PoisonError::into_inner);
    let index =
        inherited.iter().position(|listener| listener.local_addr().is_ok_and(|own| own == address))?;
    Some(inherited.swap_remove(index))
}

fn keep(address: SocketAddr, listener: &TcpListener) -> io::Result<()> {
    tell(&format!("FDSTORE=1\nFDNAME={}", name(address)), &[listener.as_fd()])
}

/// How a socket is called at the keeper; a name may not contain a colon.
fn name(address: SocketAddr) -> String {
    format!("tcp-{address}").replace(':', "-")
}

/// Says something to the keeper, if there is one.
fn tell(message: &str, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
    let Some(path) = std::env::var_os(KEEPER) else { return Ok(()) };
    let keeper = match path.to_str().and_then(|path| path.strip_prefix('@')) {
        Some(hidden) => UnixAddr::from_abstract_name(hidden)?,
        None => UnixAddr::from_pathname(path)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&keeper)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut attached = SendAncillaryBuffer::new(&mut space);
    if !sockets.is_empty() {
        attached.push(SendAncillaryMessage::ScmRights(sockets));
    }
    sendmsg(&socket, &[IoSlice::new(message.as_bytes())], &mut attached, SendFlags::empty())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_systemd_wants_them() {
        for address in ["127.0.0.1:8080", "[::]:80"] {
            let name = name(address.parse().unwrap());
            assert!(!name.contains(':') && name.is_ascii() && name.len() < 255, "{name}");
        }
    }
}

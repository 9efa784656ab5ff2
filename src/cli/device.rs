//! `caducee device`: enrolled workstations and phones, and the authority that signs for them.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::{Args, Subcommand};
use hyper::Method;

use super::client::{Client, ClientError, ServerArguments, path};
use super::output::{Exit, Output, table};
use crate::serve::http::devices::types::{Device, DeviceAuthorities, Devices, EnrolledDevice, NewDevice, RenewDevice};

/// Enrolled workstations and phones
#[derive(Args, Debug)]
pub(super) struct DeviceCommand {
    #[command(flatten)]
    server: ServerArguments,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Lists a mailbox's devices
    List {
        /// The mailbox's address
        address: String,
    },
    /// Enrols a device for a mailbox's holder, who is told; its file and password are there once
    Enrol(EnrolArguments),
    /// Gives a device a new certificate
    Renew(RenewArguments),
    /// Takes a device's certificate away; its sessions end
    Revoke {
        /// The mailbox's address
        address: String,
        /// The device's number, as list shows it
        id: u64,
    },
    /// Prints the certificates of the authorities that sign devices' certificates (PEM)
    Authority {
        /// Makes a new one first; devices enrolled before go on
        #[arg(long)]
        rotate: bool,
    },
}

#[derive(Args, Debug)]
struct EnrolArguments {
    /// The mailbox's address
    address: String,
    /// What people call it, as "PC du secrétariat"
    #[arg(long, value_name = "TEXT")]
    name: String,
    /// National id of the person it is for, where that is not the holder
    #[arg(long, value_name = "ID")]
    person: Option<String>,
    #[command(flatten)]
    key: KeyArguments,
}

#[derive(Args, Debug)]
struct RenewArguments {
    /// The mailbox's address
    address: String,
    /// The device's number, as list shows it
    id: u64,
    /// The old certificate ends now, with its sessions, and not after devices.grace
    #[arg(long)]
    at_once: bool,
    #[command(flatten)]
    key: KeyArguments,
}

/// Where the key comes from, and where the result goes
#[derive(Args, Debug)]
struct KeyArguments {
    /// The device's own certification request (PKCS#10, PEM); without it the key is made here
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    /// The old ciphers, for key stores that read no others
    #[arg(long, conflicts_with = "request")]
    compatible: bool,
    /// The file to be written: PKCS#12, or PEM for a request. It must not be there yet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl KeyArguments {
    fn request(&self) -> Result<Option<String>, ClientError> {
        let read = |file: &PathBuf| {
            std::fs::read_to_string(file)
                .map_err(|problem| ClientError::Local(format!("cannot read {}: {problem}", file.display())))
        };
        self.request.as_ref().map(read).transpose()
    }
}

impl DeviceCommand {
    pub(super) fn run(self) -> ExitCode {
        let verb = self.verb;
        self.server.run(async |client, output| verb.run(client, output).await)
    }
}

impl Verb {
    async fn run(self, client: &mut Client, output: &Output) -> Result<Exit, ClientError> {
        match self {
            Self::List { address } => {
                let devices: Devices = client.get(&path(&["mailboxes", &address, "devices"])).await?;
                output.result(&devices, |devices| listing(&devices.devices));
            }
            Self::Enrol(arguments) => enrol(arguments, client, output).await?,
            Self::Renew(arguments) => renew(arguments, client, output).await?,
            Self::Revoke { address, id } => {
                client.order(Method::DELETE, &path(&["mailboxes", &address, "devices", &id.to_string()])).await?;
                output.result(&serde_json::json!({ "revoked": id }), |_| {
                    format!("Device {id} opens {address} no more; its sessions have ended.")
                });
            }
            Self::Authority { rotate } => {
                let authorities: DeviceAuthorities = if rotate {
                    client.send(Method::POST, &path(&["device-authority", "rotate"]), &serde_json::json!(null)).await?
                } else {
                    client.get(&path(&["device-authority"])).await?
                };
                output.result(&authorities, |authorities| authorities.pem.trim_end().to_owned());
            }
        }
        Ok(Exit::Done)
    }
}

async fn enrol(arguments: EnrolArguments, client: &mut Client, output: &Output) -> Result<(), ClientError> {
    let EnrolArguments { address, name, person, key } = arguments;
    let file = NewFile::create(&key.out)?;
    let new = NewDevice { name, person, request: key.request()?, compatible: key.compatible };
    let enrolled = client.send(Method::POST, &path(&["mailboxes", &address, "devices"]), &new).await;
    hand_over(enrolled, file, output, "enrolled")
}

async fn renew(arguments: RenewArguments, client: &mut Client, output: &Output) -> Result<(), ClientError> {
    let RenewArguments { address, id, at_once, key } = arguments;
    let file = NewFile::create(&key.out)?;
    let request = RenewDevice { at_once, request: key.request()?, compatible: key.compatible };
    let way = path(&["mailboxes", &address, "devices", &id.to_string(), "renew"]);
    hand_over(client.send(Method::POST, &way, &request).await, file, output, "renewed")
}

/// Writes what the device takes, and shows its password once.
fn hand_over(
    enrolled: Result<EnrolledDevice, ClientError>,
    file: NewFile,
    output: &Output,
    what: &str,
) -> Result<(), ClientError> {
    let enrolled = enrolled?;
    let content = match (&enrolled.pkcs12, &enrolled.pem) {
        (Some(file), _) => {
            BASE64_STANDARD.decode(file).map_err(|_| ClientError::Broken("a file that is no base64".into()))?
        }
        (None, Some(pem)) => pem.clone().into_bytes(),
        (None, None) => return Err(ClientError::Broken("neither a file nor a certificate".into())),
    };
    let out = file.fill(&content)?;
    // The file has it: what is printed has not.
    let shown = EnrolledDevice { pkcs12: None, pem: None, ..enrolled };
    output.result(&shown, |enrolled| {
        let device = &enrolled.device;
        let head = format!(
            "{} {what} as number {}, until {}.\nWritten: {}",
            device.name,
            device.id,
            device.expires_at,
            out.display()
        );
        match &enrolled.password {
            Some(password) => format!("{head}\nIts password, shown this once: {password}"),
            None => head,
        }
    });
    Ok(())
}

/// A file that nobody else may read, made before anything is asked of the server: what comes once must not find no place.
struct NewFile {
    path: PathBuf,
    file: Option<std::fs::File>,
}

impl NewFile {
    fn create(path: &Path) -> Result<Self, ClientError> {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = made.map_err(|problem| ClientError::Local(format!("cannot make {}: {problem}", path.display())))?;
        Ok(Self { path: path.to_owned(), file: Some(file) })
    }

    fn fill(mut self, content: &[u8]) -> Result<PathBuf, ClientError> {
        let written = match &mut self.file {
            Some(file) => file.write_all(content).and_then(|()| file.sync_all()),
            None => Ok(()),
        };
        let failed = |problem| ClientError::Local(format!("cannot write {}: {problem}", self.path.display()));
        written.map_err(failed)?;
        self.file = None;
        Ok(self.path.clone())
    }
}

/// A file that was not filled goes again.
impl Drop for NewFile {
    fn drop(&mut self) {
        if self.file.is_some() {
            let _left_over = std::fs::remove_file(&self.path);
        }
    }
}

fn listing(devices: &[Device]) -> String {
    if devices.is_empty() {
        return "No device.".into();
    }
    let row = |device: &Device| {
        [
            device.id.to_string(),
            device.name.clone(),
            device.state.clone(),
            device.expires_at.clone(),
            device.last_used_at.clone().unwrap_or_else(|| "never".into()),
            device.person.clone().unwrap_or_default(),
            device.serial.clone(),
        ]
    };
    table(["id", "name", "state", "until", "last used", "person", "serial"], devices.iter().map(row))
}

//! `caducee mailbox factor`: what a holder shows beside the password.

use clap::Subcommand;
use hyper::Method;

use crate::cli::client::{Client, ClientError, path};
use crate::cli::output::{Output, pairs};
use crate::serve::http::devices::types::Factors;

/// What can be done with a mailbox's second factors.
#[derive(Debug, Subcommand)]
pub(super) enum FactorVerb {
    /// Shows what the holder can show beside the password
    Show {
        /// The mailbox's address
        address: String,
    },
    /// Takes it all away, for who has lost it; the holder is told
    Reset {
        /// The mailbox's address
        address: String,
    },
}

impl FactorVerb {
    pub(super) async fn run(self, client: &mut Client, output: &Output) -> Result<(), ClientError> {
        match self {
            Self::Show { address } => {
                let factors: Factors = client.get(&path(&["mailboxes", &address, "factors"])).await?;
                output.result(&factors, details);
            }
            Self::Reset { address } => {
                client.order(Method::DELETE, &path(&["mailboxes", &address, "factors"])).await?;
                output.result(&serde_json::json!({ "reset": true }), |_| {
                    format!("{address} has no second factor any more; its holder is told.")
                });
            }
        }
        Ok(())
    }
}

fn details(factors: &Factors) -> String {
    let yes_or_no = |yes: bool| if yes { "yes" } else { "no" };
    pairs([
        (
            "authenticator",
            factors.authenticator_since.as_ref().map_or_else(|| "none".into(), |since| format!("since {since}")),
        ),
        ("codes by mail", yes_or_no(factors.by_mail).into()),
        ("recovery codes left", factors.recovery_codes.to_string()),
        ("locked until", factors.locked_until.clone().unwrap_or_else(|| "not locked".into())),
    ])
}

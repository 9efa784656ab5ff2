//! What the issuer says of itself: where its endpoints are. OpenID Connect Discovery 1.0, at the path that Pro Santé Connect
//! has it at (MSSanté §10).

use serde::Deserialize;

use super::Trouble;
use crate::accounts::https::Endpoint;

/// Below the issuer's address. The `wallet-` is no slip.
const PATH: &str = "/.well-known/wallet-openid-configuration";

/// The document.
#[derive(Debug, Deserialize)]
pub(super) struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    userinfo_endpoint: String,
    jwks_uri: String,
    introspection_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    #[serde(default)]
    mtls_endpoint_aliases: Aliases,
}

/// RFC 8705 §5: where to ask with a client certificate.
#[derive(Debug, Default, Deserialize)]
struct Aliases {
    token_endpoint: Option<String>,
    userinfo_endpoint: Option<String>,
    introspection_endpoint: Option<String>,
}

/// The endpoints.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) authorization: Endpoint,
    pub(super) token: Endpoint,
    pub(super) userinfo: Endpoint,
    pub(super) keys: Endpoint,
    pub(super) introspection: Option<Endpoint>,
    pub(super) end_session: Option<Endpoint>,
}

/// Where an issuer's document is.
pub(super) fn place(issuer: &str) -> Option<Endpoint> {
    Endpoint::parse(&format!("{}{PATH}", issuer.trim_end_matches('/')))
}

impl Document {
    /// The endpoints, if the document is the issuer's own (Discovery §4.3) and all of them are https addresses.
    pub(super) fn endpoints(self, issuer: &str, with_certificate: bool) -> Result<Metadata, Trouble> {
        if self.issuer != issuer {
            return Err(Trouble::Nonsense("its configuration document is another issuer's"));
        }
        let read = |text: &str| {
            Endpoint::parse(text)
                .ok_or(Trouble::Nonsense("an endpoint of its configuration document is no https address"))
        };
        let aliases = if with_certificate { self.mtls_endpoint_aliases } else { Aliases::default() };
        Ok(Metadata {
            authorization: read(&self.authorization_endpoint)?,
            token: read(&aliases.token_endpoint.unwrap_or(self.token_endpoint))?,
            userinfo: read(&aliases.userinfo_endpoint.unwrap_or(self.userinfo_endpoint))?,
            keys: read(&self.jwks_uri)?,
            introspection: aliases
                .introspection_endpoint
                .or(self.introspection_endpoint)
                .as_deref()
                .map(read)
                .transpose()?,
            end_session: self.end_session_endpoint.as_deref().map(read).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ISSUER: &str = "https://auth.example/realms/esante-wallet";

    fn document(changes: serde_json::Value) -> Document {
        let mut all = json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://wallet.example/auth",
            "token_endpoint": format!("{ISSUER}/token"),
            "userinfo_endpoint": format!("{ISSUER}/userinfo"),
            "introspection_endpoint": format!("{ISSUER}/token/introspect"),
            "jwks_uri": format!("{ISSUER}/certs"),
            "end_session_endpoint": format!("{ISSUER}/logout"),
            "mtls_endpoint_aliases": { "introspection_endpoint": "https://mtls.example/introspect" },
            "grant_types_supported": ["authorization_code"],
        });
        for (name, value) in changes.as_object().unwrap() {
            all[name] = value.clone();
        }
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn the_document_stands_below_the_issuers_address() {
        let wanted = "https://auth.example/realms/esante-wallet/.well-known/wallet-openid-configuration";
        assert_eq!(place(ISSUER).map(|place| place.to_string()).as_deref(), Some(wanted));
        assert_eq!(place("http://auth.example"), None);
    }

    #[test]
    fn a_client_certificate_goes_where_it_is_asked_for() {
        let plain = document(json!({})).endpoints(ISSUER, false).unwrap();
        assert_eq!(plain.introspection.unwrap().to_string(), format!("{ISSUER}/token/introspect"));
        let mutual = document(json!({})).endpoints(ISSUER, true).unwrap();
        assert_eq!(mutual.introspection.unwrap().to_string(), "https://mtls.example/introspect");
        assert_eq!(mutual.token, plain.token, "what has no alias stays");
    }

    #[test]
    fn another_issuers_document_and_plain_http_are_refused() {
        assert!(document(json!({ "issuer": "https://evil.example" })).endpoints(ISSUER, false).is_err());
        for name in ["jwks_uri", "token_endpoint", "introspection_endpoint", "end_session_endpoint"] {
            let changed = document(json!({ (name): "http://auth.example/x" }));
            assert!(changed.endpoints(ISSUER, false).is_err(), "{name}");
        }
    }
}

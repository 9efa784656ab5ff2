//! Enrolled devices, the authority that signs for them, and second factors, as the administrator sees them.

pub mod types;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use self::types::{Device, DeviceAuthorities, Devices, EnrolledDevice, Factors, NewDevice, RenewDevice};
use super::acting::Acting;
use super::errors::{internal, of_account, sentence};
use super::extract::{Json, Path};
use super::message_flags::date;
use super::problem::{Problem, Rule};
use super::{Administration, blocking};
use crate::accounts::By;
use crate::accounts::devices::{self, DeviceCredentials, DeviceError, DeviceKey, Enrolled, OldCertificate, Pkcs12Form};
use crate::accounts::factors::FactorError;

/// The endpoints.
pub(super) fn router() -> Router<Arc<Administration>> {
    Router::new()
        .route("/v1/device-authority", get(authority))
        .route("/v1/device-authority/rotate", post(rotate))
        .route("/v1/mailboxes/{address}/devices", get(list).post(enrol))
        .route("/v1/mailboxes/{address}/devices/{id}", delete(revoke))
        .route("/v1/mailboxes/{address}/devices/{id}/renew", post(renew))
        .route("/v1/mailboxes/{address}/factors", get(factors).delete(reset))
}

/// `GET /v1/device-authority`.
async fn authority(
    State(administration): State<Arc<Administration>>,
) -> Result<axum::Json<DeviceAuthorities>, Problem> {
    // Made at the start; where that failed, its problem is told here.
    administration.registry.open_device_authorities().await.map_err(of_device)?;
    Ok(axum::Json(DeviceAuthorities { pem: administration.registry.device_authorities_pem() }))
}

/// `POST /v1/device-authority/rotate`.
async fn rotate(Acting(administration): Acting) -> Result<axum::Json<DeviceAuthorities>, Problem> {
    administration.registry.rotate_device_authority().await.map_err(of_device)?;
    Ok(axum::Json(DeviceAuthorities { pem: administration.registry.device_authorities_pem() }))
}

/// `GET /v1/mailboxes/{address}/devices`.
async fn list(
    State(administration): State<Arc<Administration>>,
    Path(address): Path<String>,
) -> Result<axum::Json<Devices>, Problem> {
    blocking(move || {
        let account = administration.account(&address)?;
        let devices = administration.registry.devices(account.id).map_err(of_account)?;
        Ok(axum::Json(Devices { devices: devices.into_iter().map(shown).collect() }))
    })
    .await
}

/// `POST /v1/mailboxes/{address}/devices`.
async fn enrol(
    Acting(administration): Acting,
    Path(address): Path<String>,
    Json(new): Json<NewDevice>,
) -> Result<Response, Problem> {
    let account = administration.account(&address)?;
    let device = devices::NewDevice { name: new.name, person: new.person, key: key(new.request, new.compatible)? };
    let enrolled = administration.registry.enrol_device(account.id, device).await.map_err(of_device)?;
    Ok((StatusCode::CREATED, axum::Json(answer(enrolled))).into_response())
}

/// `POST /v1/mailboxes/{address}/devices/{id}/renew`.
async fn renew(
    Acting(administration): Acting,
    Path((address, number)): Path<(String, u32)>,
    Json(request): Json<Option<RenewDevice>>,
) -> Result<Response, Problem> {
    let request = request.unwrap_or_default();
    let account = administration.account(&address)?;
    let old = if request.at_once { OldCertificate::Now } else { OldCertificate::AfterGrace };
    let key = key(request.request, request.compatible)?;
    let renewed = administration.registry.renew_device(account.id, number, key, old).await.map_err(of_device)?;
    Ok((StatusCode::CREATED, axum::Json(answer(renewed))).into_response())
}

/// `DELETE /v1/mailboxes/{address}/devices/{id}`.
async fn revoke(
    Acting(administration): Acting,
    Path((address, number)): Path<(String, u32)>,
) -> Result<StatusCode, Problem> {
    let account = administration.account(&address)?;
    administration.registry.revoke_device(account.id, number, By::Administrator).await.map_err(of_device)?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/mailboxes/{address}/factors`.
async fn factors(
    State(administration): State<Arc<Administration>>,
    Path(address): Path<String>,
) -> Result<axum::Json<Factors>, Problem> {
    blocking(move || {
        let account = administration.account(&address)?;
        let factors = administration.registry.factors(account.id).map_err(of_factor)?;
        Ok(axum::Json(Factors {
            authenticator_since: factors.authenticator.map(date),
            by_mail: factors.mailed.is_some(),
            recovery_codes: factors.recovery_codes as u64,
            locked_until: factors.locked_until.map(date),
        }))
    })
    .await
}

/// `DELETE /v1/mailboxes/{address}/factors`.
async fn reset(Acting(administration): Acting, Path(address): Path<String>) -> Result<StatusCode, Problem> {
    let account = administration.account(&address)?;
    administration.registry.reset_factors(account.id).await.map_err(of_factor)?;
    Ok(StatusCode::NO_CONTENT)
}

fn key(request: Option<String>, compatible: bool) -> Result<DeviceKey, Problem> {
    match (request, compatible) {
        (Some(_), true) => Err(Problem::field("compatible", "Only where the key is made here, without request.")),
        (Some(request), false) => Ok(DeviceKey::Request(request.into_bytes())),
        (None, true) => Ok(DeviceKey::Made(Pkcs12Form::Compatible)),
        (None, false) => Ok(DeviceKey::Made(Pkcs12Form::Modern)),
    }
}

fn answer(enrolled: Enrolled) -> EnrolledDevice {
    let device = shown(enrolled.device);
    match enrolled.credentials {
        DeviceCredentials::Pkcs12 { file, password } => EnrolledDevice {
            device,
            pkcs12: Some(BASE64_STANDARD.encode(&*file)),
            password: Some(password.to_string()),
            pem: None,
        },
        DeviceCredentials::Pem(pem) => EnrolledDevice { device, pkcs12: None, password: None, pem: Some(pem) },
    }
}

fn shown(device: devices::Device) -> Device {
    Device {
        id: u64::from(device.number),
        name: device.name,
        person: device.person,
        state: device.state.name().to_owned(),
        fingerprint: device.fingerprint,
        serial: device.serial,
        created_at: date(device.created_at),
        expires_at: date(device.expires_at),
        last_used_at: device.last_used_at.map(date),
    }
}

/// What a device's error is to the peer.
fn of_device(error: DeviceError) -> Problem {
    let told = |rule| Problem::new(rule, sentence(&error));
    match &error {
        DeviceError::BadName(_) => told(Rule::BadField).at("name"),
        DeviceError::NameTaken => told(Rule::DeviceExists).at("name"),
        DeviceError::TooMany(_) => told(Rule::TooManyDevices),
        DeviceError::NobodyNamed | DeviceError::NoRights => told(Rule::BadField).at("person"),
        DeviceError::NotForKind(_) => told(Rule::NotForKind),
        DeviceError::BadRequest(_) => told(Rule::BadCertificateRequest).at("request"),
        DeviceError::NotOpen(_) => told(Rule::WrongState),
        DeviceError::NoDevice => told(Rule::NoSuchDevice),
        DeviceError::Crypto(_) | DeviceError::Sealed(_) => internal(&error),
        DeviceError::Account(inner) => of_account(inner.clone()),
    }
}

/// What a second factor's error is to the peer. Most are a holder's, whom this API does not serve.
fn of_factor(error: FactorError) -> Problem {
    match &error {
        FactorError::NotSet => Problem::new(Rule::NoSuchFactor, "The mailbox has no second factor."),
        FactorError::Account(inner) => of_account(inner.clone()),
        _ => internal(&error),
    }
}

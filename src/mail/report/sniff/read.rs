//! Reading what was kept of a report.

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use std::borrow::Cow;

use crate::mail::summary::{Part, PartKind, SummaryBuilder, SummaryLimits};
use crate::mail::trace_fields::fields as header_fields;

use super::fields::{Group, failure_code, groups, message_ids, text};
use super::{Interest, Status, Told, What};

/// Message-IDs that are tried.
const MOST_ABOUT: usize = 8;
/// Recipients of one report that are told of.
const MOST_RECIPIENTS: usize = 100;

/// What a message tells of which only the beginning is known; its body begins at `begins`.
pub(super) fn read(kept: &[u8], begins: usize, interest: Interest) -> Option<Told> {
    let header = Header(&kept[..begins]);
    let mut builder = SummaryBuilder::new(SummaryLimits::default());
    builder.push(kept);
    let root = builder.finish().message.root;
    let parts = Parts { bytes: kept, parts: children(&root) };
    let mut about = Vec::new();
    let what = match interest {
        Interest::Report => report(&parts, &mut about)?,
        Interest::Bounce(domain) => What::Bounce {
            domain,
            recipient: header.named("X-Failed-Recipients").map(text).filter(|text| !text.is_empty()),
            status: failure_code(&kept[begins..]),
        },
    };
    about.extend(header.ids("Original-Message-ID"));
    about.extend(parts.enclosed_id());
    if matches!(what, What::Bounce { .. }) {
        about.extend(quoted_id(&kept[begins..]));
    }
    about.extend(header.ids("In-Reply-To"));
    about.extend(header.ids("References").into_iter().rev());
    let mut told = Told { about: Vec::new(), message_id: header.ids("Message-ID").into_iter().next(), what };
    for id in about {
        if told.about.len() < MOST_ABOUT && !told.about.contains(&id) {
            told.about.push(id);
        }
    }
    (!told.about.is_empty()).then_some(told)
}

/// The machine's part of a `multipart/report` (RFC 6522 §3).
fn report(parts: &Parts<'_>, about: &mut Vec<String>) -> Option<What> {
    if let Some(status) = parts.of_type(b"message", &[b"delivery-status", b"global-delivery-status"]) {
        let groups = groups(&status);
        let recipients: Vec<Status> = groups.iter().filter_map(recipient).take(MOST_RECIPIENTS).collect();
        return (!recipients.is_empty()).then_some(What::Delivery(recipients));
    }
    let part = parts.of_type(b"message", &[b"disposition-notification", b"global-disposition-notification"])?;
    let group = groups(&part).into_iter().next()?;
    about.extend(group.named("original-message-id").map(|id| message_ids(id.as_bytes())).unwrap_or_default());
    disposition(&group)
}

/// RFC 3464 §2.3: a group with `Final-Recipient` and `Action` is a recipient's.
fn recipient(group: &Group) -> Option<Status> {
    let action = group.named("action")?.to_ascii_lowercase();
    let said = group.named("diagnostic-code").map(|code| code.split_once(';').map_or(code, |(_, words)| words).trim());
    let words = [group.named("status"), said].into_iter().flatten().collect::<Vec<_>>();
    Some(Status {
        recipient: group.address("original-recipient").or_else(|| group.address("final-recipient")),
        action: action.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default().to_owned(),
        text: words.join(" "),
    })
}

/// RFC 8098 §3.2.6: `action-mode/sending-mode; type/modifier`. Platforms write `processed/Error: 902^…` (MSSanté §7).
fn disposition(group: &Group) -> Option<What> {
    let value = group.named("disposition")?;
    let kind = value.split_once(';').map_or(value, |(_, kind)| kind).trim();
    let (kind, behind) = match kind.split_once(':') {
        Some((kind, error)) => (kind.trim(), Some(error.trim().to_owned())),
        None => (kind, None),
    };
    let error = group.named("error").map(str::to_owned).or(behind).filter(|error| !error.is_empty());
    Some(What::Disposition {
        recipient: group.address("original-recipient").or_else(|| group.address("final-recipient")),
        disposition: kind.to_ascii_lowercase(),
        error,
    })
}

/// The `Message-ID:` of a message that a bounce quotes in its text.
fn quoted_id(body: &[u8]) -> Vec<String> {
    const NAME: &[u8] = b"message-id:";
    let lines = body.split(|byte| *byte == b'\n').map(|line| line.trim_ascii_start());
    let named = |line: &&[u8]| line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME));
    lines.filter(named).take(MOST_ABOUT).flat_map(message_ids).collect()
}

struct Header<'a>(&'a [u8]);

impl<'a> Header<'a> {
    fn named(&self, name: &str) -> Option<&'a [u8]> {
        header_fields(self.0).find(|field| field.is(name)).map(|field| field.value)
    }

    fn ids(&self, name: &str) -> Vec<String> {
        self.named(name).map(message_ids).unwrap_or_default()
    }
}

fn children(root: &Part) -> &[Part] {
    match &root.kind {
        PartKind::Multipart(children) => children,
        PartKind::Leaf | PartKind::Message(_) => std::slice::from_ref(root),
    }
}

/// The parts of the message, as far as they are known.
struct Parts<'a> {
    bytes: &'a [u8],
    parts: &'a [Part],
}

impl<'a> Parts<'a> {
    /// The decoded body of the first part of one of these types.
    fn of_type(&self, top: &[u8], subs: &[&[u8]]) -> Option<Cow<'a, [u8]>> {
        let is_it = |part: &&Part| {
            let (own_top, own_sub) = part.media_type();
            own_top.eq_ignore_ascii_case(top) && subs.iter().any(|sub| own_sub.eq_ignore_ascii_case(sub))
        };
        self.parts.iter().find(is_it).map(|part| self.decoded(part))
    }

    fn decoded(&self, part: &Part) -> Cow<'a, [u8]> {
        let bytes = self.range(part);
        let encoding = part.content.encoding.as_deref().unwrap_or_default().trim_ascii().to_ascii_lowercase();
        let decoded = match encoding.as_slice() {
            b"base64" => base64_decode(bytes),
            b"quoted-printable" => quoted_printable_decode(bytes),
            _ => None,
        };
        decoded.map_or(Cow::Borrowed(bytes), Cow::Owned)
    }

    fn range(&self, part: &Part) -> &'a [u8] {
        let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(self.bytes.len());
        let (from, to) = (at(part.body_start), at(part.end));
        self.bytes.get(from..to).unwrap_or_default()
    }

    /// The Message-ID of the message that is given back, whole or as its header (RFC 6522 §3, RFC 6533 §5).
    fn enclosed_id(&self) -> Option<String> {
        let embedded = self.parts.iter().find_map(|part| match &part.kind {
            PartKind::Message(inner) => Some(inner),
            _ => None,
        });
        if let Some(id) = embedded.and_then(|inner| inner.envelope.message_id.as_deref()) {
            return message_ids(id).into_iter().next();
        }
        let header = self
            .of_type(b"text", &[b"rfc822-headers"])
            .or_else(|| self.of_type(b"message", &[b"global", b"global-headers", b"rfc822-headers"]))?;
        groups(&header).into_iter().find_map(|group| {
            let id = group.named("message-id")?;
            message_ids(id.as_bytes()).into_iter().next()
        })
    }
}

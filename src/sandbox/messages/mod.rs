//! The mail that a new sandbox finds in its mailboxes: what a practice receives in a week, in all the shapes that a mail
//! program has to show. Everybody in it is invented.
//!
//! mail-builder's types stay in this file: its interface moves between versions.

mod pdf;
mod xdm;

use super::cast::{Holder, Operator, Resident};
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::MimePart;
use std::io;

/// A message on its way from one operator to the other.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Its name in the list of what has been delivered already.
    pub key: String,
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// The message, 7-bit, lines ending in CRLF.
    pub bytes: Vec<u8>,
}

/// A person who does not exist.
struct Patient {
    first: &'static str,
    last: &'static str,
    /// The 15-character matricule; month 99 is in no calendar.
    ins: &'static str,
    /// `YYYYMMDD`.
    birth: &'static str,
    /// `F` or `M`.
    gender: &'static str,
}

const PATIENT: Patient =
    Patient { first: "Mirabelle", last: "PATIENTE-EXEMPLE", ins: "270999999999999", birth: "19700229", gender: "F" };

/// What wrote the messages, for `X-MSS-NIL`.
const SOFTWARE: &str = "CADUCEE-BAC-A-SABLE";

/// What `from` sends to `to`, dated in the days before `now` (Unix seconds).
pub fn samples(from: &Operator, to: &Operator, now: i64) -> io::Result<Vec<Sample>> {
    let Some(cast) = Cast::of(from, to) else { return Ok(Vec::new()) };
    let writers = [consultation, archive, meeting, forwarded, long_subject, results, test_message];
    let mut samples = Vec::new();
    for (index, write) in writers.into_iter().enumerate() {
        let hours = 3 + 17 * (writers.len() - index) as i64;
        samples.push(write(&cast, now - hours * 3600 - 420 * index as i64)?);
    }
    Ok(samples)
}

/// The persons and services that appear, as (display name, address).
struct Cast<'a> {
    from: &'a Operator,
    doctor: (String, String),
    colleague: (String, String),
    office: (String, String),
    application: (String, String),
    to_doctor: (String, String),
    to_colleague: (String, String),
    to_office: (String, String),
    test: (String, String),
    to_test: (String, String),
    author: &'a Resident,
}

impl<'a> Cast<'a> {
    fn of(from: &'a Operator, to: &'a Operator) -> Option<Self> {
        let person = |operator: &Operator, n: usize| {
            let found = operator.residents.iter().filter(|r| r.kind == "PER" && !r.test && r.special.key().is_none());
            found.skip(n).map(|r| named(operator, r)).next()
        };
        let first = |operator: &Operator, kind, test| operator.first(kind, test).map(|r| named(operator, r));
        Some(Self {
            from,
            doctor: person(from, 0)?,
            colleague: person(from, 1)?,
            office: first(from, "ORG", false)?,
            application: first(from, "APP", false)?,
            to_doctor: person(to, 0)?,
            to_colleague: person(to, 1)?,
            to_office: first(to, "ORG", false)?,
            test: first(from, "PER", true)?,
            to_test: first(to, "PER", true)?,
            author: from.first("PER", false)?,
        })
    }
}

fn named(operator: &Operator, resident: &Resident) -> (String, String) {
    (resident.holder.display(), operator.address(resident))
}

/// What all messages share.
fn begin<'a>(
    cast: &Cast<'_>,
    key: &str,
    date: i64,
    from: &'a (String, String),
    to: &[&'a (String, String)],
) -> MessageBuilder<'a> {
    let address = |(name, address): &'a (String, String)| Address::new_address(Some(name.as_str()), address.as_str());
    let recipients: Vec<Address<'a>> = to.iter().map(|who| address(who)).collect();
    MessageBuilder::new()
        .date(date)
        .message_id(format!("{key}.{date}@{}", cast.from.domain))
        .from(address(from))
        .to(Address::new_list(recipients))
        .header("X-MSS-NIL", Raw::new(SOFTWARE))
}

fn finish(
    cast: &Cast<'_>,
    key: &str,
    from: &(String, String),
    to: &[&(String, String)],
    message: MessageBuilder<'_>,
) -> io::Result<Sample> {
    Ok(Sample {
        key: format!("{}-{key}", cast.from.id),
        from: from.1.clone(),
        to: to.iter().map(|(_, address)| address.clone()).collect(),
        bytes: message.write_to_vec()?,
    })
}

/// A letter with a PDF.
fn consultation(cast: &Cast<'_>, date: i64) -> io::Result<Sample> {
    let (from, to) = (&cast.doctor, [&cast.to_doctor]);
    let letter = pdf::page(&[
        "Compte rendu de consultation",
        "",
        &format!("Patiente : {} {} (personne inventée)", PATIENT.last, PATIENT.first),
        "Motif : contrôle annuel.",
        "Auscultation sans particularité. Tension artérielle 12/8.",
        "Contrôle conseillé dans six mois.",
        "",
        &from.0,
    ]);
    let message = begin(cast, "consultation", date, from, &to)
        .subject("Compte rendu de consultation – suivi cardiologique de Mme PATIENTE-EXEMPLE")
        .text_body(format!(
            "Cher confrère, chère consœur,\n\nVeuillez trouver ci-joint le compte rendu de la consultation de Mme {}.\n\
             La patiente a été prévenue de cet envoi.\n\nBien confraternellement,\n{}\n",
            PATIENT.last, from.0
        ))
        .attachment("application/pdf", "Compte rendu – été.pdf", letter);
    finish(cast, "consultation", from, &to, message)
}

/// A document in its archive, for the patient's record.
fn archive(cast: &Cast<'_>, date: i64) -> io::Result<Sample> {
    let (from, to) = (&cast.doctor, [&cast.to_doctor, &cast.to_office]);
    let Holder::Person { first, last, person, .. } = cast.author.holder else {
        return Err(io::Error::other("the author of a document is a person"));
    };
    let subject = &cast.from.subject;
    let author = xdm::Author { first, last, person, structure: subject.structure, organisation: subject.organisation };
    let day = jiff::Timestamp::from_second(date).map_err(io::Error::other)?.strftime("%Y%m%d").to_string();
    let zip = xdm::archive(&author, &PATIENT, &day)?;
    let message = begin(cast, "archive", date, from, &to)
        .header("X-MSS-CODECDA", Raw::new(xdm::CODE))
        .header("X-MSS-INS", Raw::new("O"))
        .header("Disposition-Notification-To", Raw::new(format!("<{}>", from.1)))
        .subject(format!("XDM/1.0/DDM+{} {} {} 29/02/1970", xdm::LABEL, PATIENT.last, PATIENT.first))
        .text_body("Le document joint est à classer dans le dossier de la patiente.\n")
        .attachment("application/zip", "IHE_XDM.zip", zip);
    finish(cast, "archive", from, &to, message)
}

/// A text with an HTML alternative and a picture in it.
fn meeting(cast: &Cast<'_>, date: i64) -> io::Result<Sample> {
    let (from, to) = (&cast.office, [&cast.to_doctor, &cast.to_colleague]);
    let html = "<html><head><meta charset=\"utf-8\"></head><body><h2>Réunion de concertation pluridisciplinaire</h2>\
        <p>La prochaine réunion aura lieu <b>jeudi à 12&nbsp;h&nbsp;30</b>, salle <i>Théophile-Exemple</i>.</p>\
        <ul><li>Dossiers à inscrire avant mardi</li><li>Visioconférence possible</li></ul>\
        <p><img src=\"cid:plan\" alt=\"Plan d'accès\"></p></body></html>\n";
    let text = "Réunion de concertation pluridisciplinaire\n\nLa prochaine réunion aura lieu jeudi à 12 h 30, salle \
        Théophile-Exemple.\n- Dossiers à inscrire avant mardi\n- Visioconférence possible\n";
    let body = MimePart::new(
        "multipart/alternative",
        vec![
            MimePart::new("text/plain", text),
            MimePart::new(
                "multipart/related",
                vec![MimePart::new("text/html", html), MimePart::new("image/png", PIXEL).inline().cid("plan")],
            ),
        ],
    );
    let message = begin(cast, "meeting", date, from, &to)
        .subject("Réunion de concertation pluridisciplinaire : ordre du jour")
        .body(body);
    finish(cast, "meeting", from, &to, message)
}

/// A message in a message (RFC 2046 §5.2.1: such a part is never encoded).
fn forwarded(cast: &Cast<'_>, date: i64) -> io::Result<Sample> {
    let (from, to) = (&cast.colleague, [&cast.to_doctor]);
    let inner = begin(cast, "forwarded-inner", date - 86_400, &cast.office, &[&cast.colleague])
        .subject("Demande d’avis : électrocardiogramme à relire")
        .text_body("Bonjour,\n\nPourriez-vous relire le tracé joint ?\n\nLe secrétariat\n")
        .attachment("application/pdf", "trace.pdf", pdf::page(&["Tracé d'essai", "Rythme sinusal régulier."]));
    let body = MimePart::new(
        "multipart/mixed",
        vec![
            MimePart::new("text/plain", "Je vous transmets cette demande, qui relève de votre service.\n"),
            MimePart::new("message/rfc822", inner.write_to_vec()?)
                .attachment("Demande d'avis.eml")
                .transfer_encoding("7bit"),
        ],
    );
    let message = begin(cast, "forwarded", date, from, &to)
        .subject("TR : Demande d’avis : électrocardiogramme à relire")
        .body(body);
    finish(cast, "forwarded", from, &to, message)
}

/// Headers that fold, and characters of two, three and four bytes.
fn long_subject(cast: &Cast<'_>, date: i64) -> io::Result<Sample> {
    let (from, to) = (&cast.colleague, [&cast.to_doctor, &cast.to_colleague, &cast.to_office]);
    let message = begin(cast, "long-subject", date, from, &to)
        .subject(
            "Organisation des gardes de l’été : répartition entre cabinets, coordonnées à jour, et numéros à appeler en \
             cas d’absence imprévue (à conserver près du téléphone ☎, merci à tous 🙏)",
        )
        .text_body(
            "Bonjour à toutes et à tous,\n\nVoici la répartition prévue :\n\n\
             • 1re semaine : cabinet du Chêne\n• 2e semaine : cabinet des Trois Glycines\n• 3e semaine : à pourvoir\n\n\
             Signalez-moi les empêchements dès que possible. « Mieux vaut prévenir… »\n",
        );
    finish(cast, "long-subject", from, &to, message)
}

/// What software sends: several attachments, no greeting.
fn results(cast: &Cast<'_>, date: i64) -> io::Result<Sample> {
    let (from, to) = (&cast.application, [&cast.to_doctor]);
    let table = "analyse;résultat;unité;référence\nHémoglobine;13,8;g/dL;12,0-16,0\nPotassium;4,1;mmol/L;3,5-5,1\n";
    let message = begin(cast, "results", date, from, &to)
        .subject("Résultats d’examens : PATIENTE-EXEMPLE Mirabelle")
        .text_body("Résultats joints. Message émis automatiquement, patiente inventée.\n")
        .attachment("application/pdf", "resultats.pdf", pdf::page(&["Résultats", "Hémoglobine 13,8 g/dL"]))
        .attachment("text/csv", "résultats.csv", table);
    finish(cast, "results", from, &to, message)
}

/// From test mailbox to test mailbox: the only ones of other operators that those may write to.
fn test_message(cast: &Cast<'_>, date: i64) -> io::Result<Sample> {
    let (from, to) = (&cast.test, [&cast.to_test]);
    let message = begin(cast, "test", date, from, &to)
        .subject("Message d’essai entre opérateurs")
        .text_body("Ce message d’essai ne contient aucune donnée de santé.\n");
    finish(cast, "test", from, &to, message)
}

/// A picture of one white point (PNG).
const PIXEL: &[u8] =
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00\x3a\x7e\x9b\x55\
\x00\x00\x00\nIDAT\x78\x9c\x63\xf8\x0f\x00\x01\x01\x01\x00\xb1\x38\xf6\x14\x00\x00\x00\x00IEND\xaeB\x60\x82";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::cast::operators;
    use mail_parser::{MessageParser, MimeHeaders};

    fn all() -> Vec<Sample> {
        let [a, b] = operators();
        let mut all = samples(&a, &b, 1_800_000_000).unwrap();
        all.extend(samples(&b, &a, 1_800_000_000).unwrap());
        all
    }

    #[test]
    fn every_sample_is_seven_bit_mail_in_short_crlf_lines() {
        for sample in all() {
            assert!(sample.bytes.is_ascii(), "{}", sample.key);
            let text = String::from_utf8(sample.bytes).unwrap();
            assert!(text.ends_with("\r\n"), "{}", sample.key);
            for line in text.split("\r\n") {
                assert!(!line.contains(['\r', '\n']) && line.len() <= 998, "{}: {line:?}", sample.key);
            }
        }
    }

    #[test]
    fn the_samples_are_the_shapes_that_they_stand_for() {
        let all = all();
        let parsed = |key: &str| {
            let sample = all.iter().find(|s| s.key == key).unwrap();
            MessageParser::new().parse(&sample.bytes).unwrap()
        };
        let letter = parsed("a-consultation");
        assert_eq!(letter.attachment(0).unwrap().attachment_name(), Some("Compte rendu – été.pdf"));
        assert!(letter.attachment(0).unwrap().contents().starts_with(b"%PDF-"));
        assert!(letter.subject().unwrap().contains("consultation – suivi"));
        let xdm = parsed("b-archive");
        assert_eq!(xdm.header_raw("X-MSS-CODECDA").map(str::trim), Some("11488-4"));
        assert!(xdm.attachment(0).unwrap().contents().starts_with(b"PK"));
        assert!(parsed("a-meeting").body_html(0).is_some());
        let nested = parsed("a-forwarded");
        assert!(nested.attachments().any(|part| part.message().is_some()));
    }
}

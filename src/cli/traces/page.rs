//! A proof as a page to read and to print: French, self-contained, without scripts.

use crate::audit::{Action, By};
use crate::cli::trace_line::time;
use crate::serve::http::types::{Proof, ProofBlock, ProofStep, ShownTrace};

/// The page: what happened, the chain, and how to verify it. `json` and `script` are embedded as they are.
pub(super) fn written(proof: &Proof, json: &str, script: &str) -> String {
    let id = escaped(&proof.message_id);
    let steps: String = proof.steps.iter().enumerate().map(|(number, step)| row(number + 1, step)).collect();
    let blocks: String = proof.blocks.iter().enumerate().map(|(number, block)| block_row(number + 1, block)).collect();
    let gaps: String = proof.gaps.iter().map(|gap| format!("<li><code>{}</code></li>\n", escaped(gap))).collect();
    let gaps = match gaps.as_str() {
        "" => gaps,
        gaps => format!("<p>D’autres étapes peuvent manquer. Ce qui n’a pas pu être lu :</p>\n<ul>\n{gaps}</ul>\n"),
    };
    format!(
        r#"<!DOCTYPE html>
<html lang="fr">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Preuve d’échange : {id}</title>
<style>
body {{ font: 11pt/1.4 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #111 }}
table {{ border-collapse: collapse; width: 100%; margin: 1em 0 }}
th, td {{ border: 1px solid #999; padding: .3em .5em; text-align: left; vertical-align: top; overflow-wrap: anywhere }}
th {{ background: #eee }}
code, pre {{ font-size: 9pt; overflow-wrap: anywhere; white-space: pre-wrap }}
</style>
</head>
<body>
<h1>Preuve d’échange d’un message</h1>
<p>Message <code>{id}</code><br>Établie par <code>{operator}</code>, opérateur MSSanté, le {made_at} (UTC).</p>
<p>Ce document reproduit les traces fonctionnelles du message : qui l’a déposé ou transmis, quand, pour qui et avec quel
résultat. Il ne contient rien du contenu du message ; l’empreinte SHA-256 permet de reconnaître le message lui-même
(octets transmis, sans les lignes que chaque serveur ajoute en tête).</p>
<h2>Ce qui s’est passé</h2>
<table>
<tr><th>n°</th><th>date (UTC)</th><th>étape</th><th>par qui</th><th>pour qui</th><th>résultat</th></tr>
{steps}</table>
{gaps}<h2>La chaîne</h2>
<p>Chaque trace est hachée avec un sel. L’empreinte d’un bloc couvre celles de ses traces et celle du bloc précédent ; elle est
signée (Ed25519). Une fois la journée close, une empreinte de fin de journée, signée elle aussi, couvre tous ses blocs.</p>
<table>
<tr><th>bloc</th><th>jour</th><th>empreinte signée</th><th>empreinte de fin de journée</th></tr>
{blocks}</table>
<p>Clé publique qui a signé :</p>
<pre>{key}</pre>
<h2>Vérifier sans l’opérateur</h2>
<p>Enregistrez les deux textes ci-dessous sous les noms <code>proof.json</code> et <code>verify.py</code> (ou prenez les fichiers
joints), puis exécutez <code>python3 verify.py proof.json CLE.pem --head EMPREINTE</code>. Il faut Python 3 et openssl 3, et rien d’autre.
<code>CLE.pem</code> est la clé publique obtenue de l’opérateur, ou de ceux auprès de qui il l’a déposée ; <code>EMPREINTE</code>, une
empreinte de fin de journée qu’il a déposée ailleurs. Les deux peuvent être omises.</p>
<ul>
<li>Le programme vérifie chaque étape : son texte, sa date, son bloc, la signature, et le chemin jusqu’à l’empreinte de fin de
journée. Il affiche ce qu’il a vérifié ; rien d’autre ne l’est, pas même cette page.</li>
<li>Avec la clé de l’opérateur, il montre que ces étapes ont été écrites par qui détient cette clé, et n’ont pas été modifiées.</li>
<li>Avec une empreinte déposée, il montre qu’elles étaient écrites au plus tard lors de ce dépôt.</li>
<li>Il ne montre pas que toutes les étapes ont été remises.</li>
</ul>
<details><summary>verify.py</summary><pre>{script}</pre></details>
<details><summary>proof.json</summary><pre>{json}</pre></details>
</body>
</html>
"#,
        operator = escaped(&proof.operator),
        made_at = time(&proof.made_at),
        key = escaped(&proof.public_key),
        script = escaped(script),
        json = escaped(json),
    )
}

fn row(number: usize, step: &ProofStep) -> String {
    let trace = &step.trace;
    let (what, whom, result) = told(trace);
    let part = trace.part.map(|part| format!(" (partie {} sur {})", part.number, part.of)).unwrap_or_default();
    let cells = [number.to_string(), time(&trace.at), what + &part, by(trace), whom, result];
    let cells: String = cells.iter().map(|cell| format!("<td>{}</td>", escaped(cell))).collect();
    format!("<tr>{cells}</tr>\n")
}

fn block_row(number: usize, block: &ProofBlock) -> String {
    let none = || match block.no_day_end.as_deref() {
        Some("running") => "aucune : la journée n’était pas close",
        Some("older-format") => "aucune : journée close par une version antérieure du logiciel",
        _ => "aucune : d’autres blocs de la journée ne se lisent pas",
    };
    let end = block.day_end.as_ref().map_or_else(none, |end| &end.hash);
    format!(
        "<tr><td>{number}</td><td>{}, bloc {}</td><td><code>{}</code></td><td><code>{}</code></td></tr>\n",
        escaped(&block.day),
        block.number,
        escaped(&block.hash),
        escaped(end)
    )
}

/// Who did it, and from where.
fn by(trace: &ShownTrace) -> String {
    let actor = &trace.actor;
    let role = actor.by.map(|by| match by {
        By::User => "utilisateur",
        By::Administrator => "opérateur (administration)",
        By::Operator => "autre opérateur",
        By::Server => "serveur",
    });
    let person = actor.person.as_ref().map(|person| format!("identifiant national {person}"));
    let login = actor.login.as_ref().map(|login| format!("boîte {login}"));
    let means = actor.means.as_ref().map(|means| format!("moyen : {}", means_in_french(means)));
    let subject = trace.origin.subject.as_ref().map(|subject| format!("certificat {subject}"));
    let peer = trace.origin.peer.as_ref().map(|peer| format!("adresse {peer}"));
    let parts = [role.map(str::to_owned), person, login, means, subject, peer];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// What happened, to whom, with which result.
fn told(trace: &ShownTrace) -> (String, String, String) {
    let of = |what: &str, whom: String, result: String| (what.to_owned(), whom, result);
    match &trace.what {
        Action::Accepted { sender, queued, delivered } => {
            let what = match trace.origin.door.as_str() {
                "smtp" => "reçu d’un autre opérateur",
                "forward" => "transféré à la demande du titulaire",
                "report" => "avis de remise établi",
                "absence" => "réponse d’absence établie",
                _ => "déposé par l’expéditeur",
            };
            let sender = if sender.is_empty() { "expéditeur vide" } else { sender };
            let mut result = vec![format!("expéditeur : {sender}")];
            result.extend((!delivered.is_empty()).then(|| format!("remis à : {}", delivered.join(", "))));
            result.extend((!queued.is_empty()).then(|| format!("à transmettre à : {}", queued.join(", "))));
            if let Some(message) = &trace.message {
                result.extend(message.size.map(|size| format!("{size} octets")));
                result.extend(message.sha256.as_ref().map(|sha256| format!("SHA-256 {sha256}")));
            }
            of(what, [delivered.as_slice(), queued].concat().join(", "), result.join(" ; "))
        }
        Action::Tried { recipient, result, words, attempt } => {
            let result = match result.as_str() {
                "relayed" => "accepté par le serveur du destinataire",
                "deferred" => "remis à plus tard",
                "expired" => "abandonné : délai dépassé",
                "bounced" => "rendu à l’expéditeur par l’opérateur",
                _ => "refusé",
            };
            of(&format!("transmission, essai {attempt}"), recipient.clone(), format!("{result} ; réponse : {words}"))
        }
        Action::Refused { rule, recipient, .. } => {
            of("refusé", recipient.clone().unwrap_or_default(), format!("règle {rule}"))
        }
        Action::Handled { handling } => {
            of("intervention dans la file d’attente", String::new(), handling_in_french(handling).to_owned())
        }
        Action::Reported { result, recipients, report } => {
            of("expéditeur informé", recipients.join(", "), format!("{} ; avis {report}", result_in_french(result)))
        }
        Action::ReportLost { result, recipients, reason } => {
            of("expéditeur non informé", recipients.join(", "), format!("{} ; {reason}", result_in_french(result)))
        }
        Action::ReportCame { result, recipient, report, text } => {
            let report = report.as_ref().map(|report| format!(" ; avis {report}")).unwrap_or_default();
            let result = result_in_french(result);
            of("avis de remise reçu", recipient.clone().unwrap_or_default(), format!("{result} ; {text}{report}"))
        }
        Action::Disposition { recipient, disposition, error, .. } => {
            let error = error.as_ref().map(|error| format!(" ; {error}")).unwrap_or_default();
            let disposition = disposition_in_french(disposition);
            of("avis de lecture reçu", recipient.clone().unwrap_or_default(), format!("{disposition}{error}"))
        }
        other => of(&format!("autre : {}", other.name()), trace.mailbox.clone().unwrap_or_default(), String::new()),
    }
}

/// The words of our traces, for people. One that is not known here is shown as it is: it is what was written down.
fn means_in_french(means: &str) -> &str {
    match means {
        "password" => "mot de passe",
        "password-and-code" => "mot de passe et code",
        "certificate" => "certificat",
        "device" => "poste enrôlé",
        "pro-sante-connect" => "Pro Santé Connect",
        other => other,
    }
}

fn handling_in_french(handling: &str) -> &str {
    match handling {
        "held" => "mis en attente",
        "released" => "remis en route",
        "retried" => "nouvel essai demandé",
        "bounced" => "rendu à l’expéditeur",
        "cancelled" => "annulé",
        other => other,
    }
}

fn result_in_french(result: &str) -> &str {
    match result {
        "failed" => "non remis",
        "delayed" => "retardé",
        "delivered" => "remis",
        "relayed" => "transmis, sans avis de remise à attendre",
        "expanded" => "remis à une liste",
        other => other,
    }
}

fn disposition_in_french(disposition: &str) -> String {
    let (kind, modifier) = disposition.split_once('/').map_or((disposition, None), |(kind, rest)| (kind, Some(rest)));
    let kind = match kind {
        "displayed" => "affiché",
        "processed" => "traité",
        "deleted" => "supprimé sans être lu",
        "dispatched" => "transféré",
        "denied" => "avis refusé par le destinataire",
        "failed" => "échec",
        other => other,
    };
    match modifier {
        Some("error") => format!("{kind}, erreur"),
        Some(other) => format!("{kind}, {other}"),
        None => kind.to_owned(),
    }
}

/// Text within HTML.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Origin, Trace};
    use crate::serve::http::types::{PROOF_FORMAT, ProofDayEnd};

    fn shown(action: Action) -> ShownTrace {
        ShownTrace::from(Trace::of(action))
    }

    #[test]
    fn what_our_traces_say_is_told_in_french() {
        let text = |text: &str| text.to_owned();
        let results = ["failed", "delayed", "delivered", "relayed"];
        let told = |action: Action| told(&shown(action)).2;
        for handling in ["held", "released", "retried", "bounced", "cancelled"] {
            assert_ne!(told(Action::Handled { handling: text(handling) }), handling);
        }
        for result in results {
            let reported = Action::Reported { result: text(result), recipients: Vec::new(), report: text("<r@x>") };
            let lost = Action::ReportLost { result: text(result), recipients: Vec::new(), reason: text("close") };
            let came = Action::ReportCame { result: text(result), recipient: None, report: None, text: text("-") };
            for told in [reported, lost, came].map(told) {
                assert!(!told.contains(result), "{told}");
            }
        }
        let disposition = |disposition: &str, error: Option<&str>| {
            told(Action::Disposition {
                recipient: None,
                disposition: text(disposition),
                notification: None,
                error: error.map(str::to_owned),
            })
        };
        assert_eq!(disposition("displayed", None), "affiché");
        assert_eq!(disposition("processed/error", Some("902^MSS")), "traité, erreur ; 902^MSS");
        // What others made up is shown as it is.
        assert_eq!(disposition("eaten/warning", None), "eaten, warning");
        for means in ["password", "password-and-code", "certificate", "device", "pro-sante-connect"] {
            let actor = crate::audit::Actor { means: Some(text(means)), ..Default::default() };
            let by = by(&ShownTrace::from(Trace { actor, ..Trace::of(Action::LoggedIn) }));
            assert!(!by.ends_with(means), "{by}");
        }
    }

    #[test]
    fn a_block_says_under_which_end_of_a_day_it_stands_or_why_under_none() {
        let block = ProofBlock {
            day: "2026-11-25".into(),
            number: 7,
            format: 2,
            head: "aa".into(),
            line_hashes: None,
            hash: "bb".into(),
            signature: "cc".into(),
            day_end: None,
            no_day_end: None,
        };
        for (why, words) in [("running", "pas close"), ("older-format", "antérieure"), ("damaged", "ne se lisent pas")]
        {
            let row = block_row(1, &ProofBlock { no_day_end: Some(why.into()), ..block.clone() });
            assert!(row.contains("2026-11-25, bloc 7") && row.contains(words), "{row}");
        }
        let [head, before, tree, hash, signature] = ["dd", "ee", "ff", "0123", "11"].map(str::to_owned);
        let end = ProofDayEnd { head, before, tree, hash, signature, path: Vec::new() };
        let row = block_row(1, &ProofBlock { day_end: Some(end), ..block });
        assert!(row.contains("<code>0123</code>") && !row.contains("aucune"), "{row}");
    }

    #[test]
    fn what_others_wrote_is_text_on_the_page() {
        let tried = Action::Tried {
            recipient: "b@nord.example".into(),
            result: "failed".into(),
            words: "<script>alert(1)</script>".into(),
            attempt: 1,
        };
        let origin = Origin { subject: Some("CN=\"x\" & y".into()), ..Origin::default() };
        let trace = ShownTrace::from(Trace { origin, ..Trace::of(tried) });
        let step = ProofStep { trace, text: String::new(), prefix: String::new(), block: 0, line: 0, path: None };
        let proof = Proof {
            format: PROOF_FORMAT.into(),
            operator: "mx.example".into(),
            made_at: "2026-11-25T13:00:00.000000Z".into(),
            message_id: "<a@b>".into(),
            public_key: "KEY".into(),
            steps: vec![step],
            blocks: Vec::new(),
            gaps: vec!["2026-11-25 <damaged>".into()],
        };
        let page = written(&proof, "{\"a\":\"<b>\"}", "print('<&>')");
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
        for shown in [
            "&lt;a@b&gt;",
            "peuvent manquer",
            "&lt;damaged&gt;",
            "certificat CN=&quot;x&quot; &amp; y",
            "refusé ; réponse",
            "print(&#39;&lt;&amp;&gt;&#39;)",
        ] {
            assert!(page.contains(shown), "no `{shown}` in:\n{page}");
        }
    }
}

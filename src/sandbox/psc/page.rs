//! The two pages that people see: whom to be, and why not.

use super::people::Person;
use std::fmt::Write;

/// A button for each person. It posts to the page's own address, whose query is the authorization request.
pub(super) fn pick(people: &[Person], query: &str) -> String {
    let mut buttons = String::new();
    for person in people {
        let opens = match person.opens.as_slice() {
            [] => "aucune boîte".to_owned(),
            addresses => addresses.join(", "),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            buttons,
            r#"<li><button name="person" value="{id}">{first} {last}</button> <small>{id} · {opens}</small></li>"#,
            id = escaped(person.person),
            first = escaped(person.first),
            last = escaped(&person.last.to_uppercase()),
            opens = escaped(&opens),
        );
    }
    let body = format!(
        r#"<h1>Pro Santé Connect <em>(bac à sable)</em></h1>
<p>Ici, personne n'a de carte : choisissez qui vous êtes.</p>
<form method="post" action="/auth?{}"><ul>
{buttons}<li><button name="person" value="">Annuler</button></li>
</ul></form>"#,
        escaped(query)
    );
    whole(&body)
}

/// A request that cannot be answered by a redirection.
pub(super) fn refused(text: &str) -> String {
    whole(&format!("<h1>Demande refusée</h1>\n<p>{}.</p>", escaped(text)))
}

fn whole(body: &str) -> String {
    format!(
        r#"<!doctype html>
<html lang="fr"><head><meta charset="utf-8"><title>Pro Santé Connect (bac à sable)</title>
<style>body{{font:16px sans-serif;max-width:50em;margin:2em auto}}li{{list-style:none;margin:.5em 0}}</style></head>
<body>
{body}
</body></html>
"#
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

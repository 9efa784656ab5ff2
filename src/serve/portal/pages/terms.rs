//! The page of the terms of use.

use maud::{Markup, html};

use super::super::texts;
use super::form;

/// Asks for their acceptance. `until`: until when they can be put off, in words; none: they cannot.
pub(in super::super) fn ask(token: &str, address: &str, version: &str, text: &str, until: Option<&str>) -> Markup {
    let fields = html! {
        input type="hidden" name="version" value=(version);
        p class="tick" {
            input id="accepte" name="accepte" type="checkbox" value="oui" required;
            label for="accepte" { (texts::TERMS_TICK) }
        }
        p { button type="submit" { (texts::TERMS_ACCEPT) } }
    };
    html! {
        p { (texts::terms_intro(address, version)) }
        p { (until.unwrap_or(texts::TERMS_WAIT)) }
        section aria-label=(texts::TERMS_TITLE) {
            @for paragraph in paragraphs(text) { p { (paragraph) } }
        }
        (form("/conditions", token, &fields))
        @if until.is_some() {
            (form("/conditions/plus-tard", token, &html! { button type="submit" class="second" { (texts::TERMS_LATER) } }))
        }
        (form("/deconnexion", token, &html! { button type="submit" class="plain" { (texts::LEAVE) } }))
    }
}

/// What stands between empty lines.
fn paragraphs(text: &str) -> Vec<String> {
    let mut paragraphs = vec![String::new()];
    for line in text.lines().map(str::trim) {
        match paragraphs.last_mut() {
            Some(last) if !line.is_empty() => {
                if !last.is_empty() {
                    last.push(' ');
                }
                last.push_str(line);
            }
            _ => paragraphs.push(String::new()),
        }
    }
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    paragraphs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_shown_by_paragraphs_and_nothing_of_it_is_markup() {
        let text = "Article 1\r\n\r\nVous <b>acceptez</b>\nces conditions.\n\n\n\nFin.\n";
        assert_eq!(paragraphs(text), ["Article 1", "Vous <b>acceptez</b> ces conditions.", "Fin."]);
        let page = ask("jeton", "zoe@x.example", "2026-01", text, None).into_string();
        assert!(page.contains("&lt;b&gt;") && !page.contains("plus-tard"), "{page}");
        assert!(ask("jeton", "zoe@x.example", "2026-01", text, Some("Plus tard.")).into_string().contains("plus-tard"));
    }
}

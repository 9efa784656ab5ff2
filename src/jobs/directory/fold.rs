//! Words as they are looked for: without accents, case and punctuation.

use unicode_normalization::char::{decompose_compatible, is_combining_mark};

/// Calls `each` with every word of a text, folded: `Hôpital Saint-Luc` is `hopital`, `saint`, `luc`. `word` is room to work in.
pub(super) fn words(text: &str, word: &mut String, mut each: impl FnMut(&str)) {
    word.clear();
    let mut take = |character: char| match character {
        letter if letter.is_ascii_alphanumeric() => word.push(letter.to_ascii_lowercase()),
        // Unicode takes these for letters of their own; who looks for somebody does not.
        'œ' | 'Œ' => word.push_str("oe"),
        'æ' | 'Æ' => word.push_str("ae"),
        'ß' => word.push_str("ss"),
        letter if !letter.is_ascii() && letter.is_alphanumeric() => word.extend(letter.to_lowercase()),
        _ if word.is_empty() => {}
        _ => {
            each(word);
            word.clear();
        }
    };
    for character in text.chars() {
        if character.is_ascii() {
            take(character);
        } else {
            // Marks go, so it does not matter in which order they come.
            decompose_compatible(character, |part| {
                if !is_combining_mark(part) {
                    take(part);
                }
            });
        }
    }
    take(' ');
}

/// A text's words, folded, with a space between them.
pub(super) fn folded(text: &str) -> String {
    let (mut all, mut word) = (String::with_capacity(text.len()), String::new());
    words(text, &mut word, |word| {
        if !all.is_empty() {
            all.push(' ');
        }
        all.push_str(word);
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accents_case_ligatures_and_punctuation_do_not_count() {
        for (text, wanted) in [
            ("Hôpital Saint-Luc", "hopital saint luc"),
            ("HO\u{302}PITAL  (SAINT'LUC)", "hopital saint luc"),
            ("Civilité d’exercice", "civilite d exercice"),
            ("LECŒUR Lætitia", "lecoeur laetitia"),
            ("jean.martin@aura.mssante.fr", "jean martin aura mssante fr"),
            ("Straße ﬁn", "strasse fin"),
            ("ÉLOÏSE", "eloise"),
            ("-- !", ""),
            ("", ""),
        ] {
            assert_eq!(folded(text), wanted, "{text}");
        }
    }
}

//! A one-page PDF, so that an attachment opens in whatever the reader has.

/// A PDF 1.4 file (ISO 32000-1) with these lines of text. Characters outside of Latin-1 become `?`.
pub(super) fn page(lines: &[&str]) -> Vec<u8> {
    let mut text = String::from("BT /F1 11 Tf 56 780 Td 16 TL\n");
    for line in lines {
        text.push('(');
        text.extend(line.chars().flat_map(escaped));
        text.push_str(") Tj T*\n");
    }
    text.push_str("ET\n");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R /Resources << /Font << /F1 4 0 R >> >> >>"
            .to_owned(),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_owned(),
        format!("<< /Length {} >>\nstream\n{text}endstream", text.len()),
    ];
    // The comment's high bytes tell transfer programs that the file is binary (§7.5.2).
    let mut pdf = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n".to_vec();
    let mut places = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        places.push(pdf.len());
        pdf.extend_from_slice(format!("{} 0 obj\n{object}\nendobj\n", index + 1).as_bytes());
    }
    let xref = pdf.len();
    let mut tail = format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for place in places {
        tail.push_str(&format!("{place:010} 00000 n \n"));
    }
    tail.push_str(&format!("trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{xref}\n%%EOF\n", objects.len() + 1));
    pdf.extend_from_slice(tail.as_bytes());
    pdf
}

/// A character of a literal string (§7.3.4.2): octal where it is no plain ASCII.
fn escaped(c: char) -> Vec<char> {
    match c {
        '(' | ')' | '\\' => vec!['\\', c],
        ' '..='~' => vec![c],
        '\u{a0}'..='\u{ff}' => format!("\\{:03o}", u32::from(c)).chars().collect(),
        '’' => "\\222".chars().collect(),
        _ => vec!['?'],
    }
}

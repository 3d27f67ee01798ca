//! The one place where a value becomes PowerShell text.

/// A PowerShell expression whose value is exactly this text, on one line of printable ASCII.
///
/// Printable ASCII becomes a verbatim string, in which only the quote is special. Everything else
/// is given by its code point: line ends would end the line that the shell reads, the four curly
/// quotes end a verbatim string as `'` does, and what is not ASCII depends on the console's code
/// page. Source: "about_Quoting_Rules"; PowerShell language specification, "single-quote-character".
///
/// ```
/// assert_eq!(pcdr_skype::quote("service:chat.example.net"), "'service:chat.example.net'");
/// assert_eq!(pcdr_skype::quote("o'brien; exit"), "'o''brien; exit'");
/// assert!(!pcdr_skype::quote("a\u{2019}; Remove-Item *").contains('\u{2019}'));
/// ```
pub fn quote(text: &str) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut plain = String::new();
    for c in text.chars() {
        match c {
            '\'' => plain.push_str("''"),
            ' '..='~' => plain.push(c),
            _ => {
                if !plain.is_empty() {
                    parts.push(format!("'{plain}'"));
                    plain.clear();
                }
                parts.push(format!("[char]::ConvertFromUtf32({})", u32::from(c)));
            }
        }
    }
    if parts.is_empty() {
        return format!("'{plain}'");
    }
    if !plain.is_empty() {
        parts.push(format!("'{plain}'"));
    }
    format!("(-join ({}))", parts.join(","))
}

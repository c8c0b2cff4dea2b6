//! NAPTR records: which one counts and which URL it gives (RFC 3403; OASIS BDXL 2.3).

/// The service that leads to an SMP, compared without case.
pub const SERVICE: &str = "Meta:SMP";

/// The fields of one NAPTR record that matter here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naptr {
    /// Lower comes first.
    pub order: u16,
    /// Within one order, lower comes first.
    pub preference: u16,
    /// `U`: the result is a URL.
    pub flags: String,
    /// For example `Meta:SMP`.
    pub service: String,
    /// A substitution, `!^.*$!http://smp.example!`.
    pub regexp: String,
}

impl Naptr {
    /// The record that leads every name to an SMP.
    #[must_use]
    pub fn to_smp(base_url: &str) -> Self {
        Self { order: 100, preference: 10, flags: "U".into(), service: SERVICE.into(), regexp: format!("!^.*$!{base_url}!") }
    }
}

/// The SMP's base URL out of the records of a name; `None` when no record gives one.
///
/// Records with another flag or service are not ours. Among the rest lowest order, then lowest preference wins; a record
/// whose expression is broken is passed over.
#[must_use]
pub fn base_url(records: &[Naptr]) -> Option<String> {
    let mut ours: Vec<&Naptr> =
        records.iter().filter(|record| record.flags.eq_ignore_ascii_case("U") && record.service.eq_ignore_ascii_case(SERVICE)).collect();
    ours.sort_by_key(|record| (record.order, record.preference));
    ours.into_iter().find_map(|record| replacement(&record.regexp))
}

/// The replacement part of `delimiter ere delimiter replacement delimiter flags`.
///
/// The expression itself is not run: BDXL publishers write `.*` or `^.*$`, so the whole name becomes the replacement. A
/// replacement with a back-reference would need it and is refused.
fn replacement(regexp: &str) -> Option<String> {
    let delimiter = regexp.chars().next().filter(|c| !c.is_alphanumeric() && *c != '\\')?;
    let mut parts = regexp.get(delimiter.len_utf8()..)?.split(delimiter);
    let (Some(expression), Some(replacement), Some(flags), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else { return None };
    let whole = matches!(expression, ".*" | "^.*$" | "^.*" | ".*$" | "^(.*)$");
    let is_url = ["http://", "https://"].iter().any(|scheme| replacement.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    let sound = whole && is_url && matches!(flags, "" | "i") && !replacement.contains('\\') && replacement.is_ascii();
    sound.then(|| replacement.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(order: u16, preference: u16, flags: &str, service: &str, regexp: &str) -> Naptr {
        Naptr { order, preference, flags: flags.into(), service: service.into(), regexp: regexp.into() }
    }

    #[test]
    fn lowest_order_then_lowest_preference_wins() {
        let records = [
            record(20, 1, "U", "Meta:SMP", "!^.*$!http://c.example!"),
            record(10, 9, "u", "meta:smp", "!.*!https://b.example/smp/!"),
            record(10, 1, "S", "Meta:SMP", "!.*!https://wrong-flag.example!"),
            record(10, 2, "U", "Meta:CPPA", "!.*!https://wrong-service.example!"),
            record(10, 5, "U", "Meta:SMP", "!.*!ldap://wrong-scheme.example!"),
        ];
        assert_eq!(base_url(&records).as_deref(), Some("https://b.example/smp"));
        assert_eq!(base_url(&records[2..]), None);
        assert_eq!(base_url(&[Naptr::to_smp("http://127.0.0.1:1/smp")]).as_deref(), Some("http://127.0.0.1:1/smp"));
    }

    #[test]
    fn an_expression_that_is_none_gives_nothing() {
        for regexp in ["", "!", "!.*!http://a", "!.*!http://a!!x", "!.*!http://\\1!", "!^0203!http://a!", "a.*ahttp://xa", "!.*!http://a!x"] {
            assert_eq!(base_url(&[record(1, 1, "U", "Meta:SMP", regexp)]), None, "{regexp}");
        }
    }
}

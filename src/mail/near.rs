//! Names that are like a name which does not exist.

/// More of them help nobody.
const MOST: usize = 3;
/// Longer names are compared by their beginnings.
const LONGEST: usize = 80;

/// The known names that are most like the wanted one, the nearest first, each once. A slip or two of the fingers is alike,
/// and so is a name that holds the other; the wanted name itself is none of them.
#[must_use]
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let folded = |name: &str| name.chars().flat_map(char::to_lowercase).take(LONGEST).collect::<Vec<char>>();
    let wanted = folded(wanted);
    let mut near: Vec<(usize, Vec<char>, &str)> = Vec::new();
    for name in known {
        let letters = folded(name);
        if near.iter().any(|(_, other, _)| *other == letters) || letters == wanted {
            continue;
        }
        let allowed = 1 + wanted.len().min(letters.len()) / 5;
        let distance = if letters.len().abs_diff(wanted.len()) <= allowed { distance(&wanted, &letters) } else { usize::MAX };
        let (short, long) = if letters.len() < wanted.len() { (&letters, &wanted) } else { (&wanted, &letters) };
        // A slip comes before a part.
        if distance <= allowed {
            near.push((distance, letters, name));
        } else if short.len() >= 5 && long.windows(short.len()).any(|part| part == short.as_slice()) {
            near.push((LONGEST + long.len() - short.len(), letters, name));
        }
    }
    near.sort();
    near.into_iter().take(MOST).map(|(_, _, name)| name).collect()
}

/// Levenshtein's distance.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for ((y, diagonal), above) in b.iter().zip(&row).zip(row.iter().skip(1)) {
            let left = next.last().copied().unwrap_or_default();
            next.push((diagonal + usize::from(x != y)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_and_parts_are_near_and_nothing_else_is() {
        let known = ["0203:sundbyberg.se", "0203:sundsvall.se", "0203:habo.se", "0203:Sundbyberg.se"];
        assert_eq!(nearest("0203:sundbybergs.se", known), ["0203:sundbyberg.se"]);
        assert_eq!(nearest("0203:SUNDBYBERG.SE", known), [""; 0], "the name itself");
        assert_eq!(nearest("0203:arbetsformedlingen.se", known), [""; 0]);
        let functions = ["socialkontoret", "socialkontoret-barn", "registrator", "soc"];
        assert_eq!(nearest("socialkontor", functions), ["socialkontoret", "socialkontoret-barn"]);
        assert_eq!(nearest("regisrtator", functions), ["registrator"]);
        assert_eq!(nearest("x", functions), [""; 0]);
    }

    #[test]
    fn long_names_cost_no_more_than_short_ones() {
        let long = "å".repeat(100_000);
        assert_eq!(nearest(&long, [long.as_str(), "å"]), [""; 0]);
    }
}

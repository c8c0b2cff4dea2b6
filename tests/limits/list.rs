//! The list of limits is the code's.

use std::path::Path;

const BEGIN: &str = "<!-- generated: every limit -->\n";
const END: &str = "<!-- end -->\n";

#[test]
fn the_list_of_limits_is_the_one_that_the_code_has() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/limits.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once(BEGIN).unwrap();
    let (committed, tail) = rest.split_once(END).unwrap();
    let list = format!("\n{}\n", brevbro::daemon::limits::list());
    assert!(!list.contains("no such option"), "{list}");
    if std::env::var_os("BREVBRO_UPDATE").is_some() {
        std::fs::write(&path, [head, BEGIN, &list, END, tail].concat()).unwrap();
    } else {
        assert_eq!(committed, list, "BREVBRO_UPDATE=1 writes it");
    }
}

#[test]
fn every_limit_that_the_operator_is_told_of_is_in_the_list_with_its_option() {
    let list = brevbro::daemon::limits::list();
    for limit in brevbro::worker::Limit::ALL {
        let option = format!("`{}`: ", limit.option());
        let row = list.lines().find(|line| line.contains(&option));
        assert!(row.is_some_and(|row| row.ends_with("| operator, once |")), "{option}");
    }
    let told = list.lines().filter(|line| line.ends_with("| operator, once |") && !line.contains("loops.")).count();
    assert_eq!(told, brevbro::worker::Limit::ALL.len(), "nobody is told of one that is not watched");
}

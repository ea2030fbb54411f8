//! The wording of comments, documentation and messages: spelling, pronouns, and the first words of doc
//! comments.

use super::Finding;
use super::source::Source;

/// The wordings to change, one finding per line.
pub(super) fn findings(sources: &[Source]) -> Vec<Finding> {
    sources.iter().filter(|source| is_prose(&source.path)).flat_map(findings_in).collect()
}

fn findings_in(source: &Source) -> Vec<Finding> {
    let openings = openings(source).into_iter();
    let mut findings: Vec<(usize, String)> = openings
        .chain(source.text.lines().enumerate().flat_map(|(number, line)| {
            words(line).filter_map(wording).map(move |what| (number, what)).take(1)
        }))
        .collect();
    findings.sort();
    findings
        .into_iter()
        .map(|(number, what)| Finding { place: format!("{}:{}", source.path, number + 1), what })
        .collect()
}

/// Returns whether people wrote the file's text for people.
fn is_prose(path: &str) -> bool {
    let written = [".rs", ".js", ".mjs", ".css", ".html", ".md", ".toml"];
    written.iter().any(|extension| path.ends_with(extension))
}

/// The reason to change `word`, if there is one.
fn wording(word: &str) -> Option<String> {
    let word = word.to_lowercase();
    if PRONOUNS.contains(&word.as_str()) {
        return Some(format!("`{word}`: clients, readers and attackers are `it` or `they`"));
    }
    let (british, american) = SPELLINGS.iter().find(|(british, _)| word.contains(british))?;
    Some(format!("`{word}`: spell `{british}` as `{american}`"))
}

/// Splits a line, or an identifier in it, into words: `close_stream` has two.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty())
}

/// The doc comments with a first word that makes a riddle of the item.
fn openings(source: &Source) -> Vec<(usize, String)> {
    let lines: Vec<&str> = source.text.lines().map(str::trim_start).collect();
    let mut found = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let Some(doc) = doc_text(line) else { continue };
        let goes_on =
            number > 0 && doc_text(lines[number - 1]).is_some() && !line.starts_with("/**");
        // What looks like a comment inside a string is none.
        let is_comment =
            source.uncommented.lines().nth(number).is_some_and(|it| it.trim().is_empty());
        let first = doc.split_whitespace().next().unwrap_or_default();
        let is_function = || documented(&lines[number..]).is_some_and(is_function);
        if goes_on || !is_comment {
            continue;
        }
        if OPENINGS.contains(&first) {
            found.push((
                number,
                format!("a doc comment begins with `{first}`: begin with a noun or a verb"),
            ));
        } else if first == "Whether" && is_function() {
            found.push((
                number,
                "`Whether` describes a function: begin with `Returns whether`".into(),
            ));
        }
    }
    found
}

/// The text of a line of a doc comment.
fn doc_text(line: &str) -> Option<&str> {
    ["///", "//!", "/**"].iter().find_map(|start| line.strip_prefix(start))
}

/// The first line of the item below a doc comment.
fn documented<'a>(lines: &[&'a str]) -> Option<&'a str> {
    let is_item = |line: &&&str| !line.starts_with("//") && !line.starts_with('#');
    lines.iter().find(is_item).copied()
}

fn is_function(line: &str) -> bool {
    words(line).take_while(|word| FUNCTION_STARTS.contains(word)).any(|word| word == "fn")
}

const PRONOUNS: [&str; 4] =
    [concat!("h", "e"), concat!("hi", "s"), concat!("hi", "m"), concat!("hims", "elf")];

/// British spellings, and the American ones that the ecosystem uses.
const SPELLINGS: [(&str, &str); 9] = [
    (concat!("colo", "ur"), "color"),
    (concat!("behavio", "ur"), "behavior"),
    (concat!("licen", "ce"), "license"),
    (concat!("neighbo", "ur"), "neighbor"),
    (concat!("hono", "ur"), "honor"),
    (concat!("favo", "ur"), "favor"),
    (concat!("recogn", "ise"), "recognize"),
    (concat!("normal", "ise"), "normalize"),
    (concat!("serial", "ise"), "serialize"),
];

/// Words that stand for a noun: the reader has to guess which.
const OPENINGS: [&str; 7] = ["What", "Who", "Whoever", "Whose", "Whatever", "Whichever", "As"];

/// Words that may precede `fn`.
const FUNCTION_STARTS: [&str; 9] =
    ["pub", "crate", "super", "self", "const", "async", "fn", "extern", "in"];

#[cfg(test)]
mod tests {
    use super::findings;

    #[track_caller]
    fn check(path: &str, text: &str, lines: &[usize]) {
        crate::tidy::check_lines(findings, path, text, lines);
    }

    #[test]
    fn pronouns_for_people_are_found_as_whole_words_only() {
        check("docs/a.md", concat!("hi", "s own\nthis history\nAnd h", "e.\n"), &[1, 3]);
        check("crates/hub/src/a.rs", concat!("// Wakes hi", "m.\nlet the = 1;\n"), &[1]);
    }

    #[test]
    fn british_spelling_is_found_in_names_as_well() {
        check("crates/cli/src/a.rs", concat!("enum Colo", "ur {}\nenum Color {}\n"), &[1]);
        check("docs/a.md", concat!("Neighbo", "uring\n"), &[1]);
        check("LICENSE-MIT", concat!("licen", "ce\n"), &[]);
    }

    #[test]
    fn a_doc_comment_begins_with_no_riddle() {
        let text =
            "/// What it is.\nstruct A;\n/// A place.\n/// What follows is free.\nstruct B;\n";
        check("crates/hub/src/a.rs", text, &[1]);
        check("crates/hub/src/a.rs", "//! Who does it.\n", &[1]);
        check("crates/hub/src/a.rs", "// What a plain comment says.\n", &[]);
        check("crates/hub/src/a.rs", "let a = \"\n/// What\n\";\n", &[]);
        check("e2e/a.mjs", "/** As it was. */\n", &[1]);
    }

    #[test]
    fn whether_describes_a_value_and_a_function_returns_it() {
        let text = "/// Whether it is open.\npub(crate) const fn is_open() {}\n";
        check("crates/hub/src/a.rs", text, &[1]);
        check("crates/hub/src/a.rs", "/// Whether it is open.\n#[b]\nis_open: bool,\n", &[]);
    }
}

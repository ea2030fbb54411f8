//! A file's text, and parts of it: without comments, without the contents of strings, only the product,
//! only the tests.

use std::ops::Range;

/// One text file of the project.
pub(super) struct Source {
    /// Relative to the workspace, with `/`.
    pub(super) path: String,
    /// The unchanged text.
    pub(super) text: String,
    /// The text with comments blanked out, so that every position stays the same.
    pub(super) uncommented: String,
    /// The text with comments and the contents of strings blanked out, likewise.
    pub(super) code: String,
    /// The lines that are tests, counted from 0.
    pub(super) test_lines: Range<usize>,
}

/// The syntax of comments and strings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    Rust,
    JavaScript,
    /// Neither Rust nor JavaScript: everything is text, nothing is code.
    Other,
}

impl Source {
    pub(super) fn new(path: &str, text: String) -> Self {
        let (uncommented, code) = match language(path) {
            Language::Other => (text.clone(), String::new()),
            language => Masker::new(&text, language).run(),
        };
        let test_lines = test_lines(path, &code);
        Self { path: path.into(), text, uncommented, code, test_lines }
    }

    pub(super) fn is_rust(&self) -> bool {
        language(&self.path) == Language::Rust
    }

    /// Returns whether Node's test runner runs the file.
    pub(super) fn is_node_test(&self) -> bool {
        self.path.starts_with("e2e/") && self.path.ends_with(".test.mjs")
    }
}

fn language(path: &str) -> Language {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("rs") => Language::Rust,
        Some("js" | "mjs") => Language::JavaScript,
        _ => Language::Other,
    }
}

/// The whole of a file for tests; otherwise the test module at the file's foot.
fn test_lines(path: &str, code: &str) -> Range<usize> {
    let all = code.lines().count();
    let is_test_file = path.ends_with(".test.mjs")
        || path.starts_with("crates/testkit/")
        || path.contains("/tests/")
        || path.ends_with("/tests.rs");
    if is_test_file {
        return 0..all;
    }
    let mut lines = code.lines().map(str::trim).enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let opens_module = lines.peek().is_some_and(|(_, next)| {
            next.trim_start_matches("pub(crate) ").starts_with("mod ") && next.ends_with('{')
        });
        if line == "#[cfg(test)]" && opens_module {
            return number..all;
        }
    }
    all..all
}

/// Blanks out comments, and separately the contents of strings.
struct Masker<'a> {
    rest: &'a str,
    language: Language,
    uncommented: String,
    code: String,
    /// The number of open braces in each enclosing `${…}` of a template.
    templates: Vec<usize>,
}

impl<'a> Masker<'a> {
    fn new(text: &'a str, language: Language) -> Self {
        Self {
            rest: text,
            language,
            uncommented: String::with_capacity(text.len()),
            code: String::with_capacity(text.len()),
            templates: Vec::new(),
        }
    }

    fn run(mut self) -> (String, String) {
        while !self.rest.is_empty() {
            match self.language {
                Language::Rust => self.step_in_rust(),
                Language::JavaScript => self.step_in_javascript(),
                Language::Other => self.keep(1),
            }
        }
        (self.uncommented, self.code)
    }

    fn step_in_rust(&mut self) {
        if self.rest.starts_with("//") {
            self.comment(line_length(self.rest));
        } else if self.rest.starts_with("/*") {
            self.comment(nested_comment_length(self.rest));
        } else if let Some(hashes) = self.raw_string_hashes() {
            let start = self.rest.find('"').map_or(0, |quote| quote + 1);
            let end = format!("\"{}", "#".repeat(hashes));
            let length = self.rest[start..].find(&end).unwrap_or(self.rest.len() - start);
            self.keep(start);
            self.string(length);
            self.keep(end.len());
        } else if self.rest.starts_with('"') {
            self.quoted('"', false);
        } else if self.rest.starts_with('\'') && is_char_literal(self.rest) {
            self.quoted('\'', false);
        } else {
            self.keep(1);
        }
    }

    fn step_in_javascript(&mut self) {
        let first = self.rest.chars().next().unwrap_or_default();
        if self.rest.starts_with("//") || (self.code.is_empty() && self.rest.starts_with("#!")) {
            self.comment(line_length(self.rest));
        } else if self.rest.starts_with("/*") {
            self.comment(self.rest.find("*/").map_or(self.rest.len(), |end| end + 2));
        } else if first == '/' && self.may_start_regex() {
            self.keep(1);
            self.string(regex_length(self.rest));
        } else if first == '"' || first == '\'' {
            self.quoted(first, true);
        } else if first == '`' {
            self.keep(1);
            self.template();
        } else {
            match (first, self.templates.last_mut()) {
                ('{', Some(open)) => *open += 1,
                ('}', Some(0)) => {
                    self.templates.pop();
                    self.keep(1);
                    return self.template();
                }
                ('}', Some(open)) => *open -= 1,
                _ => {}
            }
            self.keep(1);
        }
    }

    /// A string from its opening to its closing quote, or to the end of the line if it must end there.
    fn quoted(&mut self, quote: char, ends_with_line: bool) {
        self.keep(1);
        let mut escaped = false;
        let length = self.rest.find(|c: char| {
            let ends = !escaped && (c == quote || (ends_with_line && c == '\n'));
            escaped = !escaped && c == '\\';
            ends
        });
        self.string(length.unwrap_or(self.rest.len()));
        self.keep(1);
    }

    /// The text of a template up to its end or the next `${`, which starts code.
    fn template(&mut self) {
        let mut escaped = false;
        let mut dollar = false;
        let length = self.rest.find(|c: char| {
            let ends = !escaped && (c == '`' || (dollar && c == '{'));
            dollar = !escaped && c == '$';
            escaped = !escaped && c == '\\';
            ends
        });
        self.string(length.unwrap_or(self.rest.len()));
        if self.rest.starts_with('{') {
            self.templates.push(0);
        }
        self.keep(1);
    }

    /// The number of `#` after the `r` of a raw string that starts here.
    fn raw_string_hashes(&self) -> Option<usize> {
        let after_name = self.code.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let raw = ["r", "br", "cr"].iter().find_map(|start| self.rest.strip_prefix(start))?;
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        (!after_name && raw[hashes..].starts_with('"')).then_some(hashes)
    }

    /// Returns whether a `/` here starts a regular expression; after a value it would divide.
    fn may_start_regex(&self) -> bool {
        let before = self.code.trim_end();
        before.is_empty()
            || before.ends_with(['(', ',', '=', ':', '[', '!', '&', '|', '?', '{', '}', ';', '>'])
            || before.ends_with("return")
    }

    fn keep(&mut self, bytes: usize) {
        let taken = self.take(bytes);
        self.uncommented.push_str(taken);
        self.code.push_str(taken);
    }

    fn string(&mut self, bytes: usize) {
        let taken = self.take(bytes);
        self.uncommented.push_str(taken);
        self.code.extend(blank(taken));
    }

    fn comment(&mut self, bytes: usize) {
        let taken = self.take(bytes);
        self.uncommented.extend(blank(taken));
        self.code.extend(blank(taken));
    }

    /// Takes at least `bytes`, up to the end of a character, or all that is left.
    fn take(&mut self, bytes: usize) -> &'a str {
        let end = (bytes..=self.rest.len()).find(|at| self.rest.is_char_boundary(*at));
        let (taken, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        taken
    }
}

/// Replaces each byte of `text` by a blank, except line ends.
fn blank(text: &str) -> impl Iterator<Item = char> {
    text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' })
}

fn line_length(text: &str) -> usize {
    text.find('\n').unwrap_or(text.len())
}

/// The length of the Rust comment `/* … */` at the start of `text`, which may be nested.
fn nested_comment_length(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        let step = if rest.starts_with(b"/*") {
            depth += 1;
            2
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            2
        } else {
            1
        };
        at += step;
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of a regular expression, from behind its first `/` through its last.
fn regex_length(text: &str) -> usize {
    let mut escaped = false;
    let mut in_class = false;
    let end = text.find(|c: char| {
        let ends = !escaped && ((c == '/' && !in_class) || c == '\n');
        match c {
            '[' if !escaped => in_class = true,
            ']' if !escaped => in_class = false,
            _ => {}
        }
        escaped = !escaped && c == '\\';
        ends
    });
    end.map_or(text.len(), |end| end + 1)
}

/// Tells `'a'` and `'\n'` from the lifetime `'a`.
fn is_char_literal(text: &str) -> bool {
    let mut characters = text.chars().skip(1);
    match characters.next() {
        Some('\\') => true,
        Some(_) => characters.next() == Some('\''),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[track_caller]
    fn check(path: &str, text: &str, code: &str) {
        let source = Source::new(path, text.into());
        assert_eq!(source.code, code, "{text}");
        assert_eq!(source.code.len(), text.len(), "positions must stay what they were");
        assert_eq!(source.uncommented.len(), text.len());
    }

    #[test]
    fn rusts_comments_and_strings_are_blanked() {
        check("a.rs", "a // b\nc", "a     \nc");
        check("a.rs", "a /* b /* c */ d */ e", "a                   e");
        check("a.rs", r#"a("b \" // c", d)"#, r#"a("         ", d)"#);
        check("a.rs", r##"a(r#"b " c"#, br"\", d)"##, r##"a(r#"     "#, br" ", d)"##);
        check("a.rs", "a('\"', '\\'', b)", "a(' ', '  ', b)");
        check("a.rs", "fn a<'b>(c: &'b str) // d", "fn a<'b>(c: &'b str)     ");
        check("a.rs", "\"ä\" + b", "\"  \" + b");
    }

    #[test]
    fn javascripts_comments_strings_templates_and_regular_expressions_are_blanked() {
        check("a.mjs", "a // b\nc /* d */ e", "a     \nc         e");
        check("a.mjs", "a('b // c', \"d\")", "a('      ', \" \")");
        check("a.mjs", "a(`b ${c(`d`, {})} e`, f)", "a(`   {c(` `, {})}  `, f)");
        check("a.mjs", "a(/['\"/]\\//, b)", "a(/        , b)");
        check("a.mjs", "a / b / c // d", "a / b / c     ");
    }

    #[test]
    fn comments_alone_are_blanked_where_strings_are_wanted() {
        let source = Source::new("a.mjs", "test('T1') // test('T2')".into());
        assert_eq!(source.uncommented, "test('T1')              ");
    }

    #[test]
    fn tests_are_the_module_at_the_foot_or_the_whole_file() {
        let foot = "fn a() {}\n\n#[cfg(test)]\nmod tests {\n}\n";
        assert_eq!(Source::new("crates/hub/src/a.rs", foot.into()).test_lines, 2..5);
        assert_eq!(Source::new("crates/hub/tests/a.rs", foot.into()).test_lines, 0..5);
        let declared = "#[cfg(test)]\nmod tests;\n\nfn a() {}\n";
        assert_eq!(Source::new("crates/hub/src/a.rs", declared.into()).test_lines, 4..4);
    }
}

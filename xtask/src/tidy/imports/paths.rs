//! Reads the paths in a file's code: the trees of `use`, and paths written out in place.

/// A path as it is written, such as `super::shard::Shard`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// The segments, without a glob.
    pub(super) segments: Vec<String>,
    pub(super) kind: Kind,
}

/// The kind of place in which a path is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A leaf of `use`, which brings this name into the file.
    Import(String),
    /// A leaf of `pub use`, which also passes the name on.
    Export(String),
    /// A leaf of `use …::*`.
    Glob,
    /// Part of an expression, a type or a pattern.
    InPlace,
}

/// The paths in `code`, which holds neither comments nor the contents of strings.
pub(super) fn paths(code: &str) -> Vec<Written> {
    let tokens = tokens(code);
    let mut paths = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if *token == "use" {
            let export = is_public(&tokens[..at]);
            at = tree(&tokens, at + 1, &[], export, &mut paths);
        } else if is_name(token) {
            let start = at;
            let mut segments = vec![(*token).to_owned()];
            while tokens.get(at + 1) == Some(&"::")
                && tokens.get(at + 2).is_some_and(|it| is_name(it))
            {
                segments.push(tokens[at + 2].to_owned());
                at += 2;
            }
            // A name on its own may also be a field or a method, which is no path.
            let is_path =
                segments.len() > 1 && start.checked_sub(1).is_none_or(|it| tokens[it] != ".");
            if is_path {
                paths.push(Written { segments, kind: Kind::InPlace });
            }
            at += 1;
        } else {
            at += 1;
        }
    }
    paths
}

/// The modules that `code` declares in files of their own: `mod name;`.
pub(super) fn children(code: &str) -> Vec<String> {
    tokens(code)
        .windows(3)
        .filter(|three| three[0] == "mod" && three[2] == ";")
        .map(|three| three[1].to_owned())
        .collect()
}

/// Reads one tree of `use` from `at`, and returns the place behind it.
fn tree(
    tokens: &[&str],
    mut at: usize,
    prefix: &[String],
    export: bool,
    paths: &mut Vec<Written>,
) -> usize {
    let mut segments = prefix.to_vec();
    while let Some(token) = tokens.get(at) {
        match *token {
            "::" => at += 1,
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| *token != "}") {
                    at = tree(tokens, at, &segments, export, paths);
                    at += usize::from(tokens.get(at) == Some(&","));
                }
                return at + 1;
            }
            "*" => {
                paths.push(Written { segments, kind: Kind::Glob });
                return at + 1;
            }
            name if is_name(name) => {
                // `a::{self}` names `a`.
                if name != "self" || segments.is_empty() {
                    segments.push(name.to_owned());
                }
                at += 1;
                if tokens.get(at) == Some(&"::") {
                    continue;
                }
                let mut name = segments.last().cloned().unwrap_or_default();
                if tokens.get(at) == Some(&"as") {
                    name = tokens.get(at + 1).map_or(name, |alias| (*alias).to_owned());
                    at += 2;
                }
                let kind = if export { Kind::Export(name) } else { Kind::Import(name) };
                paths.push(Written { segments, kind });
                return at;
            }
            _ => return at + 1,
        }
    }
    at
}

/// Returns whether the tokens before a `use` make it public, if only within the crate.
fn is_public(before: &[&str]) -> bool {
    match before {
        [.., "pub"] => true,
        [.., ")"] => {
            let open = before.iter().rposition(|token| *token == "(");
            open.is_some_and(|open| before[..open].last() == Some(&"pub"))
        }
        _ => false,
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_') && token != "as"
}

/// Names, `::`, and every other character that is no blank.
fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if first.is_alphanumeric() || first == '_' {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        tokens.push(token);
        rest = after.trim_start();
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::{Kind, children, paths};

    /// Asserts the paths of `code`, each written as `path`, `path as name`, `pub path as name`,
    /// `path::*` or `in place path`.
    #[track_caller]
    fn check(code: &str, expected: &[&str]) {
        let found: Vec<String> = paths(code)
            .into_iter()
            .map(|path| {
                let segments = path.segments.join("::");
                match path.kind {
                    Kind::Import(name) => format!("{segments} as {name}"),
                    Kind::Export(name) => format!("pub {segments} as {name}"),
                    Kind::Glob => format!("{segments}::*"),
                    Kind::InPlace => format!("in place {segments}"),
                }
            })
            .collect();
        assert_eq!(found, expected, "{code}");
    }

    #[test]
    fn a_tree_of_use_is_read_leaf_by_leaf() {
        check("use crate::a::B;", &["crate::a::B as B"]);
        check(
            "use crate::{a::{self, B as C}, d::*, e};",
            &["crate::a as a", "crate::a::B as C", "crate::d::*", "crate::e as e"],
        );
        check("use super::{a};\nuse b::C;", &["super::a as a", "b::C as C"]);
    }

    #[test]
    fn a_name_that_is_passed_on_is_told_from_one_that_is_not() {
        check("pub use a::B;", &["pub a::B as B"]);
        check("pub(crate) use a::{B, c::D as E};", &["pub a::B as B", "pub a::c::D as E"]);
        check("fn f(a: B) {}\nuse a::B;", &["a::B as B"]);
    }

    #[test]
    fn paths_in_place_have_two_segments_at_least_and_are_no_methods() {
        check(
            "let a: super::B = crate::c::d(e.f::<G>(), H);",
            &["in place super::B", "in place crate::c::d"],
        );
    }

    #[test]
    fn only_modules_with_a_file_are_children() {
        assert_eq!(
            children("mod a;\npub(crate) mod b;\nmod c { mod d; }\nmod e {}"),
            ["a", "b", "d"]
        );
    }
}

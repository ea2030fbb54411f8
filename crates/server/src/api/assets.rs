//! The pages: plain files, part of the program.

use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher as _;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

macro_rules! assets {
    (pages: $($page:literal,)+ files: $($file:literal,)+) => {
        const ASSETS: &[(&str, &[u8])] = &[
            $(($page, concat!(
                include_str!("../../assets/head.html"),
                include_str!(concat!("../../assets/", $page)),
            ).as_bytes()),)+
            $(($file, include_bytes!(concat!("../../assets/", $file))),)+
        ];
    };
}

// A page's file continues `head.html`, which all pages start with.
assets! {
    pages:
    "demo.html",
    "index.html",
    files:
    "addresses.mjs",
    "decoder.mjs",
    "demo.css",
    "demo.mjs",
    "event-table.css",
    "event-table.mjs",
    "fetch-source.mjs",
    "icon.svg",
    "index.css",
    "index.mjs",
    "openapi.json",
    "page.mjs",
    "panel.mjs",
    "sparkline.mjs",
    "style.css",
    "support.js",
    "widgets.mjs",
}

/// The asset of this name, or `None`.
pub(crate) fn asset(name: &str, request: &HeaderMap) -> Option<Response<Bytes>> {
    let &(name, bytes) = ASSETS.iter().find(|(found, _)| *found == name)?;
    let tag = etag(bytes);
    let is_known = request.get_all(IF_NONE_MATCH).iter().any(|known| matches(known, &tag));
    let mut response = Response::new(Bytes::new());
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        *response.body_mut() = Bytes::from_static(bytes);
    }
    let headers = response.headers_mut();
    headers.insert(ETAG, tag);
    // Asked for each time and answered with 304: a new version of the program shows its own pages.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Some(response)
}

/// A page runs and loads only content of this server, regardless of the content of events.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'";

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" => "application/json",
        _ => "application/octet-stream",
    }
}

/// Distinguishes versions of an asset. It need not withstand an attacker: there is no gain in a
/// collision.
fn etag(bytes: &[u8]) -> HeaderValue {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    let tag = format!("\"{:016x}\"", hasher.finish());
    HeaderValue::try_from(tag).expect("quotes and hexadecimal digits are visible ASCII")
}

/// Returns whether the client has this version (RFC 9110, section 13.1.2); the comparison is the weak one.
fn matches(known: &HeaderValue, tag: &HeaderValue) -> bool {
    let known = known.to_str().unwrap_or_default();
    known.split(',').map(str::trim).any(|known| {
        known == "*" || known.strip_prefix("W/").unwrap_or(known).as_bytes() == tag.as_bytes()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_file_beside_the_sources_is_an_asset_of_a_known_type() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/assets");
        let files = std::fs::read_dir(folder).unwrap();
        let mut files: BTreeSet<_> =
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        assert!(files.remove("head.html"), "the pages' common beginning is no asset of its own");
        let assets = ASSETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(files, assets);
        for (name, _) in ASSETS {
            assert_ne!(content_type(name), "application/octet-stream", "{name}");
        }
    }

    /// The policy would make browsers refuse them.
    #[test]
    fn no_page_has_a_script_or_a_style_of_its_own() {
        for (name, bytes) in ASSETS.iter().filter(|(name, _)| name.ends_with(".html")) {
            let text = std::str::from_utf8(bytes).unwrap();
            for tag in text.split('<').filter_map(|part| part.split_once('>')).map(|(tag, _)| tag) {
                let is_own = tag.starts_with("script") && !tag.contains(" src=");
                let is_inline = tag.starts_with("style") || tag.contains(" style=");
                assert!(!is_own && !is_inline && !tag.contains(" on"), "{name}: <{tag}>");
            }
        }
    }

    #[test]
    fn a_known_version_is_not_sent_again() {
        let first = asset("index.html", &HeaderMap::new()).unwrap();
        assert!(!first.body().is_empty());
        let tag = first.headers()[ETAG].to_str().unwrap();
        for known in [tag.to_owned(), format!("\"x\", W/{tag}"), "*".to_owned()] {
            let mut request = HeaderMap::new();
            request.insert(IF_NONE_MATCH, known.parse().unwrap());
            let again = asset("index.html", &request).unwrap();
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{known}");
            assert!(again.body().is_empty());
        }
        let mut request = HeaderMap::new();
        request.insert(IF_NONE_MATCH, HeaderValue::from_static("\"x\""));
        assert_eq!(asset("index.html", &request).unwrap().status(), StatusCode::OK);
    }

    #[test]
    fn no_path_leads_out_of_the_assets() {
        for name in ["", "../Cargo.toml", "/etc/passwd", "index.html/", "nothing.css"] {
            assert!(asset(name, &HeaderMap::new()).is_none(), "{name}");
        }
    }
}

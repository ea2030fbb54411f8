//! Tokens and grants: who may publish, read and manage what.

mod behind;
mod managing;
mod reading;
mod table;
mod tokens;

use std::time::Duration;

use http::Method;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use tidings_hub::TopicFilter;
use tidings_server::{
    Algorithm, ApiKey, AuthConfig, Control, Rights, ServerConfig, TopicAccess, TopicRule,
    VerifyingKey,
};

use crate::harness::{Ask, Running, start_server};

/// The secret of all tokens.
const SECRET: &[u8] = b"a secret of thirty-two bytes, ok";
/// The text of an API key that may publish everything, and nothing else.
pub(crate) const API_KEY: &str = "a key for the backend";

/// A server with authentication, and the handle that reloads it.
pub(crate) struct Guarded {
    pub(crate) server: Running,
    pub(crate) control: Control,
}

/// Starts a server whose tokens are signed with [`SECRET`], where `open/**` is public but for
/// `open/closed`.
async fn start() -> Guarded {
    start_with(|_| {}).await
}

pub(crate) async fn start_with(change: impl FnOnce(&mut ServerConfig)) -> Guarded {
    let mut control = None;
    let finish = |server: tidings_server::Server| {
        control = Some(server.control());
        server
    };
    let server = start_server(
        |config, _| {
            guard(config);
            change(config);
        },
        finish,
    )
    .await;
    Guarded { server, control: control.unwrap() }
}

pub(crate) fn guard(config: &mut ServerConfig) {
    let mut auth = AuthConfig::default();
    let algorithm = Algorithm::named("HS256").unwrap();
    auth.keys = vec![VerifyingKey::secret(algorithm, SECRET).unwrap()];
    auth.in_query = true;
    auth.cookie = Some("tidings".to_owned());
    auth.api_keys = vec![ApiKey {
        name: "backend".to_owned(),
        sha256: sha256(API_KEY),
        rights: Rights { publish: patterns(&["**"]), ..Rights::default() },
    }];
    config.auth = Some(auth);
    config.topics = rules(&[("open/closed", TopicAccess::Token), ("open/**", TopicAccess::Public)]);
}

fn rules(rules: &[(&str, TopicAccess)]) -> Vec<TopicRule> {
    let rule = |&(filter, access): &(&str, TopicAccess)| {
        let mut rule = TopicRule::new(TopicFilter::pattern(filter).unwrap());
        rule.access = Some(access);
        rule
    };
    rules.iter().map(rule).collect()
}

fn patterns(texts: &[&str]) -> Vec<TopicFilter> {
    texts.iter().map(|text| TopicFilter::pattern(text).unwrap()).collect()
}

fn sha256(text: &str) -> [u8; 32] {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes())
        .as_ref()
        .try_into()
        .unwrap()
}

impl Guarded {
    /// A token that is good for a minute, of a subject with rights.
    pub(crate) fn token(&self, subject: &str, rights: Value) -> String {
        self.token_with(json!({"sub": subject, "tidings": rights}))
    }

    /// A token with these claims beside those of a good one.
    fn token_with(&self, claims: Value) -> String {
        let now = self.server.hub.time().unix_millis() as f64 / 1000.0;
        let mut all = json!({"exp": now + 60.0, "iat": now});
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        encode(&Header::default(), &all, &EncodingKey::from_secret(SECRET)).unwrap()
    }

    pub(crate) fn get(&self, path: &str, token: &str) -> Ask {
        bear(self.server.get(path), token)
    }

    pub(crate) fn post(&self, path: &str, body: &str, token: &str) -> Ask {
        bear(self.server.post(path, body.to_owned()), token)
    }

    fn delete(&self, path: &str, token: &str) -> Ask {
        bear(self.server.request(Method::DELETE, path), token)
    }

    /// Publishes an event to topics, in the name of the backend.
    async fn publish(&self, topics: &[&str], data: &str) {
        let event = json!({
            "topics": topics, "data": data, "private": data.starts_with("private"), "id": data,
        });
        let ask = self.post("/events", &event.to_string(), API_KEY);
        let answer = ask.content_type("application/json").answer().await;
        assert_eq!(answer.status, 201, "{}", answer.text());
    }

    fn tick(&self, seconds: f64) {
        self.server.tick(Duration::from_secs_f64(seconds));
    }
}

fn bear(ask: Ask, token: &str) -> Ask {
    match token {
        "" => ask,
        token => ask.header("authorization", format!("Bearer {token}")),
    }
}

//! The stream of NATS that a hub shares with others.

use std::fs;

use tidings_server::nats::NatsConfig;

use super::password::without_password;
use super::settings::{Settings, Value};

/// The keys of settings that are about it.
pub(super) const OF_NATS: [&str; 5] =
    ["nats.servers", "nats.creds", "nats.ca", "nats.stream", "nats.replicas"];

/// The keys that name servers are the first of these; the others need it.
const SERVERS: &str = OF_NATS[0];

/// The stream that the settings name; `None` without servers. It is created for hubs with so much memory.
pub(super) fn of(
    settings: &Settings,
    memory_bytes: usize,
    mistakes: &mut Vec<String>,
) -> Option<NatsConfig> {
    let Some(servers) = settings.get(SERVERS) else {
        let more = OF_NATS.iter().filter_map(|key| settings.get(key));
        mistakes.extend(more.filter(|value| !value.is_default()).map(|value| {
            value.mistake(value.text(), "needs the servers, too (nats.servers, --nats)")
        }));
        return None;
    };
    let mut config = NatsConfig::new(Vec::new());
    for (_, address) in settings.list(SERVERS) {
        match NatsConfig::check_server(address) {
            Ok(()) => config.servers.push(address.to_owned()),
            Err(why) => mistakes.push(servers.mistake(&without_password(address), &why)),
        }
    }
    let mut read = |key, read: &mut dyn FnMut(Value<'_>) -> Result<(), String>| {
        if let Some(value) = settings.get(key)
            && let Err(why) = read(value)
        {
            mistakes.push(value.mistake(value.text(), &why));
        }
    };
    read("nats.creds", &mut |value| {
        let text = fs::read_to_string(value.path()).map_err(|error| error.to_string())?;
        config.credentials = Some(text);
        Ok(())
    });
    read("nats.ca", &mut |value| {
        let path = value.path();
        fs::metadata(&path).map_err(|error| error.to_string())?;
        config.certificates = Some(path);
        Ok(())
    });
    read("nats.stream", &mut |value| {
        NatsConfig::check_stream(value.text())?;
        config.stream = value.text().to_owned();
        Ok(())
    });
    read("nats.replicas", &mut |value| {
        config.replicas = match value.text() {
            "1" => 1,
            "3" => 3,
            "5" => 5,
            _ => return Err("must be 1, 3 or 5".to_owned()),
        };
        Ok(())
    });
    // What hubs have in memory takes less in the stream, so a hub that starts finds all that others have.
    config.stream_bytes_max = (2 * memory_bytes as u64).max(STREAM_BYTES_MIN);
    Some(config)
}

/// The least size of a stream that is created.
const STREAM_BYTES_MIN: u64 = 64 << 20;

//! Passwords in addresses, which are not shown.

/// An address without the password that it may have.
pub(super) fn without_password(address: &str) -> String {
    match (address.find("://"), address.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 < at => {
            format!("{}***{}", &address[..scheme + 3], &address[at..])
        }
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        for (address, shown) in [
            ("nats://a:4222", "nats://a:4222"),
            ("nats://user:secret@a:4222", "nats://***@a:4222"),
            ("tls://token@a", "tls://***@a"),
        ] {
            assert_eq!(without_password(address), shown);
        }
    }
}

//! Who makes objects for viewers of the web app: the API server, for their own token.
//!
//! Invariant: nothing of the operator's own account goes with such a call.

use kube::config::AuthInfo;
use kube::{Client, Config};

use crate::web::Maker;

/// Where the API server is, and how it is known to be it.
pub(super) struct Viewers(Config);

impl Viewers {
    /// Of the API server that the operator itself talks to.
    pub(super) fn new(mut config: Config) -> Self {
        config.auth_info = AuthInfo::default();
        config.headers.clear();
        Self(config)
    }
}

impl Maker for Viewers {
    fn client(&self, bearer: &str) -> Result<Client, String> {
        let mut config = self.0.clone();
        config.auth_info.token = Some(bearer.to_owned().into());
        Client::try_from(config).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_operators_account_is_left() {
        let mut config = Config::new(http::Uri::from_static("https://cluster.example"));
        config.auth_info.token_file = Some("/var/run/secrets/token".to_owned());
        config.auth_info.client_certificate_data = Some("certificate".to_owned());
        config.auth_info.impersonate = Some("somebody".to_owned());
        let Viewers(config) = Viewers::new(config);
        let left = config.auth_info;
        assert!(left.token.is_none() && left.token_file.is_none());
        assert!(left.client_certificate_data.is_none() && left.impersonate.is_none());
    }
}

//! The flags that say where Redis is, for every command that talks to it.

use std::path::PathBuf;

use super::args::usage;
use super::flags::flags;
use super::{Env, variable};
use crate::error::Result;

const DEFAULT: &str = "redis://127.0.0.1:6379/";

const URL: &str = "give a URL, as in redis://127.0.0.1:6379/";
const PEM: &str = "give a PEM file";

flags! {
    Server(options, args) {
        ///       --redis URL           the server (default: $REDIS_URL, else
        ///                             redis://127.0.0.1:6379/), or any node of a Redis
        ///                             Cluster; redis+unix:// works too, and
        ///                             redis+sentinel://HOST:PORT,.../MASTER
        // The broker says whether it is a URL. Empty: `or_from` has not looked at the environment yet.
        url: String = String::new() => options.url = args.text(URL)?;
        ///       --tls-ca FILE         for rediss://: who may have signed the server's
        ///                             certificate (default: the system's authorities)
        ca: Option<PathBuf> = None => options.ca = Some(args.value(PEM)?.into());
        ///       --tls-cert FILE, --tls-key FILE
        ///                             the certificate that the server asks us for
        cert: Option<PathBuf> = None => {
            let file = Some(args.value(PEM)?.into());
            match args.flag() {
                "--tls-key" => options.key = file,
                _ => options.cert = file,
            }
        };
        key: Option<PathBuf> = None;
    }
}

impl Server {
    /// Where no flag says so, the environment does.
    pub fn or_from(mut self, env: Env) -> Result<Server> {
        if self.url.is_empty() {
            self.url = match variable(env, "REDIS_URL") {
                Some(url) => url
                    .into_string()
                    .map_err(|_| usage(format!("$REDIS_URL: not UTF-8; {URL}")))?,
                None => DEFAULT.to_owned(),
            };
        }
        Ok(self)
    }
}

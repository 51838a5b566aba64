//! `rediss://`: certificates for the crate's TLS, and what its refusals mean. The cargo feature `tls` builds it in.

pub use built::{Certificates, client, read};

/// The alerts with which the other side refuses our certificate, or the lack of one, as rustls calls them. Any other is about
/// itself, as of a terminator whose backend is away.
const ABOUT_OURS: [&str; 8] = [
    "BadCertificate",
    "UnsupportedCertificate",
    "CertificateRevoked",
    "CertificateExpired",
    "CertificateUnknown",
    "UnknownCA",
    "AccessDenied",
    "NoCertificate",
];

/// What a person can do about a certificate that was refused, on either side. None: the cause is something else, which may
/// pass.
pub fn mend(cause: &str) -> Option<&'static str> {
    let has = |text: &str| cause.contains(text);
    Some(match cause.split_once("fatal alert: ") {
        Some((_, "CertificateRequired")) => "give a certificate with --tls-cert and --tls-key",
        Some((_, alert)) if ABOUT_OURS.contains(&alert) => {
            "look at --tls-cert and --tls-key: the server takes another certificate"
        }
        Some(_) => return None,
        _ if has("UnknownIssuer") || has("BadSignature") => {
            "name the authority that signed it with --tls-ca"
        }
        _ if has("certificate expired") || has("not valid yet") => {
            "renew the server's certificate, or set the clock"
        }
        _ if has("not valid for name") => "use a host name in the URL that the certificate names",
        _ if has("peer certificate") => "look at the server's certificate",
        _ if has("PEM") || has("TLS parameters") || has("trust anchors") => {
            "look at --tls-ca, --tls-cert and --tls-key"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::mend;

    #[test]
    fn only_a_certificate_that_is_refused_cannot_be_waited_for() {
        for alert in [
            "InternalError",
            "HandshakeFailure",
            "CloseNotify",
            "UnrecognisedName",
            "Unknown(255)",
        ] {
            assert_eq!(
                mend(&format!("received fatal alert: {alert}")),
                None,
                "{alert}"
            );
        }
        for cause in [
            "received fatal alert: CertificateRequired",
            "received fatal alert: UnknownCA",
            "received fatal alert: CertificateExpired",
            "invalid peer certificate: UnknownIssuer",
            "invalid peer certificate: certificate expired: verification time",
            "invalid peer certificate: BadEncoding",
        ] {
            assert!(mend(cause).is_some(), "{cause}");
        }
        assert_eq!(mend("connection refused"), None);
    }
}

#[cfg(not(feature = "tls"))]
mod built {
    use redis::{Client, ConnectionInfo, RedisResult};

    use crate::cli;
    use crate::error::{Error, Result};

    /// There are none.
    #[derive(Clone)]
    pub struct Certificates;

    pub fn read(is_tls: bool, _: &cli::Server) -> Result<Certificates> {
        if is_tls {
            let text = "--redis: TLS is not built in; build with --features tls, as scripts/build-static.sh does";
            return Err(Error::Failed(text.into()));
        }
        Ok(Certificates)
    }

    pub fn client(info: ConnectionInfo, _: &Certificates) -> RedisResult<Client> {
        Client::open(info)
    }
}

#[cfg(feature = "tls")]
mod built {
    use std::fs;
    use std::path::PathBuf;

    use redis::{Client, ClientTlsConfig, ConnectionInfo, RedisResult, TlsCertificates};

    use crate::cli;
    use crate::error::{Error, Result};

    pub type Certificates = Option<TlsCertificates>;

    pub fn read(is_tls: bool, files: &cli::Server) -> Result<Certificates> {
        if !is_tls {
            return Ok(None);
        }
        let client_tls = match (read_file(&files.cert)?, read_file(&files.key)?) {
            (Some(client_cert), Some(client_key)) => Some(ClientTlsConfig {
                client_cert,
                client_key,
            }),
            (None, None) => None,
            _ => {
                let text = "--tls-cert and --tls-key: give both, or none";
                return Err(Error::Usage(text.into()));
            }
        };
        Ok(Some(TlsCertificates {
            client_tls,
            root_cert: read_file(&files.ca)?,
        }))
    }

    fn read_file(path: &Option<PathBuf>) -> Result<Option<Vec<u8>>> {
        let read = |path: &PathBuf| fs::read(path).map_err(|error| Error::io("read", path, &error));
        path.as_ref().map(read).transpose()
    }

    pub fn client(info: ConnectionInfo, certificates: &Certificates) -> RedisResult<Client> {
        match certificates {
            Some(certificates) => Client::build_with_tls(info, certificates.clone()),
            None => Client::open(info),
        }
    }
}

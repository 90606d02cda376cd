//! The certificate and the key of the public port, read again when their files change.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::CancellationToken;

/// How often the files are read. Both are small.
const READ_EVERY: Duration = Duration::from_secs(2);

/// Why the certificate and the key cannot be used. Contains nothing of the files.
#[derive(Debug, thiserror::Error)]
pub enum TlsFileError {
    #[error("cannot be read: {0}")]
    Certificate(#[source] io::Error),
    #[error("cannot be read: {0}")]
    Key(#[source] io::Error),
    #[error("must have a certificate, and those that signed it, in PEM")]
    NoCertificate,
    #[error("must have a private key in PEM")]
    NoKey,
    #[error("must have the private key of the certificate in TLS_CERT_FILE: {0}")]
    Mismatch(#[source] rustls::Error),
}

impl TlsFileError {
    /// The setting that names the bad file.
    pub fn variable(&self) -> &'static str {
        match self {
            Self::Certificate(_) | Self::NoCertificate => "TLS_CERT_FILE",
            Self::Key(_) | Self::NoKey | Self::Mismatch(_) => "TLS_KEY_FILE",
        }
    }
}

/// The content of both files.
#[derive(PartialEq, Eq)]
struct Content {
    certificates: Vec<u8>,
    key: Vec<u8>,
}

/// What connections are accepted with.
struct Configs {
    http2: Arc<ServerConfig>,
    http1: Arc<ServerConfig>,
}

/// The TLS of a server. Connections that exist keep the certificate that they began with.
#[derive(Clone)]
pub struct ServerTls {
    certificate_file: PathBuf,
    key_file: PathBuf,
    current: Arc<RwLock<Configs>>,
    /// What `current` was made of at first.
    loaded: Arc<Content>,
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls").field("certificate_file", &self.certificate_file).finish_non_exhaustive()
    }
}

impl ServerTls {
    /// Reads a chain of certificates and its key, both in PEM.
    ///
    /// # Errors
    /// If a file cannot be read or used, or the key is not that of the first certificate.
    pub fn load(certificate_file: &Path, key_file: &Path) -> Result<Self, TlsFileError> {
        let content = Content::read(certificate_file, key_file)?;
        Ok(Self {
            certificate_file: certificate_file.to_owned(),
            key_file: key_file.to_owned(),
            current: Arc::new(RwLock::new(Configs::of(&content)?)),
            loaded: Arc::new(content),
        })
    }

    /// What a new connection is accepted with: HTTP/2 and HTTP/1.1, or only the latter.
    pub fn config(&self, with_http2: bool) -> Arc<ServerConfig> {
        let current = self.current.read();
        Arc::clone(if with_http2 { &current.http2 } else { &current.http1 })
    }

    /// Reads the files again when they change, until `stop`. Where they cannot be used, the earlier ones stay in use.
    pub async fn follow_files(self, stop: CancellationToken) {
        // They may have changed since they were loaded.
        let mut last = Some(self.loaded);
        while stop.run_until_cancelled(tokio::time::sleep(READ_EVERY)).await.is_some() {
            let (certificates, key) = (self.certificate_file.clone(), self.key_file.clone());
            let read = tokio::task::spawn_blocking(move || Content::read(&certificates, &key)).await;
            let Ok(read) = read else { continue };
            let content = read.as_ref().ok();
            // Each change is reported once.
            if content == last.as_deref() {
                continue;
            }
            match content.map_or_else(|| Err(None), |content| Configs::of(content).map_err(Some)) {
                Ok(configs) => {
                    *self.current.write() = configs;
                    tracing::info!("new connections get the new certificate");
                }
                Err(unusable) => {
                    let error = unusable.as_ref().or(read.as_ref().err());
                    let (file, error) = (error.map(TlsFileError::variable), error.map(ToString::to_string));
                    tracing::error!(file, error, "the certificate was not replaced, the earlier one stays in use");
                }
            }
            last = read.ok().map(Arc::new);
        }
    }
}

impl Content {
    fn read(certificate_file: &Path, key_file: &Path) -> Result<Self, TlsFileError> {
        Ok(Self {
            certificates: std::fs::read(certificate_file).map_err(TlsFileError::Certificate)?,
            key: std::fs::read(key_file).map_err(TlsFileError::Key)?,
        })
    }
}

impl Configs {
    fn of(content: &Content) -> Result<Self, TlsFileError> {
        let chain: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&content.certificates).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(TlsFileError::NoCertificate)?;
        let key = PrivateKeyDer::from_pem_slice(&content.key).map_err(|_| TlsFileError::NoKey)?;
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map(|builder| builder.with_no_client_auth())
            .and_then(|builder| builder.with_single_cert(chain, key))
            .map_err(TlsFileError::Mismatch)?;
        let with_protocols = |names: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = names.iter().map(|name| name.to_vec()).collect();
            Arc::new(config)
        };
        Ok(Self { http2: with_protocols(&[b"h2", b"http/1.1"]), http1: with_protocols(&[b"http/1.1"]) })
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{sleep, timeout};

    use super::*;

    /// Files that are removed with it.
    struct Files(PathBuf);

    impl Files {
        fn new() -> Self {
            let directory = std::env::temp_dir().join(format!("ringback-server-tls-{}", std::process::id()));
            std::fs::create_dir_all(&directory).unwrap();
            Self(directory)
        }

        /// Writes a new certificate and its key.
        fn certify(&self) -> (PathBuf, PathBuf) {
            let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
            let (certificate, key) = (self.0.join("cert"), self.0.join("key"));
            std::fs::write(&certificate, made.cert.pem()).unwrap();
            std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
            (certificate, key)
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[tokio::test]
    async fn a_certificate_that_is_replaced_before_its_file_is_followed_is_used() {
        let files = Files::new();
        let (certificate, key) = files.certify();
        let tls = ServerTls::load(&certificate, &key).unwrap();
        let loaded = tls.config(true);
        files.certify();

        let following = tokio::spawn(tls.clone().follow_files(CancellationToken::new()));
        let replaced = async {
            while Arc::ptr_eq(&tls.config(true), &loaded) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(20), replaced).await.expect("the new certificate is not used");
        following.abort();
    }
}

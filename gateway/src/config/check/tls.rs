//! Certificates and keys, read and tried when the file is checked: a replica that cannot connect is found out late.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::super::tree::{At, Field, Reading, Span};
use super::super::{Identity, Tls, raw};

/// Reads the files of a `tls` table and tells its place; none if it names no file. Blank paths name none.
pub(super) fn files(field: &Field<raw::TlsFiles>, cx: &mut Reading<'_>) -> Option<(Tls, Span)> {
    let At { value: written, span } = field.get()?;
    let named = |field: &Field<String>| field.get().filter(|path| !path.value.is_empty()).cloned();
    let (ca, cert, key) = (named(&written.ca), named(&written.cert), named(&written.key));
    let place = ca.as_ref().or(cert.as_ref()).or(key.as_ref()).map(|_| span.clone())?;
    match (&cert, &key) {
        (Some(cert), None) if !written.key.is_bad() => cx.problem(&cert.span, "`cert` needs its `key`"),
        (None, Some(key)) if !written.cert.is_bad() => cx.problem(&key.span, "`key` needs its `cert`"),
        _ => {}
    }
    let roots = ca.as_ref().map(|path| (contents(path, cx), path));
    let pair = cert.zip(key).map(|(cert, key)| (contents(&cert, cx), contents(&key, cx), cert, key));
    let mut tls = Tls::default();
    if let Some((Some(pem), path)) = roots {
        authorities(&pem).map_err(|message| cx.problem(&path.span, message)).ok();
        tls.ca = Some(pem);
    }
    if let Some((Some(cert), Some(key), cert_path, key_path)) = pair {
        check_pair(&cert, &key, &cert_path, &key_path, cx);
        tls.identity = Some(Identity { cert, key: key.into() });
    }
    Some((tls, place))
}

fn contents(path: &At<String>, cx: &mut Reading<'_>) -> Option<Vec<u8>> {
    let read = cx.sources.read(Path::new(&path.value));
    read.map_err(|err| cx.problem(&path.span, format!("cannot be read: {err}"))).ok()
}

/// What the client listener shows, from the files of `server.tls`; none if it names no file.
pub(super) fn identity(field: &Field<raw::Listener>, cx: &mut Reading<'_>) -> Option<Identity> {
    let At { value: written, span } = field.get()?;
    let named = |field: &Field<String>| field.get().filter(|path| !path.value.is_empty()).cloned();
    let (cert, key) = match (named(&written.cert), named(&written.key)) {
        (Some(cert), Some(key)) => (cert, key),
        (None, None) => return None,
        _ if written.cert.is_bad() || written.key.is_bad() => return None,
        _ => {
            cx.problem(span, "TLS needs both `cert` and `key`");
            return None;
        }
    };
    let (pem, key_pem) = (contents(&cert, cx)?, contents(&key, cx)?);
    check_pair(&pem, &key_pem, &cert, &key, cx);
    Some(Identity { cert: pem, key: key_pem.into() })
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    read.ok().filter(|found| !found.is_empty()).ok_or("holds no certificate in PEM form")
}

fn authorities(pem: &[u8]) -> Result<RootCertStore, &'static str> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(|_| "holds a certificate that cannot be an authority")?;
    }
    Ok(roots)
}

/// Are there a certificate and a key, and do they belong together?
fn check_pair(cert: &[u8], key: &[u8], cert_path: &At<String>, key_path: &At<String>, cx: &mut Reading<'_>) {
    let chain = certificates(cert).map_err(|message| cx.problem(&cert_path.span, message));
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| cx.problem(&key_path.span, "holds no private key in PEM form"));
    let (Ok(chain), Ok(key)) = (chain, key) else { return };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tried = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_root_certificates(RootCertStore::empty()))
        .and_then(|builder| builder.with_client_auth_cert(chain, key));
    match tried {
        Ok(_) => {}
        Err(rustls::Error::InconsistentKeys(_)) => {
            cx.problem(&key_path.span, "this key and the certificate of `cert` do not belong together");
        }
        Err(err) => cx.problem(&cert_path.span, format!("cannot be used: {err}")),
    }
}

//! A web identity token (Kubernetes service account, OIDC) exchanged for keys of a role. Source: AWS STS API Reference,
//! AssumeRoleWithWebIdentity: an unsigned request, answered in XML.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use super::super::exchange::{Denied, Exchange, Service, form, secret_file, within};
use super::super::kept::Fetched;
use super::AwsKeys;

/// The token and the role.
#[derive(Debug)]
pub struct WebIdentity {
    /// Holds the token; the platform replaces it before its end.
    pub file: PathBuf,
    /// ARN of the role.
    pub role: String,
    /// Names the session in AWS's logs.
    pub session: String,
    /// URL of STS.
    pub endpoint: String,
}

impl WebIdentity {
    /// With the usual session name, at the STS of `region`.
    pub fn new(file: impl Into<PathBuf>, role: String, region: &str) -> WebIdentity {
        let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let endpoint = format!("https://sts.{region}.{suffix}/");
        WebIdentity { file: file.into(), role, session: "weir".to_owned(), endpoint }
    }

    pub(super) async fn fetch(&self, by: &dyn Exchange) -> Result<Fetched<AwsKeys>, Denied> {
        let service = Service { whom: "AWS STS", by };
        let token = secret_file("the AWS web identity token file", &self.file)?;
        let form = form(&[
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", &self.role),
            ("RoleSessionName", &self.session),
            ("WebIdentityToken", token.expose_secret()),
        ]);
        let body = service.post_form(&self.endpoint, form).await?;
        let xml = std::str::from_utf8(&body).map_err(|_| service.unusable("its answer is not text"))?;
        read_xml(service, xml)
    }
}

fn read_xml(service: Service<'_>, xml: &str) -> Result<Fetched<AwsKeys>, Denied> {
    let no_keys = || service.unusable("its answer holds no keys");
    // Other elements of the answer have names of their own: only these are read.
    let credentials = within(xml, "Credentials").ok_or_else(no_keys)?;
    let text = |name| within(credentials, name).filter(|text| !text.is_empty()).ok_or_else(no_keys);
    let value = AwsKeys {
        access_key_id: text("AccessKeyId")?.to_owned(),
        secret_access_key: SecretString::from(text("SecretAccessKey")?),
        session_token: Some(SecretString::from(text("SessionToken")?)),
    };
    Ok(Fetched { value, ends: super::time(service, text("Expiration")?)? })
}

//! Who tells: the resource of everything that is told.

use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::Resource;

use crate::config::telemetry::Otlp;

/// By the file; what it does not say by `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`. The instance is the replica.
pub(super) fn of(otlp: &Otlp, replica: &str) -> Resource {
    let mut ours = vec![
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", replica.to_owned()),
    ];
    ours.extend(otlp.resource.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone())));
    // (Reads the environment; a program without a name is an "unknown_service".)
    let found = Resource::builder().build();
    let name = found.get(&Key::from_static_str("service.name")).map(|name| name.to_string());
    let name = name.filter(|name| !name.is_empty() && !name.starts_with("unknown_service"));
    let name = otlp.service_name.clone().or(name).unwrap_or_else(|| "weir".to_owned());
    Resource::builder().with_service_name(name).with_attributes(ours).build()
}

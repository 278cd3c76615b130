//! Who is told what: Prometheus, a collector of OpenTelemetry, a webhook.

use super::super::node::Node;
use super::super::page::{self, Page};
use super::Import;
use super::reasons;
use super::words::Worded;

/// Lists of whom LiteLLM tells of each call.
const CALLBACKS: [&str; 4] = ["callbacks", "success_callback", "failure_callback", "service_callback"];
/// What LiteLLM calls how OTLP is spoken, and what we do.
const PROTOCOLS: [(&str, &str); 5] = [
    ("otlp_grpc", "grpc"),
    ("grpc", "grpc"),
    ("otlp_http", "http"),
    ("http/protobuf", "http"),
    ("http/json", "http"),
];

/// Whom the file wants told.
#[derive(Default)]
pub(super) struct Telling {
    prometheus: bool,
    otel: bool,
}

impl Telling {
    /// By the callbacks; those that are nobody's here are listed.
    pub(super) fn read(import: &mut Import<'_>) -> Telling {
        let mut telling = Telling::default();
        for key in CALLBACKS {
            for node in import.litellm(key).map_or(&[][..], Node::items) {
                match node.text() {
                    Some("prometheus") => {
                        telling.prometheus = true;
                        let how = "metrics are at a port of their own, by Weir's names (README, Metrics); rules and a board for them are in deploy/";
                        import.notes.differs(node, how);
                    }
                    Some("otel") => {
                        telling.otel = true;
                        let how = "traces, metrics and logs, by the GenAI conventions; what is said is in them only with `capture_content`";
                        import.notes.differs(node, how);
                    }
                    _ => import.notes.left(node, reasons::reason("litellm_settings.callbacks")),
                }
            }
        }
        telling
    }

    /// In [server].
    pub(super) fn server(&self, page: &mut Page) {
        if self.prometheus {
            page.set_because("metrics_listen", page::text("0.0.0.0:9464"), "/metrics, for Prometheus");
        }
    }

    /// `[telemetry]` and `[alerts]`.
    pub(super) fn sections(&self, import: &mut Import<'_>, page: &mut Page) {
        if self.otel {
            telemetry(import, page);
        }
        if let Some(webhook) = webhook(import) {
            page.section("[alerts]");
            page.set("webhook", page::quoted(&webhook));
        }
    }
}

/// LiteLLM's collector is named by its environment alone, which its file may set.
fn telemetry(import: &mut Import<'_>, page: &mut Page) {
    let set = import.root.get("environment_variables");
    let exporter = set.and_then(|set| set.get("OTEL_EXPORTER")).and_then(Node::text).map(str::to_owned);
    if let Some(set) = set {
        import.notes.left(set, reasons::reason("environment_variables"));
    }
    let known = exporter.and_then(|word| PROTOCOLS.iter().find(|(theirs, _)| *theirs == word));
    let (_, protocol) = known.copied().unwrap_or(("", "http"));
    let endpoint = import
        .environment
        .name("OTEL_ENDPOINT", "of LiteLLM's environment: http://host:port of the collector");
    page.section("[telemetry]");
    page.set("otlp_endpoint", page::quoted(&endpoint));
    page.set_because("otlp_protocol", page::text(protocol), "\"grpc\" where OTEL_EXPORTER is otlp_grpc");
    import.notes.todo_for_all(
        "the collector stands in LiteLLM's environment: set OTEL_ENDPOINT for Weir as well (without /v1/traces), see that `otlp_protocol` is \
         what OTEL_EXPORTER says, and write OTEL_HEADERS as `otlp_headers`",
    );
}

/// The webhook of LiteLLM's alerts to Slack, as a reference.
fn webhook(import: &mut Import<'_>) -> Option<String> {
    let mut asked = None;
    for node in import.general("alerting").map_or(&[][..], Node::items) {
        match node.text() {
            Some("slack") => {
                let how = "told is what needs a person (README, A webhook), not what is slow, nor reports";
                import.notes.differs(node, how);
                asked = Some(node);
            }
            _ => import.notes.left(
                node,
                "alerts are posted as JSON to one address (`[alerts] webhook`), or are rules of Prometheus",
            ),
        }
    }
    asked?;
    let by_kind = import.general("alert_to_webhook_url").map_or(&[][..], Node::entries);
    let mut chosen = None;
    for (_, node) in by_kind {
        match Worded::of(node) {
            Some(worded) if chosen.is_none() && worded.clear() != Some("") => {
                import.notes.differs(node, "all alerts go to one address here: this one");
                let place = (node.line, node.path.as_str());
                chosen =
                    Some(import.environment.secret(&worded, "SLACK_WEBHOOK_URL", place, &mut import.notes));
            }
            _ => import.notes.left(node, "all alerts go to one address here"),
        }
    }
    Some(chosen.unwrap_or_else(|| import.environment.name("SLACK_WEBHOOK_URL", "of LiteLLM's environment")))
}
